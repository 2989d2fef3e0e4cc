//! The one door for what edits or answers a request on its way: the trait ([`Filter`]), and the table
//! that names every filter there is.
//!
//! A contributor adds one file below `filter/` and one line to [`TABLE`]; the line enrols it in the
//! conformance suite and the documentation. `exchange` shows each filter the request after it has a
//! route and before its body is read or a lease is asked for, and the response's head before it is
//! sent; [`chain`] keeps the order. A filter knows nothing of pools, attempts and sockets.

pub mod access;
pub mod basic_auth;
mod chain;
pub mod compression;
#[cfg(test)]
mod conformance;
mod context;
mod contract;
mod encoder;
pub mod headers;
pub mod max_body;
pub mod rate_limit;
pub mod rewrite;

pub use chain::Chain;
pub(crate) use chain::Passed;
pub(crate) use context::{Maker, PathCx};
pub use context::{RequestCx, ResponseCx};
pub use contract::{Answer, Entry, Filter, Step, Waiting};
pub(crate) use encoder::Encoder;

/// The filters a configuration may name.
pub static TABLE: &[Entry] = &[
    headers::ENTRY,
    rewrite::ENTRY,
    access::ALLOW,
    access::DENY,
    rate_limit::ENTRY,
    basic_auth::ENTRY,
    max_body::ENTRY,
    compression::ENTRY,
];
