//! The serving state of a pool: immutable, published with one store, read by every lease. It
//! answers "whose turn is it" through the prepared picker of each tier and, when nobody could be
//! reserved, why.

pub(crate) mod local;
mod tier;

use std::sync::Arc;
use std::time::Instant;

use isobar_balance::{Key, Need, Tried, WorkerId};

use self::tier::Picked;
pub(crate) use self::tier::{Nobody, Tier};
use crate::affinity::Cookies;
use crate::settings::{Asker, Overflow, Policy, Waiting};
use crate::spill::Spill;
use crate::target::{Place, Target};

pub(crate) struct Snapshot {
    pub(crate) version: u64,
    /// The lowest tier that has somebody; it serves.
    pub(crate) first: Arc<Tier>,
    /// The tiers above it that have somebody, the lowest first.
    pub(crate) backups: Box<[Arc<Tier>]>,
    /// What the strategy goes by.
    pub(crate) key: Key,
    pub(crate) policy: Policy,
    pub(crate) waiting: Waiting,
    /// Whether the backups take what the first tier has no slot for.
    pub(crate) overflow: Overflow,
    /// Where clients stay on their worker.
    pub(crate) cookies: Option<Cookies>,
    /// Some worker waits for its first verdict: who comes now may hope.
    pub(crate) starting: bool,
    /// Until when requests wait for a worker, of which there was none a while ago.
    pub(crate) held_until: Option<Instant>,
    /// Some worker has a slot limit.
    pub(crate) limited: bool,
    /// Some worker counts tunnels apart.
    pub(crate) apart: bool,
    pub(crate) spill: Option<Arc<Spill>>,
    /// The last one: the pool is going away.
    pub(crate) closed: bool,
}

/// What one request asks of a pick.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// See [`Snapshot::key_of`].
    pub(crate) key: Option<u64>,
    pub(crate) need: Need,
    pub(crate) tried: &'a Tried,
    pub(crate) now: Instant,
}

/// Why nobody was reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lack {
    /// Nobody may be used.
    Workers,
    /// Every worker that may be used has been tried.
    Others,
    /// A worker that may be used has no free slot.
    Slots,
}

pub(crate) enum Pick {
    /// Its slot is reserved.
    Reserved(Place),
    Nothing(Missing),
}

/// What a request that was given nobody could wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) lack: Lack,
    /// It waits for this worker alone.
    pub(crate) bound: Option<WorkerId>,
}

impl Snapshot {
    pub(crate) fn empty(policy: Policy, waiting: Waiting) -> Snapshot {
        Snapshot {
            version: 0,
            first: Arc::new(Tier::empty()),
            backups: Box::default(),
            key: Key::None,
            policy,
            waiting,
            overflow: Overflow::Off,
            cookies: None,
            starting: false,
            held_until: None,
            limited: false,
            apart: false,
            spill: None,
            closed: false,
        }
    }

    /// What this request needs.
    #[inline]
    pub(crate) fn need_of(&self, asker: &dyn Asker) -> Need {
        if self.apart { asker.need() } else { Need::Request }
    }

    /// This request's key, if the strategy wants one.
    #[inline]
    pub(crate) fn key_of(&self, asker: &dyn Asker) -> Option<u64> {
        match &self.key {
            Key::None => None,
            part => asker.key(part),
        }
    }

    /// Whose cookie this request brings.
    pub(crate) fn named_by(&self, asker: &dyn Asker) -> Option<WorkerId> {
        let cookies = self.cookies.as_ref()?;
        cookies.worker(asker.cookie(&cookies.terms.cookie)?)
    }

