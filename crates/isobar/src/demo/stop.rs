//! Told from outside to end: INT, TERM, QUIT, or a terminal that was closed.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone)]
pub(crate) struct Stop(Arc<(Mutex<bool>, Condvar)>);

impl Stop {
    /// From now on these signals end the demo and not the process. A second one does.
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
        let (mut int, mut term, mut hup) =
            (int.map_err(caught)?, term.map_err(caught)?, hup.map_err(caught)?);
        let asked = stop.clone();
        let wait = move || {
            for time in ["first", "second"] {
                runtime.block_on(async {
                    tokio::select! {
                        _ = int.recv() => {}
                        _ = term.recv() => {}
                        _ = hup.recv() => {}
                    }
                });
                if time == "second" {
                    super::screen::restore();
                    std::process::exit(1);
                }
                asked.ask();
            }
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
