//! How evenly each pool's work fell on its workers in the last minute: samples busy times every
//! few seconds and keeps a window of them. `balance` says what "even" means.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use isobar_balance::fairness::jain_index;
use isobar_pool::{PoolStatus, WorkerStatus};
use tokio::time::{MissedTickBehavior, interval};

use crate::app::Control;

const EVERY: Duration = Duration::from_secs(5);
/// One more than a minute has steps.
const SAMPLES: usize = 13;

/// By pool, the oldest sample first.
#[derive(Default)]
pub(crate) struct Fairness(Mutex<BTreeMap<String, VecDeque<Sample>>>);

/// By worker: busy since its start, and its capacity.
type Sample = BTreeMap<String, (Duration, NonZeroU32)>;

impl Fairness {
    /// Runs for as long as the process.
    pub(crate) async fn sample(control: Arc<Control>) {
        let mut clock = interval(EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            clock.tick().await;
            let pools: Vec<_> = control.lock().pools().values().cloned().collect();
            let statuses: Vec<_> = pools.iter().map(|pool| pool.status()).collect();
            control.fairness.note(&statuses);
        }
    }

    /// Jain's index of each pool.
    pub(crate) fn ratios(&self) -> BTreeMap<String, f64> {
        let windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ratio = |(pool, window): (&String, &VecDeque<Sample>)| {
            let (first, last) = (window.front()?, window.back()?);
            let busy = last.iter().map(|(worker, (busy, capacity))| {
                let before = first.get(worker).map_or(Duration::ZERO, |(before, _)| *before);
                (busy.saturating_sub(before), *capacity)
            });
            Some((pool.clone(), jain_index(busy)))
        };
        windows.iter().filter_map(ratio).collect()
    }

    fn note(&self, pools: &[PoolStatus]) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.retain(|name, _| pools.iter().any(|pool| pool.name == *name));
        for pool in pools {
            let sample = pool.workers.iter().map(|w| (w.name.clone(), (w.busy, capacity(w))));
            let window = windows.entry(pool.name.clone()).or_default();
            window.push_back(sample.collect());
            if window.len() > SAMPLES {
                window.pop_front();
            }
        }
    }
}

/// The explicit weight, else the slots, else 1.
fn capacity(worker: &WorkerStatus) -> NonZeroU32 {
    worker.weight.or(worker.slots).unwrap_or(NonZeroU32::MIN)
}
