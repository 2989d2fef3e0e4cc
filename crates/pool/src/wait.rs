//! A request in the queue, as a future: it ends with a lease, with the queue's time-out, or with
//! the pool's end. Dropping it leaves the queue; a slot granted meanwhile goes to the next.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use isobar_balance::Ticket;
use tokio::time::Sleep;

use crate::lease::{Lease, LeaseError};
use crate::metrics::Dropped;
use crate::settings::Policy;
use crate::shared::Shared;

#[must_use = "futures do nothing unless polled"]
pub struct Wait {
    shared: Arc<Shared>,
    policy: Policy,
    /// Gone when the wait is over.
    ticket: Option<Ticket>,
    joined: Instant,
    timeout: Duration,
    /// Made at the first poll that finds no slot.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    pub(crate) fn new(
        shared: Arc<Shared>,
        policy: Policy,
        ticket: Ticket,
        joined: Instant,
        timeout: Duration,
    ) -> Wait {
        Wait { shared, policy, ticket: Some(ticket), joined, timeout, sleep: None }
    }

    fn leave(&mut self, why: Dropped) {
        if let Some(ticket) = self.ticket.take() {
            self.shared.recorder.dropped(why);
            self.shared.waiters.leave(ticket, Instant::now());
        }
    }
}

impl Future for Wait {
    type Output = Result<Lease, LeaseError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let wait = &mut *self;
        let Some(ticket) = wait.ticket.as_mut() else {
            return Poll::Ready(Err(LeaseError::QueueTimeout));
        };
        if let Poll::Ready(grant) = wait.shared.waiters.poll(ticket, cx) {
            wait.ticket = None;
            if grant.seat.0.ends_the_queue() {
                wait.shared.recorder.dropped(Dropped::Draining);
                wait.shared.waiters.release(&grant.seat, Instant::now());
                return Poll::Ready(Err(LeaseError::Draining));
            }
            let queued = grant.at.saturating_duration_since(wait.joined);
            wait.shared.recorder.queue_wait(queued);
            return Poll::Ready(Ok(Lease::new(grant.seat, wait.policy, Some(queued), grant.at)));
        }
        let timeout = wait.timeout;
        let sleep = wait.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        if sleep.as_mut().poll(cx).is_ready() {
            wait.leave(Dropped::Timeout);
            return Poll::Ready(Err(LeaseError::QueueTimeout));
        }
        Poll::Pending
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.leave(Dropped::ClientGone);
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("joined", &self.joined).finish_non_exhaustive()
    }
}
