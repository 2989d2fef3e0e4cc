//! The way from the data plane to the pool's supervisor: bounded, never waited for. If it is full
//! the news is not lost but blurred: a flag tells the supervisor to look at every worker itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use isobar_balance::state::ProbeResult;
use tokio::sync::mpsc;

use crate::target::Target;

/// What somebody saw of a worker.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) target: Arc<Target>,
    pub(crate) seen: Seen,
    pub(crate) at: Instant,
}

impl Observation {
    pub(crate) fn now(target: &Arc<Target>, seen: Seen) -> Observation {
        Observation { target: target.clone(), seen, at: Instant::now() }
    }
}

#[derive(Debug)]
pub(crate) enum Seen {
    /// A connect was refused; the slots are closed already.
    Refused,
    /// A connect failed in another way, in the system's words.
    Unreachable(String),
    /// The re-check after such a failure failed as well.
    StillAway,
    /// It connected.
    Reachable,
    Probed(ProbeResult),
    /// A run of failures has become too long.
    Suspect,
    /// How one attempt at a warm-up ended.
    WarmedUp(Result<(), String>),
}

const ROOM: usize = 1024;

#[derive(Debug)]
pub(crate) struct Mailbox {
    sender: mpsc::Sender<Observation>,
    dirty: AtomicBool,
}

impl Mailbox {
    pub(crate) fn new() -> (Mailbox, mpsc::Receiver<Observation>) {
        let (sender, receiver) = mpsc::channel(ROOM);
        (Mailbox { sender, dirty: AtomicBool::new(false) }, receiver)
    }

    /// From a shard: never waits.
    pub(crate) fn post(&self, observation: Observation) {
        if let Err(mpsc::error::TrySendError::Full(observation)) = self.sender.try_send(observation)
        {
            self.dirty.store(true, Ordering::SeqCst);
            // Had the supervisor emptied the box between the two, nobody would wake it to look.
            let _ = self.sender.try_send(observation);
        }
    }

    /// From the control thread, which may wait.
    pub(crate) async fn send(&self, observation: Observation) {
        let _ = self.sender.send(observation).await;
    }

    pub(crate) fn take_dirty(&self) -> bool {
        self.dirty.swap(false, Ordering::SeqCst)
    }
}
