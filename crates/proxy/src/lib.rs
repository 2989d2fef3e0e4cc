//! Bytes flow: listeners, HTTP/1, TCP, routes, the life of one request.
//!
//! Read [`exchange`] first: it is one request from its first byte to its log line. A shard
//! ([`shard`]) owns its connections and never shares them; what all shards read ([`table`]) is
//! immutable and swapped whole. This crate knows pools as something that grants leases; it does
//! not know the configuration file, processes, signals or the admin socket.

mod abandon;
pub mod access_log;
mod affinity;
mod answer;
mod asker;
mod attempt;
mod client;
mod clock;
mod complaint;
mod connections;
mod deadline;
mod descriptors;
mod exchange;
pub mod explain;
pub mod filter;
mod forward;
mod forwarded;
mod h1;
mod headers;
mod listener;
pub mod metrics;
mod reason;
mod record;
mod reply;
mod retry;
pub mod route;
mod scratch;
pub mod shard;
mod spool;
pub mod table;
mod tcp;
mod unconnected;
mod upload;

pub use connections::Connections;
pub use descriptors::Descriptors;
pub use forwarded::{ForwardedField, Forwarding, TrustedProxies};
pub use isobar_http1::Underscores;
pub use listener::ListenSocket;
pub use shard::{ProxyContext, ShardInbox, serve_shard};
pub use table::{
    ClientFin, ListenerId, ListenerLimits, ListenerPlan, ListenerTimeouts, RouteTable, Serve,
};
