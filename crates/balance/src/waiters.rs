//! The queue: requests that found every slot they may use taken, and how a freed one reaches them.
//!
//! `pool` joins here when a pick found nothing and releases every reservation here. While nobody
//! waits no lock is touched: a releaser gives its slot back, *then* looks whether somebody waits; a
//! newcomer makes itself visible, *then* looks for a slot once more; all of it SeqCst, so one of
//! the two sees the other (loom: tests/loom.rs). While somebody waits a freed slot is handed over
//! under the lock without ever being free, so no newcomer can overtake. Tunnel slots, where they are
//! limited, are taken under the lock only; a slot and a tunnel slot are so taken together or not at
//! all, and nobody sees one of the two taken in vain.
//!
//! It does not know why a seat is usable (`publish` says which are), nor what time it is.

mod idle;
mod queue;
mod seat;

use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use self::queue::Queue;
pub use self::seat::{Grant, Seat, Seats};
use crate::need::{Held, Need};
use crate::sync::{AtomicUsize, Mutex, MutexGuard};
use crate::worker::WorkerId;

pub struct Waiters<S> {
    /// How many wait. Written under the lock, read by everybody.
    waiting: CachePadded<Waiting>,
    queue: Mutex<Queue<S>>,
}

/// Counts by need: who waits for a tunnel slot keeps no request from a free slot.
struct Waiting {
    all: AtomicUsize,
    requests: AtomicUsize,
}

/// A place in the queue. Ends by a grant taken through [`Waiters::poll`], or by
/// [`Waiters::leave`]; of the queue that gave it out.
#[derive(Debug)]
#[must_use = "a ticket must be polled to its grant or given back by `leave`"]
pub struct Ticket {
    /// `None` once the grant was taken.
    node: Option<usize>,
}

#[derive(Debug)]
#[must_use = "a granted slot must be released, a ticket polled"]
pub enum Join<S> {
    Granted(S),
    Waiting(Ticket),
    /// As many wait as may.
    Full,
}

impl<S: Seat> Waiters<S> {
    #[expect(clippy::new_without_default, reason = "nothing to be generic over")]
    pub fn new() -> Self {
        let waiting = Waiting { all: AtomicUsize::new(0), requests: AtomicUsize::new(0) };
        Self { waiting: CachePadded::new(waiting), queue: Mutex::new(Queue::default()) }
    }

    /// Nobody waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[inline]
    pub fn len(&self) -> usize {
        self.waiting.all.load(SeqCst)
    }

