//! When a worker is probed: at once, then every interval, a little earlier or later each time. An
//! attempt that proves nothing says so: our own timer was late, we ran out of descriptors, or the
//! worker is busy with a request in every slot, which is a better probe than ours.

use std::sync::Arc;
use std::time::Duration;

use isobar_balance::state::ProbeResult;
use tokio::time::{Instant, sleep_until, timeout};

use super::{Probe, ProbeError};
use crate::connect::ConnectError;
use crate::idle::Open;
use crate::mailbox::{Observation, Seen};
use crate::settings::Health;
use crate::target::{Place, Target};

/// A timer later than this means that we were not running: no fault of the worker.
const LATE: Duration = Duration::from_millis(100);

pub(crate) async fn run(target: Arc<Target>, health: Health) {
    let mut rng = fastrand::Rng::new();
    let mut due = Instant::now();
    loop {
        sleep_until(due).await;
        let started = Instant::now();
        let late = started - due > LATE;
        let result = match attempt(&target, &*health.probe, health.timeout).await {
            ProbeResult::Failed(_) if late || started.elapsed() > health.timeout + LATE => {
                ProbeResult::Inconclusive
            }
            result => result,
        };
        let seen = Seen::Probed(result);
        target.shared.mailbox.send(Observation { target: target.clone(), seen }).await;
        let jitter = 0.9 + 0.2 * rng.f64();
        due = (started + health.interval.mul_f64(jitter)).max(Instant::now());
    }
}

async fn attempt(target: &Arc<Target>, probe: &dyn Probe, limit: Duration) -> ProbeResult {
    let Some(visit) = Visit::begin(target, probe).await else { return ProbeResult::Inconclusive };
    let result = timeout(limit, probe.probe(target)).await.unwrap_or(Err(ProbeError::Timeout));
    drop(visit);
    match result {
        Ok(()) => ProbeResult::Ok,
        Err(ProbeError::Connect(ConnectError::Exhausted(_))) => ProbeResult::Inconclusive,
        Err(error) => ProbeResult::Failed(error.to_string()),
    }
}

/// A probe's stay at a worker: with a slot limit it takes a slot like a request.
enum Visit {
    Free,
    Slot {
        /// Gone before the slot is given back.
        _open: Open,
        _slot: Slot,
    },
}

impl Visit {
    async fn begin(target: &Arc<Target>, probe: &dyn Probe) -> Option<Visit> {
        let word = target.slots().load();
        let Some(limit) = word.limit().filter(|_| probe.takes_slot()) else {
            return Some(Visit::Free);
        };
        if word.is_closed() {
            // Nobody else can enter; who is inside may still use all there is.
            return (word.in_flight() < limit).then_some(Visit::Free);
        }
        if !target.slots().try_reserve() {
            return None;
        }
        let slot = Slot(Place(target.clone()));
        // A worker that serves one connection at a time would not see ours beside a resting one.
        let open = target.room().await;
        Some(Visit::Slot { _open: open, _slot: slot })
    }
}

struct Slot(Place);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.shared.waiters.release(&self.0, std::time::Instant::now());
    }
}
