//! Where connections rest between two leases. A worker with a slot limit has one `shelf` beside its
//! slot word, for all shards: the connection travels with the slot, and never more than `slots` are
//! open. A worker without a limit has a list per shard (`local`), never locked, never sent. How
//! long one may rest is `learned`. Leases and the sweeps come here; what a connection carries is
//! unknown.

pub(crate) mod learned;
pub(crate) mod local;
pub(crate) mod shelf;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many connections to one worker are open, idle or in use.
#[derive(Debug, Default)]
pub(crate) struct OpenCount(Arc<AtomicU32>);

impl OpenCount {
    pub(crate) fn value(&self) -> u32 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn enter(&self) -> Open {
        self.0.fetch_add(1, Ordering::AcqRel);
        Open(self.0.clone())
    }

    /// One more, if that makes no more than `most`.
    pub(crate) fn enter_below(&self, most: u32) -> Option<Open> {
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| (n < most).then_some(n + 1))
            .ok()
            .map(|_| Open(self.0.clone()))
    }
}

/// One open connection; its drop counts it out.
#[derive(Debug)]
pub(crate) struct Open(Arc<AtomicU32>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
