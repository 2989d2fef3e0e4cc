//! Filters: one key an item, and what no filter may touch.

use super::users::users;
use crate::leaf::{Bytes, FieldMap, FieldName, Rate};
use crate::model::{
    BasicAuth, Coding, Compression, FieldEdits, Filter, Forwarding, NewPath, RateKey, RateLimit,
    Rewrite,
};
use crate::problem::Draft;
use crate::raw::filter as raw;
use crate::read::{Concealed, Cx, Field, Keyed as _, Many, OneOrMany, Spanned, Switch};

/// They speak about one connection, or say where a message ends.
const FRAMING: &[&str] = &[
    "connection",
    "content-length",
    "http2-settings",
    "keep-alive",
    "proxy",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What isobar itself tells a worker.
const OURS: &[&str] = &[
    "expect",
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-queue-time",
    "x-real-ip",
    "x-request-id",
    "x-request-start",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Response,
}

/// What is text, and compresses well.
const TYPES: &[&str] = &[
    "text/*",
    "application/atom+xml",
    "application/geo+json",
    "application/graphql-response+json",
    "application/javascript",
    "application/json",
    "application/ld+json",
    "application/manifest+json",
    "application/problem+json",
    "application/rss+xml",
    "application/vnd.api+json",
    "application/wasm",
    "application/x-ndjson",
    "application/xhtml+xml",
    "application/xml",
    "font/otf",
    "font/ttf",
    "image/svg+xml",
];

/// Where filters stand, as far as they care.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Listener,
    /// Whatever it matches, it knows which prefix it was; or it does not.
    Route {
        prefix: bool,
    },
}

pub(super) fn filters(
    field: Field<Switch<Many<raw::Filter>>>,
    place: Place,
    cx: &mut Cx<'_>,
) -> Vec<Filter> {
    let Some(Many(items)) = field.on() else { return Vec::new() };
    items.into_iter().filter_map(|item| filter(item.value, place, cx)).collect()
}

/// None = reported.
fn filter(raw: raw::Filter, place: Place, cx: &mut Cx<'_>) -> Option<Filter> {
    let given = [
        !raw.headers.is_absent(),
        !raw.rewrite.is_absent(),
        !raw.allow.is_absent(),
        !raw.deny.is_absent(),
        !raw.rate_limit.is_absent(),
        !raw.basic_auth.is_absent(),
        !raw.max_body.is_absent(),
        !raw.compression.is_absent(),
    ];
    let count = given.into_iter().filter(|given| *given).count();
    if count > 1 || (count == 0 && !raw.refused.any()) {
        let expected = format!("one of {}", raw::Filter::KEYS.built.join(", "));
        let draft = match count {
            0 => Draft::error(raw.span, "found a filter without a name").expected(expected),
            _ => Draft::error(raw.span, "found several filters in one item")
                .expected("each an item of its own: their order matters"),
        };
        cx.report(draft);
        return None;
    }
    if let Some(raw) = raw.headers.value() {
        let request = edits(raw.request, Way::Request, cx);
        let response = edits(raw.response, Way::Response, cx);
        return Some(Filter::Headers { request, response });
    }
    if let Some(raw) = raw.rewrite.given() {
        return rewrite(raw, place, cx).map(Filter::Rewrite);
    }
    if let Some(networks) = raw.allow.value() {
        return Some(Filter::Allow(networks.0));
    }
    if let Some(networks) = raw.deny.value() {
        return Some(Filter::Deny(networks.0));
    }
    if let Some(raw) = raw.rate_limit.given() {
        return rate_limit(raw, cx).map(Filter::RateLimit);
    }
    if let Some(raw) = raw.basic_auth.given() {
        return basic_auth(raw, cx).map(Filter::BasicAuth);
    }
    if let Some(raw) = raw.compression.value() {
        return Some(Filter::Compression(compression(raw)));
    }
    let Spanned { value: Bytes(most), span } = raw.max_body.given()?;
    if most == 0 {
        let message = "this refuses every request that has a body";
        let hint = "no limit is no `max_body`; in a listener's `limits`, `body: 0`";
        cx.report(Draft::warning(span, message).hint(hint.to_owned()));
    }
    Some(Filter::MaxBody(most))
}

