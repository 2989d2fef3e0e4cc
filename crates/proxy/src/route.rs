//! Which route a request takes: the most specific match wins, in the order of the Gateway API
//! (host, path, method, headers, then the order of the file).
//!
//! Built by the control plane with the rest of the table, asked once per request by `exchange`.
//! Also the home of the normal forms of host and path that matching is done on. It never sees a
//! body, a client's address or a pool's state.

pub mod host;
pub mod path;
mod table;
mod trie;

use std::{sync::Arc, time::Duration};

use isobar_http1::RequestHead;
use isobar_pool::Pool;

use crate::metrics::RouteMetrics;
use table::{Asked, Table};

/// The routes of one listener.
pub struct Routes {
    table: Table<Arc<Route>>,
}

impl Routes {
    /// In the order of the file.
    pub fn build(specs: Vec<RouteSpec>) -> Routes {
        let entries = specs.into_iter().map(|spec| {
            let RouteSpec { name, matches, pool, request_timeout, first_byte, retry, metrics } =
                spec;
            let route = Route { name, pool, request_timeout, first_byte, retry, metrics };
            (matches, Arc::new(route))
        });
        Routes { table: Table::build(entries) }
    }

    pub fn find(&self, query: &RouteQuery<'_>) -> Option<&Arc<Route>> {
        self.table.find(&Asked {
            host: query.host,
            path: query.path,
            method: query.method,
            has_header: |name: &[u8], value: &[u8]| {
                query.head.values_named(name).any(|found| found == value)
            },
        })
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
    pub pool: Arc<Pool>,
    /// From the request's first byte to the response's last one.
    pub request_timeout: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub retry: RetryPolicy,
    pub metrics: Arc<RouteMetrics>,
}

/// Where a request goes and on what terms.
pub struct Route {
    pub name: String,
    pub pool: Arc<Pool>,
    pub request_timeout: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub retry: RetryPolicy,
    pub metrics: Arc<RouteMetrics>,
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

/// How often a request may be tried.
#[derive(Clone, Copy, Debug)]
pub struct RetryPolicy {
    /// The first one included.
    pub attempts: u32,
    pub per_try: Option<Duration>,
}
