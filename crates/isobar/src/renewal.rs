//! Certificates that are replaced on disk are taken over without a reload.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::control::Control;
use crate::plan::certificates;

/// How often the files are looked at. A watch of the file system would miss some of the ways in which
/// files are replaced: certbot turns a link, Kubernetes turns one above the folder.
const LOOK: Duration = Duration::from_secs(1);

/// For as long as the process lives.
pub(crate) async fn run(control: Arc<Control>) {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let secured = control.lock().secured().clone();
        if secured.is_empty() {
            continue;
        }
        let looking = move || certificates::look_again(secured);
        if let Ok(found) = tokio::task::spawn_blocking(looking).await {
            control.lock().looked(found);
        }
    }
}
