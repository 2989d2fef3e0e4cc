//! Notices when the machine is busy elsewhere. In two ways: a task on each thread of the demo's own
//! that wants to run every other millisecond and finds out how long it could not; and a look at how
//! long each of the process's threads, the proxy's among them, was ready to run and did not get a
//! processor (<https://docs.kernel.org/scheduler/sched-stats.html>), where the kernel says so.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep;

use super::journal::Journal;

const BEAT: Duration = Duration::from_millis(2);
/// A beat comes up to two milliseconds late anyway: timers are no finer.
const LATE: Duration = Duration::from_millis(3);
/// Between two looks at the threads.
const LOOK: Duration = Duration::from_millis(5);

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

/// Looks at the threads there are now, until stopped.
pub(super) fn watch_threads(journals: &[Arc<Journal>], stopped: &watch::Receiver<bool>) {
    let mut threads = threads();
    let mut before = Instant::now();
    while !threads.is_empty() && !*stopped.borrow() {
        thread::sleep(LOOK);
        let now = Instant::now();
        // Every one of them is read, whatever the others say.
        let waits = threads.iter_mut().map(Thread::waited_since);
        let longest = waits.max().unwrap_or_default();
        if longest > LATE {
            // A wait is counted when it is over: it may have begun before the last look.
            let from = before.min(now.checked_sub(longest).unwrap_or(before));
            journals.iter().for_each(|journal| journal.stalled(from, now));
        }
        before = now;
    }
}

struct Thread {
    file: File,
    /// Ready to run and not running, since its start.
    waited: Duration,
}

fn threads() -> Vec<Thread> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let files = tasks.filter_map(|task| File::open(task.path().join("schedstat")).ok());
    let known = files.filter_map(|file| Some(Thread { waited: waited(&file)?, file }));
    known.collect()
}

impl Thread {
    fn waited_since(&mut self) -> Duration {
        let now = waited(&self.file).unwrap_or(self.waited);
        now.saturating_sub(std::mem::replace(&mut self.waited, now))
    }
}

/// The second of three numbers: nanoseconds on a run queue. `None`: the thread has ended.
fn waited(file: &File) -> Option<Duration> {
    let mut text = [0; 96];
    let length = file.read_at(&mut text, 0).ok()?;
    let text = std::str::from_utf8(&text[..length]).ok()?;
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}
