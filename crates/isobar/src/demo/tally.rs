//! What the load saw of one pool: answers, their times, failures by reason, and the slowest answer
//! of each recent second. It hears from nobody but the load.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::latencies::Latencies;

/// Seconds of history kept.
const HISTORY: usize = 240;

pub(super) struct Tally(Mutex<Seen>);

/// A tally at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) sent: u64,
    pub(super) answered: u64,
    /// By reason.
    pub(super) failed: BTreeMap<String, u64>,
    /// Arrivals that were not sent because too many requests were outstanding.
    pub(super) unsent: u64,
    pub(super) outstanding: usize,
    pub(super) latencies: Latencies,
    /// By worker.
    pub(super) workers: Vec<Latencies>,
    /// The slowest answer of each second, the oldest first.
    pub(super) slowest: VecDeque<Duration>,
    /// The second the last of them belongs to.
    second: u64,
}

impl Tally {
    pub(super) fn new(workers: usize) -> Tally {
        let workers = vec![Latencies::default(); workers];
        Tally(Mutex::new(Seen { workers, ..Seen::default() }))
    }

    pub(super) fn seen(&self) -> Seen {
        self.lock().clone()
    }

    /// One more is sent, unless so many are outstanding.
    pub(super) fn send(&self, most: usize) -> bool {
        let mut seen = self.lock();
        let room = seen.outstanding < most;
        match room {
            true => {
                seen.sent += 1;
                seen.outstanding += 1;
            }
            false => seen.unsent += 1,
        }
        room
    }

    /// Answered by this worker, so long after the demo's start.
    pub(super) fn answered(&self, worker: Option<usize>, took: Duration, at: Duration) {
        let mut seen = self.lock();
        seen.outstanding -= 1;
        seen.answered += 1;
        seen.latencies.observe(took);
        if let Some(of_worker) = worker.and_then(|worker| seen.workers.get_mut(worker)) {
            of_worker.observe(took);
        }
        seen.turn(at);
        if let Some(slowest) = seen.slowest.back_mut() {
            *slowest = took.max(*slowest);
        }
    }

    pub(super) fn failed(&self, reason: String) {
        let mut seen = self.lock();
        seen.outstanding -= 1;
        *seen.failed.entry(reason).or_default() += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn turn(&mut self, at: Duration) {
        if self.slowest.is_empty() {
            self.second = at.as_secs();
            self.slowest.push_back(Duration::ZERO);
        }
        while self.second < at.as_secs() {
            self.second += 1;
            self.slowest.push_back(Duration::ZERO);
        }
        while self.slowest.len() > HISTORY {
            self.slowest.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn every_request_ends_once() {
        let tally = Tally::new(1);
        assert!(tally.send(2) && tally.send(2) && !tally.send(2));
        tally.answered(Some(0), MS(5), MS(100));
        tally.failed("queue_full".into());
        let seen = tally.seen();
        assert_eq!(
            (seen.sent, seen.answered, seen.failed["queue_full"], seen.unsent),
            (2, 1, 1, 1)
        );
        assert_eq!(seen.outstanding, 0);
    }

    #[test]
    fn seconds_without_answers_have_their_place() {
        let tally = Tally::new(1);
        for (took, at) in [(5, 100), (9, 900), (7, 3_100)] {
            tally.send(9);
            tally.answered(None, MS(took), MS(at));
        }
        assert_eq!(tally.seen().slowest, [MS(9), MS(0), MS(0), MS(7)]);
        tally.send(9);
        tally.answered(None, MS(1), MS(1_000_000));
        assert_eq!(tally.seen().slowest.len(), HISTORY);
    }
}