    #[inline]
    pub(crate) fn pick(&self, ask: &Ask<'_>, rng: &mut fastrand::Rng) -> Pick {
        // A tier that is not asked does not move: its picker has a turn to keep.
        if self.is_past_first(ask.tried) {
            let lack = self.first.lack(ask.tried);
            return self.fall_back(ask, rng, Missing { lack, bound: None });
        }
        match self.first.pick(ask, rng) {
            Picked::Reserved(place) => Pick::Reserved(place),
            Picked::Nothing(bound) => {
                let missing = Missing { lack: self.first.lack(ask.tried), bound };
                if missing.lack == Lack::Slots && self.overflow == Overflow::Off {
                    return Pick::Nothing(missing);
                }
                self.fall_back(ask, rng, missing)
            }
        }
    }

    /// The next tier serves where a lower one has nobody that this request may still ask: all of it
    /// were tried, or have just refused. Who lacks only a slot waits for it, unless the pool
    /// overflows. `missing`: what it lacks in the first tier.
    #[cold]
    fn fall_back(&self, ask: &Ask<'_>, rng: &mut fastrand::Rng, mut missing: Missing) -> Pick {
        for tier in &self.backups {
            if missing.lack == Lack::Slots && self.overflow == Overflow::Off {
                break;
            }
            match tier.lack(ask.tried) {
                Lack::Slots => match tier.pick(ask, rng) {
                    Picked::Reserved(place) => return Pick::Reserved(place),
                    Picked::Nothing(bound) if missing.lack < Lack::Slots => {
                        missing = Missing { lack: Lack::Slots, bound };
                    }
                    Picked::Nothing(_) => {}
                },
                lack => missing.lack = missing.lack.max(lack),
            }
        }
        Pick::Nothing(missing)
    }

    /// What a newcomer waits for that may not pick, because others wait already.
    pub(crate) fn missing(&self, ask: &Ask<'_>, rng: &mut fastrand::Rng) -> Missing {
        let mut lack = Lack::Workers;
        for tier in self.tiers() {
            lack = lack.max(tier.lack(ask.tried));
            if lack == Lack::Slots {
                return Missing { lack, bound: tier.bound(ask, rng) };
            }
        }
        Missing { lack, bound: None }
    }

    /// It competes with nobody who waits: they wait for the first tier, all of which it has tried.
    pub(crate) fn passes_who_waits(&self, tried: &Tried) -> bool {
        self.overflow == Overflow::Off && self.is_past_first(tried)
    }

    /// This request has tried all of the tier that serves.
    fn is_past_first(&self, tried: &Tried) -> bool {
        !tried.is_empty() && !self.backups.is_empty() && self.first.lack(tried) != Lack::Slots
    }

    /// All have just refused: the supervisor is about to hear of it, and to say until when requests
    /// wait.
    pub(crate) fn is_just_lost(&self) -> bool {
        self.tiers().flat_map(|tier| &tier.targets).any(|target| target.is_proven())
    }

    /// Nobody may be used, and nobody is about to be.
    pub(crate) fn has_nobody(&self) -> bool {
        !self.starting && self.tiers().all(|tier| tier.lack(&Tried::new()) == Lack::Workers)
    }

    /// This very worker, if it may be used, whatever its tier.
    pub(crate) fn target(&self, id: WorkerId) -> Option<&Arc<Target>> {
        self.tiers().find_map(|tier| tier.target(id))
    }

    /// A slot of this very worker; not without a tunnel slot beside it, where one is needed.
    pub(crate) fn reserve(&self, id: WorkerId, need: Need) -> Option<Place> {
        let target = self.target(id)?;
        if need == Need::Tunnel && !target.worker().tunnels().load().has_room() {
            return None;
        }
        target.slots().try_reserve().then(|| Place(target.clone()))
    }

    /// Who may be used.
    pub(crate) fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.tiers().flat_map(|tier| &tier.targets)
    }

    /// How many workers may be used.
    pub(crate) fn usable(&self) -> usize {
        self.tiers().map(|tier| tier.candidates.len()).sum()
    }

    fn tiers(&self) -> impl Iterator<Item = &Tier> {
        std::iter::once(&self.first).chain(&self.backups).map(|tier| &**tier)
    }
}
