//! The filters as they are written: one key an item, because their order matters.

use crate::leaf::{
    Bytes, CodingWord, Count, FieldMap, FieldName, ForwardingWord, HostName, LocationPath,
    MediaType, Networks, Rate, RateKeyText, Realm,
};
use crate::raw::Secret;
use crate::read::{Concealed, OneOrMany, section};

section! {
    /// An item of `filters`: one of the keys.
    Filter is "a filter" like "{ max_body: 10MiB }" {
        /// Sets, adds and removes header fields of the request and the response.
        "headers" => headers: Headers,
        /// Gives the worker another path or host than the client asked for.
        "rewrite" => rewrite: Rewrite,
        /// Refuses every client that is not in one of these networks: 403.
        "allow" => allow: Networks,
        /// Refuses every client in one of these networks: 403.
        "deny" => deny: Networks,
        /// Refuses requests beyond a rate: 429.
        "rate_limit" => rate_limit: RateLimit,
        /// Asks for a user's name and password: 401.
        "basic_auth" => basic_auth: Concealed<BasicAuth>,
        /// Refuses requests with a larger body: 413. 0 refuses every body, unlike 0 in a listener's
        /// `limits.body`, which is no limit.
        "max_body" => max_body: Bytes,
        /// Encodes response bodies as the client accepts.
        "compression" => compression: Compression,
    }
    later {}
    needs {
        one_of(
            "headers", "rewrite", "allow", "deny", "rate_limit", "basic_auth", "max_body", "compression"
        );
    }
}

section! {
    /// Header fields edited on the way to the worker and on the way back.
    Headers is "headers" like "{ response: { remove: [server] } }" {
        /// What the worker gets.
        "request" => request: FieldEdits,
        /// What the client gets, whoever made the response.
        "response" => response: FieldEdits,
    }
    later {}
}

section! {
    /// Edits of header fields, done in this order: `remove`, `set`, `add`.
    FieldEdits is "edits of header fields" like "{ set: { x-env: prod }, remove: [server] }" {
        /// Names of fields to remove.
        "remove" => remove: OneOrMany<FieldName>,
        /// Fields to set; they replace all fields of the same name.
        "set" => set: FieldMap,
        /// Fields to add; fields of the same name stay.
        "add" => add: FieldMap,
    }
    later {}
}

section! {
    /// What the worker gets instead of what the client asked for; the query stays.
    Rewrite is "rewrite" like "{ path_prefix: /v2 }" {
        /// Instead of the whole path.
        "path" => path: LocationPath,
        /// Instead of the prefix that the route matches.
        "path_prefix" => path_prefix: LocationPath,
        /// Instead of the client's `Host`.
        "host" => host: HostName,
    }
    later {}
    needs { some_of("path", "path_prefix", "host"); at_most_one_of("path", "path_prefix"); }
}

section! {
    /// How often requests may come.
    RateLimit is "rate_limit" like "{ rate: 100/s }" {
        /// Requests in a second, a minute or an hour, like `100/s`.
        "rate" => rate: Rate,
        /// How many requests may come at once. Without it: the number of `rate`.
        "burst" => burst: Count<1, 1_000_000>,
        /// Whose requests are counted together: `client_ip`, `header:NAME` or `global`.
        "key" => key: RateKeyText = "client_ip",
        /// How many keys are remembered at a time; each takes 16 bytes.
        "keys" => keys: Count<1024, 16_777_216> = 65_536,
    }
    later {}
    needs { every("rate"); }
}

section! {
    /// Who may ask, by name and password.
    BasicAuth is "basic_auth" like "{ users: { file: /etc/isobar/users } }" {
        /// Lines of `name:hash` as `htpasswd -B` writes them: bcrypt, or argon2 as a PHC string.
        "users" => users: Concealed<Secret>,
        /// The name that a browser shows when it asks for the password.
        "realm" => realm: Realm = "restricted",
        /// Whether the worker gets `Authorization`.
        "authorization" => authorization: ForwardingWord = "remove",
    }
    later {}
    needs { every("users"); }
}

section! {
    /// Which response bodies are encoded, and how.
    Compression is "compression" like "{ encodings: [zstd, gzip] }" {
        /// The encodings to use, the preferred one first; what the client prefers goes before that.
        /// Without it: zstd, br, gzip.
        "encodings" => encodings: OneOrMany<CodingWord>,
        /// Content types; `text/*` is all of its family.
        "types" => types: OneOrMany<MediaType>,
        /// Bodies that are known to be smaller are left alone.
        "min_size" => min_size: Bytes = "1KiB",
        /// Bodies encoded at once, each with up to about 1MiB of memory; more go out as they are.
        "max_active" => max_active: Count<1, 1_000_000> = 1000,
    }
    later {}
}
