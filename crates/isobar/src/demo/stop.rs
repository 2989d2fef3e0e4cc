//! Told from outside to end: INT, TERM, QUIT, or a terminal that was closed.

use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

/// How long the demo may take to end once it is asked to.
const END: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// From now on these signals end the demo and not the process. A second one does; and so does the
    /// time, if the demo cannot end because nobody reads what it writes.
    pub(crate) fn on_signals() -> Result<Stop, String> {
        let stop = Stop(Arc::default());
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let kinds = {
            let _inside = runtime.enter();
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
            kinds.map(signal)
        };
        let [int, term, hup] = kinds;
        let caught = |error| format!("cannot catch signals: {error}");
        let mut signals = Signals {
            int: int.map_err(caught)?,
            term: term.map_err(caught)?,
            hup: hup.map_err(caught)?,
        };
        let asked = stop.clone();
        let wait = move || {
            runtime.block_on(signals.next());
            asked.ask();
            let _ = runtime.block_on(async { timeout(END, signals.next()).await });
            give_back_the_terminal();
            std::process::exit(1);
        };
        // It waits for as long as the process lives.
        let thread = thread::Builder::new().name(String::from("signals")).spawn(wait);
        thread.map(|_| stop).map_err(|error| format!("no thread: {error}"))
    }

    pub(crate) fn is_asked(&self) -> bool {
        *self.lock()
    }

    /// Waits so long, or until asked: then `true`.
    pub(super) fn wait(&self, time: Duration) -> bool {
        let waited = self.0.1.wait_timeout_while(self.lock(), time, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn ask(&self) {
        *self.lock() = true;
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Signals {
    int: Signal,
    term: Signal,
    hup: Signal,
}

impl Signals {
    async fn next(&mut self) {
        tokio::select! {
            _ = self.int.recv() => {}
            _ = self.term.recv() => {}
            _ = self.hup.recv() => {}
        }
    }
}

/// Writing may block, and whoever writes holds a lock: this is waited for, but not for ever.
fn give_back_the_terminal() {
    const PATIENCE: Duration = Duration::from_millis(500);
    let (done, over) = channel();
    thread::spawn(move || {
        super::screen::restore();
        let _ = done.send(());
    });
    let _ = over.recv_timeout(PATIENCE);
}
