//! What a pool does that has lost its last usable worker, and how it notices. While requests wait,
//! workers that are down are looked at often ([`Pace`](crate::pace::Pace)); for how long they wait is
//! `hold`'s.

use std::sync::Arc;
use std::time::Instant;

use isobar_balance::state::AdminState;

use super::hold::Loss;
use super::{Supervisor, now};
use crate::target::{Place, Target};

impl Supervisor {
    /// Requests wait for a worker now.
    pub(super) fn is_holding(&self) -> bool {
        self.holding.is_on(now())
    }

    /// Looks whether the pool has just lost its last usable worker.
    pub(super) fn note_loss(&mut self, loss: Loss) {
        let usable = !self.state.usable().is_empty();
        if self.holding.note(usable) {
            let proven = self.reached.values().any(|reached| reached.target.is_proven());
            self.holding.begin(loss, self.settings.hold, proven, now());
        } else if !usable && self.all_taken_out() {
            self.holding.give_up();
        }
    }

    /// Once it is published until when requests wait: from here on only who serves is proven again.
    pub(super) fn mark_lost(&mut self) {
        if self.holding.mark() {
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
        if !self.holding.end(self.is_settled(), now()) {
            return;
        }
        let at = Instant::now();
        let nobody = Arc::new(Target::nobody(self.shared.clone()));
        self.shared.waiters.publish(vec![Place(nobody)], at);
        self.shared.waiters.publish(Vec::new(), at);
    }
}
