//! Waiting for what a test needs, never for a time.

use std::time::{Duration, Instant};

/// Longer than anything a test waits for takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is found in the end; asks every few milliseconds.
#[track_caller]
pub fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let last = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < last, "it did not happen within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
