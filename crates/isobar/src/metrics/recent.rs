//! What happened in the last minute: how many requests, how fast, how many failed, how evenly.
//!
//! Serving only counts upwards; here those counts are looked at every few seconds and a minute of
//! samples is kept, so that two of them can be subtracted. Costs the data plane nothing.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use isobar_balance::fairness::jain_index;
use isobar_balance::stats::HistogramValues;
use isobar_pool::{Pool, PoolFigures, PoolStatus, WorkerStatus};
use isobar_proxy::metrics::RouteMetrics;

use super::quantile::{Quantile, quantile};
use crate::plan::routes::{Handles, RouteKey};

/// How often the counts are looked at.
pub(super) const EVERY: Duration = Duration::from_secs(5);
/// One more than a minute has steps.
const SAMPLES: usize = 13;

/// A minute of samples, the oldest first.
pub(crate) struct Recent(Mutex<Window>);

struct Window {
    /// What each route had counted when it was last looked at: routes come and go, and what one that
    /// has gone had counted is not forgotten.
    routes: BTreeMap<RouteKey, (Arc<RouteMetrics>, Answers)>,
    /// By pool, since it is known.
    answers: BTreeMap<String, Answers>,
    /// Never empty: the first is of the moment before anything was served.
    samples: VecDeque<Sample>,
}

struct Sample {
    at: Instant,
    pools: BTreeMap<String, PoolSample>,
}

struct PoolSample {
    /// Nothing where no HTTP route leads there.
    answers: Option<Answers>,
    queue: Queue,
    workers: BTreeMap<Arc<str>, WorkerSample>,
}

/// Requests that were answered.
#[derive(Clone, Default)]
struct Answers {
    durations: HistogramValues,
    /// 5xx, by code.
    errors: BTreeMap<&'static str, u64>,
}

/// Those that waited for a slot.
#[derive(Clone, Default)]
struct Queue {
    waits: HistogramValues,
    /// Left without a slot, by reason.
    drops: BTreeMap<&'static str, u64>,
}

/// A pool as it is now.
pub(crate) struct Now {
    pub(crate) status: PoolStatus,
    pub(crate) figures: PoolFigures,
}

#[derive(Clone, Copy, Default)]
struct WorkerSample {
    leases: u64,
    errors: u64,
    busy: Duration,
    /// The explicit weight, else the slots, else 1.
    capacity: Option<NonZeroU32>,
}

/// One pool's last minute.
#[derive(Debug, Default)]
pub(crate) struct PoolMinute {
    /// Less than a minute where it is younger.
    pub(crate) span: Duration,
    /// Requests that were answered; of a TCP pool: connections that ended.
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// Answers of 500 and above, whoever made them. Nothing of a TCP pool.
    pub(crate) codes: BTreeMap<&'static str, u64>,
    /// From a request's first byte to its end. `None`: there was none, or it is TCP.
    pub(crate) p50: Option<Quantile>,
    pub(crate) p99: Option<Quantile>,
    /// Requests that got a slot after they had waited for one, and how long the slowest had.
    pub(crate) waited: u64,
    pub(crate) wait_p99: Option<Quantile>,
    pub(crate) dropped: BTreeMap<&'static str, u64>,
    pub(crate) workers: BTreeMap<Arc<str>, WorkerMinute>,
}

/// One worker's last minute.
#[derive(Debug, Default)]
pub(crate) struct WorkerMinute {
    /// Leases that ended.
    pub(crate) requests: u64,
    /// Those that ended in the worker's failure or in a status of 500 and above.
    pub(crate) errors: u64,
    /// How long a lease took, on average.
    pub(crate) mean: Option<Duration>,
}

impl Recent {
    /// Before the first listener opens: what is served from now on counts.
    pub(crate) fn begin() -> Recent {
        let nothing = Sample { at: Instant::now(), pools: BTreeMap::new() };
        Recent(Mutex::new(Window {
            routes: BTreeMap::new(),
            answers: BTreeMap::new(),
            samples: VecDeque::from([nothing]),
        }))
    }

