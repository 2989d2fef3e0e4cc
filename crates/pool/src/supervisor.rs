//! The only writer of a pool. Every observation, operator's wish and new set of workers goes
//! through `PoolState`; if the answer to "who may be used" changed, ONE snapshot is stored and the
//! queue is told. A storm of observations costs one rebuild, because all that have come are taken
//! before anything is published. It also keeps each worker's probe or re-check running.

mod choosing;
mod finding;
mod hold;
mod log;
mod loss;
mod members;
mod outliers;
mod publish;
mod reached;
mod recheck;
mod report;
mod said;
mod watch;

use self::choosing::Choosing;
use self::hold::{Holding, Loss};
use self::reached::{Reached, Watch};
use self::said::Said;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures_core::stream::BoxStream;
use isobar_balance::Held;
use isobar_balance::state::{AdminState, Changes, Event, Outlier, PoolState, Rules};
use tokio::runtime::Handle;
use tokio::sync::watch::Sender as Settle;
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use crate::address::Address;
use crate::discovery::{Discovery, DiscoveryError};
use crate::idle::learned::Learned;
use crate::lock::lock;
use crate::mailbox::{Observation, Seen};
use crate::settings::{self, Policy, PoolSettings, Waiting, WorkerSpec};
use crate::shared::Shared;
use crate::snapshot::Snapshot;
use crate::snapshot::local::let_go_of_closed;
use crate::status::{UnknownWorker, WorkerChange};
use crate::target::{Place, Target};

/// How often resting connections are looked through.
const SWEEP: Duration = Duration::from_secs(1);

/// Sweeps after which what was seen of workers' idle times is renewed.
const PERIOD: u32 = 300;

pub(crate) struct Supervisor {
    shared: Arc<Shared>,
    settings: PoolSettings,
    /// How each tier chooses.
    choosing: BTreeMap<u8, Choosing>,
    state: PoolState,
    reached: HashMap<String, Reached>,
    /// Removed, with leases that have not ended: should one come back, its slots are still taken.
    departed: HashMap<(String, Address), Weak<Target>>,
    discovery: Arc<dyn Discovery>,
    /// The discovery has told of its first set.
    found: bool,
    /// What the log knows already, by source.
    problems: BTreeMap<String, String>,
    discovery_failures: u64,
    said: Said,
    next_id: u32,
    cells: usize,
    settle: Settle<bool>,
    runtime: Handle,
    sweeps: u32,
    holding: Holding,
    /// When something changes by itself, and who waits for that to be another time.
    due: Option<Instant>,
    due_changed: Arc<Notify>,
}

