//! What the shards, the supervisor and every target of one pool share. It holds no decision; it
//! is apart from `Pool` because targets point back here while the snapshot points at them, and
//! `Pool` breaks that circle when it goes.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use isobar_balance::Waiters;
use isobar_balance::budget::RetryBudget;

use crate::mailbox::Mailbox;
use crate::metrics::Recorder;
use crate::snapshot::Snapshot;
use crate::target::Place;

pub(crate) struct Shared {
    pub(crate) name: String,
    /// The pool's number in the process: where each thread keeps its cached snapshot.
    pub(crate) number: usize,
    pub(crate) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(crate) waiters: Waiters<Place>,
    pub(crate) mailbox: Mailbox,
    pub(crate) recorder: Recorder,
    pub(crate) budget: RetryBudget,
    pub(crate) closed: AtomicBool,
}
