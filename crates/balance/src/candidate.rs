//! What a picker sees of one pick: the candidates, and the only way to make a reservation.
//!
//! The pool builds a [`PickCx`] per pick from its snapshot; a [`Picker`](crate::Picker) asks it
//! who is eligible and reserves through it. Tried, full and closed workers are refused here, once,
//! so no strategy has to know why.

mod turns;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

pub use self::turns::Turns;
use crate::need::Need;
use crate::slots::SlotWord;
use crate::worker::{Worker, WorkerId};

/// One usable worker of a snapshot.
#[derive(Clone)]
pub struct Candidate {
    pub worker: Arc<Worker>,
    /// The explicit weight, else 1.
    pub weight: NonZeroU32,
    /// The explicit weight, else the slots, else 1.
    pub capacity: NonZeroU32,
}

/// One pick.
pub struct PickCx<'a> {
    candidates: &'a [Candidate],
    tried: &'a Tried,
    rng: &'a mut fastrand::Rng,
    key: Option<u64>,
    now: Instant,
    bound: Option<usize>,
    purpose: Purpose,
    need: Need,
    /// Who is in slow start, and whose turn it is of them.
    turns: Option<&'a Turns>,
    turn: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Reserve,
    Look,
}

impl<'a> PickCx<'a> {
    /// `key`: of the part of the request that the strategy asked for, if the request has it.
    pub fn new(
        candidates: &'a [Candidate],
        key: Option<u64>,
        tried: &'a Tried,
        rng: &'a mut fastrand::Rng,
        now: Instant,
    ) -> Self {
        Self {
            candidates,
            tried,
            rng,
            key,
            now,
            bound: None,
            purpose: Purpose::Reserve,
            need: Need::Request,
            turns: None,
            turn: None,
        }
    }

    /// A pick that takes nothing, only to learn whom this request would wait for: while others
    /// wait, a newcomer may not reserve, but it must join the right list.
    pub fn looking(self) -> Self {
        Self { purpose: Purpose::Look, ..self }
    }

    /// A pick for this need: who has no tunnel slot for it is as good as full. The slot is reserved
    /// here, the tunnel slot by [`Waiters`](crate::Waiters), under whose lock such a pick is made.
    pub fn needing(self, need: Need) -> Self {
        Self { need, ..self }
    }

    /// A pick while somebody is in slow start. Where that leaves nobody, pick again without it: a
    /// free slot is never left idle for the sake of shares.
    pub fn taking_turns(self, turns: &'a Turns) -> Self {
        let turn = turns.draw(self.rng);
        Self { turns: Some(turns), turn, ..self }
    }

    /// Whose turn it is, if it is a newcomer's: who is not heavier than others goes first.
    #[inline]
    pub fn turn(&self) -> Option<usize> {
        self.turn
    }

    /// The word of candidate `i` if it may be reserved: not tried, open, with a free slot and, in its
    /// slow start, in its turn.
    #[inline]
    pub fn eligible(&self, i: usize) -> Option<SlotWord> {
        let word = self.takeable(i)?.slots().load();
        (word.has_room() && self.is_its_turn(i)).then_some(word)
    }

    /// The word of candidate `i` if it could be waited for: it lacks nothing, or only a free slot.
    #[inline]
    pub fn awaitable(&self, i: usize) -> Option<SlotWord> {
        Some(self.untried(i)?.slots().load()).filter(|word| !word.is_closed())
    }

    /// Candidate `i`, of which this word is, lacks nothing that this request needs.
    #[inline]
    pub fn has_room(&self, i: usize, seen: SlotWord) -> bool {
        let candidate = self.candidates.get(i);
        seen.has_room() && candidate.is_some_and(|c| c.worker.has_room_for(self.need))
    }

    /// What candidate `i` holds already, for whoever looks for the lightest. For a tunnel, which
    /// stays for long, the tunnels that it would stand beside count, too.
    #[inline]
    pub fn load(&self, i: usize, word: SlotWord) -> u64 {
        let tunnels = match (self.need, self.candidates.get(i)) {
            (Need::Tunnel, Some(candidate)) => candidate.worker.tunnels().load().in_flight(),
            _ => 0,
        };
        u64::from(word.in_flight()) + u64::from(tunnels)
    }

    #[inline]
    pub fn reserve(&self, i: usize) -> Option<Reserved> {
        self.takeable(i)?.slots().try_reserve().then_some(Reserved { index: i })
    }

    /// Reserves only if the word still is the one the choice was made by.
    #[inline]
    pub fn reserve_if(&self, i: usize, seen: SlotWord) -> Option<Reserved> {
        self.takeable(i)?.slots().reserve_if(seen).then_some(Reserved { index: i })
    }

    /// This request waits for candidate `i` and no other.
    pub fn wait_for(&mut self, i: usize) {
        self.bound = Some(i);
    }

    /// Whom to wait for, if the picker said so.
    pub fn bound(&self) -> Option<usize> {
        self.bound
    }

    /// What keeps requests together, as [`Strategy::key`](crate::Strategy::key) asked for. `None`:
    /// this request lacks it.
    #[inline]
    pub fn key(&self) -> Option<u64> {
        self.key
    }

    /// See [`PickCx::looking`].
    #[inline]
    pub fn is_looking(&self) -> bool {
        self.purpose == Purpose::Look
    }

    #[inline]
    pub fn now(&self) -> Instant {
        self.now
    }

    #[inline]
    pub fn rng(&mut self) -> &mut fastrand::Rng {
        self.rng
    }

