//! Which route a request takes: the most specific match wins, in the order of the Gateway API
//! (host, path, method, headers, query; then cookies, client and the order of the file).
//!
//! Built by the control plane with the rest of the table, asked once per request by `exchange`.
//! Also the home of the normal forms of host and path that matching is done on, and of what becomes
//! of a path that can be read in several ways. It never sees a
//! body, a client's address or a pool's state.

mod action;
pub(crate) mod find;
pub mod host;
pub mod path;
mod pattern;
mod predicate;
mod rank;
pub(crate) mod redirect;
mod retry;
pub(crate) mod table;
mod trie;

use std::{net::IpAddr, ops::Deref, sync::Arc};

use isobar_http1::RequestHead;

use crate::forwarded::TrustedProxies;
use crate::{filter::Chain, metrics::RouteMetrics};
pub(crate) use action::Leads;
pub use action::{Action, Answer, Destination, Reply, Respond, RouteBuffer, Split};
pub use find::{AmbiguousPaths, Found, PathRules, Unreadable};
use path::{Behind, Slashes};
pub use pattern::PathPattern;
use predicate::Asked;
pub use predicate::{Miss, Value};
pub use redirect::{NewPath, Redirect, Scheme};
pub use retry::RetryPolicy;
use table::Table;

/// The routes of one listener.
pub struct Routes {
    table: Table<Arc<Route>>,
    paths: PathRules,
}

impl Routes {
    /// In the order of the file.
    pub fn build(specs: Vec<RouteSpec>, paths: PathRules) -> Routes {
        let entries = specs.into_iter().map(|spec| {
            let RouteSpec { name, matches, filters, action, retry, ambiguous } = spec;
            let route = Route { name, filters, action, retry, ambiguous };
            (matches, Arc::new(route))
        });
        Routes { table: Table::build(entries, paths.slashes), paths }
    }
}

/// What of a request decides its route.
pub struct RouteQuery<'a> {
    /// Path and query, the path in its normal form.
    pub target: &'a [u8],
    /// Where the client is, past the proxies that are trusted; `None` on unix sockets.
    pub client: Option<IpAddr>,
    /// For host, method and headers.
    pub head: &'a RequestHead,
}

impl RouteQuery<'_> {
    pub(crate) fn asked(&self) -> Asked<'_, RequestHead> {
        let end = memchr::memchr(b'?', self.target).unwrap_or(self.target.len());
        let (path, query) = self.target.split_at(end);
        Asked {
            host: self.head.authority(),
            path,
            query: query.get(1..).unwrap_or_default(),
            method: self.head.method(),
            client: self.client,
            fields: self.head,
        }
    }
}

/// A route and what leads to it.
pub struct RouteSpec {
    pub name: String,
    /// Any of them; none = every request.
    pub matches: Vec<Match>,
    /// The listener's and its own.
    pub filters: Option<Arc<Chain>>,
    pub action: Action,
    pub retry: RetryPolicy,
    /// Instead of the listener's.
    pub ambiguous: Option<AmbiguousPaths>,
}

/// Where a request goes and on what terms.
pub struct Route {
    pub name: String,
    pub filters: Option<Arc<Chain>>,
    pub action: Action,
    pub retry: RetryPolicy,
    ambiguous: Option<AmbiguousPaths>,
}

/// The route one request took, and what was decided with it.
#[derive(Clone)]
pub struct Routed {
    route: Arc<Route>,
    /// Which of the action's destinations.
    to: usize,
    /// So many bytes of the path, in its normal form, are the prefix that the route asked for;
    /// 0 where it asked for none, or for `/`.
    pub matched: usize,
    /// What may be made of the rest of the path.
    pub(crate) behind: Behind,
}

impl Routed {
    pub(crate) fn leads(&self) -> Leads<'_> {
        self.route.action.leads(self.to)
    }

    /// The pool that serves the request, if one does.
    pub fn destination(&self) -> Option<&Destination> {
        match self.leads() {
            Leads::To(destination) => Some(destination),
            Leads::Nowhere(_) => None,
        }
    }

    /// Where the request is counted.
    pub fn metrics(&self) -> &RouteMetrics {
        match self.leads() {
            Leads::To(destination) => &destination.metrics,
            Leads::Nowhere(answer) => &answer.metrics,
        }
    }
}

impl Deref for Routed {
    type Target = Route;

    fn deref(&self) -> &Route {
        &self.route
    }
}

/// What a request must have, all of it.
#[derive(Clone, Debug, Default)]
pub struct Match {
    /// `a.example.com`, or `*.example.com` for one or more labels before it.
    pub host: Option<String>,
    pub path: Option<PathMatch>,
    /// Any of them; none = every method.
    pub methods: Vec<String>,
    /// All of them; names in lower case.
    pub headers: Vec<(String, Value)>,
    /// All of them.
    pub query: Vec<(String, Value)>,
    /// All of them.
    pub cookies: Vec<(String, Value)>,
    /// The client is in one of them; none = anywhere.
    pub clients: TrustedProxies,
}

#[derive(Clone, Debug)]
pub enum PathMatch {
    Exact(String),
    /// The whole path.
    Regex(PathPattern),
    /// Whole elements: `/v1` covers `/v1` and `/v1/x`, not `/v10`.
    Prefix(String),
}
