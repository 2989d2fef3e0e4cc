//! Listeners: where each listens, what it takes at most, and whether it leads to routes or to a pool.

use super::binds::{Binds, no_mode_without_socket};
use super::names::Names;
use super::routes::routes;
use crate::leaf::{Always, Asked, BindAddress, SniMap, Text, Timeout};
use crate::model::{
    AmbiguousPaths, Bind, ClientFin, Limits, Listener, ListenerKind, OnOff, Passthrough,
    ProxyProtocol, Slashes, Timeouts, Underscores,
};
use crate::problem::Draft;
use crate::raw::{self, Protocol, ProxyHeaders, RoutesRef};
use crate::read::{Cx, Field, Many, Spanned, Switch, did_you_mean};
use crate::source::Span;

const MODE: u32 = 0o660;

pub(super) fn convert(
    name: &str,
    raw: raw::Listener,
    names: &mut Names,
    binds: &mut Binds,
    cx: &mut Cx<'_>,
) -> Option<Listener> {
    let span = raw.span;
    let protocol = match &raw.protocol {
        Field::Absent => Some(Protocol::Http),
        Field::Broken => None,
        Field::Given(p) => Some(p.value),
    };
    if protocol == Some(Protocol::Tcp) {
        without_requests(&raw, cx);
    }
    let mode_given = raw.mode.as_given().map(|m| m.span);
    let mode = raw.mode.value().map_or(MODE, |m| m.0);
    if raw.bind.is_absent() && !raw.refused.excuses(&["bind"]) {
        cx.report(
            Draft::error(span, format!("found no address for the listener `{name}`"))
                .expected("`bind`, like `bind: 0.0.0.0:8080`"),
        );
    }
    let bind_span = raw.bind.as_given().map(|b| b.span);
    let addresses = raw.bind.value().map(|b| b.0);
    if let (Some(span), Some(true)) = (bind_span, addresses.as_ref().map(Vec::is_empty)) {
        cx.report(Draft::error(span, "found no address").expected("at least one"));
    }
    let addressed = addresses.is_some();
    let mut bound = Vec::new();
    for Spanned { value, span } in addresses.unwrap_or_default() {
        let bind = match value {
            BindAddress::Tcp(addr) => Bind::Tcp(addr),
            BindAddress::Unix(path) => Bind::Unix { path, mode },
            BindAddress::Fd(fd) => Bind::Fd(fd),
        };
        binds.claim(&bind, span, cx);
        bound.push(bind);
    }
    let unix = bound.iter().any(|b| matches!(b, Bind::Unix { .. }));
    no_mode_without_socket(mode_given.filter(|_| addressed), unix, cx);

    let misled = raw.refused.excuses(&["routes", "pool"]);
    let proxied_at = raw.proxy_protocol.where_on();
    let proxy_protocol = match raw.proxy_protocol.on() {
        None => ProxyProtocol::Off,
        Some(ProxyHeaders::Accept) => ProxyProtocol::Accept,
        Some(ProxyHeaders::Require) => ProxyProtocol::Require,
    };
    if let Some(span) = proxied_at.filter(|_| !names.trusts_proxies) {
        let message = "nobody is believed: `trusted_proxies` is empty";
        let hint = "write `trusted_proxies: [10.0.0.0/8]` at the top of the file".to_owned();
        cx.report(Draft::warning(span, message).hint(hint));
    }
    let tls = super::tls::convert(raw.tls, cx);
    let filters = super::filter::filters(raw.filters, super::filter::Place::Listener, cx);
    let kind = match protocol? {
        Protocol::Http => {
            if let Some(at) = raw.sni.where_on() {
                let draft = Draft::error(at, "found `sni` on an HTTP listener");
                let hint =
                    "hosts of requests are matched by `routes`, certificates chosen by `tls`";
                cx.report(draft.expected("`protocol: tcp` beside it").hint(hint.to_owned()));
            }
            http(name, span, misled, raw.routes, raw.pool, names, cx)
        }
        Protocol::Tcp => match raw.sni.where_on() {
            None => tcp(name, span, misled, raw.routes, raw.pool, names, cx),
            Some(at) => {
                let others =
                    [raw.routes.as_given().map(|r| r.span), raw.pool.as_given().map(|p| p.span)];
                for other in others.into_iter().flatten() {
                    let draft = Draft::error(other, "found both `sni` and another way to a pool");
                    cx.report(
                        draft.expected("one of them: `\"*\"` in `sni` is for all other hosts"),
                    );
                }
                if tls.is_some() {
                    let draft = Draft::error(at, "found both `tls` and `sni`");
                    cx.report(draft.expected("one of them: `sni` passes TLS on as it comes"));
                }
                raw.sni.on().and_then(|map| passthrough(name, map, names, cx))
            }
        },
    };
    Some(Listener {
        name: name.to_owned(),
        binds: bound,
        kind: kind?,
        proxy_protocol,
        tls,
        timeouts: timeouts(raw.timeouts),
        limits: limits(raw.limits, cx),
        client_fin: raw.client_fin.or(ClientFin::Answer),
        ambiguous_paths: raw.ambiguous_paths.or(AmbiguousPaths::Refuse),
        underscores: raw.underscores.or(Underscores::Drop),
        forwarded: raw.forwarded.or(names.forwarded),
        slashes: match raw.merge_slashes.or(OnOff::On) {
            OnOff::On => Slashes::Merge,
            OnOff::Off => Slashes::Keep,
        },
        filters,
    })
}