fn rewrite(raw: Spanned<raw::Rewrite>, place: Place, cx: &mut Cx<'_>) -> Option<Rewrite> {
    let Spanned { value: raw, span } = raw;
    if let (Some(_), Some(prefix)) = (raw.path.as_given(), raw.path_prefix.as_given()) {
        cx.report(
            Draft::error(prefix.span, "found both `path` and `path_prefix`")
                .expected("one of them: `path` replaces all of it"),
        );
    }
    if let Some(prefix) = raw.path_prefix.as_given()
        && place != (Place::Route { prefix: true })
    {
        cx.report(
            Draft::error(prefix.span, "found `path_prefix` where no prefix is matched").expected(
                "`path_prefix` only on a route with `path_prefix` in every match, or `path` here",
            ),
        );
    }
    if raw.path.is_absent() && raw.path_prefix.is_absent() && raw.host.is_absent() {
        if !raw.refused.any() {
            let expected = "`path`, `path_prefix` or `host`";
            cx.report(Draft::error(span, "found nothing to rewrite").expected(expected));
        }
        return None;
    }
    let prefix = raw.path_prefix.value().map(|path| NewPath::Prefix(path.0));
    let path = raw.path.value().map(|path| NewPath::Whole(path.0)).or(prefix);
    Some(Rewrite { path, host: raw.host.value().map(|host| host.0) })
}

fn rate_limit(raw: Spanned<raw::RateLimit>, cx: &mut Cx<'_>) -> Option<RateLimit> {
    let Spanned { value: raw, span } = raw;
    if raw.rate.is_absent() && !raw.refused.excuses(&["rate"]) {
        cx.report(Draft::error(span, "found no rate").expected("`rate`, like `rate: 100/s`"));
    }
    let Rate { count, unit } = raw.rate.value()?;
    Some(RateLimit {
        key: raw.key.value().map_or(RateKey::ClientIp, |key| key.0),
        count,
        unit,
        burst: raw.burst.value().map_or(count, |burst| burst.u32()),
        keys: raw.keys.value().map_or(65_536, |keys| keys.usize()),
    })
}

fn basic_auth(raw: Spanned<Concealed<raw::BasicAuth>>, cx: &mut Cx<'_>) -> Option<BasicAuth> {
    let Spanned { value: Concealed(raw), span } = raw;
    if raw.users.is_absent() && !raw.refused.excuses(&["users"]) {
        let expected = "`users`, like `users: { file: /etc/isobar/users }`";
        cx.report(Draft::error(span, "found no users").expected(expected));
    }
    Some(BasicAuth {
        users: users(raw.users.given()?, cx)?,
        realm: raw.realm.value().map_or_else(|| "restricted".to_owned(), |realm| realm.0),
        authorization: raw.authorization.value().map_or(Forwarding::Remove, |word| word.0),
    })
}

fn compression(raw: raw::Compression) -> Compression {
    let encodings = raw.encodings.value().map(|OneOrMany(all)| all);
    let encodings = encodings.map(|all| all.into_iter().map(|coding| coding.value.0).collect());
    let types = raw.types.value().map(|OneOrMany(all)| all);
    let types = types.map(|all| all.into_iter().map(|kind| kind.value.0).collect());
    Compression {
        encodings: encodings.unwrap_or_else(|| vec![Coding::Zstd, Coding::Br, Coding::Gzip]),
        types: types.unwrap_or_else(|| TYPES.iter().map(|&kind| kind.to_owned()).collect()),
        min_size: raw.min_size.value().map_or(1024, |bytes| bytes.0),
        max_active: raw.max_active.value().map_or(1000, |count| count.usize()),
    }
}

fn edits(field: Field<raw::FieldEdits>, way: Way, cx: &mut Cx<'_>) -> FieldEdits {
    let Some(raw) = field.value() else { return FieldEdits::default() };
    let mut pairs = |field: Field<FieldMap>| {
        let fields = field.value().map_or(Vec::new(), |map| map.0);
        let allowed = fields.into_iter().filter(|(name, _)| allowed(name, way, cx));
        allowed.map(|(name, value)| (name.value.0, value)).collect()
    };
    let (set, add) = (pairs(raw.set), pairs(raw.add));
    let remove = raw.remove.value().map_or(Vec::new(), |OneOrMany(names)| names);
    let remove = remove.into_iter().filter(|name| allowed(name, way, cx));
    FieldEdits { remove: remove.map(|name| name.value.0).collect(), set, add }
}

fn allowed(name: &Spanned<FieldName>, way: Way, cx: &mut Cx<'_>) -> bool {
    let Spanned { value: FieldName(spelt), span } = name;
    let lower = spelt.to_ascii_lowercase();
    let (why, hint) = if FRAMING.contains(&&*lower) {
        ("it belongs to one connection and its framing", None)
    } else if way == Way::Request && lower == "host" {
        ("a request has exactly one", None)
    } else if way == Way::Request && OURS.contains(&&*lower) {
        ("isobar writes it itself", Some("`trusted_proxies` says whose is believed".to_owned()))
    } else {
        return true;
    };
    cx.report(
        Draft::error(*span, format!("`{spelt}` cannot be edited: {why}"))
            .expected("another header's name")
            .hint(hint),
    );
    false
}
