//! What a worker's own traffic says against it: failures in a row, several failures within a short
//! time, and the share of failures in a window of time.
//!
//! Shards note each outcome; crossing a threshold is seen by exactly one of them, who tells the
//! supervisor. The share is computed by the supervisor from counters that exist anyway.
//! What follows from a sign is [`PoolState`](crate::state::PoolState)'s to decide.

mod rate;
mod recent;
mod transport;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::Instant;

pub use self::rate::{RateWindow, Tally};
pub use self::recent::Burst;
use self::recent::Recent;
pub use self::transport::Asked;
use self::transport::TransportRun;

use crate::lease::{Failure, Outcome};

/// Why a worker looks ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// So many requests in a row found no connection, or no answer that may be believed.
    TransportFailures(u32),
    /// So many answers of 500 and more, or none at all, in a row.
    Failures(u32),
    /// So many 502, 503, 504 or connections that failed, in a row.
    GatewayFailures(u32),
    /// Failures within a short time.
    Burst(Burst),
    /// Thousandths of the requests in the window.
    FailureRate(u16),
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TransportFailures(n) => write!(f, "{n} transport failures in a row"),
            Self::Failures(n) => write!(f, "{n} failures in a row"),
            Self::GatewayFailures(n) => write!(f, "{n} gateway failures in a row"),
            Self::Burst(Burst { count, within }) => {
                write!(f, "{count} failures within {within:?}")
            }
            Self::FailureRate(rate) => {
                write!(f, "{}% of requests failed", f64::from(*rate) / 10.0)
            }
        }
    }
}

/// What speaks against a worker; 0 = never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thresholds {
    pub transport_failures: u32,
    pub failures: u32,
    pub gateway_failures: u32,
    /// Failures within a time, in a row or not.
    pub burst: Option<Burst>,
}

/// Failures of one worker, over all shards. A success costs one read of a line that nobody writes
/// while all is well.
#[derive(Default)]
pub(crate) struct Runs {
    /// Some run is under way. Written behind whatever it tells of, so that no run outlives an answer
    /// that came after it.
    begun: AtomicBool,
    failures: Run,
    gateway: Run,
    transport: TransportRun,
    recent: Recent,
}

#[derive(Default)]
struct Run {
    length: AtomicU32,
    threshold: AtomicU32,
}

impl Runs {
    /// True for the one outcome that makes a run as long as its threshold. `asked`: whose request it
    /// was, of a failure.
    #[inline]
    pub(crate) fn note(&self, outcome: Outcome, asked: Asked, now: Instant) -> bool {
        match verdict(outcome) {
            Verdict::Nothing => false,
            Verdict::Good => {
                if self.begun.load(Relaxed) {
                    self.end();
                }
                false
            }
            verdict => self.failed(outcome, verdict, asked, now),
        }
    }

    #[cold]
    fn end(&self) {
        self.begun.store(false, Relaxed);
        self.failures.end();
        self.gateway.end();
        self.transport.end();
    }

    #[cold]
    fn failed(&self, outcome: Outcome, verdict: Verdict, asked: Asked, now: Instant) -> bool {
        let transport = match outcome {
            // Whatever it says: it was reached, and it answered.
            Outcome::Served { .. } => {
                self.transport.end();
                false
            }
            Outcome::Failed(failure) if failure.is_of_connecting() => {
                self.transport.extend(Asked::Unseen)
            }
            Outcome::Failed(failure) if failure.is_of_transport() => self.transport.extend(asked),
            _ => false,
        };
        let gateway = match verdict {
            Verdict::GatewayFailure => self.gateway.extend(),
            _ => {
                self.gateway.end();
                false
            }
        };
        let crossed = self.failures.extend() | gateway | transport | self.recent.add(now);
        self.begun.store(true, Relaxed);
        crossed
    }

    /// Another worker has answered the request on which this one failed. True as for
    /// [`Runs::note`].
    pub(crate) fn confirm(&self, key: u64) -> bool {
        self.transport.confirm(key)
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures.length.load(Relaxed)
    }

    pub(crate) fn watch(&self, thresholds: Thresholds) {
        self.failures.threshold.store(thresholds.failures, Relaxed);
        self.gateway.threshold.store(thresholds.gateway_failures, Relaxed);
        self.transport.watch(thresholds.transport_failures);
        self.recent.watch(thresholds.burst);
    }

    /// What can be seen at `now`, for whoever missed the crossing.
    pub(crate) fn sign(&self, now: Instant) -> Option<Sign> {
        let failures = || self.failures.crossed().map(Sign::Failures);
        let gateway = || self.gateway.crossed().map(Sign::GatewayFailures);
        let transport = || self.transport.crossed().map(Sign::TransportFailures);
        let burst = || self.recent.crossed(now).map(Sign::Burst);
        failures().or_else(gateway).or_else(transport).or_else(burst)
    }

    pub(crate) fn forget(&self) {
        self.end();
        self.recent.forget();
    }
}

impl Run {
    fn end(&self) {
        if self.length.load(Relaxed) != 0 {
            self.length.store(0, Relaxed);
        }
    }

    /// True once per run at most. A run of four thousand million begins again, which is as well.
    fn extend(&self) -> bool {
        self.length.fetch_add(1, Relaxed).wrapping_add(1) == self.threshold.load(Relaxed)
    }

