//! Where a reload is asked for, what becomes of it, and how many there were. Who reloads, and how, is
//! not known here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{mpsc, oneshot};

/// Who may wait for a reload at once; more are told to try again.
const WAITING: usize = 64;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done { version: u64, summary: String, warnings: Vec<String> },
    Refused { diagnostics: String },
}

/// Where reloads are asked for.
#[derive(Clone)]
pub(crate) struct Requests(mpsc::Sender<oneshot::Sender<Arc<Outcome>>>);

pub(crate) struct Queue(pub(super) mpsc::Receiver<oneshot::Sender<Arc<Outcome>>>);

/// What the metrics say about reloads.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) succeeded: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) last_succeeded: AtomicBool,
}

impl Default for Tally {
    fn default() -> Self {
        // The configuration it started with counts as good.
        let last_succeeded = AtomicBool::new(true);
        Tally { succeeded: AtomicU64::new(0), refused: AtomicU64::new(0), last_succeeded }
    }
}

pub(crate) fn channel() -> (Requests, Queue) {
    let (requests, queue) = mpsc::channel(WAITING);
    (Requests(requests), Queue(queue))
}

impl Requests {
    /// The answer comes when the reload is done. `None`: too many wait, or nobody reloads any more.
    pub(crate) fn ask(&self) -> Option<oneshot::Receiver<Arc<Outcome>>> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(answer).ok().map(|()| answered)
    }
}

impl Tally {
    pub(super) fn note(&self, outcome: &Outcome) {
        let succeeded = match outcome {
            Outcome::Done { version, summary, warnings } => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                tracing::info!(version, "reloaded: {summary}");
                true
            }
            Outcome::Refused { diagnostics } => {
                tracing::error!("reload refused, nothing has changed: {diagnostics}");
                false
            }
        };
        let counter = if succeeded { &self.succeeded } else { &self.refused };
        counter.fetch_add(1, Ordering::Relaxed);
        self.last_succeeded.store(succeeded, Ordering::Relaxed);
    }
}
