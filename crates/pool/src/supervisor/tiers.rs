//! The tiers of the next snapshot, each with the picker that its strategy prepared for its members.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use isobar_balance::state::FULL_SHARE;
use isobar_balance::{Candidate, SlowStart, Strategy, Turns};

use super::{Supervisor, build};
use crate::snapshot::Tier;
use crate::target::Target;

/// How a tier chooses, and what was prepared for it last.
pub(super) struct Choosing {
    pub(super) strategy: Box<dyn Strategy>,
    tier: Arc<Tier>,
}

/// A worker of a tier, and its part in it.
struct Member {
    target: Arc<Target>,
    weight: NonZeroU32,
    capacity: NonZeroU32,
    /// Tenths, in its slow start fewer than ten.
    share: u32,
}

impl Supervisor {
    /// Each tier has a strategy of its own: what moves in one (a turn) does not move in another.
    pub(super) fn choosing(&mut self, tier: u8) -> &mut Choosing {
        self.choosing.entry(tier).or_insert_with(|| Choosing {
            strategy: build(&self.shared.name, &self.settings),
            tier: Arc::new(Tier::empty()),
        })
    }

    /// Those that have somebody, the lowest first.
    pub(super) fn tiers(&mut self) -> Vec<Arc<Tier>> {
        let mut members: BTreeMap<u8, Vec<Member>> = BTreeMap::new();
        for usable in self.state.usable() {
            let Some(reached) = self.reached.get(usable.name) else { continue };
            members.entry(usable.tier).or_default().push(Member {
                target: reached.target.clone(),
                weight: usable.weight_or_one(),
                capacity: usable.capacity(),
                share: usable.share,
            });
        }
        members.into_iter().map(|(tier, members)| self.choosing(tier).prepare(&members)).collect()
    }
}

impl Choosing {
    /// What was prepared before, if that was for the same members in the same shares.
    fn prepare(&mut self, members: &[Member]) -> Arc<Tier> {
        let slow = members.iter().any(|member| member.share < FULL_SHARE);
        let by_weight = slow && self.strategy.slow_start() == SlowStart::Weight;
        let candidates: Box<[_]> = members.iter().map(|m| m.candidate(by_weight)).collect();
        let shares: Vec<_> = members.iter().map(|member| (member.weight, member.share)).collect();
        let turns = if slow && !by_weight { Turns::new(&shares) } else { None };
        if turns.is_some() || !self.tier.is_for(&candidates) {
            self.tier = Arc::new(Tier {
                picker: self.strategy.prepare(&candidates),
                candidates,
                targets: members.iter().map(|member| member.target.clone()).collect(),
                turns,
            });
        }
        self.tier.clone()
    }
}

impl Member {
    fn candidate(&self, by_weight: bool) -> Candidate {
        // Everybody's weight is multiplied, so that a tenth of 1 is a whole number.
        let share = NonZeroU32::new(self.share).filter(|_| by_weight).unwrap_or(NonZeroU32::MIN);
        Candidate {
            worker: self.target.worker().clone(),
            weight: self.weight.saturating_mul(share),
            capacity: self.capacity.saturating_mul(share),
        }
    }
}
