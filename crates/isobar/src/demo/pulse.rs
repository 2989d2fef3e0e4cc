//! Notices when the machine is busy elsewhere: a task that wants to run every other millisecond and
//! finds out how long it could not. One beats on every thread of the demo's own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::journal::Journal;

const BEAT: Duration = Duration::from_millis(2);
/// A beat comes up to two milliseconds late anyway: timers are no finer.
const LATE: Duration = Duration::from_millis(3);

/// For as long as the runtime.
pub(super) async fn beat(journals: Vec<Arc<Journal>>) {
    loop {
        let before = Instant::now();
        sleep(BEAT).await;
        let now = Instant::now();
        for journal in &journals {
            if now - before > BEAT + LATE {
                journal.stalled(before, now);
            }
            journal.judge(now);
        }
    }
}
