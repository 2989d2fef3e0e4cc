//! Routes: what each matches, what it does, and what it is called.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use super::answer;
use super::filter::{Place, filters};
use super::matches::{Seen, in_words, matches};
use super::names::Names;
use super::tries::{retry, route_timeouts};
use crate::leaf::{Shares, Size, Text};
use crate::model::{Action, Destination, Match, Route, RouteBuffer, ValueMatch};
use crate::problem::Draft;
use crate::raw::{self, Protocol};
use crate::read::{Cx, Field, Spanned, Switch};
use crate::source::Span;

pub(super) fn routes(
    list: Vec<Spanned<raw::Route>>,
    listener: &str,
    names: &mut Names,
    cx: &mut Cx<'_>,
) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::with_capacity(list.len());
    let mut taken: HashSet<String> = HashSet::new();
    let mut numbers: HashMap<String, u32> = HashMap::new();
    let mut seen = Seen::default();
    for Spanned { value: raw, span } in list {
        let matches_given = raw.matches.as_given().map(|m| m.span);
        let matches = matches(raw.matches, cx);
        let given = raw.name.given();
        let words = in_words(&matches);
        // A broken match may only look the same.
        if !cx.has_errors() && seen.hides(&matches) {
            let place = matches_given.unwrap_or(span);
            cx.report(
                Draft::warning(place, "routes before this one take all that it matches")
                    .hint("this one is never taken".to_owned()),
            );
        }
        let name = match given {
            Some(Spanned { value, span }) => {
                if taken.contains(&value.0) {
                    cx.report(
                        Draft::error(span, "found this route name a second time")
                            .expected("every name once in a listener"),
                    );
                }
                value.0
            }
            None => unique(words, &taken, &mut numbers),
        };
        taken.insert(name.clone());
        let way = Way {
            span,
            for_tunnels: matches.iter().any(is_for_tunnels),
            misled: raw.refused.excuses(&["pool", "split", "redirect", "respond"]),
            replaces_prefix: matches.iter().all(|m| m.path.is_none() && m.path_regex.is_none()),
            pool: raw.pool,
            split: raw.split,
            redirect: raw.redirect,
            respond: raw.respond,
            timeouts: raw.timeouts,
            buffer: raw.buffer,
            retry_given: raw.retry.as_given().map(|given| given.span),
        };
        let retry = retry(raw.retry);
        let ambiguous_paths = raw.ambiguous_paths.value();
        let place = Place::Route { prefix: way.replaces_prefix };
        let filters = filters(raw.filters, place, cx);
        let Some(action) = action(way, listener, names, cx) else { continue };
        routes.push(Route { name, matches, action, retry, filters, ambiguous_paths });
    }
    routes
}

/// Nobody uses them, yet what is wrong in them is wrong.
pub(super) fn check_unused_sites(names: &mut Names, cx: &mut Cx<'_>) {
    let unused = names.sites.iter().filter(|(_, site)| !site.used);
    let unused: Vec<_> = unused
        .map(|(name, site)| (name.clone(), site.name, site.routes.as_given().cloned()))
        .collect();
    for (name, span, list) in unused {
        cx.report(Draft::warning(span, format!("the site `{name}` is never used")));
        let list = list.map_or(Vec::new(), |r| r.value.0);
        routes(list, &format!("site {name}"), names, cx);
    }
}

/// It asks for an upgrade or an event stream, or for a path that is named after one.
fn is_for_tunnels(wanted: &Match) -> bool {
    const NAMES: [&str; 8] =
        ["ws", "wss", "websocket", "websockets", "socket.io", "cable", "sse", "eventsource"];
    let is_stream = |value: &ValueMatch| matches!(value, ValueMatch::Exact(text) if text.eq_ignore_ascii_case("text/event-stream"));
    let by_header = wanted.headers.iter().any(|(name, value)| match name.as_str() {
        "upgrade" => true,
        "accept" => is_stream(value),
        _ => false,
    });
    let mut paths = wanted.path.iter().chain(&wanted.path_prefix);
    by_header || paths.any(|path| path.split('/').any(|element| NAMES.contains(&element)))
}

/// Where a route says that it leads.
struct Way {
    span: Span,
    /// By all appearances it is there for WebSockets or event streams.
    for_tunnels: bool,
    /// The key that says it was refused.
    misled: bool,
    /// Whatever it matches, it knows which prefix it was.
    replaces_prefix: bool,
    pool: Field<Text>,
    split: Field<Shares>,
    redirect: Field<raw::Redirect>,
    respond: Field<raw::Respond>,
    timeouts: Field<raw::RouteTimeouts>,
    buffer: Field<Switch<raw::RouteBuffer>>,
    retry_given: Option<Span>,
}

