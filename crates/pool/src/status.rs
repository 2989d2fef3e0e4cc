//! What an operator sees of a pool: plain values, for the admin API and the metrics. It decides
//! nothing and is made on demand.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use isobar_balance::Health;
use isobar_balance::state::AdminState;

use crate::address::Address;
use crate::discovery::SourceStatus;

#[derive(Clone, Debug)]
pub struct PoolStatus {
    pub name: String,
    /// Of the snapshot that serves; it only grows.
    pub version: u64,
    pub strategy: &'static str,
    pub queue_depth: usize,
    /// Requests that were not tried again because the retry budget was used up.
    pub retries_denied: u64,
    /// Too few are up: ejections and probe time-outs are ignored.
    pub panic: bool,
    /// Where its workers are looked for, if they come and go.
    pub discovery: Vec<SourceStatus>,
    /// Looks that failed.
    pub discovery_failures: u64,
    pub workers: Vec<WorkerStatus>,
}

#[derive(Clone, Debug)]
pub struct WorkerStatus {
    pub name: String,
    pub address: Address,
    pub health: Health,
    /// When its health last changed.
    pub since: Instant,
    pub tier: u8,
    /// In force now; the file's value stands beside it.
    pub weight: Option<NonZeroU32>,
    pub file_weight: Option<NonZeroU32>,
    pub slots: Option<NonZeroU32>,
    pub file_slots: Option<NonZeroU32>,
    /// `None`: tunnels take slots.
    pub tunnel_slots: Option<NonZeroU32>,
    pub file_tunnel_slots: Option<NonZeroU32>,
    pub admin: AdminState,
    /// Leases that are held.
    pub in_flight: u32,
    /// Slots that are taken: a tunnel that has begun and is counted apart takes none.
    pub slots_taken: u32,
    /// Tunnels and event streams.
    pub tunnels: u32,
    pub abandoned: u32,
    /// Leases ended, by the label of their outcome.
    pub requests: Vec<(&'static str, u64)>,
    pub busy: Duration,
    /// The last conclusive probe: `None` if there was none, the reason if it failed.
    pub last_probe: Option<Result<(), String>>,
    pub connections_open: u32,
    /// For how long a connection may rest and still be used; learned unless configured. `None`:
    /// nothing is known yet.
    pub idle_time: Option<Duration>,
    /// In percent; below 100 while it is in its slow start.
    pub share: u32,
    pub ejection: Option<Ejection>,
    /// Warm-ups in a row that failed, and why the last one did.
    pub failed_warm_ups: Option<(u32, String)>,
}

/// Why a worker's own traffic took it out, and for how much longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ejection {
    pub cause: String,
    /// The how-manieth in a row.
    pub count: u32,
    pub remaining: Duration,
}

/// What an operator changes at run time; `None` leaves a thing as it is, `Some(None)` goes back to
/// the file's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerChange {
    pub state: Option<AdminState>,
    pub weight: Option<Option<NonZeroU32>>,
    pub slots: Option<Option<NonZeroU32>>,
    pub tunnels: Option<Option<NonZeroU32>>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("pool {pool} has no worker {worker}")]
pub struct UnknownWorker {
    pub pool: String,
    pub worker: String,
}
