//! Our own stay at a worker, for a probe or a warm-up: with a slot limit it takes a slot like a
//! request, and like a request it keeps it until the worker is done, or `abandon_after` is over,
//! even if nobody waits for the answer any more.

use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use isobar_balance::Held;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ProbeError;
use crate::idle::Open;
use crate::target::{Place, Target};

pub(crate) enum Visit {
    Free,
    /// One connection more than slots, and no slot.
    Beside(#[expect(dead_code, reason = "held for its drop")] Open),
    Slot {
        /// Gone before the slot is given back.
        open: Open,
        slot: Slot,
    },
}

/// What was asked over a slot and has not been answered yet.
pub(crate) struct Unanswered(JoinHandle<()>);

impl Unanswered {
    pub(crate) fn is_over(&self) -> bool {
        self.0.is_finished()
    }
}

type Asking = BoxFuture<'static, Result<(), ProbeError>>;

impl Visit {
    /// `None`: every slot is taken.
    pub(crate) async fn begin(target: &Arc<Target>) -> Option<Visit> {
        let word = target.slots().load();
        let Some(limit) = word.limit() else { return Some(Visit::Free) };
        if word.is_closed() {
            // Nobody else can enter; who is inside may still use all there is.
            return (word.in_flight() < limit).then_some(Visit::Free);
        }
        if !target.slots().try_reserve() {
            return None;
        }
        let slot = Slot(Place(target.clone()));
        // A worker that serves one connection at a time would not see ours beside a resting one.
        let open = target.room().await;
        Some(Visit::Slot { open, slot })
    }

    pub(crate) fn beside(target: &Target) -> Visit {
        Visit::Beside(target.open.enter())
    }

    /// The answer, or a time-out and what still waits for the answer.
    pub(crate) async fn wait(
        self,
        target: &Arc<Target>,
        asking: Asking,
        limit: Duration,
    ) -> (Result<(), ProbeError>, Option<Unanswered>) {
        let Visit::Slot { open, slot } = self else {
            return (timeout(limit, asking).await.unwrap_or(Err(ProbeError::Timeout)), None);
        };
        // On a task of its own: who waits here may be ended by a reload, the worker is not.
        let patience = limit + target.shared.snapshot.load().policy.abandon_after;
        let (tell, told) = oneshot::channel();
        let asked = tokio::spawn(async move {
            let answer = timeout(patience, asking).await;
            drop(open);
            drop(slot);
            if let Ok(answer) = answer {
                // If nobody listens any more, it came too late.
                let _ = tell.send(answer);
            }
        });
        match timeout(limit, told).await {
            Ok(Ok(answer)) => (answer, None),
            _ => (Err(ProbeError::Timeout), Some(Unanswered(asked))),
        }
    }
}

pub(crate) struct Slot(Place);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.0.shared.waiters.release(&self.0, Held::Request, std::time::Instant::now());
    }
}
