//! A request in the queue, as a future: it ends with a lease, with the queue's time-out, or with
//! the pool's end. Dropping it leaves the queue; a slot granted meanwhile goes to the next.

pub(crate) mod terms;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use isobar_balance::{Grant, Need, Ticket, Tried};
use tokio::time::Sleep;

use self::terms::{Awaits, Patience, Sticky};
use crate::affinity::OnLost;
use crate::lease::{Lease, LeaseError};
use crate::metrics::Dropped;
use crate::settings::{Policy, Queue};
use crate::shared::Shared;
use crate::snapshot::local::with_snapshot;
use crate::snapshot::{Ask, Pick, Snapshot};
use crate::target::Place;

/// What whoever was granted this place is told instead of a lease.
pub(crate) fn refusal(place: &Place, sticky: Option<&Sticky>) -> Option<(LeaseError, Dropped)> {
    // Its worker has gone meanwhile, and this is another.
    let lost = || sticky.is_some_and(|sticky| sticky.refuses(place));
    place.0.refusal().or_else(|| lost().then_some((LeaseError::NoWorker, Dropped::NoWorker)))
}

#[must_use = "futures do nothing unless polled"]
pub struct Wait {
    shared: Arc<Shared>,
    policy: Policy,
    queue: Option<Queue>,
    need: Need,
    /// Gone when the wait is over.
    ticket: Option<Ticket>,
    joined: Instant,
    timeout: Duration,
    awaits: Awaits,
    /// It waits for one worker alone, for now.
    sticky: Option<Box<Sticky>>,
    /// Made at the first poll that finds no slot.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    pub(crate) fn new(
        shared: Arc<Shared>,
        snapshot: &Snapshot,
        ticket: Ticket,
        need: Need,
        joined: Instant,
        Patience { wait: timeout, awaits, .. }: Patience,
    ) -> Wait {
        Wait {
            shared,
            policy: snapshot.policy,
            queue: snapshot.waiting.queue,
            need,
            ticket: Some(ticket),
            joined,
            timeout,
            awaits,
            sticky: None,
            sleep: None,
        }
    }

    pub(crate) fn sticking(mut self, sticky: Option<Box<Sticky>>) -> Wait {
        self.sticky = sticky;
        self
    }

    fn granted(&mut self, grant: Grant<Place>) -> Result<Lease, LeaseError> {
        if let Some((error, why)) = refusal(&grant.seat, self.sticky.as_deref()) {
            self.shared.recorder.dropped(why);
            self.shared.waiters.release(&grant.seat, grant.held, Instant::now());
            return Err(error);
        }
        let queued = grant.at.saturating_duration_since(self.joined);
        self.shared.recorder.queue_wait(queued);
        Ok(Lease::new(grant.seat, self.policy, grant.held, Some(queued), grant.at))
    }

    /// From here on it takes any worker: now, if one is free, or at its age.
    fn unbind(&mut self, sticky: &Sticky) -> Option<Grant<Place>> {
        self.sleep = None;
        let (ticket, now) = (self.ticket.take()?, Instant::now());
        let shared = &self.shared;
        let unbound = with_snapshot(shared, |_, rng| {
            let ask = Ask { key: sticky.key, need: self.need, tried: &Tried::new(), now };
            shared.waiters.unbind(ticket, now, || pick_newest(shared, &ask, rng))
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

    /// Its time is over.
    fn run_out(&mut self) -> LeaseError {
        let (error, why) = match self.has_nobody() {
            true => (LeaseError::NoWorker, Dropped::NoWorker),
            false => (LeaseError::QueueTimeout, Dropped::Timeout),
        };
        self.leave(why);
        error
    }

    /// It waited for a worker; there is one now, and it goes on to wait for a slot of it.
    fn goes_on(&mut self) -> bool {
        let waited = std::mem::replace(&mut self.awaits, Awaits::Slot) == Awaits::Worker;
        let Some(queue) = self.queue.filter(|_| waited && !self.has_nobody()) else {
            return false;
        };
        self.sleep = None;
        self.timeout = queue.timeout.saturating_sub(self.timeout);
        !self.timeout.is_zero()
    }

    /// The pool has lost its last worker.
    fn has_nobody(&self) -> bool {
        with_snapshot(&self.shared, |snapshot, _| {
            snapshot.held_until.is_some() && snapshot.has_nobody()
        })
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
                _ if wait.goes_on() => {}
                _ => return Poll::Ready(Err(wait.run_out())),
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

/// Against the newest snapshot: what is published later is handed over to us. What was tried is the
/// last choice: whoever has to wait takes what comes.
pub(crate) fn pick_newest(
    shared: &Shared,
    ask: &Ask<'_>,
    rng: &mut fastrand::Rng,
) -> Option<Place> {
    let snapshot = shared.snapshot.load_full();
    let any = Ask { tried: &Tried::new(), ..*ask };
    let asks = [Some(ask).filter(|ask| !ask.tried.is_empty()), Some(&any)];
    asks.into_iter().flatten().find_map(|ask| match snapshot.pick(ask, rng) {
        Pick::Reserved(place) => Some(place),
        Pick::Nothing(_) => None,
    })
}
