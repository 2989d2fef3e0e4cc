//! A pool of the configuration: its workers and its policies.

use super::{OnOff, WorkerTls};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pool {
    pub name: String,
    pub strategy: Strategy,
    pub affinity: Option<Affinity>,
    /// Of workers that say nothing themselves.
    pub slots: Option<NonZeroU32>,
    /// The same, of tunnels that are counted apart.
    pub tunnels: Option<NonZeroU32>,
    pub workers: Vec<Worker>,
    /// A file that names more of them, and is watched.
    pub discover: Option<PathBuf>,
    pub queue: Option<Queue>,
    /// Where the workers are not all known and the file says no `queue.max`: so many per slot.
    pub queue_per_slot: Option<usize>,
    /// How requests wait after the last usable worker was lost; `None` = they do not.
    pub hold: Option<Hold>,
    pub health: Option<Health>,
    pub spill: Option<Spill>,
    /// Thousandths of the requests that retries may add; `None` = not bounded.
    pub retry_budget: Option<NonZeroU32>,
    pub abandon_after: Duration,
    pub buffer: Buffer,
    pub connect_timeout: Duration,
    pub keep_alive: KeepAlive,
    pub via: OnOff,
    /// Of the way to the workers; `None`: nothing is encrypted there.
    pub tls: Option<WorkerTls>,
    /// The next tier takes what a full one would let wait.
    pub overflow: OnOff,
    /// `None` = nothing of its own traffic takes a worker out.
    pub outlier: Option<Outlier>,
    /// In thousandths of the workers; 0 = never.
    pub panic_below: u16,
    pub slow_start: Duration,
    pub warm_up: Option<WarmUp>,
}

/// When a worker's own traffic takes it out. Shares are in thousandths; 0 = never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// No connection, no head, or no HTTP, in a row.
    pub transport_failures: u32,
    pub consecutive_failures: u32,
    pub gateway_failures: u32,
    pub failures: Option<Burst>,
    pub failure_rate: u16,
    pub window: Duration,
    pub min_requests: u64,
    pub base_ejection: Duration,
    pub longest_ejection: Duration,
    pub max_ejected: u16,
}

impl Default for Outlier {
    fn default() -> Self {
        Outlier {
            transport_failures: 5,
            consecutive_failures: 0,
            gateway_failures: 0,
            failures: None,
            failure_rate: 0,
            window: Duration::from_secs(10),
            min_requests: 20,
            base_ejection: Duration::from_secs(10),
            longest_ejection: Duration::from_secs(300),
            max_ejected: 500,
        }
    }
}

/// So many failures within a time, in a row or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    pub count: u32,
    pub within: Duration,
}

/// What a worker is asked before it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WarmUp {
    pub requests: Vec<String>,
    /// Rounds of them.
    pub count: u32,
    /// For each answer.
    pub timeout: Duration,
    /// None = as the HTTP check, else the worker's address.
    pub host: Option<String>,
}

/// A client stays on the worker that its cookie names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    pub cookie: String,
    pub same_site: SameSite,
    pub secure: SecureCookie,
    /// Zero = until the browser is closed.
    pub max_age: Duration,
    /// None = the host that was asked.
    pub domain: Option<String>,
    pub path: String,
    /// How long a request waits for its worker while that is full.
    pub wait: Duration,
    pub on_lost: OnLost,
    /// What signs the cookies; None = something that lives as long as the process.
    pub secret: Option<Secret>,
}

/// Whether a browser brings a cookie along from other sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    Lax,
    Strict,
    None,
}

/// Whether a browser brings a cookie along over HTTPS only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureCookie {
    /// If it came by HTTPS when it was given the cookie.
    Auto,
    On,
    Off,
}

/// What becomes of a client whose worker is gone or does not come free in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLost {
    Rebalance,
    Fail,
}

/// Bytes that are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A name of the registry, and options the registry has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    pub name: String,
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// The given name, else the address. Not of what a host name resolves to: each of those is
    /// named by its own address.
    pub name: String,
    pub address: Address,
    pub weight: Option<NonZeroU32>,
    pub slots: Option<NonZeroU32>,
    /// Tunnels and event streams beside the slots; `None`: they take slots.
    pub tunnels: Option<NonZeroU32>,
    /// 0 first; 1 and more are backups.
    pub tier: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Host(Host),
}

/// A name to be resolved: each of its addresses is a worker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Host {
    /// Lower case.
    pub name: String,
    pub port: u16,
    /// The least and the most time an answer is believed, whatever its TTL.
    pub min: Duration,
    pub max: Duration,
}

/// An entry of a file of workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedWorker {
    pub worker: Worker,
    /// It says something of its slots; if not, the pool does.
    pub own_slots: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(addr) => addr.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
            Address::Host(host) => write!(f, "{}:{}", host.name, host.port),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    pub max: usize,
    pub timeout: Duration,
}

/// How requests wait for a pool that has lost its last usable worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// So many at once.
    pub max: usize,
    /// Until so long after the loss.
    pub time: Duration,
    /// Each of them at most so long in all.
    pub wait: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub check: Check,
    pub interval: Duration,
    pub timeout: Duration,
    pub rise: u32,
    pub fall: u32,
    /// How long a worker with every slot taken may answer nothing.
    pub busy_limit: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    Http {
        path: String,
        expect: Vec<RangeInclusive<u16>>,
        /// None = the worker's address.
        host: Option<String>,
        /// None = the worker's own port.
        port: Option<u16>,
    },
    Tcp,
}

/// Bytes read ahead so that a slow client does not hold a slot; 0 = off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer {
    pub request: usize,
    pub response: usize,
}

/// Where bodies beyond the buffer wait: requests for their last byte, answers for their client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spill {
    /// None = the first of the system's for temporary files that can be written to.
    pub dir: Option<PathBuf>,
    /// Bytes of one body.
    pub max: u64,
    /// Bytes of all bodies together; None = as the directory has room.
    pub total: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepAlive {
    pub idle: IdleTime,
    /// Idle connections kept per worker and shard; 0 = none.
    pub max_idle: usize,
}

/// For how long a connection to a worker may rest and still be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleTime {
    /// Learned for each worker.
    Learned,
    Fixed(Duration),
}

impl Default for KeepAlive {
    fn default() -> Self {
        KeepAlive { idle: IdleTime::Learned, max_idle: 64 }
    }
}
