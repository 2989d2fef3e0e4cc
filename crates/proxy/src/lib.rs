//! Bytes flow: listeners, HTTP/1, TCP, routes, the life of one request.
//!
//! Read `exchange::serve` first: it is one request from its first byte to its log line. `downstream`
//! is its client's side and `upstream` its worker's; `door` is where connections come in. A shard
//! (`shard`) owns its connections and never shares them; what all shards read ([`table`]) is
//! immutable and swapped whole. This crate knows pools as something that grants leases; it does
//! not know the configuration file, processes, signals or the admin socket.

pub mod access_log;
mod answer;
mod asker;
mod clock;
mod complaint;
mod connections;
mod context;
mod descriptors;
mod door;
mod downstream;
mod exchange;
pub mod explain;
pub mod filter;
mod forwarded;
pub mod metrics;
mod reason;
pub mod route;
mod scratch;
mod shard;
pub mod table;
mod tcp;
mod upstream;

pub use connections::Connections;
pub use context::{ProxyContext, ShardInbox};
pub use descriptors::Descriptors;
pub use door::ListenSocket;
pub use forwarded::{ForwardedField, Forwarding, TrustedProxies};
pub use isobar_http1::Underscores;
pub use shard::serve_shard;
pub use table::{
    ClientFin, ListenerId, ListenerLimits, ListenerPlan, ListenerTimeouts, Passthrough,
    ProxyProtocol, RouteTable, Serve,
};
