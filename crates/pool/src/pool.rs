//! One pool, as its users hold it. `lease` is the line that picks a worker: it reads the thread's
//! cached snapshot, reserves, or joins the queue; it never waits for the control thread. Everything
//! else here passes an operator's or the owner's wish on to the supervisor.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use arc_swap::ArcSwap;
use isobar_balance::budget::RetryBudget;
use isobar_balance::outlier::Asked;
use isobar_balance::state::AdminState;
use isobar_balance::{Need, Tried, Waiters, WorkerId};
use tokio::sync::watch;

use crate::discovery::Discovery;
use crate::discovery::fixed::Fixed;
use crate::join::{Leased, join};
use crate::lease::{Lease, LeaseError};
use crate::lock::lock;
use crate::mailbox::Mailbox;
use crate::metrics::{Dropped, PoolFigures, Recorder};
use crate::settings::{LeaseRequest, Policy, PoolSettings, Queue, Waiting, WorkerSpec};
use crate::shared::Shared;
use crate::snapshot::local::with_snapshot;
use crate::snapshot::{Ask, Lack, Pick, Snapshot};
use crate::spill::Spill;
use crate::status::{PoolStatus, UnknownWorker, WorkerChange};
use crate::sticky;
use crate::supervisor::{self, Supervisor};
use crate::task::Task;
use crate::wait::pick_newest;
use crate::wait::terms::{Awaits, Patience};

pub struct Pool {
    shared: Arc<Shared>,
    control: Arc<Mutex<Supervisor>>,
    settled: watch::Receiver<bool>,
    /// Reads the mailbox and watches the discovery.
    tasks: Mutex<Vec<Task>>,
}

impl Pool {
    /// On the control runtime, where its supervisor and its probes live from now on.
    pub fn start(
        name: &str,
        settings: PoolSettings,
        workers: Vec<WorkerSpec>,
        cells: usize,
    ) -> Arc<Pool> {
        Pool::discover(name, settings, Arc::new(Fixed::new(workers)), cells)
    }

