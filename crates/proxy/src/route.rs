//! Which route a request takes: the most specific match wins, in the order of the Gateway API
//! (host, path, method, headers, then the order of the file).
//!
//! Built by the control plane with the rest of the table, asked once per request by `exchange`.
//! Also the home of the normal forms of host and path that matching is done on. It never sees a
//! body, a client's address or a pool's state.

mod action;
pub mod host;
pub mod path;
pub(crate) mod redirect;
mod table;
mod trie;

use std::{ops::Deref, sync::Arc};

use isobar_http1::RequestHead;

use crate::metrics::RouteMetrics;
pub use crate::retry::RetryPolicy;
pub(crate) use action::Leads;
pub use action::{Action, Answer, Destination, Reply, Respond, Split};
pub use redirect::{NewPath, Redirect, Scheme};
use table::{Asked, Table};

/// The routes of one listener.
pub struct Routes {
    table: Table<Arc<Route>>,
}

impl Routes {
    /// In the order of the file.
    pub fn build(specs: Vec<RouteSpec>) -> Routes {
        let entries = specs.into_iter().map(|spec| {
            let RouteSpec { name, matches, action, retry } = spec;
            let route = Route { name, action, retry };
            (matches, Arc::new(route))
        });
        Routes { table: Table::build(entries) }
    }

    /// Finds the route and takes a turn of its split, if it has one.
    pub fn find(&self, query: &RouteQuery<'_>) -> Option<Routed> {
        let (route, matched) = self.table.find(&Asked {
            host: query.host,
            path: query.path,
            method: query.method,
            has_header: |name: &[u8], value: &[u8]| {
                query.head.values_named(name).any(|found| found == value)
            },
        })?;
        Some(Routed { route: Arc::clone(route), to: route.action.choose(), matched })
    }
}

/// What of a request decides its route.
pub struct RouteQuery<'a> {
    /// `host[:port]` as the client sent it.
    pub host: &'a [u8],
    /// In its normal form, without the query.
    pub path: &'a [u8],
    pub method: &'a [u8],
    /// For the headers.
    pub head: &'a RequestHead,
}

/// A route and what leads to it.
pub struct RouteSpec {
    pub name: String,
    /// Any of them; none = every request.
    pub matches: Vec<Match>,
    pub action: Action,
    pub retry: RetryPolicy,
}

/// Where a request goes and on what terms.
pub struct Route {
    pub name: String,
    pub action: Action,
    pub retry: RetryPolicy,
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
    /// All of them, with exactly this value.
    pub headers: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
pub enum PathMatch {
    Exact(String),
    /// Whole elements: `/v1` covers `/v1` and `/v1/x`, not `/v10`.
    Prefix(String),
}
