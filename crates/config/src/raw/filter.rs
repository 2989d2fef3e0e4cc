//! The filters as they are written: one key an item, because their order matters.

use crate::leaf::{Bytes, FieldMap, FieldName, Networks};
use crate::read::{OneOrMany, section};

section! {
    /// An item of `filters`: one of the keys.
    Filter is "a filter" {
        /// Sets, adds and removes header fields of the request and the response.
        "headers" => headers: Headers,
        /// Refuses every client that is not in one of these networks: 403.
        "allow" => allow: Networks,
        /// Refuses every client in one of these networks: 403.
        "deny" => deny: Networks,
        /// Refuses requests with a larger body: 413.
        "max_body" => max_body: Bytes,
    }
    later { "rewrite", "rate_limit", "basic_auth", "compression" }
    needs { one_of("headers", "allow", "deny", "max_body"); }
}

section! {
    /// Header fields edited on the way to the worker and on the way back.
    Headers is "headers" {
        /// What the worker gets.
        "request" => request: FieldEdits,
        /// What the client gets, whoever made the response.
        "response" => response: FieldEdits,
    }
    later {}
}

section! {
    /// Edits of header fields, done in this order: `remove`, `set`, `add`.
    FieldEdits is "edits of header fields" {
        /// Names of fields that go.
        "remove" => remove: OneOrMany<FieldName>,
        /// Fields that replace all of their name.
        "set" => set: FieldMap,
        /// Fields beside those of their name that are there.
        "add" => add: FieldMap,
    }
    later {}
}