/// The runtime's clock, which tests may wind on.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Takes everything that has come, then publishes once.
pub(crate) async fn run(
    control: Arc<Mutex<Supervisor>>,
    mut observations: mpsc::Receiver<Observation>,
) {
    let mut sweep = tokio::time::interval(SWEEP);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let due_changed = lock(&control).due_changed.clone();
    loop {
        let due = lock(&control).due;
        tokio::select! {
            first = observations.recv() => {
                let Some(first) = first else { return };
                let rest = std::iter::from_fn(|| observations.try_recv().ok());
                let all = std::iter::once(first).chain(rest).collect();
                lock(&control).observe(all);
            }
            _ = sweep.tick() => lock(&control).sweep(),
            () = until(due) => lock(&control).on_time(),
            () = due_changed.notified() => {}
        }
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Follows a discovery to its end.
pub(crate) async fn follow(control: Arc<Mutex<Supervisor>>, mut workers: Workers) {
    while let Some(set) = std::future::poll_fn(|cx| workers.as_mut().poll_next(cx)).await {
        match set {
            Ok(set) => lock(&control).update(set),
            Err(error) => lock(&control).not_found(error),
        }
    }
}

type Workers = BoxStream<'static, Result<Vec<WorkerSpec>, DiscoveryError>>;

/// The set that a discovery knows without waiting.
pub(crate) fn known_now(workers: &mut Workers) -> Option<Vec<WorkerSpec>> {
    match workers.as_mut().poll_next(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(set))) => Some(set),
        Poll::Ready(_) | Poll::Pending => None,
    }
}

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        settings: PoolSettings,
        discovery: Arc<dyn Discovery>,
        settle: Settle<bool>,
        cells: usize,
    ) -> Supervisor {
        Supervisor {
            choosing: BTreeMap::new(),
            state: PoolState::new(rules(&settings)),
            shared,
            settings,
            reached: HashMap::new(),
            departed: HashMap::new(),
            discovery,
            found: false,
            problems: BTreeMap::new(),
            discovery_failures: 0,
            said: Said::default(),
            next_id: 0,
            cells,
            settle,
            runtime: Handle::current(),
            sweeps: 0,
            holding: Holding::default(),
            due: None,
            due_changed: Arc::default(),
        }
    }

    /// With the set that is known without waiting; without one, who comes may hope.
    pub(crate) fn begin(&mut self, workers: Option<Vec<WorkerSpec>>) {
        match workers {
            Some(workers) => self.update(workers),
            None => self.settle_down(Changes::default(), Instant::now()),
        }
    }

    /// A new set of workers.
    pub(crate) fn update(&mut self, workers: Vec<WorkerSpec>) {
        let since = Instant::now();
        self.found_again();
        let changes = self.set(workers);
        self.settle_down(changes, since);
    }

    /// What is not given stays.
    pub(crate) fn reconfigure(
        &mut self,
        settings: PoolSettings,
        discovery: Option<Arc<dyn Discovery>>,
        workers: Option<Vec<WorkerSpec>>,
    ) {
        if let Some(discovery) = discovery {
            self.discovery = discovery;
            self.problems.clear();
        }
        let since = Instant::now();
        let old = std::mem::replace(&mut self.settings, settings);
        if old.spill == self.settings.spill {
            // The same room, and what is in it counts on.
            self.settings.spill.clone_from(&old.spill);
        }
        let new = &self.settings;
        let mut anew = Policy::of(&old) != Policy::of(new)
            || Waiting::of(&old) != Waiting::of(new)
            || old.overflow != new.overflow
            || old.spill != new.spill
            || old.affinity != new.affinity;
        self.shared.budget.set_share(new.retry_budget);
        if !std::ptr::eq(old.strategy, new.strategy) || old.options != new.options {
            self.choosing.clear();
            anew = true;
        }
        if !same_probing(old.health.as_ref(), new.health.as_ref()) {
            self.reached.values_mut().for_each(|reached| reached.watch = Watch::None);
        }
        if old.life.warm_up != new.life.warm_up {
            self.reached.values_mut().for_each(|reached| reached.warm_up = None);
        }
        let mut changes = self.state.apply(Event::Rules(rules(new)), now());
        match workers {
            Some(workers) => merge(&mut changes, self.set(workers)),
            None => self.watch_runs(),
        }
        // The policies travel in the snapshot, the strategy in its picker.
        changes.usable |= anew;
        changes.edited |= anew;
        self.settle_down(changes, since);
    }

    fn observe(&mut self, observations: Vec<Observation>) {
        let since = observations.iter().map(|observation| observation.at).min();
        let probed = self.settings.health.is_some();
        self.doubt(&observations);
        let current = observations.iter().filter(|o| self.is_current(&o.target));
        let mut events: Vec<_> = current.filter_map(|o| event(o, probed)).collect();
        if self.shared.mailbox.take_dirty() {
            // It ran over, but what a refused connect leaves behind can be seen.
            let closed = self.reached.values().filter(|r| r.target.slots().load().is_closed());
            events.extend(closed.map(|r| Event::Refused { worker: r.target.name() }));
            // A run of failures stays to be seen by the next sweep.
        }
        let changes = self.state.apply_all(events, now());
        self.settle_down(changes, since.unwrap_or_else(Instant::now));
    }

    pub(crate) fn set_worker(
        &mut self,
        name: &str,
        change: WorkerChange,
    ) -> Result<(), UnknownWorker> {
        if !self.reached.contains_key(name) {
            let pool = self.shared.name.clone();
            return Err(UnknownWorker { pool, worker: name.to_owned() });
        }
        let events = [
            change.state.map(|state| Event::Admin { worker: name, state }),
            change.weight.map(|weight| Event::Weight { worker: name, weight }),
            change.slots.map(|slots| Event::Slots { worker: name, slots }),
            change.tunnels.map(|tunnels| Event::Tunnels { worker: name, tunnels }),
        ];
        self.ordered(events.into_iter().flatten());
        Ok(())
    }

    /// At once for all: one snapshot, however many they are.
    pub(crate) fn set_every_worker(&mut self, state: AdminState) {
        self.ordered([Event::AdminOfAll { state }]);
    }

    fn ordered<'a>(&mut self, events: impl IntoIterator<Item = Event<'a>>) {
        let changes = self.state.apply_all(events, now());
        self.said.outdated = true;
        self.note_loss(Loss::Operator);
        self.settle_down(changes, Instant::now());
    }

    pub(crate) fn close(&mut self) {
        if self.shared.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let now = Instant::now();
        let version = self.version() + 1;
        let empty = Snapshot::empty(Policy::of(&self.settings), Waiting::of(&self.settings));
        let last = Snapshot { version, closed: true, ..empty };
        self.shared.snapshot.store(Arc::new(last));
        // Everybody who waits is granted a place that says no.
        let end = Arc::new(Target::end_of_queue(self.shared.clone()));
        self.shared.waiters.publish(vec![Place(end)], now);
        self.shared.waiters.publish(Vec::new(), now);
        for (_, reached) in self.reached.drain() {
            reached.target.retire();
        }
        let_go_of_closed();
        tracing::info!(pool = self.shared.name, version, "pool closed");
    }

    fn version(&self) -> u64 {
        self.shared.snapshot.load().version
    }

    fn sweep(&mut self) {
        if let Some(denied) = self.shared.budget.slide() {
            let pool = &self.shared.name;
            tracing::warn!(pool, denied, "retry budget used up: requests were not tried again");
        }
        self.sample_failures();
        self.blame_tunnels();
        let now = Instant::now();
        let most = Learned::resting(self.settings.keep_alive.idle);
        self.sweeps = (self.sweeps + 1) % PERIOD;
        for Reached { target, .. } in self.reached.values() {
            if self.sweeps == 0 {
                target.learned.forget();
            }
            if target.shelf.is_empty() {
                continue;
            }
            if !target.is_limited() {
                target.shelf.clear();
            } else if target.slots().try_reserve() {
                target.shelf.sweep(most, &target.learned, now);
                self.shared.waiters.release(&Place(target.clone()), Held::Request, now);
            }
        }
    }
}

