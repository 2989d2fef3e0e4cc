//! A route as it is written: what it matches, where it leads, and what becomes of its requests there.

use serde_json::Value;

use super::filter;
use super::values::{CookieValues, HeaderValues, QueryValues};
use crate::leaf::{
    BodyText, Count, Dur, HeaderMap, HeaderText, HostName, HostPattern, LocationPath, Methods,
    Network, PathRegex, PathText, RedirectStatus, RedirectTo, RespondStatus, RetryCause, RouteName,
    Shares, Size, Text,
};
use crate::model::{AmbiguousPaths, Scheme};
use crate::read::{Cx, Many, OneOrMany, Read, Spanned, Switch, section};
use crate::schema::{Shapes, any_of};
use crate::tree::{Kind, Node};

section! {
    Route is "a route" like "{ match: { path_prefix: /api }, pool: app }" {
        /// Its label in logs and metrics, instead of its match.
        "name" => name: RouteName,
        /// What a request must have; a list: any of them. Without it, every request.
        "match" => matches: OneOrMany<Match>,
        /// The pool it goes to.
        "pool" => pool: Text,
        /// The pools it goes to, and each one's share.
        "split" => split: Shares,
        /// Sends the client elsewhere, with its query.
        "redirect" => redirect: Redirect,
        /// Answers without a worker.
        "respond" => respond: Respond,
        /// Instead of the pool's.
        "timeouts" => timeouts: RouteTimeouts,
        /// Instead of the pool's.
        "buffer" => buffer: Switch<RouteBuffer>,
        /// What may be tried again, on another worker.
        "retry" => retry: Switch<Retry>,
        /// Filters for the requests of this route, in order.
        "filters" => filters: Switch<Many<filter::Filter>> = "off",
        /// Instead of the listener's, where the path as it was sent leads to this route.
        "ambiguous_paths" => ambiguous_paths: AmbiguousPaths,
    }
    later { "errors" }
    needs { one_of("pool", "split", "redirect", "respond"); }
}

section! {
    /// `off`: nothing is read ahead of the worker or of the client.
    RouteBuffer is "a route's buffer" like "{ request: off, response: off }" {
        /// Of a request's body; `off`: it is streamed to the worker.
        "request" => request: Switch<Size<0, { 1 << 30 }>>,
        /// Of an answer; `off`: it is streamed to the client.
        "response" => response: Switch<Size<0, { 1 << 30 }>>,
    }
    later {}
}

section! {
    RedirectMap is "a redirect" like "{ to: /new, status: 308 }" {
        /// A path, or `https://host`, or `https://host/path`; instead of the parts.
        "to" => to: RedirectTo,
        /// `http` or `https`, with its usual port unless `port` is given.
        "scheme" => scheme: Scheme,
        /// Without a port.
        "host" => host: HostName,
        /// The port of the new URL.
        "port" => port: Count<1, 65_535>,
        /// Instead of the whole path.
        "path" => path: LocationPath,
        /// Instead of the prefix that the route matches.
        "path_prefix" => path_prefix: LocationPath,
        /// 301 and 308 are permanent; 307 and 308 keep the method.
        "status" => status: RedirectStatus = 302,
    }
    later {}
    needs {
        some_of("to", "scheme", "host", "port", "path", "path_prefix");
        at_most_one_of("to", "scheme");
        at_most_one_of("to", "host");
        at_most_one_of("to", "port");
        at_most_one_of("to", "path", "path_prefix");
    }
}

section! {
    RespondMap is "an answer" like "{ status: 200, body: hello }" {
        /// From 200 to 599; 204, 205 and 304 have no body.
        "status" => status: RespondStatus = 200,
        /// At most 64KiB.
        "body" => body: BodyText,
        /// The media type of the body. Without it: `text/plain; charset=utf-8`.
        "content_type" => content_type: HeaderText,
        /// End-to-end headers, each once.
        "headers" => headers: HeaderMap,
    }
    later {}
    needs { some_of("status", "body"); }
}

