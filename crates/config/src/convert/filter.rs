//! Filters: one key an item, and what no filter may touch.

use crate::leaf::{FieldMap, FieldName};
use crate::model::{FieldEdits, Filter};
use crate::problem::Draft;
use crate::raw::filter as raw;
use crate::read::{Cx, Field, Many, OneOrMany, Spanned, Switch};

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

pub(super) fn filters(field: Field<Switch<Many<raw::Filter>>>, cx: &mut Cx<'_>) -> Vec<Filter> {
    let Some(Many(items)) = super::on(field) else { return Vec::new() };
    items.into_iter().filter_map(|item| filter(item.value, cx)).collect()
}

/// None = reported.
fn filter(raw: raw::Filter, cx: &mut Cx<'_>) -> Option<Filter> {
    let given = [
        !raw.headers.is_absent(),
        !raw.allow.is_absent(),
        !raw.deny.is_absent(),
        !raw.max_body.is_absent(),
    ];
    let count = given.into_iter().filter(|given| *given).count();
    // An unknown name was reported.
    if count > 1 || (count == 0 && !raw.later && !cx.has_errors()) {
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
    if let Some(networks) = raw.allow.value() {
        return Some(Filter::Allow(networks.0));
    }
    if let Some(networks) = raw.deny.value() {
        return Some(Filter::Deny(networks.0));
    }
    raw.max_body.value().map(|bytes| Filter::MaxBody(bytes.0))
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
