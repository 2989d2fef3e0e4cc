//! Log lines about requests that ended badly: a worker's fault is a warning, a request that we refused
//! is an information. Each has the words of the parser or of the system.
//!
//! The same fault is logged once a second, and all faults together at most 32 times a second. The next
//! line says in `suppressed` how many were left out. Requests that end well never come here.

use std::{
    collections::HashSet,
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::reason::Reason;

const WINDOW: Duration = Duration::from_secs(1);
/// So many different faults are logged in one window.
const KINDS: usize = 32;

/// A worker failed: the client got an error from us instead of its answer, or only half of the answer.
pub(crate) struct Fault<'a> {
    pub(crate) pool: &'a str,
    pub(crate) worker: &'a str,
    pub(crate) request_id: &'a [u8],
    pub(crate) reason: Reason,
    /// In the parser's or the system's words.
    pub(crate) words: &'a str,
}

impl Fault<'_> {
    pub(crate) fn log(&self) {
        static LIMIT: LogLimit = LogLimit::new();
        let Fault { pool, worker, reason, .. } = *self;
        let Some(suppressed) = LIMIT.admit((pool, worker, reason.code())) else { return };
        let request_id = &*String::from_utf8_lossy(self.request_id);
        let reason = reason.code();
        match suppressed {
            0 => tracing::warn!(pool, worker, request_id, reason, "worker failed: {}", self.words),
            _ => tracing::warn!(
                pool,
                worker,
                request_id,
                reason,
                suppressed,
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
    pub(crate) fn log(&self) {
        static LIMIT: LogLimit = LogLimit::new();
        let Refused { listener, status, .. } = *self;
        let Some(suppressed) = LIMIT.admit((listener, status, self.words)) else { return };
        let client = self.client.map(|client| client.to_string()).unwrap_or_default();
        let client = client.as_str();
        let request_id = &*String::from_utf8_lossy(self.request_id);
        let reason = self.reason.code();
        match suppressed {
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
                suppressed,
                "request refused: {}",
                self.words
            ),
        }
    }
}

/// A connection that was not served: it did not get as far as a request.
pub(crate) struct TurnedAway<'a> {
    pub(crate) listener: &'a str,
    pub(crate) client: Option<IpAddr>,
    pub(crate) what: &'static str,
    pub(crate) words: &'a str,
}

impl TurnedAway<'_> {
    pub(crate) fn log(&self) {
        static LIMIT: LogLimit = LogLimit::new();
        let TurnedAway { listener, words, .. } = *self;
        let Some(suppressed) = LIMIT.admit((listener, words)) else { return };
        let client = self.client.map(|client| client.to_string()).unwrap_or_default();
        let client = client.as_str();
        match suppressed {
            0 => tracing::info!(listener, client, "{}: {words}", self.what),
            _ => tracing::info!(listener, client, suppressed, "{}: {words}", self.what),
        }
    }
}

/// What was logged in this window.
struct LogLimit(Mutex<Window>);

struct Window {
    began: Option<Instant>,
    kinds: Option<HashSet<u64>>,
    suppressed: u64,
}

impl LogLimit {
    const fn new() -> Self {
        Self(Mutex::new(Window { began: None, kinds: None, suppressed: 0 }))
    }

    /// `Some`: log it, and say that so many lines were suppressed since the last one.
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
            return Some(std::mem::take(&mut window.suppressed));
        }
        window.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_of_one_kind_is_one_line_a_second() {
        let limit = LogLimit::new();
        let began = Instant::now();
        let lines: Vec<_> = (0..1_000).filter_map(|_| limit.admit_at(1, began)).collect();
        assert_eq!(lines, [0]);
        assert_eq!(limit.admit_at(2, began), Some(999), "another kind has a line of its own");
        assert_eq!(limit.admit_at(1, began + WINDOW), Some(0));
        let kinds = (10..1_000).filter_map(|kind| limit.admit_at(kind, began + WINDOW));
        assert_eq!(kinds.count(), KINDS - 1);
    }
}
