//! Which of our data-plane threads this is.
//!
//! `serve_shard` calls [`enter`] once at the start of its thread; counters that no strategy reads
//! are kept per shard and found through [`current`]. The control thread uses the last index.

use std::cell::Cell;

thread_local! {
    static INDEX: Cell<usize> = const { Cell::new(0) };
}

/// This thread is shard `index` from now on.
pub fn enter(index: usize) {
    INDEX.set(index);
}

/// The index given to [`enter`], 0 before it.
#[inline]
pub fn current() -> usize {
    INDEX.get()
}
