//! What the log says of requests that ended badly: a worker's fault as a warning, a head that was
//! refused as a remark, each in the words of whoever noticed.
//!
//! A crowd of the same kind is one line a second, and all kinds together are a few dozen; the next
//! line says how many were left out. Only who has something to complain of comes here.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::reason::Reason;

const WINDOW: Duration = Duration::from_secs(1);
/// Kinds that are told of in one window.
const KINDS: usize = 32;

/// A request that got an answer of ours because of its worker, or half of one.
pub(crate) struct Fault<'a> {
    pub(crate) pool: &'a str,
    pub(crate) worker: &'a str,
    pub(crate) request_id: &'a [u8],
    pub(crate) reason: Reason,
    /// In the parser's or the system's words.
    pub(crate) words: &'a str,
}

impl Fault<'_> {
    pub(crate) fn tell(&self) {
        static TOLD: Told = Told::new();
        let Fault { pool, worker, reason, .. } = *self;
        let Some(untold) = TOLD.admit((pool, worker, reason.code())) else { return };
        let request_id = &*String::from_utf8_lossy(self.request_id);
        let reason = reason.code();
        match untold {
            0 => tracing::warn!(pool, worker, request_id, reason, "worker failed: {}", self.words),
            _ => tracing::warn!(
                pool,
                worker,
                request_id,
                reason,
                untold,
                "worker failed: {}",
                self.words
            ),
        }
    }
}

/// A request that we refused because of how it was written.
pub(crate) struct Refused<'a> {
    pub(crate) listener: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) request_id: &'a [u8],
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    pub(crate) words: &'a str,
}

impl Refused<'_> {
    pub(crate) fn tell(&self) {
        static TOLD: Told = Told::new();
        let Refused { listener, status, .. } = *self;
        let Some(untold) = TOLD.admit((listener, status, self.words)) else { return };
        let client = self.client.map(|client| client.to_string()).unwrap_or_default();
        let client = client.as_str();
        let request_id = &*String::from_utf8_lossy(self.request_id);
        let reason = self.reason.code();
        match untold {
            0 => tracing::info!(
                listener,
                client,
                request_id,
                status,
                reason,
                "request refused: {}",
                self.words
            ),
            _ => tracing::info!(
                listener,
                client,
                request_id,
                status,
                reason,
                untold,
                "request refused: {}",
                self.words
            ),
        }
    }
}

/// What was told in this window, by kind.
struct Told(Mutex<Window>);

struct Window {
    began: Option<Instant>,
    kinds: Option<HashSet<u64>>,
    untold: u64,
}

impl Told {
    const fn new() -> Self {
        Self(Mutex::new(Window { began: None, kinds: None, untold: 0 }))
    }

    /// `Some`: it may be told, and how many have not been since the last one.
    fn admit(&self, kind: impl Hash) -> Option<u64> {
        let mut hasher = DefaultHasher::new();
        kind.hash(&mut hasher);
        self.admit_at(hasher.finish(), Instant::now())
    }

    fn admit_at(&self, kind: u64, now: Instant) -> Option<u64> {
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if window.began.is_none_or(|began| now.saturating_duration_since(began) >= WINDOW) {
            window.began = Some(now);
            window.kinds.get_or_insert_default().clear();
        }
        let kinds = window.kinds.get_or_insert_default();
        if kinds.len() < KINDS && kinds.insert(kind) {
            return Some(std::mem::take(&mut window.untold));
        }
        window.untold += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_one_kind_is_one_line_a_second() {
        let told = Told::new();
        let began = Instant::now();
        let lines: Vec<_> = (0..1_000).filter_map(|_| told.admit_at(1, began)).collect();
        assert_eq!(lines, [0]);
        assert_eq!(told.admit_at(2, began), Some(999), "another kind has a line of its own");
        assert_eq!(told.admit_at(1, began + WINDOW), Some(0));
        let kinds = (10..1_000).filter_map(|kind| told.admit_at(kind, began + WINDOW));
        assert_eq!(kinds.count(), KINDS - 1);
    }
}
