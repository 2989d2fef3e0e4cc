//! A pool stays true and reachable: who its workers are, which of them are up, whose turn it is,
//! and a connection to that one.
//!
//! Shards call [`Pool::lease`] and use the [`Lease`] they get; the control thread starts,
//! reconfigures and closes pools. Choosing and queueing are `isobar-balance`'s; listeners, routes
//! and what travels over a connection are not known here.
//!
//! Read `pool` (a lease), then `supervisor` (one change), then `idle` (connections travel with
//! slots).

mod address;
mod affinity;
pub mod connect;
mod connection;
mod dial;
pub mod discovery;
mod idle;
mod join;
mod lease;
mod lock;
mod mailbox;
mod metrics;
mod pace;
mod pool;
pub mod probe;
mod settings;
mod shared;
mod snapshot;
mod spill;
mod status;
mod sticky;
mod stream;
mod supervisor;
mod target;
mod task;
mod wait;
mod warm_up;

pub use address::Address;
pub use affinity::{Affinity, AffinityKey, Cookie, OnLost, Secure};
pub use connect::ConnectError;
pub use connection::{Connection, Reuse};
pub use dial::Dial;
pub use join::Leased;
pub use lease::{Lease, LeaseError};
pub use metrics::PoolFigures;
pub use pool::Pool;
pub use probe::{Probe, ProbeError};
pub use settings::{
    Asker, Buffer, Health, Hold, IdleTime, KeepAlive, LeaseRequest, Life, Outlier, Overflow,
    Policy, PoolSettings, Queue, Via, WarmUp, WorkerSpec,
};
pub use spill::{Full, NoPlace, Room, Spill};
pub use status::{Ejection, PoolStatus, UnknownWorker, WorkerChange, WorkerStatus};
pub use stream::{Seen, Stream, keepalive};
pub use target::Target;
pub use wait::Wait;
