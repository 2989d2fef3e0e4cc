//! Routes that need no worker: redirects and answers of the configuration's own.

use crate::model::{NewPath, Redirect, Respond};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Field};

/// `replaces_prefix`: a prefix is all that the route may ask of a path.
pub(super) fn redirect(
    raw: raw::RedirectMap,
    replaces_prefix: bool,
    cx: &mut Cx<'_>,
) -> Option<Redirect> {
    let parts = [
        ("scheme", raw.scheme.as_given().map(|given| given.span)),
        ("host", raw.host.as_given().map(|given| given.span)),
        ("port", raw.port.as_given().map(|given| given.span)),
        ("path", raw.path.as_given().map(|given| given.span)),
        ("path_prefix", raw.path_prefix.as_given().map(|given| given.span)),
    ];
    let mut parts = parts.into_iter().filter_map(|(key, span)| Some((key, span?)));
    let first = parts.next();
    if let (Some(_), Some((key, span))) = (raw.to.as_given(), first) {
        cx.report(
            Draft::error(span, format!("found both `to` and `{key}`"))
                .expected("`to`, or the parts of the URL that change"),
        );
    }
    let whole = [raw.to.is_absent(), raw.scheme.is_absent(), raw.host.is_absent()];
    let whole = whole.into_iter().chain([raw.port.is_absent(), raw.path.is_absent()]);
    if whole.chain([raw.path_prefix.is_absent()]).all(|absent| absent) {
        if !raw.refused.any() {
            cx.report(
                Draft::error(raw.span, "found a redirect that leads nowhere")
                    .expected("`to`, or at least one of scheme, host, port, path, path_prefix"),
            );
        }
        return None;
    }
    if let (Some(_), Some(prefix)) = (raw.path.as_given(), raw.path_prefix.as_given()) {
        cx.report(
            Draft::error(prefix.span, "found both `path` and `path_prefix`")
                .expected("one of them: `path` replaces all of it"),
        );
    }
    if let (Some(prefix), false) = (raw.path_prefix.as_given(), replaces_prefix) {
        cx.report(
            Draft::error(prefix.span, "found `path_prefix` where the route matches no prefix")
                .expected("`path_prefix` in every match, or `path` here"),
        );
    }
    let status = raw.status.value().map_or(302, |status| status.0);
    if let Some(to) = raw.to.value() {
        let (scheme, host, port) = match to.origin {
            Some((scheme, host, port)) => (Some(scheme), Some(host), port),
            None => (None, None, None),
        };
        return Some(Redirect { status, scheme, host, port, path: to.path.map(NewPath::Whole) });
    }
    let prefix = raw.path_prefix.value().map(|path| NewPath::Prefix(path.0));
    Some(Redirect {
        status,
        scheme: raw.scheme.value(),
        host: raw.host.value().map(|host| host.0),
        port: raw.port.value().and_then(|port| u16::try_from(port.0).ok()),
        path: prefix.or(raw.path.value().map(|path| NewPath::Whole(path.0))),
    })
}

/// Written by us with every answer, or about the connection.
const OURS: [&str; 11] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-isobar-reason",
    "x-request-id",
];

pub(super) fn respond(raw: raw::RespondMap, cx: &mut Cx<'_>) -> Option<Respond> {
    let misled = raw.refused.excuses(&["status", "body"]);
    if raw.status.is_absent() && raw.body.is_absent() && !misled {
        cx.report(
            Draft::error(raw.span, "found an answer that says nothing")
                .expected("`status`, or `body`, or both"),
        );
    }
    let status_broken = matches!(raw.status, Field::Broken);
    let status = raw.status.value().map_or(200, |status| status.0);
    if let Some(body) = raw.body.as_given()
        && matches!(status, 204 | 205 | 304)
        && !body.value.0.is_empty()
    {
        cx.report(
            Draft::error(body.span, format!("found a body for the status {status}"))
                .expected("no body, or another status"),
        );
    }
    let headers = raw.headers.given();
    let (headers, span) = headers.map_or((Vec::new(), raw.span), |h| (h.value.0, h.span));
    let mut headers = headers;
    for name in headers.iter().map(|(name, _)| name.as_str()).filter(|name| OURS.contains(name)) {
        cx.report(
            Draft::error(span, format!("found the header `{name}`, which is not yours to set"))
                .expected("end-to-end headers"),
        );
    }
    let named = headers.iter().any(|(name, _)| name == "content-type");
    if let (Some(kind), true) = (raw.content_type.as_given(), named) {
        cx.report(
            Draft::error(kind.span, "found `content_type` and the header `content-type`")
                .expected("one of them"),
        );
    }
    let body = raw.body.value().map_or(String::new(), |body| body.0);
    let plain = || (!body.is_empty()).then(|| String::from("text/plain; charset=utf-8"));
    let kind = raw.content_type.value().map(|kind| kind.0);
    if let Some(kind) = kind.or_else(plain).filter(|_| !named) {
        headers.push((String::from("content-type"), kind));
    }
    (!status_broken).then_some(Respond { status, headers, body })
}
