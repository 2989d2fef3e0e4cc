//! Makes the world agree with the state: limits, snapshot, queue, watches, log. Whoever applies
//! events comes here next, with what they changed and when the first of them happened.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use isobar_balance::state::{Changes, Transition};
use isobar_balance::{Health, Seats};

use super::choosing::{Choosing, Member};
use super::hold::Loss;
use super::{Supervisor, now};
use crate::affinity::Cookies;
use crate::settings::{Overflow, Policy, Waiting};
use crate::snapshot::{Snapshot, Tier};
use crate::target::Place;

impl Supervisor {
    /// `since`: what these changes made possible was possible from then on, as far as the queue's
    /// accounts are concerned.
    pub(super) fn settle_down(&mut self, changes: Changes, since: Instant) {
        if self.shared.closed.load(Ordering::SeqCst) {
            return;
        }
        let freed = self.follow_transitions(&changes.transitions);
        self.note_loss(Loss::Itself);
        for (known, limit) in self.state.limits() {
            let Some(reached) = self.reached.get(known.name()) else { continue };
            let slots = reached.target.slots();
            if slots.load().limit() != limit.map(NonZeroU32::get) {
                slots.set_limit(limit);
            }
            reached.target.set_tunnel_limit(known.tunnels());
        }
        // Who comes now must not hope any more when the last first verdict was a bad one.
        let settled = self.is_settled();
        let published = self.shared.snapshot.load();
        let (hope, held) = (published.starting, published.held_until);
        if changes.usable || changes.limits || hope == settled || held != self.holding.until() {
            self.publish(since);
        } else if freed {
            // Down and up again before anybody saw it: only the slots had been closed.
            self.shared.waiters.observe(Instant::now());
            self.shared.waiters.changed(since);
        }
        self.log(&changes);
        self.watch();
        self.settle.send_if_modified(|known| std::mem::replace(known, settled) != settled);
        self.mark_lost();
        self.end_hold();
        let due = self.state.next_due(now()).into_iter().chain(self.holding.due(settled)).min();
        if std::mem::replace(&mut self.due, due) != due {
            self.due_changed.notify_one();
        }
    }

    /// True if slots that a refusal had closed are open again.
    fn follow_transitions(&mut self, transitions: &[Transition]) -> bool {
        let mut freed = false;
        for transition in transitions {
            let Some(reached) = self.reached.get_mut(&transition.worker) else { continue };
            let stats = reached.target.worker().stats();
            if transition.to == Health::Up || transition.to == Health::Warming {
                reached.target.accepts();
            }
            if transition.to == Health::Ejected {
                self.shared.recorder.ejection();
            }
            if transition.from == Health::Ejected || transition.to == Health::Ejected {
                stats.forget_runs();
                reached.window.restart();
            }
        }
        // Only who is well in the end: a refusal may have come after the success.
        let came_back: HashSet<_> = transitions.iter().map(|t| t.worker.as_str()).collect();
        for known in self.state.members().filter(|known| came_back.contains(known.name())) {
            let well = matches!(known.health(), Health::Up | Health::Warming | Health::Ejected);
            if let Some(reached) = self.reached.get(known.name()).filter(|_| well) {
                reached.target.slots().open();
                freed = true;
            }
        }
        freed
    }

    fn publish(&mut self, since: Instant) {
        let key = self.choosing(0).strategy.key();
        let mut tiers = self.tiers().into_iter();
        let first = tiers.next().unwrap_or_else(|| Arc::new(Tier::empty()));
        let backups: Box<[_]> = tiers.collect();
        let places = |tier: &Arc<Tier>| tier.targets.iter().cloned().map(Place).collect::<Vec<_>>();
        let mut seats = Seats::from(places(&first));
        let later = match self.settings.overflow {
            Overflow::Off => &mut seats.backups,
            Overflow::On => &mut seats.overflow,
        };
        later.extend(backups.iter().flat_map(places));
        let snapshot = Snapshot {
            version: self.version() + 1,
            key,
            first,
            backups,
            policy: Policy::of(&self.settings),
            waiting: self.waiting(),
            overflow: self.settings.overflow,
            cookies: self.settings.affinity.as_ref().map(|terms| {
                let members = self.reached.values().map(|reached| &reached.target);
                let members = members.map(|target| (target.name(), target.id()));
                Cookies::new(terms, &self.shared.name, members)
            }),
            starting: !self.is_settled(),
            held_until: self.holding.until(),
            apart: self.state.members().any(|known| known.tunnels().is_some()),
            limited: self.state.members().any(|known| known.slots().is_some()),
            spill: self.settings.spill.clone(),
            closed: false,
        };
        // In this order: who joins the queue in between sees the new snapshot, who joined before is
        // handed what it brings.
        self.shared.snapshot.store(Arc::new(snapshot));
        self.shared.waiters.observe(Instant::now());
        self.shared.waiters.publish(seats, since);
    }

    /// Each tier has a strategy of its own: what moves in one (a turn) does not move in another.
    fn choosing(&mut self, tier: u8) -> &mut Choosing {
        let (pool, settings) = (&self.shared.name, &self.settings);
        self.choosing.entry(tier).or_insert_with(|| Choosing::new(pool, settings))
    }

    /// Those that have somebody, the lowest first.
    fn tiers(&mut self) -> Vec<Arc<Tier>> {
        let mut members: BTreeMap<u8, Vec<Member>> = BTreeMap::new();
        for usable in self.state.usable() {
            let Some(reached) = self.reached.get(usable.name) else { continue };
            let member = Member::new(reached.target.clone(), &usable);
            members.entry(usable.tier).or_default().push(member);
        }
        members.into_iter().map(|(tier, members)| self.choosing(tier).prepare(&members)).collect()
    }

    fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::of(&self.settings);
        let held_as_queued =
            waiting.hold.zip(waiting.queue).is_some_and(|(hold, queue)| hold.max == queue.max);
        if let (Some(queue), Some(per_slot)) = (&mut waiting.queue, self.settings.queue_per_slot) {
            let slots = self.state.members().filter_map(|known| known.slots());
            let slots: usize = slots.map(|slots| slots.get() as usize).sum();
            queue.max = queue.max.max(slots.saturating_mul(per_slot));
            if let Some(hold) = waiting.hold.as_mut().filter(|_| held_as_queued) {
                hold.max = queue.max;
            }
        }
        waiting
    }
}
