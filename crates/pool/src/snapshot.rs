//! The serving state of a pool: immutable, published with one store, read by every lease. It
//! answers "whose turn is it" through the prepared picker and, when nobody could be reserved, why.

use std::sync::Arc;
use std::time::Instant;

use isobar_balance::{Candidate, Key, PickCx, Picker, Reserved, Tried, Turns, WorkerId};

use crate::affinity::Cookies;
use crate::settings::{Asker, Policy};
use crate::spill::Spill;
use crate::target::{Place, Target};

pub(crate) struct Snapshot {
    pub(crate) version: u64,
    pub(crate) candidates: Box<[Candidate]>,
    /// Aligned with `candidates`.
    pub(crate) targets: Box<[Arc<Target>]>,
    pub(crate) picker: Box<dyn Picker>,
    /// What the picker's strategy goes by.
    pub(crate) key: Key,
    /// While somebody is in slow start and the strategy follows the load.
    pub(crate) turns: Option<Turns>,
    pub(crate) policy: Policy,
    /// Where clients stay on their worker.
    pub(crate) cookies: Option<Cookies>,
    /// Some worker waits for its first verdict: who comes now may hope.
    pub(crate) starting: bool,
    pub(crate) limited: bool,
    pub(crate) spill: Option<Arc<Spill>>,
    /// The last one: the pool is going away.
    pub(crate) closed: bool,
}

/// Why nobody was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// A worker that may be used has no free slot.
    Slots,
    /// Every worker that may be used has been tried.
    Others,
    Workers,
}

pub(crate) enum Pick {
    /// Its slot is reserved.
    Reserved(Place),
    /// Nobody's is; the request may be bound to one worker.
    Nothing(Option<WorkerId>),
}

impl Snapshot {
    pub(crate) fn empty(policy: Policy) -> Snapshot {
        Snapshot {
            version: 0,
            candidates: Box::default(),
            targets: Box::default(),
            picker: Box::new(Nobody),
            key: Key::None,
            turns: None,
            policy,
            cookies: None,
            starting: false,
            limited: false,
            spill: None,
            closed: false,
        }
    }

    /// This request's key, if the strategy wants one.
    #[inline]
    pub(crate) fn key_of(&self, asker: &dyn Asker) -> Option<u64> {
        match &self.key {
            Key::None => None,
            part => asker.key(part),
        }
    }

    pub(crate) fn pick(
        &self,
        key: Option<u64>,
        tried: &Tried,
        rng: &mut fastrand::Rng,
        now: Instant,
    ) -> Pick {
        if let Some(turns) = &self.turns {
            let mut cx = PickCx::new(&self.candidates, key, tried, rng, now).taking_turns(turns);
            if let Some(reserved) = self.picker.pick(&self.candidates, &mut cx) {
                return Pick::Reserved(Place(self.targets[reserved.index()].clone()));
            }
        }
        let mut cx = PickCx::new(&self.candidates, key, tried, rng, now);
        match self.picker.pick(&self.candidates, &mut cx) {
            Some(reserved) => Pick::Reserved(Place(self.targets[reserved.index()].clone())),
            None => Pick::Nothing(cx.bound().map(|i| self.candidates[i].worker.id())),
        }
    }

    /// This very worker, if it may be used.
    pub(crate) fn candidate(&self, id: WorkerId) -> Option<usize> {
        let usable = |candidate: &Candidate| {
            candidate.worker.id() == id && !candidate.worker.slots().load().is_closed()
        };
        self.candidates.iter().position(usable)
    }

    /// A slot of this very worker.
    pub(crate) fn reserve(&self, id: WorkerId) -> Option<Place> {
        let target = &self.targets[self.candidate(id)?];
        target.slots().try_reserve().then(|| Place(target.clone()))
    }

    /// Whom this request would wait for, if not for anybody.
    pub(crate) fn bound(
        &self,
        key: Option<u64>,
        tried: &Tried,
        rng: &mut fastrand::Rng,
        now: Instant,
    ) -> Option<WorkerId> {
        let mut cx = PickCx::new(&self.candidates, key, tried, rng, now).looking();
        self.picker.pick(&self.candidates, &mut cx);
        cx.bound().map(|i| self.candidates[i].worker.id())
    }

    pub(crate) fn lack(&self, tried: &Tried) -> Lack {
        let mut lack = Lack::Workers;
        for candidate in &self.candidates {
            if tried.contains(candidate.worker.id()) {
                lack = Lack::Others;
            } else if !candidate.worker.slots().load().is_closed() {
                return Lack::Slots;
            }
        }
        lack
    }
}

/// Picks nobody: there is nobody, or no strategy to choose by.
pub(crate) struct Nobody;

impl Picker for Nobody {
    fn pick(&self, _: &[Candidate], _: &mut PickCx<'_>) -> Option<Reserved> {
        None
    }
}
