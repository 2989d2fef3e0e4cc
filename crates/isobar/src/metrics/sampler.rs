//! Looks at what serving has counted, again and again, so that there is a last minute.

use std::sync::Arc;

use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::recent::{EVERY, Now};
use crate::control::Control;

/// Runs for as long as the process.
pub(crate) async fn run(control: Arc<Control>) {
    let mut clock = interval_at(Instant::now() + EVERY, EVERY);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        clock.tick().await;
        let control = control.clone();
        // Off the control thread, like a scrape: a pool of 10,000 workers must not delay a probe.
        let looked = tokio::task::spawn_blocking(move || {
            let (pools, handles) = control.serving();
            let pools: Vec<Now> = pools.iter().map(|pool| Now::of(pool)).collect();
            control.recent.note(&pools, &handles);
        });
        // A panic has been logged by the hook.
        let _ = looked.await;
    }
}
