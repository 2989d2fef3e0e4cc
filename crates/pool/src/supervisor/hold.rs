//! How requests wait for a pool that has lost its last usable worker: from the moment of the loss, for
//! as long as the settings say; not where an operator took the worker out, and not for a pool that
//! never had one. What comes back and fails again without having served begins no new wait. Whom
//! the pool has, and who waits, is not known here.

use std::time::Instant;

use crate::settings::Hold;
use crate::target::Target;

/// By what the pool lost its last usable worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// It was drained, or is worked on: nobody waits for it.
    Operator,
    Itself,
}

#[derive(Debug, Default)]
pub(super) struct Holding {
    /// Somebody was usable after the last change.
    usable: bool,
    /// The pool has lost its last worker before.
    lost: bool,
    /// Somebody that has left the pool since was proven.
    left: bool,
    until: Option<Instant>,
    /// A loss is not published yet.
    unmarked: bool,
    /// When whoever still waits is told that nobody came.
    ends: Option<Instant>,
}

impl Holding {
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }

    /// When there is something to do. Who waits while some worker is about to have its first verdict
    /// goes on to wait.
    pub(super) fn due(&self, settled: bool) -> Option<Instant> {
        self.ends.filter(|_| settled)
    }

    pub(super) fn leaves(&mut self, target: &Target) {
        self.left |= target.is_proven();
    }

    /// One that comes after a loss has to serve like all the others before it counts.
    pub(super) fn arrives(&self, target: &Target) {
        if self.lost {
            target.lost();
        }
    }

    /// Requests wait for a worker now.
    pub(super) fn is_on(&self, now: Instant) -> bool {
        !self.usable && self.until.is_some_and(|until| now < until)
    }

    /// Whether somebody is usable from now on. True if the pool has just lost its last one.
    pub(super) fn note(&mut self, usable: bool) -> bool {
        let had = std::mem::replace(&mut self.usable, usable);
        if usable {
            self.ends = None;
        }
        had && !usable
    }

    /// The last one was lost. `proven`: one of those that the pool has was there.
    pub(super) fn begin(&mut self, loss: Loss, hold: Option<Hold>, proven: bool, now: Instant) {
        let hold = hold.filter(|_| loss == Loss::Itself);
        let proven = std::mem::take(&mut self.left) || proven;
        match hold {
            Some(hold) if proven => self.until = Some(now + hold.time),
            // It goes on, if it is not over.
            Some(_) => {}
            None => self.until = None,
        }
        // In a pool that never had a worker, who hoped for one hopes on.
        let had_one = proven || self.lost;
        self.ends = hold.filter(|_| had_one).map(|_| self.until.unwrap_or(now));
        self.lost |= had_one;
        self.unmarked = had_one;
    }

    /// Nobody can come back by itself.
    pub(super) fn give_up(&mut self) {
        self.until = None;
    }

    /// True once for every loss.
    pub(super) fn mark(&mut self) -> bool {
        std::mem::take(&mut self.unmarked)
    }

    /// True if whoever still waits is to be told that nobody came, which is once.
    pub(super) fn end(&mut self, settled: bool, now: Instant) -> bool {
        let over = self.due(settled).is_some_and(|ends| ends <= now);
        if over {
            self.ends = None;
        }
        over
    }
}
