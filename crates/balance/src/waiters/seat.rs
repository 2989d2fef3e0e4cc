//! What the queue gives away: seats of workers that may be used, and the grant of one. Who gets it
//! is not known here.

use std::time::Instant;

use crate::need::Held;
use crate::worker::Worker;

/// Something that stands for one worker and can be given to whoever gets its slot.
pub trait Seat: Clone + Send + 'static {
    fn worker(&self) -> &Worker;
}

/// The workers that may be used.
pub struct Seats<S> {
    /// Those that take whoever waits.
    pub serving: Vec<S>,
    /// Those that take whoever waits while all of the above are full.
    pub overflow: Vec<S>,
    /// Those that take only who waits for them alone.
    pub backups: Vec<S>,
}

impl<S> From<Vec<S>> for Seats<S> {
    fn from(serving: Vec<S>) -> Self {
        Self { serving, overflow: Vec::new(), backups: Vec::new() }
    }
}

/// What was needed, handed over: its holder owes a [`Waiters::release`].
#[derive(Debug)]
#[must_use = "a granted slot must be leased or released"]
pub struct Grant<S> {
    pub seat: S,
    pub held: Held,
    /// When the slot came free for this waiter.
    pub at: Instant,
}
