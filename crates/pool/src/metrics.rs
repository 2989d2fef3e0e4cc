//! The pool's own figures: one cell per shard, summed when somebody scrapes. A worker's figures
//! live with the worker; here is what belongs to no single one: the queue, the hand-over.

use std::time::Duration;

use isobar_balance::stats::{Counter, Histogram, HistogramValues, PerShard};
use isobar_balance::{Seat, Waiters};

/// Why a request left the queue without a slot, or never got in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    Full,
    Timeout,
    ClientGone,
    Draining,
    RequestTimeout,
    NoWorker,
}

const DROPPED: [&str; 6] =
    ["queue_full", "queue_timeout", "client_gone", "draining", "request_timeout", "no_worker"];

#[derive(Default)]
struct Cell {
    queue_wait: Histogram,
    handover: Histogram,
    response: Histogram,
    dropped: [Counter; DROPPED.len()],
    retries: Counter,
    ejections: Counter,
}

pub(crate) struct Recorder(PerShard<Cell>);

impl Recorder {
    pub(crate) fn new(cells: usize) -> Recorder {
        Recorder(PerShard::new(cells))
    }

    pub(crate) fn queue_wait(&self, wait: Duration) {
        self.0.here().queue_wait.observe(wait);
    }

    pub(crate) fn handover(&self, took: Duration) {
        self.0.here().handover.observe(took);
    }

    pub(crate) fn response(&self, took: Duration) {
        self.0.here().response.observe(took);
    }

    pub(crate) fn dropped(&self, why: Dropped) {
        self.0.here().dropped[why as usize].add(1);
    }

    pub(crate) fn retry(&self) {
        self.0.here().retries.add(1);
    }

    pub(crate) fn ejection(&self) {
        self.0.here().ejections.add(1);
    }
}

/// A pool's figures at one moment.
#[derive(Clone, Debug)]
pub struct PoolFigures {
    pub queue_depth: usize,
    pub queue_wait: HistogramValues,
    /// By reason.
    pub queue_drops: Vec<(&'static str, u64)>,
    pub handover: HistogramValues,
    pub response: HistogramValues,
    pub retries: u64,
    pub ejections: u64,
    pub idle_while_waiting: Duration,
}

impl PoolFigures {
    pub(crate) fn of(recorder: &Recorder, waiters: &Waiters<impl Seat>) -> PoolFigures {
        let cells = || recorder.0.iter();
        let drops = |why: usize| cells().map(|cell| cell.dropped[why].value()).sum();
        PoolFigures {
            queue_depth: waiters.len(),
            queue_wait: cells().map(|cell| cell.queue_wait.snapshot()).sum(),
            queue_drops: DROPPED.iter().enumerate().map(|(i, why)| (*why, drops(i))).collect(),
            handover: cells().map(|cell| cell.handover.snapshot()).sum(),
            response: cells().map(|cell| cell.response.snapshot()).sum(),
            retries: cells().map(|cell| cell.retries.value()).sum(),
            ejections: cells().map(|cell| cell.ejections.value()).sum(),
            idle_while_waiting: waiters.idle_while_waiting(),
        }
    }
}
