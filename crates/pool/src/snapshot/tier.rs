//! The workers of one tier that may be used, and the picker prepared for them. It is made anew only
//! when they, or their shares, change.

use std::sync::Arc;

use isobar_balance::{Candidate, PickCx, Picker, Reserved, Tried, Turns, WorkerId};

use super::{Ask, Lack};
use crate::target::{Place, Target};

pub(crate) struct Tier {
    pub(crate) candidates: Box<[Candidate]>,
    /// Aligned with `candidates`.
    pub(crate) targets: Box<[Arc<Target>]>,
    pub(crate) picker: Box<dyn Picker>,
    /// While somebody is in slow start and the strategy follows the load.
    pub(crate) turns: Option<Turns>,
}

/// What a pick in one tier came to.
pub(super) enum Picked {
    /// Its slot is reserved.
    Reserved(Place),
    /// Nobody's is; the request may be bound to one worker.
    Nothing(Option<WorkerId>),
}

impl Tier {
    /// There is nobody.
    pub(crate) fn empty() -> Tier {
        Tier {
            candidates: Box::default(),
            targets: Box::default(),
            picker: Box::new(Nobody),
            turns: None,
        }
    }

    #[inline]
    pub(super) fn pick(&self, ask: &Ask<'_>, rng: &mut fastrand::Rng) -> Picked {
        if let Some(turns) = &self.turns {
            let mut cx = self.cx(ask, rng).taking_turns(turns);
            if let Some(reserved) = self.picker.pick(&self.candidates, &mut cx) {
                return Picked::Reserved(Place(self.targets[reserved.index()].clone()));
            }
        }
        let mut cx = self.cx(ask, rng);
        match self.picker.pick(&self.candidates, &mut cx) {
            Some(reserved) => Picked::Reserved(Place(self.targets[reserved.index()].clone())),
            None => Picked::Nothing(cx.bound().map(|i| self.candidates[i].worker.id())),
        }
    }

    /// Whom this request would wait for, if not for anybody.
    pub(super) fn bound(&self, ask: &Ask<'_>, rng: &mut fastrand::Rng) -> Option<WorkerId> {
        let mut cx = self.cx(ask, rng).looking();
        self.picker.pick(&self.candidates, &mut cx);
        cx.bound().map(|i| self.candidates[i].worker.id())
    }

    #[inline]
    fn cx<'a>(&'a self, ask: &Ask<'a>, rng: &'a mut fastrand::Rng) -> PickCx<'a> {
        PickCx::new(&self.candidates, ask.key, ask.tried, rng, ask.now).needing(ask.need)
    }

    /// This very worker, if it may be used.
    pub(super) fn target(&self, id: WorkerId) -> Option<&Arc<Target>> {
        let usable =
            |target: &&Arc<Target>| target.id() == id && !target.slots().load().is_closed();
        self.targets.iter().find(usable)
    }

    /// What this request misses here, if it was given nobody.
    pub(super) fn lack(&self, tried: &Tried) -> Lack {
        let mut lack = Lack::Workers;
        for candidate in &self.candidates {
            if candidate.worker.slots().load().is_closed() {
                continue;
            }
            if !tried.contains(candidate.worker.id()) {
                return Lack::Slots;
            }
            lack = Lack::Others;
        }
        lack
    }

    /// The picker was prepared for just these.
    pub(crate) fn is_for(&self, candidates: &[Candidate]) -> bool {
        let same = |(a, b): (&Candidate, &Candidate)| {
            Arc::ptr_eq(&a.worker, &b.worker) && a.weight == b.weight && a.capacity == b.capacity
        };
        self.turns.is_none()
            && self.candidates.len() == candidates.len()
            && self.candidates.iter().zip(candidates).all(same)
    }
}

/// Picks nobody: there is nobody, or no strategy to choose by.
pub(crate) struct Nobody;

impl Picker for Nobody {
    fn pick(&self, _: &[Candidate], _: &mut PickCx<'_>) -> Option<Reserved> {
        None
    }
}
