//! Who belongs to the pool: turns a new set of workers into events for the state, and into targets
//! that are kept, made or let go.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use isobar_balance::state::{Changes, Event, Member};
use isobar_balance::{Worker, WorkerId};

use super::reached::Reached;
use super::{Supervisor, merge, now};
use crate::settings::WorkerSpec;
use crate::target::Target;

impl Supervisor {
    /// The difference between the set that is and the set that shall be.
    pub(super) fn set(&mut self, workers: Vec<WorkerSpec>) -> Changes {
        let now = now();
        self.said.outdated = true;
        let mut changes = Changes::default();
        let mut wanted = HashMap::new();
        for spec in &workers {
            wanted.entry(spec.name.as_str()).or_insert(&spec.address);
        }
        let stays = |reached: &Reached| {
            wanted.get(reached.target.name()) == Some(&reached.target.address())
        };
        let gone: HashSet<String> = self
            .reached
            .iter()
            .filter(|(_, reached)| !stays(reached))
            .map(|(name, _)| name.clone())
            .collect();
        self.departed.retain(|_, target| target.strong_count() > 0);
        for name in &gone {
            if let Some(reached) = self.reached.remove(name) {
                self.holding.leaves(&reached.target);
                reached.target.retire();
                let who = (name.clone(), reached.target.address().clone());
                self.departed.insert(who, Arc::downgrade(&reached.target));
            }
        }
        if !gone.is_empty() {
            // Out of the state as well, before a namesake at another address enters it: that is
            // another worker, and inherits nothing.
            let kept = self.state.members().map(|known| known.member().clone());
            let kept = kept.filter(|member| !gone.contains(&member.name)).collect();
            merge(&mut changes, self.state.apply(Event::Set(kept), now));
        }
        let members = workers.iter().map(|spec| Member {
            name: spec.name.clone(),
            weight: spec.weight,
            slots: spec.slots,
            tunnels: spec.tunnels,
            tier: spec.tier,
        });
        let members = members.collect();
        for spec in workers {
            if let Some(reached) = self.reached.get(&spec.name) {
                reached.target.set_tls(spec.tls);
                continue;
            }
            let target = self.returned(&spec).unwrap_or_else(|| Arc::new(self.reach(&spec)));
            target.set_tls(spec.tls);
            self.reached.insert(spec.name, Reached::new(target));
        }
        self.watch_runs();
        merge(&mut changes, self.state.apply(Event::Set(members), now));
        changes
    }

    /// It was here before, and somebody still holds a lease of it.
    fn returned(&mut self, spec: &WorkerSpec) -> Option<Arc<Target>> {
        let who = (spec.name.clone(), spec.address.clone());
        let target = self.departed.remove(&who)?.upgrade()?;
        target.unretire();
        Some(target)
    }

    fn reach(&mut self, spec: &WorkerSpec) -> Target {
        static SERIALS: AtomicU64 = AtomicU64::new(1);
        let id = WorkerId(self.next_id);
        self.next_id += 1;
        let worker = Worker::new(id, &spec.name, spec.slots, self.cells);
        worker.tunnels().set_limit(spec.tunnels);
        let serial = SERIALS.fetch_add(1, Ordering::Relaxed);
        let target = Target::new(worker, spec.address.clone(), serial, self.shared.clone());
        self.holding.arrives(&target);
        target
    }

    /// Not one that has gone since; a namesake is not meant.
    pub(super) fn is_current(&self, target: &Arc<Target>) -> bool {
        let known = self.reached.get(target.name());
        known.is_some_and(|known| Arc::ptr_eq(&known.target, target))
    }
}
