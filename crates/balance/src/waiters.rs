//! The queue.
use std::marker::PhantomData;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::sync::AtomicUsize;
use crate::worker::{Worker, WorkerId};

/// Something that stands for one worker and can be given to whoever gets its slot.
pub trait Seat: Clone + Send + 'static {
    fn worker(&self) -> &Worker;
}

pub struct Waiters<S> {
    waiting: AtomicUsize,
    seats: PhantomData<fn() -> S>,
}

/// A place in the queue. Ends by a grant taken through `poll`, or by `leave`.
#[derive(Debug)]
#[must_use = "a ticket must be polled to its grant or given back by `leave`"]
pub struct Ticket {
    node: usize,
}

/// A slot, handed over.
#[derive(Debug)]
#[must_use = "a granted slot must be leased or released"]
pub struct Grant<S> {
    pub seat: S,
    /// When the slot came free for this waiter.
    pub at: Instant,
}

#[derive(Debug)]
#[must_use]
pub enum Join<S> {
    Granted(S),
    Waiting(Ticket),
    Full,
}

impl<S: Seat> Waiters<S> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self { waiting: AtomicUsize::new(0), seats: PhantomData }
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn len(&self) -> usize {
        self.waiting.load(SeqCst)
    }
    pub fn publish(&self, _seats: Vec<S>, _now: Instant) {}
    pub fn changed(&self, _now: Instant) {}
    pub fn join(
        &self,
        _bound: Option<WorkerId>,
        _max: usize,
        _waker: &Waker,
        _now: Instant,
        pick: impl FnOnce() -> Option<S>,
    ) -> Join<S> {
        pick().map_or(Join::Full, Join::Granted)
    }
    pub fn poll(&self, _ticket: &mut Ticket, _cx: &mut Context<'_>) -> Poll<Grant<S>> {
        Poll::Pending
    }
    pub fn leave(&self, ticket: Ticket, _now: Instant) {
        let _ = ticket.node;
    }
    pub fn release(&self, seat: &S, _now: Instant) {
        seat.worker().slots().release();
    }
    pub fn idle_while_waiting(&self) -> Duration {
        Duration::ZERO
    }
}