    fn crossed(&self) -> Option<u32> {
        let (length, threshold) = (self.length.load(Relaxed), self.threshold.load(Relaxed));
        (threshold != 0 && length >= threshold).then_some(length)
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Good,
    Failure,
    GatewayFailure,
    /// Nobody's fault: the client left.
    Nothing,
}

/// An answer of the application's, even a refusal, is a sign of life; 5xx are not: the contract of
/// Envoy's `consecutive_5xx` and `consecutive_gateway_failure`.
#[inline]
fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Served { status: 502..=504 } => Verdict::GatewayFailure,
        Outcome::Served { status: 500.. } => Verdict::Failure,
        Outcome::Served { .. } => Verdict::Good,
        Outcome::Failed(Failure::Protocol) => Verdict::Failure,
        Outcome::Failed(_) => Verdict::GatewayFailure,
        Outcome::ClientGone | Outcome::Abandoned | Outcome::NotSent => Verdict::Nothing,
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const OK: Outcome = Outcome::Served { status: 200 };
    const ERROR: Outcome = Outcome::Served { status: 500 };
    const RESET: Outcome = Outcome::Failed(Failure::Reset);

    fn thresholds(failures: u32, gateway_failures: u32) -> Thresholds {
        Thresholds { failures, gateway_failures, ..Thresholds::default() }
    }

    fn note(runs: &Runs, outcome: Outcome) -> bool {
        runs.note(outcome, Asked::By(1), Instant::now())
    }

    #[test]
    fn an_answer_of_any_status_ends_a_run_of_the_transport() {
        let runs = Runs::default();
        runs.watch(Thresholds { transport_failures: 3, ..Thresholds::default() });
        assert!(!note(&runs, RESET) && !note(&runs, RESET) && !note(&runs, ERROR));
        let neither = [Failure::Timeout, Failure::ResetMidBody].map(Outcome::Failed);
        let told = [RESET, neither[0], RESET, neither[1]].map(|outcome| note(&runs, outcome));
        assert_eq!((told, runs.sign(Instant::now())), ([false; 4], None));
        assert!(note(&runs, Outcome::Failed(Failure::FirstByte)));
        assert_eq!(runs.sign(Instant::now()), Some(Sign::TransportFailures(3)));
        assert!(!note(&runs, OK));
        assert_eq!(runs.sign(Instant::now()), None);
    }

    /// By clients enough, or by one whose request another worker answered.
    #[test]
    fn a_client_alone_takes_no_worker_out() {
        let runs = Runs::default();
        runs.watch(Thresholds { transport_failures: 5, ..Thresholds::default() });
        assert!(!(0..20).any(|_| note(&runs, RESET)));
        assert!(!runs.confirm(1) && runs.confirm(1));
    }

    #[test]
    fn a_run_is_told_once_and_ends_with_an_answer() {
        let runs = Runs::default();
        runs.watch(thresholds(3, 0));
        let told = |outcomes: &[Outcome]| outcomes.iter().filter(|o| note(&runs, **o)).count();
        assert_eq!(told(&[ERROR, ERROR, OK, ERROR, RESET]), 0);
        assert_eq!(told(&[ERROR, ERROR, ERROR, RESET]), 1);
        assert_eq!(runs.sign(Instant::now()), Some(Sign::Failures(6)));
        assert_eq!(told(&[Outcome::Served { status: 404 }]), 0);
        assert_eq!((runs.sign(Instant::now()), runs.failures()), (None, 0));
    }

    #[test]
    fn a_client_that_left_neither_adds_to_a_run_nor_ends_it() {
        let runs = Runs::default();
        runs.watch(thresholds(2, 0));
        assert!(!note(&runs, ERROR));
        assert!(!note(&runs, Outcome::ClientGone) && !note(&runs, Outcome::Abandoned));
        assert!(!note(&runs, Outcome::NotSent));
        assert_eq!(runs.failures(), 1);
        assert!(note(&runs, ERROR));
    }

    #[test]
    fn gateway_failures_are_their_own_run() {
        let runs = Runs::default();
        runs.watch(thresholds(0, 2));
        let gateway = Outcome::Served { status: 503 };
        let protocol = Outcome::Failed(Failure::Protocol);
        assert!(!note(&runs, gateway) && !note(&runs, ERROR));
        assert!(!note(&runs, gateway) && !note(&runs, protocol));
        assert!(!note(&runs, gateway) && note(&runs, RESET));
        assert_eq!(runs.sign(Instant::now()), Some(Sign::GatewayFailures(2)));
        runs.forget();
        assert_eq!(runs.sign(Instant::now()), None);
    }

    #[test]
    fn the_crossing_is_seen_by_one_thread_of_many() {
        let runs = Runs::default();
        runs.watch(thresholds(500, 0));
        let told: usize = std::thread::scope(|scope| {
            let shard = || (0..1000).filter(|_| note(&runs, ERROR)).count();
            let shards: Vec<_> = (0..8).map(|_| scope.spawn(shard)).collect();
            shards.into_iter().map(|shard| shard.join().expect("a shard")).sum()
        });
        assert_eq!(told, 1);
    }
}
