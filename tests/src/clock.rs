//! Seconds of CLOCK_MONOTONIC, the clock the Python workers log too, so that instants of several
//! processes on one machine can be compared.

use rustix::time::{ClockId, clock_gettime};

pub fn monotonic() -> f64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

pub fn sleep_until(instant: f64) {
    let left = instant - monotonic();
    if left > 0.0 {
        std::thread::sleep(std::time::Duration::from_secs_f64(left));
    }
}
