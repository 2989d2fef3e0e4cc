//! Each thread's cache of the snapshots: a look at one costs a comparison, as long as no other was
//! published. With it comes the thread's generator of chance. What is looked for is unknown here.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use super::Snapshot;
use crate::shared::Shared;

/// How many pools were closed: tells threads to let go of what they cached of them.
static CLOSED: AtomicUsize = AtomicUsize::new(0);

type Cached = Cache<Arc<ArcSwap<Snapshot>>, Arc<Snapshot>>;

/// What a thread keeps of the pools: the snapshot of each, by the pool's number.
struct Local {
    snapshots: Vec<Option<Cached>>,
    closed: usize,
    rng: fastrand::Rng,
}

thread_local! {
    static LOCAL: RefCell<Local> =
        RefCell::new(Local { snapshots: Vec::new(), closed: 0, rng: fastrand::Rng::new() });
}

pub(crate) fn with_snapshot<R>(
    shared: &Shared,
    f: impl FnOnce(&Snapshot, &mut fastrand::Rng) -> R,
) -> R {
    LOCAL.with_borrow_mut(|local| {
        let closed = CLOSED.load(Ordering::Relaxed);
        if local.closed != closed {
            local.closed = closed;
            local.forget_closed();
        }
        if local.snapshots.len() <= shared.number {
            local.snapshots.resize_with(shared.number + 1, || None);
        }
        let cached = local.snapshots[shared.number]
            .get_or_insert_with(|| Cache::new(shared.snapshot.clone()));
        f(cached.load(), &mut local.rng)
    })
}

/// A pool has published its last snapshot.
pub(crate) fn let_go_of_closed() {
    CLOSED.fetch_add(1, Ordering::Release);
}

impl Local {
    fn forget_closed(&mut self) {
        for cached in &mut self.snapshots {
            if cached.as_mut().is_some_and(|cached| cached.load().closed) {
                *cached = None;
            }
        }
    }
}