    /// The newcomer's gate: while somebody waits for a slot alone, who needs one joins instead of
    /// picking. Who needs a tunnel slot as well always joins.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.waiting.requests.load(SeqCst) == 0
    }

    /// These workers, and no others, may be used from `now` on; what they have free is handed over
    /// at once. Waiters bound to a worker that is gone wait for any from here, at their age. Store
    /// the snapshot first: whoever joins later must not pick from an older one than this.
    pub fn publish(&self, seats: impl Into<Seats<S>>, now: Instant) {
        let seats = seats.into();
        self.locked(now, |queue| {
            queue.publish(seats);
            queue.settle(now);
        });
    }

    /// A limit was raised or a worker reopened at `now`: what that freed is handed over.
    pub fn changed(&self, now: Instant) {
        if !self.is_empty() {
            self.locked(now, |queue| queue.settle(now));
        }
    }

    /// Waits for `bound`, or for any worker. `max`: so many may wait for the same need. `pick` is
    /// called under the lock, at most once and only if this newcomer would overtake nobody; it
    /// reserves a slot (of a worker that has a tunnel slot, too, where that is needed), looks at the
    /// newest snapshot, takes what was tried for the last choice, and does not call this queue.
    pub fn join(
        &self,
        bound: Option<WorkerId>,
        need: Need,
        max: usize,
        waker: &Waker,
        now: Instant,
        pick: impl FnOnce() -> Option<S>,
    ) -> Join<S> {
        self.locked(now, |queue| {
            // Visible before it looks: whoever releases from here on comes to this lock.
            self.waiting.all.store(queue.len() + 1, SeqCst);
            // A bound newcomer whose worker is gone has nobody to wait for but everybody.
            let bound = bound.filter(|&worker| queue.knows(worker));
            if !queue.has_rivals(bound, need) {
                // A limit raised a moment ago belongs to those who already wait for that worker.
                queue.settle_others(now);
                if let Some(seat) = queue.serve(bound, need, now, pick) {
                    return Join::Granted(seat);
                }
            }
            if queue.len_of(need) >= max {
                return Join::Full;
            }
            Join::Waiting(Ticket { node: Some(queue.enqueue(bound, need, waker.clone(), now)) })
        })
    }

    /// The grant, once there is one. Pending for ever after it was taken.
    pub fn poll(&self, ticket: &mut Ticket, cx: &mut Context<'_>) -> Poll<Grant<S>> {
        let Some(node) = ticket.node else { return Poll::Pending };
        let Some(grant) = self.lock().take(node, cx.waker()) else { return Poll::Pending };
        ticket.node = None;
        Poll::Ready(grant)
    }

    /// A waiter that is bound to one worker may use any from `now` on, at its age. `pick` is as in
    /// [`Waiters::join`]. `Ok`: it has waited enough; `Err`: it goes on waiting.
    pub fn unbind(
        &self,
        ticket: Ticket,
        now: Instant,
        pick: impl FnOnce() -> Option<S>,
    ) -> Result<Grant<S>, Ticket> {
        let Some(node) = ticket.node else { return Err(ticket) };
        self.locked(now, |queue| {
            if let Some(grant) = queue.granted(node) {
                return Ok(grant);
            }
            let need = queue.need_of(node);
            // While others wait for any worker, nothing that they could use is free.
            if !queue.has_rivals(None, need) {
                queue.settle_others(now);
                if let Some(grant) = queue.granted(node) {
                    return Ok(grant);
                }
                if let Some(seat) = queue.serve(None, need, now, pick) {
                    queue.leave(node);
                    return Ok(Grant { seat, held: need.held(), at: now });
                }
            }
            queue.unbind(node);
            Err(ticket)
        })
    }

    /// The waiter gives up at `now`. A grant it has not taken is passed on.
    pub fn leave(&self, ticket: Ticket, now: Instant) {
        let Some(node) = ticket.node else { return };
        self.locked(now, |queue| {
            if let Some(grant) = queue.leave(node) {
                queue.pass_on(&grant.seat, grant.held, now);
            }
        });
    }

    /// A tunnel slot for an exchange that has a slot already: its answer turned out to be a stream.
    /// Its slot can then go back, which serves those who wait at least as well.
    pub fn take_tunnel(&self, seat: &S) -> bool {
        let _alone = self.lock();
        seat.worker().tunnels().try_reserve()
    }

    /// Ends what is held, or a part of it: the worker was free from `now` on.
    #[inline]
    pub fn release(&self, seat: &S, held: Held, now: Instant) {
        if held != Held::Request || !self.is_empty() {
            return self.locked(now, |queue| queue.pass_on(seat, held, now));
        }
        seat.worker().slots().release();
        if !self.is_empty() {
            self.locked(now, |queue| queue.settle_one(seat, now));
        }
    }

    /// For how long some waiter could have used some free slot. Exact as far as events carry their
    /// own time: what lies between an event and the latest moment this queue has heard of when it
    /// was applied counts, overlaps once.
    pub fn idle_while_waiting(&self) -> Duration {
        self.lock().idle_while_waiting()
    }

    /// Tells the queue what time it is. Whoever applies an event late calls this first, so that the
    /// delay counts even if nobody else came by.
    pub fn observe(&self, now: Instant) {
        self.lock().observe(now);
    }

    /// Every operation that may change who waits: the count outside follows, and wakers run after
    /// the lock is free again.
    fn locked<R>(&self, now: Instant, operate: impl FnOnce(&mut Queue<S>) -> R) -> R {
        let mut queue = self.lock();
        queue.observe(now);
        let result = operate(&mut queue);
        self.waiting.all.store(queue.len(), SeqCst);
        self.waiting.requests.store(queue.len_of(Need::Request), SeqCst);
        let wakes = queue.wakes();
        drop(queue);
        wakes.into_iter().for_each(Waker::wake);
        result
    }

    /// A panic under the lock (a picker's) fails one request; the lists are whole at every point
    /// where foreign code runs, and the next operation puts the count right.
    fn lock(&self) -> MutexGuard<'_, Queue<S>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