fn http(
    name: &str,
    span: Span,
    misled: bool,
    routes_field: Field<RoutesRef>,
    pool: Field<Text>,
    names: &mut Names,
    cx: &mut Cx<'_>,
) -> Option<ListenerKind> {
    if let (Some(_), Some(pool)) = (routes_field.as_given(), pool.as_given()) {
        cx.report(
            Draft::error(pool.span, "found both `routes` and `pool`")
                .expected("one of them: `pool: NAME` is short for one route to it"),
        );
    }
    if routes_field.is_absent() && pool.is_absent() {
        if !misled {
            cx.report(
                Draft::error(span, format!("the listener `{name}` leads nowhere"))
                    .expected("`routes`, or `pool: NAME`"),
            );
        }
        return None;
    }
    let list = match routes_field {
        Field::Given(Spanned { value: RoutesRef::List(list), span }) => {
            if list.is_empty() {
                let message = format!("the listener `{name}` has no route: it answers 404");
                cx.report(Draft::warning(span, message));
            }
            list
        }
        Field::Given(Spanned { value: RoutesRef::Site(site), span }) => {
            match names.sites.get_mut(&site.text) {
                Some(known) => {
                    known.used = true;
                    known.routes.as_given().map_or(Vec::new(), |r| r.value.0.clone())
                }
                None => {
                    if names.sites_known {
                        let known = names.sites.keys().map(String::as_str);
                        let hint = did_you_mean(&site.text, known);
                        cx.report(
                            Draft::error(span, format!("there is no site {}", site.shown))
                                .expected("the name of a list under `sites:`, or a list of routes")
                                .hint(hint),
                        );
                    }
                    return None;
                }
            }
        }
        Field::Broken => return None,
        Field::Absent => {
            let span = pool.as_given().map_or(span, |p| p.span);
            vec![Spanned { value: raw::Route { pool, ..raw::Route::empty(span) }, span }]
        }
    };
    Some(ListenerKind::Http { routes: routes(list, name, names, cx) })
}

fn tcp(
    name: &str,
    span: Span,
    misled: bool,
    routes: Field<RoutesRef>,
    pool: Field<Text>,
    names: &mut Names,
    cx: &mut Cx<'_>,
) -> Option<ListenerKind> {
    if let Some(routes) = routes.as_given() {
        cx.report(
            Draft::error(routes.span, "found routes on a tcp listener")
                .expected("`pool: NAME`: without HTTP there is nothing to match"),
        );
    } else if pool.is_absent() && !misled {
        cx.report(
            Draft::error(span, format!("the listener `{name}` leads nowhere"))
                .expected("`pool: NAME`"),
        );
    }
    let pool = pool.given()?;
    names.pool(&pool, Protocol::Tcp, name, cx)?;
    Some(ListenerKind::Tcp { pool: pool.value.text })
}