/// What the route does: one thing.
fn action(way: Way, listener: &str, names: &mut Names, cx: &mut Cx<'_>) -> Option<Action> {
    fn place<T>(field: &Field<T>) -> Option<Option<Span>> {
        let span = field.as_given().map(|given| given.span);
        (!field.is_absent()).then_some(span)
    }
    let ways = [
        ("pool", place(&way.pool)),
        ("split", place(&way.split)),
        ("redirect", place(&way.redirect)),
        ("respond", place(&way.respond)),
    ];
    let mut given = ways.into_iter().filter_map(|(key, place)| Some((key, place?)));
    match (given.next(), given.next()) {
        (None, _) if !way.misled => cx.report(
            Draft::error(way.span, "found a route that leads nowhere")
                .expected("one of `pool: NAME`, `split`, `redirect`, `respond`"),
        ),
        (Some((first, _)), Some((second, place))) => cx.report(
            Draft::error(place.unwrap_or(way.span), format!("found both `{first}` and `{second}`"))
                .expected("one of them: a route does one thing"),
        ),
        _ => {}
    }
    let buffer_given = way.buffer.as_given().map(|given| given.span);
    let buffer = (buffer_given, buffer(way.buffer));
    if let Some(pool) = way.pool.given() {
        let timeouts = way.timeouts.value();
        return destination(pool, way.for_tunnels, timeouts, buffer, listener, names, cx)
            .map(Action::Pool);
    }
    if let Some(Shares(shares)) = way.split.value() {
        let timeouts = way.timeouts.value();
        let mut members = Vec::with_capacity(shares.len());
        for (pool, share) in shares {
            // One without a share is still to be there, and counts as used.
            let timeouts = timeouts.clone();
            let to = destination(pool, way.for_tunnels, timeouts, buffer, listener, names, cx);
            members.extend(NonZeroU32::new(share).and_then(|share| Some((to?, share))));
        }
        return Some(Action::Split(members));
    }
    let answers = way.redirect.as_given().is_some() || way.respond.as_given().is_some();
    let timeouts = way.timeouts.as_given().map(|given| given.span);
    let given = [("timeouts", timeouts), ("retry", way.retry_given), ("buffer", buffer_given)];
    for (key, given) in given {
        if let Some(span) = given.filter(|_| answers) {
            cx.report(
                Draft::error(span, format!("found `{key}` on a route that asks no worker"))
                    .expected("it on routes with `pool` or `split`"),
            );
        }
    }
    if let Some(redirect) = way.redirect.value() {
        return answer::redirect(redirect.0, way.replaces_prefix, cx).map(Action::Redirect);
    }
    answer::respond(way.respond.value()?.0, cx).map(Action::Respond)
}

fn destination(
    pool: Spanned<Text>,
    for_tunnels: bool,
    timeouts: Option<raw::RouteTimeouts>,
    (buffer_given, buffer): (Option<Span>, RouteBuffer),
    listener: &str,
    names: &mut Names,
    cx: &mut Cx<'_>,
) -> Option<Destination> {
    let facts = names.pool(&pool, Protocol::Http, listener, cx)?;
    let timeouts = route_timeouts(timeouts, facts.timeouts);
    let asks = [buffer.request, buffer.response].into_iter().flatten().any(|size| size > 0);
    if let Some(span) = buffer_given.filter(|_| asks && facts.http_only.without_slots) {
        let name = &pool.value.text;
        cx.report(
            Draft::error(span, format!("`buffer` has no effect: the pool `{name}` has no slots"))
                .expected("a pool with `slots`, or no `buffer`")
                .hint(super::pool::WHAT_BUFFERS_DO.to_owned()),
        );
    }
    if for_tunnels && facts.http_only.counts_tunnels_as_requests {
        let name = &pool.value.text;
        let message = format!("in the pool `{name}` each open tunnel holds a slot for its life");
        let hint = "to count WebSockets and event streams apart: \
                    `slots: { requests: N, tunnels: M }`";
        cx.report(Draft::warning(pool.span, message).hint(hint.to_owned()));
    }
    Some(Destination { pool: pool.value.text, timeouts, buffer })
}

fn buffer(field: Field<Switch<raw::RouteBuffer>>) -> RouteBuffer {
    let size = |field: Field<Switch<Size<0, { 1 << 30 }>>>| {
        field.value().map(|switch| switch.on().map_or(0, Size::usize))
    };
    match field.value() {
        None => RouteBuffer::default(),
        Some(Switch::Off) => RouteBuffer { request: Some(0), response: Some(0) },
        Some(Switch::On(raw)) => {
            RouteBuffer { request: size(raw.request), response: size(raw.response) }
        }
    }
}

/// The first of `name`, `name #2`, … that is free; `numbers` remembers how far each name has come.
fn unique(name: String, taken: &HashSet<String>, numbers: &mut HashMap<String, u32>) -> String {
    let short: String = name.chars().take(200).collect();
    let number = numbers.entry(short.clone()).or_insert(1);
    let mut candidate = short.clone();
    while taken.contains(&candidate) {
        *number += 1;
        candidate = format!("{short} #{number}");
    }
    candidate
}