    /// As `start`, with workers that may come and go. The set that is known at once serves at once.
    pub fn discover(
        name: &str,
        settings: PoolSettings,
        discovery: Arc<dyn Discovery>,
        cells: usize,
    ) -> Arc<Pool> {
        static NUMBERS: AtomicUsize = AtomicUsize::new(0);
        let (mailbox, observations) = Mailbox::new();
        let (settle, settled) = watch::channel(false);
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty(
                Policy::of(&settings),
                Waiting::of(&settings),
            ))),
            waiters: Waiters::new(),
            mailbox,
            recorder: Recorder::new(cells),
            budget: RetryBudget::new(settings.retry_budget, cells),
            closed: AtomicBool::new(false),
        });
        let mut workers = discovery.watch();
        let mut supervisor = Supervisor::new(shared.clone(), settings, discovery, settle, cells);
        supervisor.begin(supervisor::known_now(&mut workers));
        let control = Arc::new(Mutex::new(supervisor));
        let tasks = vec![
            Task::spawn(supervisor::run(control.clone(), observations)),
            Task::spawn(supervisor::follow(control.clone(), workers)),
        ];
        Arc::new(Pool { shared, control, settled, tasks: Mutex::new(tasks) })
    }

    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Every worker has had its first verdict.
    pub async fn ready(&self) {
        // An error means that the pool was closed: nothing more will be settled.
        let _ = self.settled.clone().wait_for(|settled| *settled).await;
    }

    /// In force when it returns. A worker whose name and address are kept keeps its counters,
    /// health, slots and connections; an unchanged strategy keeps its cursor.
    pub fn reconfigure(&self, settings: PoolSettings, workers: Vec<WorkerSpec>) {
        self.rediscover(settings, Arc::new(Fixed::new(workers)));
    }

    /// As `reconfigure`, with workers that may come and go. Until the discovery knows of any, those
    /// that are there stay.
    pub fn rediscover(&self, settings: PoolSettings, discovery: Arc<dyn Discovery>) {
        let mut workers = discovery.watch();
        let known = supervisor::known_now(&mut workers);
        let mut tasks = lock(&self.tasks);
        // What the discovery before it says no longer counts.
        tasks.truncate(1);
        self.control().reconfigure(settings, Some(discovery), known);
        tasks.push(Task::spawn(supervisor::follow(self.control.clone(), workers)));
    }

    /// As `reconfigure`, with the workers found as before.
    pub fn resettle(&self, settings: PoolSettings) {
        self.control().reconfigure(settings, None, None);
    }

    /// No more probes; whoever waits or comes is told that the pool is draining. Leases end normally.
    pub async fn close(&self) {
        lock(&self.tasks).clear();
        self.control().close();
    }

    pub async fn set_worker(&self, name: &str, change: WorkerChange) -> Result<(), UnknownWorker> {
        self.control().set_worker(name, change)
    }

    /// Of every worker that the pool has now; one that is found later is up.
    pub fn set_every_worker(&self, state: AdminState) {
        self.control().set_every_worker(state);
    }

    pub fn status(&self) -> PoolStatus {
        self.control().status()
    }

    pub fn figures(&self) -> PoolFigures {
        PoolFigures::of(&self.shared.recorder, &self.shared.waiters)
    }

    pub fn observe_handover(&self, took: Duration) {
        self.shared.recorder.handover(took);
    }

    pub fn observe_response(&self, took: Duration) {
        self.shared.recorder.response(took);
    }

    /// A request got its first lease: retries may add a share of these.
    pub fn count_request(&self) {
        self.shared.budget.request();
    }

    /// A request is tried again of which no worker has seen a byte: no load, so no budget.
    pub fn count_retry(&self) {
        self.shared.recorder.retry();
    }

    /// Whole seconds after which a request that is turned away now may find its turn: as long as
    /// those who wait take at the rate of the last ten seconds; from 1 to 60.
    pub fn retry_after(&self) -> u32 {
        let wait = self.shared.waiters.len() as f64 / self.shared.budget.rate();
        if wait.is_nan() { 1 } else { wait.ceil().clamp(1.0, 60.0) as u32 }
    }

    /// May a request be sent a second time? If so, it counts.
    pub fn try_retry(&self) -> bool {
        let allowed = self.shared.budget.try_retry();
        if allowed {
            self.shared.recorder.retry();
        }
        allowed
    }

    /// The worker `by` has answered a request on which the others that were tried had failed: it
    /// was not the request's fault.
    #[cold]
    pub fn answered_elsewhere(&self, tried: &Tried, by: WorkerId, asked: Asked) {
        let Asked::By(client) = asked else { return };
        with_snapshot(&self.shared, |snapshot, _| {
            for target in snapshot.targets() {
                if target.id() != by
                    && tried.contains(target.id())
                    && target.worker().stats().confirmed(client)
                {
                    target.suspect();
                }
            }
        });
    }

    /// The policy in force now.
    pub fn policy(&self) -> Policy {
        with_snapshot(&self.shared, |snapshot, _| snapshot.policy)
    }

    /// The queue in force now.
    pub fn queue(&self) -> Option<Queue> {
        with_snapshot(&self.shared, |snapshot, _| snapshot.waiting.queue)
    }

    /// Where a request body that is larger than the buffer waits for its last byte.
    pub fn spill(&self) -> Option<Arc<Spill>> {
        with_snapshot(&self.shared, |snapshot, _| snapshot.spill.clone())
    }

    /// Some worker has a slot limit.
    pub fn limited(&self) -> bool {
        with_snapshot(&self.shared, |snapshot, _| snapshot.limited)
    }

    /// Whose turn is it? Reserves that worker's slot, or a place in the queue.
    pub fn lease(self: &Arc<Self>, rq: &LeaseRequest<'_>) -> Result<Leased, LeaseError> {
        with_snapshot(&self.shared, |snapshot, rng| {
            let (key, need) = (snapshot.key_of(rq.asker), snapshot.need_of(rq.asker));
            let ask = Ask { key, need, tried: rq.tried, now: rq.now };
            if let Some(answer) = sticky::lease(&self.shared, snapshot, &ask, rq.asker) {
                return answer;
            }
            let queue = snapshot.waiting.queue;
            // Where nobody waits there is no lock at all; where somebody does, nobody overtakes. A
            // tunnel slot is taken under the queue's lock, whoever waits.
            let may_pick = need == Need::Request
                && (queue.is_none()
                    || self.shared.waiters.is_open()
                    || snapshot.passes_who_waits(rq.tried));
            let missing = if may_pick {
                match snapshot.pick(&ask, rng) {
                    Pick::Reserved(place) => {
                        let (policy, held) = (snapshot.policy, need.held());
                        return Ok(Leased::Ready(Lease::new(place, policy, held, None, rq.now)));
                    }
                    Pick::Nothing(missing) => missing,
                }
            } else {
                snapshot.missing(&ask, rng)
            };
            let mut join = |patience| self.join(snapshot, &ask, missing.bound, patience, rng);
            match (missing.lack, queue) {
                _ if snapshot.closed => Err(LeaseError::Draining),
                (Lack::Slots, None) if need == Need::Tunnel => join(Patience::NONE),
                (Lack::Slots, None) => Err(LeaseError::QueueFull),
                (Lack::Others, _) => Err(LeaseError::NoOther),
                (Lack::Workers, Some(queue)) if snapshot.starting => join(Patience::of(queue)),
                (Lack::Workers, _) => match self.hold(snapshot, rq) {
                    Some(patience) => join(patience),
                    None => Err(LeaseError::NoWorker),
                },
                (Lack::Slots, Some(queue)) => join(Patience::of(queue)),
            }
        })
    }

    /// How long a request that finds no worker may wait for one.
    #[cold]
    fn hold(&self, snapshot: &Snapshot, rq: &LeaseRequest<'_>) -> Option<Patience> {
        let hold = snapshot.waiting.hold?;
        // In this order: the supervisor publishes until when, and then says that they are lost.
        let left = match snapshot.is_just_lost() {
            true => hold.time,
            false => {
                let until = self.shared.snapshot.load_full().held_until?;
                until.saturating_duration_since(rq.now)
            }
        };
        let wait = left.min(hold.wait.saturating_sub(rq.waited));
        (!wait.is_zero()).then_some(Patience { max: hold.max, wait, awaits: Awaits::Worker })
    }

    fn join(
        &self,
        snapshot: &Snapshot,
        ask: &Ask<'_>,
        bound: Option<WorkerId>,
        patience: Patience,
        rng: &mut fastrand::Rng,
    ) -> Result<Leased, LeaseError> {
        let pick = || pick_newest(&self.shared, ask, rng);
        let joined = join(&self.shared, snapshot, ask, bound, patience, None, pick);
        if let Err(LeaseError::QueueFull) = joined {
            self.shared.recorder.dropped(Dropped::Full);
        }
        joined
    }

    fn control(&self) -> MutexGuard<'_, Supervisor> {
        lock(&self.control)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        lock(&self.tasks).clear();
        self.control().close();
    }
}
