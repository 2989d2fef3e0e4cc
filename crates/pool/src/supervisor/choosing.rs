//! How a tier chooses: its strategy, and the picker that this prepared for the tier's members. Who
//! they are is not known here.

use std::num::NonZeroU32;
use std::sync::Arc;

use isobar_balance::state::{FULL_SHARE, Usable};
use isobar_balance::{Candidate, Picker, SlowStart, Strategy, Turns};

use crate::settings::PoolSettings;
use crate::snapshot::{Nobody, Tier};
use crate::target::Target;

/// How a tier chooses, and what was prepared for it last.
pub(super) struct Choosing {
    pub(super) strategy: Box<dyn Strategy>,
    tier: Arc<Tier>,
}

/// A worker of a tier, and its part in it.
pub(super) struct Member {
    target: Arc<Target>,
    weight: NonZeroU32,
    capacity: NonZeroU32,
    /// Tenths, in its slow start fewer than ten.
    share: u32,
}

impl Choosing {
    /// For a tier that has nobody yet.
    pub(super) fn new(pool: &str, settings: &PoolSettings) -> Choosing {
        Choosing { strategy: build(pool, settings), tier: Arc::new(Tier::empty()) }
    }

    /// What was prepared before, if that was for the same members in the same shares.
    pub(super) fn prepare(&mut self, members: &[Member]) -> Arc<Tier> {
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
    pub(super) fn new(target: Arc<Target>, usable: &Usable<'_>) -> Member {
        Member {
            target,
            weight: usable.weight_or_one(),
            capacity: usable.capacity(),
            share: usable.share,
        }
    }

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

/// The configuration has refused bad options before; if it did not, that is said, and not fatal.
fn build(pool: &str, settings: &PoolSettings) -> Box<dyn Strategy> {
    (settings.strategy.build)(&settings.options).unwrap_or_else(|problem| {
        let strategy = settings.strategy.name;
        tracing::error!(pool, strategy, %problem, "no such strategy");
        Box::new(Unbuilt)
    })
}

struct Unbuilt;

impl Strategy for Unbuilt {
    fn prepare(&self, _: &[Candidate]) -> Box<dyn Picker> {
        Box::new(Nobody)
    }
}
