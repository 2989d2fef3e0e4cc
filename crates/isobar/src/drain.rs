//! What signals mean, and how the process ends.
//!
//! TERM, INT and QUIT end it gracefully: not ready any more, `drain_delay` for whoever sends us
//! traffic to notice, no more accepting, then `grace_period` for what is under way. A second TERM
//! or INT ends it now. HUP reloads, USR1 reopens the logs, USR2 is not built yet.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, interval, sleep, timeout_at};

use crate::control::{Control, Phase};
use crate::shard::Shards;

const LOOK: Duration = Duration::from_millis(10);
/// How long pools and shards may take once told to end.
const LAST: Duration = Duration::from_secs(2);
/// How long the last answers may take on their way once the grace period is over.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The signals that ask for something and would otherwise end the process. They are caught before
/// the configuration is read: what comes meanwhile is done as soon as there is somebody to do it.
pub(crate) struct Requests {
    hup: Signal,
    usr1: Signal,
    usr2: Signal,
}

impl Requests {
    /// Within a runtime.
    pub(crate) fn catch() -> io::Result<Requests> {
        Ok(Requests {
            hup: signal(SignalKind::hangup())?,
            usr1: signal(SignalKind::user_defined1())?,
            usr2: signal(SignalKind::user_defined2())?,
        })
    }
}

/// All signals that are handled. Those that end the process are caught last: before there is something to
/// end gracefully, the system's own handling ends it at once.
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
    quit: Signal,
    requests: Requests,
}

impl Signals {
    pub(crate) fn catch(requests: Requests) -> io::Result<Signals> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            requests,
        })
    }

    /// The user means it: TERM or INT once more.
    async fn again(&mut self) {
        tokio::select! {
            _ = self.term.recv() => {}
            _ = self.int.recv() => {}
        }
    }
}

/// Asked for by the admin API.
pub(crate) type Shutdown = mpsc::Receiver<()>;

/// Lives until told to end, then ends. `Err`: a shard died.
pub(crate) async fn until_told(
    control: &Arc<Control>,
    mut signals: Signals,
    mut shutdown: Shutdown,
    mut shards: Shards,
) -> Result<(), String> {
    loop {
        tokio::select! {
            _ = signals.term.recv() => break,
            _ = signals.int.recv() => break,
            _ = signals.quit.recv() => break,
            Some(()) = shutdown.recv() => break,
            _ = signals.requests.hup.recv() => {
                // Its outcome is logged by who does it; one that waits already does for this, too.
                let _ = control.reloads.ask();
            }
            _ = signals.requests.usr1.recv() => {
                tracing::info!("reopening the logs");
                control.access_log.reopen();
            }
            _ = signals.requests.usr2.recv() => tracing::warn!("USR2 (binary upgrade): not built yet"),
            Some(index) = shards.ended.recv() => {
                return Err(format!("shard-{index} has died; see the log above"));
            }
        }
    }
    tokio::select! {
        () = gracefully(control) => {}
        () = signals.again() => {
            let left = control.context.connections();
            tracing::warn!("a second signal: ending now, {left} connections are cut");
        }
    }
    control.context.stop();
    let _ = timeout_at(Instant::now() + LAST, shards.join()).await;
    Ok(())
}

async fn gracefully(control: &Arc<Control>) {
    let (delay, grace) = {
        let live = control.lock();
        (live.config().drain_delay, live.config().grace_period)
    };
    control.enter(Phase::Draining);
    tracing::info!("draining: {} connections open", control.context.connections());
    sleep(delay).await;
    control.context.drain();
    let deadline = Instant::now() + grace;
    let closed = timeout_at(deadline, all_closed(control)).await;
    let pools = control.lock().every_pool();
    let close = async {
        for pool in pools {
            pool.close().await;
        }
    };
    let _ = timeout_at(Instant::now() + LAST, close).await;
    if closed.is_err() {
        // Requests in a queue get their 503 now: no worker will serve them.
        let _ = timeout_at(Instant::now() + LAST_ANSWERS, all_closed(control)).await;
        let left = control.context.connections();
        tracing::warn!("the grace period is over: {left} connections are cut");
    }
    tracing::info!("drained");
}

async fn all_closed(control: &Control) {
    let mut look = interval(LOOK);
    // Twice nothing: what was in a back-log when the listeners closed has been accepted by then.
    let mut quiet = 0;
    while quiet < 2 {
        look.tick().await;
        quiet = if control.context.connections() == 0 { quiet + 1 } else { 0 };
    }
}
