//! Failures in a row of the way to a worker: no connection, no head, or none that is HTTP.
//!
//! A request can be such that every worker breaks on it. So one client's requests add at most
//! [`PER_CLIENT`] to a run, unless they cannot be at fault: nothing of them was sent, or another
//! worker answered the very same request. A lock is taken only when something failed, and once by
//! the success behind that.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::key_hash::client_key;

/// What one client's requests add to a run at most.
const PER_CLIENT: u32 = 3;

/// Whose request met a failure of the transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Its request may be what the worker breaks on. The key tells clients apart.
    By(u64),
    /// The worker had seen nothing of the request.
    Unseen,
}

impl Asked {
    /// Clients are told apart by their addresses (IPv6 by /64); those without one count as one.
    pub fn by(client: Option<IpAddr>) -> Asked {
        Asked::By(client.map_or(0, client_key))
    }
}

/// One worker's run over all shards.
#[derive(Default)]
pub(super) struct TransportRun {
    length: AtomicU32,
    threshold: AtomicU32,
    askers: Mutex<Vec<Asker>>,
}

/// A client whose requests met failures in this run.
struct Asker {
    key: u64,
    counted: u32,
    /// Failures that did not count because it had met too many.
    beyond: u32,
}

impl TransportRun {
    pub(super) fn watch(&self, threshold: u32) {
        self.threshold.store(threshold, Relaxed);
    }

    /// An answer came, or the run is to be forgotten.
    pub(super) fn end(&self) {
        let mut askers = self.askers();
        askers.clear();
        self.length.store(0, Relaxed);
    }

    /// True for the one failure that makes the run as long as its threshold.
    pub(super) fn extend(&self, asked: Asked) -> bool {
        let mut askers = self.askers();
        if self.is_over() {
            return false;
        }
        if let Asked::By(key) = asked {
            match askers.iter_mut().find(|asker| asker.key == key) {
                None => askers.push(Asker { key, counted: 1, beyond: 0 }),
                Some(asker) if asker.counted < PER_CLIENT => asker.counted += 1,
                Some(asker) => {
                    asker.beyond += 1;
                    return false;
                }
            }
        }
        self.grow()
    }

    /// Another worker has answered a request of this client on which this one failed: the request
    /// is not to blame. True as for [`TransportRun::extend`].
    pub(super) fn confirm(&self, key: u64) -> bool {
        let mut askers = self.askers();
        if self.is_over() {
            return false;
        }
        match askers.iter_mut().find(|asker| asker.key == key) {
            Some(asker) if asker.beyond > 0 => {
                asker.beyond -= 1;
                self.grow()
            }
            Some(asker) => {
                asker.counted = asker.counted.saturating_sub(1);
                false
            }
            // An answer has ended the run meanwhile.
            None => false,
        }
    }

    /// How long it is, if it has reached its threshold.
    pub(super) fn crossed(&self) -> Option<u32> {
        let watched = self.threshold.load(Relaxed) != 0;
        (watched && self.is_over()).then(|| self.length.load(Relaxed))
    }

    /// Nothing more is to be counted: it has been told, or nobody asks.
    fn is_over(&self) -> bool {
        self.length.load(Relaxed) >= self.threshold.load(Relaxed)
    }

    /// Under the lock.
    fn grow(&self) -> bool {
        let length = self.length.load(Relaxed) + 1;
        self.length.store(length, Relaxed);
        length == self.threshold.load(Relaxed)
    }

    fn askers(&self) -> MutexGuard<'_, Vec<Asker>> {
        self.askers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn run() -> TransportRun {
        let run = TransportRun::default();
        run.watch(5);
        run
    }

    #[test]
    fn one_clients_requests_add_three_at_most() {
        let run = run();
        assert_eq!((0..50).filter(|_| run.extend(Asked::By(1))).count(), 0);
        assert_eq!(run.crossed(), None);
        assert!(!run.extend(Asked::By(2)) && run.extend(Asked::By(2)), "two more of another");
        assert_eq!(run.crossed(), Some(5));
        assert!(!run.extend(Asked::By(3)), "told once");
        run.end();
        assert_eq!(run.crossed(), None);
        assert_eq!((0..50).filter(|_| run.extend(Asked::By(1))).count(), 0, "it begins anew");
    }

    #[test]
    fn a_request_of_which_nothing_was_sent_is_not_to_blame() {
        let run = run();
        let told: Vec<_> = (0..6).map(|_| run.extend(Asked::Unseen)).collect();
        assert_eq!(told, [false, false, false, false, true, false]);
    }

    #[test]
    fn a_request_that_another_worker_answered_is_not_to_blame() {
        let run = run();
        let told: Vec<_> = (0..6).map(|_| run.extend(Asked::By(1)) | run.confirm(1)).collect();
        assert_eq!(told, [false, false, false, false, true, false]);
        let run = self::run();
        (0..7).for_each(|_| assert!(!run.extend(Asked::By(1))));
        assert!(!run.confirm(1) && run.confirm(1), "those beyond count now");
        run.end();
        assert!(!run.confirm(1));
    }

    #[test]
    fn without_a_threshold_nothing_is_kept() {
        let run = TransportRun::default();
        (0..100).for_each(|key| assert!(!run.extend(Asked::By(key))));
        assert!(run.askers().is_empty() && !run.extend(Asked::Unseen));
        assert_eq!(run.crossed(), None);
    }
}
