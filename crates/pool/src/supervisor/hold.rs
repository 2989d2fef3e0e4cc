//! How requests wait for a pool that has lost its last usable worker: from the moment of the loss, for
//! as long as the settings say; not where an operator took the worker out, and not for a pool that
//! never had one. What comes back and fails again without having served begins no new wait. While
//! it lasts, workers that are down are looked at often ([`Pace`](crate::pace::Pace)).

use std::sync::Arc;
use std::time::Instant;

use isobar_balance::state::AdminState;

use super::{Supervisor, now};
use crate::target::{Place, Target};

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
}

impl Supervisor {
    /// Requests wait for a worker now.
    pub(super) fn is_holding(&self) -> bool {
        !self.holding.usable && self.holding.until.is_some_and(|until| now() < until)
    }

    /// Looks whether the pool has just lost its last usable worker.
    pub(super) fn note_loss(&mut self, loss: Loss) {
        let usable = !self.state.usable().is_empty();
        let had = std::mem::replace(&mut self.holding.usable, usable);
        if usable {
            self.holding.ends = None;
        } else if had {
            self.lost(loss);
        } else if self.all_taken_out() {
            self.holding.until = None;
        }
    }

    fn lost(&mut self, loss: Loss) {
        let proven = self.reached.values().any(|reached| reached.target.is_proven());
        let proven = std::mem::take(&mut self.holding.left) || proven;
        let holding = &mut self.holding;
        let (hold, now) = (self.settings.hold.filter(|_| loss == Loss::Itself), now());
        match hold {
            Some(hold) if proven => holding.until = Some(now + hold.time),
            // It goes on, if it is not over.
            Some(_) => {}
            None => holding.until = None,
        }
        // In a pool that never had a worker, who hoped for one hopes on.
        let had_one = proven || holding.lost;
        holding.ends = hold.filter(|_| had_one).map(|_| holding.until.unwrap_or(now));
        holding.lost |= had_one;
        holding.unmarked = had_one;
    }

    /// Once it is published until when requests wait: from here on only who serves is proven again.
    pub(super) fn mark_lost(&mut self) {
        if std::mem::take(&mut self.holding.unmarked) {
            self.reached.values().for_each(|reached| reached.target.lost());
        }
    }

    /// Nobody could come back but by an operator's word.
    fn all_taken_out(&self) -> bool {
        let mut members = self.state.members().peekable();
        members.peek().is_some() && members.all(|known| known.admin() != AdminState::Up)
    }

    /// Tells whoever still waits that nobody came.
    pub(super) fn end_hold(&mut self) {
        let over = self.holding.due(self.is_settled()).is_some_and(|ends| ends <= now());
        if !over {
            return;
        }
        self.holding.ends = None;
        let at = Instant::now();
        let nobody = Arc::new(Target::nobody(self.shared.clone()));
        self.shared.waiters.publish(vec![Place(nobody)], at);
        self.shared.waiters.publish(Vec::new(), at);
    }
}