    /// Jain's index of each pool.
    pub(crate) fn fairness(&self) -> BTreeMap<String, f64> {
        let window = self.lock();
        let (Some(first), Some(last)) = (window.samples.front(), window.samples.back()) else {
            return BTreeMap::new();
        };
        let ratio = |(name, pool): (&String, &PoolSample)| {
            let before = first.pools.get(name);
            let busy = pool.workers.iter().map(|(worker, now)| {
                let before = before.and_then(|pool| pool.workers.get(worker));
                let before = before.map_or(Duration::ZERO, |before| before.busy);
                (now.busy.saturating_sub(before), now.capacity.unwrap_or(NonZeroU32::MIN))
            });
            (name.clone(), jain_index(busy))
        };
        last.pools.iter().map(ratio).collect()
    }

    /// The last minute of these pools, up to now.
    pub(crate) fn minutes(&self, pools: &[Now], handles: &Handles) -> BTreeMap<String, PoolMinute> {
        let mut window = self.lock();
        let now = window.look(pools, handles);
        let minute = |(name, pool): (&String, &PoolSample)| {
            let (at, before) = window.before(name)?;
            Some((name.clone(), pool.since(before, now.at - at)))
        };
        now.pools.iter().filter_map(minute).collect()
    }

    pub(super) fn note(&self, pools: &[Now], handles: &Handles) {
        let mut window = self.lock();
        let sample = window.look(pools, handles);
        let names: BTreeSet<&str> = pools.iter().map(|pool| &*pool.status.name).collect();
        window.answers.retain(|pool, _| names.contains(&**pool));
        window.samples.push_back(sample);
        if window.samples.len() > SAMPLES {
            window.samples.pop_front();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Window> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn look(&mut self, pools: &[Now], handles: &Handles) -> Sample {
        self.count_answers(handles);
        let last = self.samples.back();
        let sample = |Now { status, figures }: &Now| {
            let known = last.and_then(|last| last.pools.get(&status.name));
            let worker = |worker: &WorkerStatus| {
                // One copy of a name for all samples.
                let name = known.and_then(|pool| pool.workers.get_key_value(&*worker.name));
                let name =
                    name.map_or_else(|| worker.name.as_str().into(), |(name, _)| name.clone());
                (name, WorkerSample::of(worker))
            };
            let workers = status.workers.iter().map(worker).collect();
            let answers = self.answers.get(&status.name).cloned();
            let queue = Queue::of(figures);
            (status.name.clone(), PoolSample { answers, queue, workers })
        };
        Sample { at: Instant::now(), pools: pools.iter().map(sample).collect() }
    }

    /// Adds what the routes have counted since they were last looked at to their pools.
    fn count_answers(&mut self, handles: &Handles) {
        for (key, metrics) in &handles.routes {
            let (_, _, pool) = key;
            if pool.is_empty() {
                continue;
            }
            let now = Answers::of(metrics);
            let before = match self.routes.get(key) {
                Some((same, before)) if Arc::ptr_eq(same, metrics) => Some(before),
                _ => None,
            };
            self.answers.entry(pool.clone()).or_default().add(&now.since(before));
            self.routes.insert(key.clone(), (metrics.clone(), now));
        }
        self.routes.retain(|key, _| handles.routes.contains_key(key));
    }

    /// The oldest sample of a pool; of one that came later, the last moment without it.
    fn before(&self, pool: &str) -> Option<(Instant, Option<&PoolSample>)> {
        let mut before = None;
        for sample in &self.samples {
            match sample.pools.get(pool) {
                Some(found) => return Some(before.unwrap_or((sample.at, Some(found)))),
                None => before = Some((sample.at, None)),
            }
        }
        before
    }
}

impl PoolSample {
    fn since(&self, before: Option<&PoolSample>, span: Duration) -> PoolMinute {
        let mut minute = PoolMinute { span, ..PoolMinute::default() };
        for (name, now) in &self.workers {
            let before = before.and_then(|before| before.workers.get(name));
            let worker = now.since(before.copied().unwrap_or_default());
            minute.requests += worker.requests;
            minute.errors += worker.errors;
            minute.workers.insert(name.clone(), worker);
        }
        let queue = self.queue.since(before.map(|before| &before.queue));
        minute.waited = queue.waits.count;
        minute.wait_p99 = quantile(&queue.waits, 0.99);
        minute.dropped = queue.drops;
        if let Some(answers) = &self.answers {
            let before = before.and_then(|before| before.answers.as_ref());
            let Answers { durations, errors } = answers.since(before);
            minute.requests = durations.count;
            minute.errors = errors.values().sum();
            minute.codes = errors;
            minute.p50 = quantile(&durations, 0.5);
            minute.p99 = quantile(&durations, 0.99);
        }
        minute
    }
}

impl Answers {
    fn of(metrics: &RouteMetrics) -> Answers {
        let errors = metrics.codes().filter(|(code, _)| code.starts_with('5')).collect();
        Answers { durations: metrics.durations(), errors }
    }

    fn since(&self, before: Option<&Answers>) -> Answers {
        let Some(before) = before else { return self.clone() };
        Answers {
            durations: observed_since(&self.durations, &before.durations),
            errors: counted_since(&self.errors, &before.errors),
        }
    }

    fn add(&mut self, more: &Answers) {
        let sum = [std::mem::take(&mut self.durations), more.durations.clone()];
        self.durations = sum.into_iter().sum();
        for (code, count) in &more.errors {
            *self.errors.entry(code).or_default() += count;
        }
    }
}

impl Queue {
    fn of(figures: &PoolFigures) -> Queue {
        let drops = figures.queue_drops.iter().copied().collect();
        Queue { waits: figures.queue_wait.clone(), drops }
    }

    fn since(&self, before: Option<&Queue>) -> Queue {
        let none = Queue::default();
        let before = before.unwrap_or(&none);
        Queue {
            waits: observed_since(&self.waits, &before.waits),
            drops: counted_since(&self.drops, &before.drops),
        }
    }
}

impl Now {
    pub(crate) fn of(pool: &Pool) -> Now {
        Now { status: pool.status(), figures: pool.figures() }
    }
}

fn observed_since(now: &HistogramValues, before: &HistogramValues) -> HistogramValues {
    let mut since = now.clone();
    let counts = since.counts.iter_mut().zip(before.counts);
    counts.for_each(|(now, before)| *now = now.saturating_sub(before));
    since.count = since.counts.iter().sum();
    since.sum_seconds -= before.sum_seconds;
    since
}

/// Only of what happened at all.
fn counted_since(
    now: &BTreeMap<&'static str, u64>,
    before: &BTreeMap<&'static str, u64>,
) -> BTreeMap<&'static str, u64> {
    let since = |(what, count): (&&'static str, &u64)| {
        (*what, count.saturating_sub(before.get(what).copied().unwrap_or_default()))
    };
    now.iter().map(since).filter(|(_, count)| *count > 0).collect()
}

impl WorkerSample {
    fn of(worker: &WorkerStatus) -> WorkerSample {
        let mut sample = WorkerSample {
            busy: worker.busy,
            capacity: worker.weight.or(worker.slots),
            ..WorkerSample::default()
        };
        for (outcome, count) in &worker.requests {
            sample.leases += count;
            if !matches!(*outcome, "served" | "client_gone" | "abandoned" | "not_sent") {
                sample.errors += count;
            }
        }
        sample
    }

    /// A worker that left and came back begins anew.
    fn since(self, before: WorkerSample) -> WorkerMinute {
        let before = if self.leases < before.leases { WorkerSample::default() } else { before };
        let requests = self.leases - before.leases;
        let busy = self.busy.saturating_sub(before.busy);
        let mean = u32::try_from(requests).ok().and_then(|n| busy.checked_div(n));
        WorkerMinute { requests, errors: self.errors.saturating_sub(before.errors), mean }
    }
}

#[cfg(test)]
mod tests;
