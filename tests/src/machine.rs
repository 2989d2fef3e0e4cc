//! How late the machine lets a thread run that is due, while a test measures something: nobody's
//! hand-over can be quicker than that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::queueing::quantile;

/// Often enough for a p99, and too seldom to be a load.
const EVERY: Duration = Duration::from_millis(5);

pub struct Lateness {
    over: Arc<AtomicBool>,
    watch: JoinHandle<Vec<f64>>,
}

impl Lateness {
    pub fn watch() -> Lateness {
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let watch = std::thread::spawn(move || {
            let mut late = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let due = Instant::now() + EVERY;
                std::thread::sleep(EVERY);
                late.push(due.elapsed().as_secs_f64());
            }
            late
        });
        Lateness { over, watch }
    }

    /// In seconds, since `watch`.
    pub fn p99(self) -> f64 {
        self.over.store(true, Ordering::Relaxed);
        quantile(&self.watch.join().expect("it only sleeps"), 0.99)
    }
}
