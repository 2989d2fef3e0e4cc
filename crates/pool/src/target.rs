//! A worker as the pool reaches it: its accounts in `balance`, its address, its idle connections
//! and the way back to the pool. It lives as long as (pool, name, address) stay the same; a lease
//! keeps a removed one alive until it ends.

use std::fmt;
use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use crossbeam_utils::atomic::AtomicCell;
use isobar_balance::{Seat, Slots, Worker, WorkerId};
use isobar_tls::Client;
use tokio::sync::Notify;

use crate::address::Address;
use crate::connect::ConnectError;
use crate::connection::{Connection, Reuse};
use crate::dial::Dial;
use crate::idle::learned::Learned;
use crate::idle::shelf::Shelf;
use crate::idle::{Open, OpenCount};
use crate::lease::LeaseError;
use crate::mailbox::{Observation, Seen};
use crate::metrics::Dropped;
use crate::settings::IdleTime;
use crate::shared::Shared;
use crate::stream::Stream;

/// The serial numbers of no worker.
const END: u64 = 0;
const NOBODY: u64 = u64::MAX;

/// Of a worker that was never lost.
const NEVER: u64 = u64::MAX;

pub struct Target {
    worker: Arc<Worker>,
    address: Address,
    tls: ArcSwapOption<Client>,
    /// Grows when the way to it changes: connections of before are not used again.
    epoch: AtomicU32,
    serial: u64,
    retired: AtomicBool,
    /// It has accepted a connection or a probe.
    accepted: AtomicBool,
    /// What it had served when the pool lost its last worker, if it ever did.
    served_before: AtomicU64,
    pub(crate) open: OpenCount,
    pub(crate) shelf: Shelf,
    pub(crate) learned: Learned,
    /// See [`Lease::part`](crate::Lease::part).
    parting: AtomicCell<Option<Box<Stream>>>,
    /// A tunnel slot may have come free, for a stream that has begun without one.
    pub(crate) tunnel_freed: Arc<Notify>,
    pub(crate) shared: Arc<Shared>,
}

impl Target {
    pub(crate) fn new(
        worker: Worker,
        address: Address,
        serial: u64,
        shared: Arc<Shared>,
    ) -> Target {
        let slots = worker.slots().load().limit().unwrap_or(0);
        Target {
            worker: Arc::new(worker),
            address,
            tls: ArcSwapOption::empty(),
            epoch: AtomicU32::new(0),
            serial,
            retired: AtomicBool::new(false),
            accepted: AtomicBool::new(false),
            served_before: AtomicU64::new(NEVER),
            open: OpenCount::default(),
            shelf: Shelf::new(usize::try_from(slots).unwrap_or(usize::MAX)),
            learned: Learned::new(),
            parting: AtomicCell::new(None),
            tunnel_freed: Arc::default(),
            shared,
        }
    }

    /// Stands for no worker: whoever is granted it learns that the pool is going away.
    pub(crate) fn end_of_queue(shared: Arc<Shared>) -> Target {
        Target::no_worker(END, shared)
    }

    /// Stands for no worker: whoever is granted it learns that there is none.
    pub(crate) fn nobody(shared: Arc<Shared>) -> Target {
        Target::no_worker(NOBODY, shared)
    }

    fn no_worker(serial: u64, shared: Arc<Shared>) -> Target {
        let nowhere = Address::Unix(PathBuf::new());
        Target::new(Worker::new(WorkerId(u32::MAX), "", None, 1), nowhere, serial, shared)
    }

    /// What whoever is granted it is told instead of a lease.
    pub(crate) fn refusal(&self) -> Option<(LeaseError, Dropped)> {
        match self.serial {
            END => Some((LeaseError::Draining, Dropped::Draining)),
            NOBODY => Some((LeaseError::NoWorker, Dropped::NoWorker)),
            _ => None,
        }
    }

    /// It has accepted a connection, or answered a probe as it should.
    #[inline]
    pub(crate) fn accepts(&self) {
        if !self.accepted.load(Ordering::Relaxed) {
            self.accepted.store(true, Ordering::Relaxed);
        }
    }

    /// The pool has lost its last worker: what was true of this one before proves nothing any more.
    pub(crate) fn lost(&self) {
        self.served_before.store(self.worker.stats().served(), Ordering::Release);
    }

    /// There was a worker here: it accepted once or, since the pool lost its last one, has served.
    pub(crate) fn is_proven(&self) -> bool {
        let served = self.worker.stats().served();
        match self.served_before.load(Ordering::Acquire) {
            NEVER => served > 0 || self.accepted.load(Ordering::Relaxed),
            before => served > before,
        }
    }

    pub fn name(&self) -> &str {
        self.worker.name()
    }

    pub fn id(&self) -> WorkerId {
        self.worker.id()
    }

