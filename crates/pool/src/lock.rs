//! How the control plane takes its locks. It does not know what they guard.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// A panic elsewhere in the control plane leaves a state that was consistent before it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
