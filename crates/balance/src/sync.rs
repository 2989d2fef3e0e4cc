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