    pub fn address(&self) -> &Address {
        &self.address
    }

    /// How a connection to it is opened now, and which of these ways that is.
    pub(crate) fn dial(&self) -> (Dial, u32) {
        // The number first: a way that changes in between only costs a connection.
        let epoch = self.epoch.load(Ordering::Acquire);
        (Dial { address: self.address.clone(), tls: self.tls.load_full() }, epoch)
    }

    /// From now on connections are opened so; what rests is not used again.
    pub(crate) fn set_tls(&self, tls: Option<Arc<Client>>) {
        if *self.tls.load() != tls {
            self.tls.store(tls);
            self.epoch.fetch_add(1, Ordering::AcqRel);
            self.shelf.clear();
        }
    }

    /// A resting connection goes back to work here, if it may.
    pub(crate) fn wake(
        &self,
        connection: Connection,
        reuse: Reuse,
        most: Duration,
        now: Instant,
    ) -> Option<Connection> {
        let current = connection.epoch() == self.epoch.load(Ordering::Acquire);
        if current { connection.wake(reuse, most, &self.learned, now) } else { None }
    }

    pub fn worker(&self) -> &Arc<Worker> {
        &self.worker
    }

    pub(crate) fn slots(&self) -> &Slots {
        self.worker.slots()
    }

    /// Unique in the process, unlike the id, which is unique in its pool.
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.slots().load().limit().is_some()
    }

    /// What that frees the caller hands over.
    pub(crate) fn set_tunnel_limit(&self, limit: Option<NonZeroU32>) {
        let tunnels = self.worker.tunnels();
        if tunnels.load().limit() != limit.map(NonZeroU32::get) {
            tunnels.set_limit(limit);
            self.tunnel_freed.notify_waiters();
        }
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Acquire)
    }

    /// It left the pool: nothing is kept for it any more.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
        self.shelf.clear();
    }

    /// It is back before its last lease ended. What kept requests away belongs to its earlier stay.
    pub(crate) fn unretire(&self) {
        self.retired.store(false, Ordering::Release);
        if self.slots().load().is_closed() {
            self.slots().open();
        }
    }

    pub(crate) fn part(&self, stream: Stream) {
        // Two at once: the earlier one has waited long enough.
        drop(self.parting.swap(Some(Box::new(stream))));
    }

    /// Closes what still waits to be closed.
    pub fn close_parting(&self) {
        drop(self.parting.take());
    }

    pub(crate) fn idle_time(&self) -> IdleTime {
        self.shared.snapshot.load().policy.keep_alive.idle
    }

    /// A connect failed. If it was refused nobody is there: the slots close before the supervisor
    /// even hears of it, so that no other request finds out the same way.
    pub(crate) fn unreachable(self: &Arc<Self>, error: &ConnectError) {
        let seen = match (error, &self.address) {
            // Said once, by whoever comes first.
            _ if error.is_refusal() && self.slots().load().is_closed() => return,
            _ if error.is_refusal() => {
                self.slots().close();
                Seen::Refused
            }
            // A full back-log of a unix socket: the worker is there, and busy.
            (ConnectError::Timeout, Address::Unix(_)) | (ConnectError::Exhausted(_), _) => return,
            // It accepts, and resets what it accepted: to connect again would prove nothing.
            (ConnectError::Other(error), _) if error.kind() == ErrorKind::ConnectionReset => return,
            _ => Seen::Unreachable(error.cause()),
        };
        self.shared.mailbox.post(Observation::now(self, seen));
    }

    /// Its requests have failed once too often in a row.
    #[cold]
    pub(crate) fn suspect(self: &Arc<Self>) {
        self.shared.mailbox.post(Observation::now(self, Seen::Suspect));
    }

    /// Counts one more connection in, unless the worker's slots are all accounted for by open ones; a
    /// tunnel that stands beside the slots has its own.
    /// The caller holds a slot, so at least one of those then rests on the shelf, or is about to.
    pub(crate) async fn room(&self) -> Open {
        // The bound only matters if a connection outlives its lease, which is a fault elsewhere: no
        // request may hang for it.
        for _ in 0..64 {
            let word = self.slots().load();
            let Some(limit) = word.limit() else { return self.open.enter() };
            let most = limit.max(word.in_flight()) + self.worker.stats().apart();
            if let Some(open) = self.open.enter_below(most) {
                return open;
            }
            if self.shelf.take().is_none() {
                tokio::task::yield_now().await;
            }
        }
        self.open.enter()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("name", &self.name())
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// What the queue hands over: one reserved slot of this worker.
#[derive(Clone, Debug)]
pub(crate) struct Place(pub(crate) Arc<Target>);

impl Seat for Place {
    fn worker(&self) -> &Worker {
        &self.0.worker
    }
}