fn passthrough(
    name: &str,
    map: SniMap,
    names: &mut Names,
    cx: &mut Cx<'_>,
) -> Option<ListenerKind> {
    let mut pool = |pool: Spanned<Text>| {
        names.pool(&pool, Protocol::Tcp, name, cx)?;
        Some(pool.value.text)
    };
    let hosts = map.hosts.into_iter().map(|(host, to)| Some((host, pool(to)?)));
    let hosts: Option<_> = hosts.collect();
    let otherwise = match map.others {
        Some(others) => Some(pool(others)?),
        None => None,
    };
    Some(ListenerKind::Passthrough(Passthrough { names: hosts?, otherwise }))
}

/// Keys about requests on a TCP listener: filters would have to be obeyed, the others mean nothing.
fn without_requests(raw: &raw::Listener, cx: &mut Cx<'_>) {
    fn place<T>(field: &Field<T>) -> Option<Span> {
        field.as_given().map(|given| given.span)
    }
    if let Some(filters) = raw.filters.as_given()
        && matches!(&filters.value, Switch::On(Many(filters)) if !filters.is_empty())
    {
        cx.report(
            Draft::error(filters.span, "found filters on a TCP listener")
                .expected("`filters` only where requests are: `protocol: http`"),
        );
    }
    let mut idle = vec![
        ("client_fin", place(&raw.client_fin)),
        ("ambiguous_paths", place(&raw.ambiguous_paths)),
        ("merge_slashes", place(&raw.merge_slashes)),
        ("underscores", place(&raw.underscores)),
        ("forwarded", place(&raw.forwarded)),
    ];
    if let Some(Spanned { value: timeouts, .. }) = raw.timeouts.as_given() {
        idle.push(("header", place(&timeouts.header)));
        idle.push(("body_idle", place(&timeouts.body_idle)));
        idle.push(("write_stall", place(&timeouts.write_stall)));
        idle.push(("keep_alive", place(&timeouts.keep_alive)));
    }
    if let Some(Spanned { value: limits, .. }) = raw.limits.as_given() {
        idle.push(("headers", place(&limits.headers)));
        idle.push(("header_bytes", place(&limits.header_bytes)));
        idle.push(("uri", place(&limits.uri)));
        idle.push(("body", limits.body.where_on()));
    }
    for (key, at) in idle {
        if let Some(at) = at {
            cx.report(
                Draft::warning(at, format!("`{key}` means nothing on a TCP listener"))
                    .hint("it is about requests, and `protocol: tcp` has none".to_owned()),
            );
        }
    }
}

fn timeouts(field: Field<raw::ListenerTimeouts>) -> Timeouts {
    let default = Timeouts::default();
    let Some(raw) = field.value() else { return default };
    let or = |field: Field<Timeout>, default| field.value().map_or(default, |t| t.0);
    Timeouts {
        handshake: or(raw.handshake, default.handshake),
        header: or(raw.header, default.header),
        body_idle: or(raw.body_idle, default.body_idle),
        write_stall: or(raw.write_stall, default.write_stall),
        keep_alive: raw.keep_alive.value().map_or(default.keep_alive, |d| d.0),
        half_close: or(raw.half_close, default.half_close),
        idle: or(raw.idle, default.idle),
    }
}

fn limits(field: Field<raw::Limits>, cx: &mut Cx<'_>) -> Limits {
    let default = Limits::default();
    let Some(raw) = field.value() else { return default };
    let written = raw.uri.as_given().filter(|uri| uri.value.1 == Asked::Written);
    let uri_given = written.map(|uri| uri.span);
    let limits = Limits {
        connections: raw.connections.value().map_or(default.connections, Switch::limit),
        per_client: raw.per_client.value().map_or(default.per_client, Switch::limit),
        headers: raw.headers.value().map_or(default.headers, |Always(n, _)| n.usize()),
        header_bytes: raw
            .header_bytes
            .value()
            .map_or(default.header_bytes, |Always(n, _)| n.usize()),
        uri: raw.uri.value().map_or(default.uri, |Always(n, _)| n.usize()),
        body: raw.body.value().map_or(default.body, |s| s.on().map_or(0, |b| b.0)),
    };
    if let Some(span) = uri_given.filter(|_| limits.uri > limits.header_bytes) {
        let most = limits.header_bytes;
        cx.report(
            Draft::warning(span, "`uri` is larger than `header_bytes`, which holds for it, too")
                .expected(format!("at most {most} bytes, or larger `header_bytes`")),
        );
    }
    limits
}
