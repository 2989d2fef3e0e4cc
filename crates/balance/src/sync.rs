//! The primitives that loom must see: the slot word, the queue's lock and its counter.
//! Statistics stay on plain atomics, so that a model explores only what decides correctness.

#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, AtomicUsize},
};

/// Stands between "I changed mine" and "I look at yours" of the queue's Dekker handshake.
///
/// Both sides use SeqCst accesses, which is enough; but loom treats those as AcqRel and would
/// report a store-load reordering that cannot happen, so the model gets the fence it does know.
#[inline]
pub(crate) fn handshake() {
    #[cfg(loom)]
    loom::sync::atomic::fence(loom::sync::atomic::Ordering::SeqCst);
}
