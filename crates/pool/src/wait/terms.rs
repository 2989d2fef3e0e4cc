//! On what terms a request waits: how long, for what, and for whom. Who comes to them, and what
//! becomes of a wait that ends without a slot, is not known here.

use std::time::Duration;

use isobar_balance::WorkerId;

use crate::affinity::OnLost;
use crate::settings::Queue;
use crate::target::Place;

/// How long a request waits, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// So many may wait at once.
    pub(crate) max: usize,
    pub(crate) wait: Duration,
    pub(crate) awaits: Awaits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaits {
    Slot,
    /// The pool has lost its last one.
    Worker,
}

impl Patience {
    /// Now, or not at all.
    pub(crate) const NONE: Patience =
        Patience { max: 0, wait: Duration::ZERO, awaits: Awaits::Slot };

    pub(crate) fn of(queue: Queue) -> Patience {
        Patience { max: queue.max, wait: queue.timeout, awaits: Awaits::Slot }
    }
}

/// What a wait for one worker comes to.
pub(crate) struct Sticky {
    pub(crate) worker: WorkerId,
    pub(crate) patience: Duration,
    pub(crate) on_lost: OnLost,
    /// What another worker would be chosen by.
    pub(crate) key: Option<u64>,
}

impl Sticky {
    /// This slot is another worker's, and no other will do.
    pub(crate) fn refuses(&self, place: &Place) -> bool {
        self.on_lost == OnLost::Fail && self.worker != place.0.id()
    }
}
