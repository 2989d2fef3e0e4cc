//! What a pool is told by its owner: the policies, the workers, the question asked at a lease.
//! Plain values; whoever reads the configuration fills them in, with every default applied.

mod life;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_balance::budget::Share;
use isobar_balance::strategy::{Entry, Options};
use isobar_balance::{Key, Need, Tried};
use isobar_tls::Client;

pub use self::life::{Life, Outlier, WarmUp};
use crate::address::Address;
use crate::affinity::Affinity;
use crate::probe::Probe;
use crate::spill::Spill;

#[derive(Clone)]
pub struct PoolSettings {
    pub strategy: &'static Entry,
    pub options: Options,
    pub queue: Option<Queue>,
    /// Where it is not known beforehand how many workers there are: `queue.max` grows to so many
    /// per slot.
    pub queue_per_slot: Option<usize>,
    /// How requests wait after the last usable worker was lost; `None` = they do not.
    pub hold: Option<Hold>,
    pub health: Option<Health>,
    pub connect_timeout: Duration,
    pub keep_alive: KeepAlive,
    pub abandon_after: Duration,
    pub buffer: Buffer,
    /// Where bodies beyond `buffer` wait; `None` = they are streamed.
    pub spill: Option<Arc<Spill>>,
    /// Of the requests; `None` = retries are not bounded.
    pub retry_budget: Option<Share>,
    pub life: Life,
    pub affinity: Option<Affinity>,
    pub via: Via,
    pub overflow: Overflow,
}

/// What becomes of a request while every worker of the tier that serves is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// It waits.
    #[default]
    Off,
    /// The next tier takes it.
    On,
}

/// Whether workers get a `Via`. Some server compresses nothing once it sees one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    #[default]
    On,
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queue {
    pub max: usize,
    pub timeout: Duration,
}

/// How requests wait for a pool that has lost its last usable worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold {
    /// So many at once.
    pub max: usize,
    /// Until so long after the loss.
    pub time: Duration,
    /// Each of them at most so long in all.
    pub wait: Duration,
}

#[derive(Clone)]
pub struct Health {
    pub probe: Arc<dyn Probe>,
    pub interval: Duration,
    pub timeout: Duration,
    pub rise: u32,
    pub fall: u32,
    /// How long a worker whose slots are all taken may answer nothing, neither to a request nor to
    /// a probe, before that counts as a failed probe.
    pub busy_limit: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    pub idle: IdleTime,
    /// Idle connections kept per worker and shard, where the worker has no slot limit.
    pub max_idle: usize,
}

/// How long a connection may rest and still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleTime {
    /// Safely less than the worker itself lets it rest, as it says or as was observed.
    Learned,
    Fixed(Duration),
}

impl IdleTime {
    /// Nothing is ever kept.
    pub(crate) fn is_zero(self) -> bool {
        self == IdleTime::Fixed(Duration::ZERO)
    }
}

/// Bytes read ahead in either direction; 0 = off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    pub request: usize,
    pub response: usize,
}

/// How requests wait; it travels in the snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) queue: Option<Queue>,
    pub(crate) hold: Option<Hold>,
}

impl Waiting {
    pub(crate) fn of(settings: &PoolSettings) -> Waiting {
        Waiting { queue: settings.queue, hold: settings.hold }
    }
}

/// The part of the settings that a lease takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    pub abandon_after: Duration,
    pub buffer: Buffer,
    pub connect_timeout: Duration,
    pub keep_alive: KeepAlive,
    /// Clients stay on their worker: there may be a cookie to hide and to tell.
    pub sticky: bool,
    pub via: Via,
}

impl Policy {
    pub(crate) fn of(settings: &PoolSettings) -> Policy {
        Policy {
            abandon_after: settings.abandon_after,
            buffer: settings.buffer,
            connect_timeout: settings.connect_timeout,
            keep_alive: settings.keep_alive,
            sticky: settings.affinity.is_some(),
            via: settings.via,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct WorkerSpec {
    pub name: String,
    pub address: Address,
    pub weight: Option<NonZeroU32>,
    pub slots: Option<NonZeroU32>,
    /// Tunnels and event streams at once, beside the slots; `None`: they take slots.
    pub tunnels: Option<NonZeroU32>,
    pub tier: u8,
    /// `None`: nothing is encrypted on the way to it.
    pub tls: Option<Arc<Client>>,
}

/// One request's question: whose turn is it, but for those it has tried already?
pub struct LeaseRequest<'a> {
    pub asker: &'a dyn Asker,
    pub tried: &'a Tried,
    /// The caller's latest look at the clock.
    pub now: Instant,
    /// How long it has waited in the pool's queue before.
    pub waited: Duration,
}

/// What a pool may want to know of a request. It asks only for what its strategy goes by, and for
/// its affinity cookie if it has one.
pub trait Asker: Sync {
    /// The hash of this part of the request; `None` if it has no such part.
    fn key(&self, part: &Key) -> Option<u64>;

    /// The value of the cookie of this name.
    fn cookie(&self, _name: &str) -> Option<&[u8]> {
        None
    }

    /// Whether it asks for a tunnel or an event stream; asked only where these are counted apart.
    fn need(&self) -> Need {
        Need::Request
    }
}
