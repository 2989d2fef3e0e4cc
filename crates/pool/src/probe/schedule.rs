//! When a worker is probed: at once, then every interval, a little earlier or later each time. An
//! attempt that proves nothing says so: our own timer was late, we ran out of descriptors, or the
//! worker is busy with a request in every slot, which is a better probe than ours for as long as
//! some answer comes now and then.

use std::sync::Arc;
use std::time::Duration;

use isobar_balance::state::ProbeResult;
use tokio::time::{Instant, sleep_until};

use super::ProbeError;
use super::visit::{Unanswered, Visit};
use crate::connect::ConnectError;
use crate::mailbox::{Observation, Seen};
use crate::pace::Pace;
use crate::settings::Health;
use crate::target::Target;

/// A timer later than this means that we were not running: no fault of the worker.
const LATE: Duration = Duration::from_millis(100);

pub(crate) async fn run(target: Arc<Target>, health: Health, pace: Pace) {
    let mut rng = fastrand::Rng::new();
    let mut quick = pace.quick();
    let sooner = quick.as_mut().and_then(|quick| quick.pause(health.interval));
    let mut due = Instant::now() + sooner.unwrap_or_default();
    let mut probing = Probing { target, health, patience: None, unanswered: None };
    loop {
        sleep_until(due).await;
        let started = Instant::now();
        let late = started - due > LATE;
        let Health { interval, timeout, .. } = probing.health;
        let result = match probing.attempt().await {
            ProbeResult::Failed(_) | ProbeResult::TimedOut(_)
                if late || started.elapsed() > timeout + LATE =>
            {
                ProbeResult::Inconclusive
            }
            result => result,
        };
        let target = &probing.target;
        target.shared.mailbox.send(Observation::now(target, Seen::Probed(result))).await;
        let jitter = 0.9 + 0.2 * rng.f64();
        let sooner = quick.as_mut().and_then(|quick| quick.pause(interval));
        let pause = sooner.unwrap_or_else(|| interval.mul_f64(jitter));
        due = (started + pause).max(Instant::now());
    }
}

struct Probing {
    target: Arc<Target>,
    health: Health,
    /// While every slot is taken: since when, and how many answers had come by then.
    patience: Option<(Instant, u64)>,
    /// An earlier probe that still holds its slot.
    unanswered: Option<Unanswered>,
}

impl Probing {
    async fn attempt(&mut self) -> ProbeResult {
        if !self.health.probe.takes_slot() {
            return self.ask(Visit::Free).await;
        }
        if self.unanswered.as_ref().is_some_and(|earlier| !earlier.is_over()) {
            // To ask again would not be answered sooner.
            return self.silence();
        }
        self.unanswered = None;
        match Visit::begin(&self.target).await {
            Some(visit) => self.ask(visit).await,
            None if self.patience_is_over() => {
                let beside = Visit::beside(&self.target);
                self.ask(beside).await
            }
            None => ProbeResult::Inconclusive,
        }
    }

    async fn ask(&mut self, visit: Visit) -> ProbeResult {
        let (probe, target) = (self.health.probe.clone(), self.target.clone());
        let asking = Box::pin(async move { probe.probe(&target.dial().0).await });
        let (answer, unanswered) = visit.wait(&self.target, asking, self.health.timeout).await;
        self.unanswered = unanswered;
        match answer {
            Ok(()) => {
                self.patience = None;
                ProbeResult::Ok
            }
            Err(ProbeError::Connect(ConnectError::Exhausted(_))) => ProbeResult::Inconclusive,
            Err(ProbeError::Timeout) => self.silence(),
            Err(error) => ProbeResult::Failed(error.to_string()),
        }
    }

    /// No answer in time: that is the worker's failure unless our own traffic keeps it busy, which
    /// it does where requests hold every slot, or every one but the probe's.
    fn silence(&mut self) -> ProbeResult {
        let word = self.target.slots().load();
        let ours = u32::from(self.unanswered.is_some());
        let requests = word.in_flight().saturating_sub(ours);
        let busy = requests > 0 && word.limit().is_some_and(|limit| word.in_flight() >= limit);
        if busy && self.health.probe.takes_slot() {
            if !self.patience_is_over() {
                return ProbeResult::Inconclusive;
            }
            let limit = self.health.busy_limit;
            return ProbeResult::TimedOut(format!("busy, and no answer for {limit:?}"));
        }
        self.patience = None;
        ProbeResult::TimedOut(ProbeError::Timeout.to_string())
    }

    /// Every slot is taken, and nothing has been answered for longer than a request may take. With
    /// one slot that is the age of its request; with several some may well take longer. To know the
    /// oldest request's age every lease would have to write down when it began, for a probe that
    /// hardly ever asks.
    fn patience_is_over(&mut self) -> bool {
        let answers = self.target.worker().stats().answers();
        match self.patience {
            Some((since, before)) if before == answers => since.elapsed() > self.health.busy_limit,
            _ => {
                self.patience = Some((Instant::now(), answers));
                false
            }
        }
    }
}