section! {
    /// Everything given must hold.
    Match is "a match" like "{ host: api.example.com, path_prefix: /v1 }" {
        /// The request's host, without its port; `*.` before it stands for one label or more.
        "host" => host: HostPattern,
        /// The whole path.
        "path" => path: PathText,
        /// Whole segments from the path's beginning.
        "path_prefix" => path_prefix: PathText,
        /// One method or several.
        "method" => method: Methods,
        /// A regular expression for the whole path, in its normal form.
        "path_regex" => path_regex: PathRegex,
        /// Header fields and what their values must be.
        "header" => header: HeaderValues,
        /// Query parameters and what their values must be.
        "query" => query: QueryValues,
        /// Cookies and what their values must be.
        "cookie" => cookie: CookieValues,
        /// The networks the client is in, past the proxies that are trusted.
        "client" => client: Switch<OneOrMany<Network>> = "off",
    }
    later {}
    needs { at_most_one_of("path", "path_prefix", "path_regex"); }
}

section! {
    RouteTimeouts is "timeouts" like "{ request: 30s, first_byte: 10s }" {
        /// The whole exchange; off, unless given. It never cuts tunnels and event streams.
        "request" => request: Switch<Dur>,
        /// From the request's last byte to the answer's first, or for as long as the worker takes
        /// nothing of the request; 60 s, unless given.
        "first_byte" => first_byte: Switch<Dur>,
        /// Between two pieces of the answer's body; 60 s, unless given. Event streams may be silent
        /// for as long as tunnels.
        "body_idle" => body_idle: Switch<Dur>,
    }
    later {}
}

section! {
    Retry is "retry" like "{ attempts: 2, when: [connect, reset] }" {
        // A request remembers at most eight workers it tried.
        /// How often a request is tried in all, the first time included.
        "attempts" => attempts: Count<1, 8> = 2,
        /// How long one try may take until the head of its response; a slower one is given up and
        /// tried again.
        "per_try" => per_try: Switch<Dur> = "off",
        /// Which failures are tried again. A response with a status of the list is not passed on
        /// while there are tries left.
        "when" => when: OneOrMany<RetryCause> = ["connect", "reset"],
        /// How much of a request's body is kept so that it can be sent again; at most 64MiB.
        "replay" => replay: Switch<Size<0, { 64 << 20 }>> = "64KiB",
    }
    later {}
}

/// `routes: NAME` is a site.
#[derive(Debug, Clone)]
pub(crate) enum RoutesRef {
    Site(Text),
    List(Vec<Spanned<Route>>),
}

impl Read for RoutesRef {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(s) if !s.is_null() => Text::read(node, cx).map(RoutesRef::Site),
            Kind::List(_) => Many::read(node, cx).map(|Many(routes)| RoutesRef::List(routes)),
            _ => {
                cx.mismatch(node, "a list of routes, or the name of a site");
                None
            }
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([Text::shape(shapes), Many::<Route>::shape(shapes)])
    }
}

/// A redirect is where it leads to, or a map.
#[derive(Debug, Clone)]
pub(crate) struct Redirect(pub(crate) RedirectMap);

impl Read for Redirect {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let map = match &node.kind {
            Kind::Map(_) => RedirectMap::read(node, cx)?,
            _ => {
                let to = crate::read::Field::Given(Spanned::read(node, cx)?);
                RedirectMap { to, ..RedirectMap::empty(node.span) }
            }
        };
        Some(Redirect(map))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([RedirectTo::shape(shapes), RedirectMap::shape(shapes)])
    }
}

/// An answer is its status, or a map.
#[derive(Debug, Clone)]
pub(crate) struct Respond(pub(crate) RespondMap);

impl Read for Respond {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let map = match &node.kind {
            Kind::Map(_) => RespondMap::read(node, cx)?,
            _ => {
                let status = crate::read::Field::Given(Spanned::read(node, cx)?);
                RespondMap { status, ..RespondMap::empty(node.span) }
            }
        };
        Some(Respond(map))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([RespondStatus::shape(shapes), RespondMap::shape(shapes)])
    }
}