fn rules(settings: &PoolSettings) -> Rules {
    let life = &settings.life;
    let rules = Rules {
        outlier: life.outlier.map(|outlier| Outlier {
            base_ejection: outlier.base_ejection,
            longest_ejection: outlier.longest_ejection,
            max_ejected: outlier.max_ejected,
        }),
        panic_below: life.panic_below,
        slow_start: life.slow_start,
        warm_up: life.warm_up.is_some(),
        ..Rules::default()
    };
    match &settings.health {
        Some(health) => Rules { probed: true, rise: health.rise, fall: health.fall, ..rules },
        None => rules,
    }
}

fn event(observation: &Observation, probed: bool) -> Option<Event<'_>> {
    let target = &observation.target;
    let worker = target.name();
    match &observation.seen {
        // Where probes decide, only a refusal is clearer than they are.
        Seen::Unreachable(_) if probed => None,
        Seen::Unreachable(why) => {
            target.shelf.clear();
            Some(Event::Unreachable { worker, why })
        }
        Seen::Refused => {
            // Nobody at the other end of these any more.
            target.shelf.clear();
            Some(Event::Refused { worker })
        }
        Seen::StillAway => None,
        Seen::Reachable => Some(Event::Recheck { worker, ok: true }),
        Seen::Probed(result) => Some(Event::Probe { worker, result: result.clone() }),
        // An answer may have ended the run meanwhile.
        Seen::Suspect => {
            let sign = target.worker().stats().sign(Instant::now())?;
            Some(Event::Outlier { worker, sign })
        }
        Seen::WarmedUp(result) => Some(Event::WarmUp { worker, result: result.clone() }),
    }
}

fn merge(into: &mut Changes, more: Changes) {
    into.usable |= more.usable;
    into.limits |= more.limits;
    into.edited |= more.edited;
    into.panic = more.panic.or(into.panic);
    into.transitions.extend(more.transitions);
}

fn same_probing(old: Option<&settings::Health>, new: Option<&settings::Health>) -> bool {
    match (old, new) {
        (Some(old), Some(new)) => {
            old.probe.describe() == new.probe.describe()
                && (old.interval, old.timeout, old.busy_limit)
                    == (new.interval, new.timeout, new.busy_limit)
        }
        (old, new) => old.is_none() && new.is_none(),
    }
}
