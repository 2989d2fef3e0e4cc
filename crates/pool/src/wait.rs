//! A request in the queue, as a future: it ends with a lease, with the queue's time-out, or with
//! the pool's end. Dropping it leaves the queue; a slot granted meanwhile goes to the next.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use isobar_balance::{Grant, Ticket};
use tokio::time::Sleep;

use crate::affinity::OnLost;
use crate::lease::{Lease, LeaseError};
use crate::metrics::Dropped;
use crate::pool::{pick_newest, with_snapshot};
use crate::settings::Policy;
use crate::shared::Shared;
use crate::sticky::Sticky;
use crate::target::Place;

#[must_use = "futures do nothing unless polled"]
pub struct Wait {
    shared: Arc<Shared>,
    policy: Policy,
    /// Gone when the wait is over.
    ticket: Option<Ticket>,
    joined: Instant,
    timeout: Duration,
    /// It waits for one worker alone, for now.
    sticky: Option<Box<Sticky>>,
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
        Wait { shared, policy, ticket: Some(ticket), joined, timeout, sticky: None, sleep: None }
    }

    pub(crate) fn sticking(mut self, sticky: Option<Box<Sticky>>) -> Wait {
        self.sticky = sticky;
        self
    }

    fn granted(&mut self, grant: Grant<Place>) -> Result<Lease, LeaseError> {
        let refusal = if grant.seat.0.ends_the_queue() {
            Some((LeaseError::Draining, Dropped::Draining))
        } else {
            // Its worker has gone meanwhile, and this is another.
            let lost = self.sticky.as_ref().is_some_and(|sticky| sticky.refuses(&grant.seat));
            lost.then_some((LeaseError::NoWorker, Dropped::Draining))
        };
        if let Some((error, why)) = refusal {
            self.shared.recorder.dropped(why);
            self.shared.waiters.release(&grant.seat, Instant::now());
            return Err(error);
        }
        let queued = grant.at.saturating_duration_since(self.joined);
        self.shared.recorder.queue_wait(queued);
        Ok(Lease::new(grant.seat, self.policy, Some(queued), grant.at))
    }

    /// From here on it takes any worker: now, if one is free, or at its age.
    fn unbind(&mut self, sticky: &Sticky) -> Option<Grant<Place>> {
        self.sleep = None;
        let (ticket, now) = (self.ticket.take()?, Instant::now());
        let shared = &self.shared;
        let unbound = with_snapshot(shared, |_, rng| {
            shared.waiters.unbind(ticket, now, || pick_newest(shared, sticky.key, rng, now))
        });
        match unbound {
            Ok(grant) => Some(grant),
            Err(ticket) => {
                self.ticket = Some(ticket);
                None
            }
        }
    }

    /// The request's own time is over, which is not its client's doing.
    pub fn give_up(mut self: Pin<&mut Self>) {
        self.leave(Dropped::RequestTimeout);
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
        loop {
            let Some(ticket) = wait.ticket.as_mut() else {
                return Poll::Ready(Err(LeaseError::QueueTimeout));
            };
            if let Poll::Ready(grant) = wait.shared.waiters.poll(ticket, cx) {
                wait.ticket = None;
                return Poll::Ready(wait.granted(grant));
            }
            let timeout = match &wait.sticky {
                Some(sticky) => sticky.patience.min(wait.timeout),
                None => wait.timeout,
            };
            let sleep = wait.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            match wait.sticky.take() {
                Some(sticky) if sticky.on_lost == OnLost::Rebalance && timeout < wait.timeout => {
                    wait.timeout -= timeout;
                    if let Some(grant) = wait.unbind(&sticky) {
                        return Poll::Ready(wait.granted(grant));
                    }
                }
                _ => {
                    wait.leave(Dropped::Timeout);
                    return Poll::Ready(Err(LeaseError::QueueTimeout));
                }
            }
        }
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