    #[inline]
    fn is_its_turn(&self, i: usize) -> bool {
        self.turns.is_none_or(|turns| self.turn == Some(i) || !turns.is_slow(i))
    }

    #[inline]
    fn takeable(&self, i: usize) -> Option<&'a Worker> {
        let may =
            |worker: &&Worker| self.purpose == Purpose::Reserve && worker.has_room_for(self.need);
        self.untried(i).filter(may)
    }

    #[inline]
    fn untried(&self, i: usize) -> Option<&'a Worker> {
        let worker = &*self.candidates.get(i)?.worker;
        (!self.tried.contains(worker.id())).then_some(worker)
    }
}

/// A slot of one candidate, taken. Only [`PickCx`] makes one, and whoever holds it owes a release.
#[derive(Debug)]
#[must_use = "a reserved slot must be leased or released"]
pub struct Reserved {
    index: usize,
}

impl Reserved {
    /// Which candidate.
    #[inline]
    pub fn index(&self) -> usize {
        self.index
    }
}

/// The workers this request has failed on: at most 8, kept inline.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    ids: [Option<WorkerId>; Tried::MOST],
    len: usize,
}

impl Tried {
    pub const MOST: usize = 8;

    pub const fn new() -> Self {
        Self { ids: [None; Self::MOST], len: 0 }
    }

    /// A ninth worker is not remembered: a retry policy stops long before.
    pub fn insert(&mut self, id: WorkerId) {
        if self.len < Self::MOST && !self.contains(id) {
            self.ids[self.len] = Some(id);
            self.len += 1;
        }
    }

    #[inline]
    pub fn contains(&self, id: WorkerId) -> bool {
        self.len > 0 && self.ids[..self.len].contains(&Some(id))
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn clear(&mut self) {
        self.len = 0;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_that_was_tried_or_is_full_or_closed_is_refused() {
        let candidates = [candidate(0, 1), candidate(1, 1), candidate(2, 1), candidate(3, 1)];
        let mut tried = Tried::default();
        tried.insert(WorkerId(0));
        assert!(candidates[1].worker.slots().try_reserve());
        candidates[2].worker.slots().close();
        let mut rng = fastrand::Rng::with_seed(1);
        let mut cx = PickCx::new(&candidates, None, &tried, &mut rng, Instant::now());
        for i in [0, 1, 2, 4, usize::MAX] {
            assert!(cx.eligible(i).is_none() && cx.reserve(i).is_none(), "{i}");
        }
        assert_eq!([0, 1, 2, 3].map(|i| cx.awaitable(i).is_some()), [false, true, false, true]);
        let seen = cx.eligible(3).expect("free");
        assert_eq!(cx.reserve_if(3, seen).map(|r| r.index()), Some(3));
        assert!(cx.reserve_if(3, seen).is_none());
        cx.wait_for(1);
        assert_eq!(cx.bound(), Some(1));
    }

    #[test]
    fn looking_takes_nothing() {
        let candidates = [candidate(0, 1)];
        let (tried, mut rng) = (Tried::default(), fastrand::Rng::with_seed(1));
        let cx = PickCx::new(&candidates, None, &tried, &mut rng, Instant::now()).looking();
        assert!(cx.eligible(0).is_none() && cx.reserve(0).is_none());
        assert!(cx.awaitable(0).is_some());
        assert_eq!(candidates[0].worker.slots().load().in_flight(), 0);
    }

    #[test]
    fn in_slow_start_a_candidate_has_its_turns_and_no_more() {
        let candidates = [candidate(0, 1), candidate(1, 1), candidate(2, 1)];
        let (tried, mut rng) = (Tried::default(), fastrand::Rng::with_seed(1));
        let turns = Turns::new(
            &[(1, 10), (1, 3), (2, 1)]
                .map(|(w, share)| (NonZeroU32::new(w).expect("not 0"), share)),
        );
        let turns = turns.expect("two are slow");
        let (mut counts, mut both) = ([0; 3], 0);
        for _ in 0..100_000 {
            let cx = PickCx::new(&candidates, None, &tried, &mut rng, Instant::now());
            let cx = cx.taking_turns(&turns);
            let eligible = [0, 1, 2].map(|i| cx.eligible(i).is_some());
            (0..3).for_each(|i| counts[i] += u32::from(eligible[i]));
            both += u32::from(eligible[1] && eligible[2]);
        }
        assert_eq!((counts[0], both), (100_000, 0));
        assert!((7_300..7_700).contains(&counts[1]), "a quarter of 0.3: {counts:?}");
        assert!((4_800..5_200).contains(&counts[2]), "a half of 0.1: {counts:?}");
        assert!(Turns::new(&[(NonZeroU32::MIN, 10)]).is_none());
    }

    #[test]
    fn tried_forgets_a_ninth() {
        let mut tried = Tried::new();
        for id in (0..9).chain(0..9) {
            tried.insert(WorkerId(id));
        }
        assert_eq!((tried.len(), tried.contains(WorkerId(8))), (8, false));
        tried.clear();
        assert!(tried.is_empty() && !tried.contains(WorkerId(0)));
    }

    fn candidate(id: u32, slots: u32) -> Candidate {
        Candidate {
            worker: Arc::new(Worker::new(WorkerId(id), "w", NonZeroU32::new(slots), 1)),
            weight: NonZeroU32::MIN,
            capacity: NonZeroU32::MIN,
        }
    }
}
