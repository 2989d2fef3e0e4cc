//! How many leases a worker holds and whether it may hold one more: one packed word.
//!
//! Pickers compare and reserve through it from every shard; the control thread sets the limit and
//! opens or closes it. A reserve is one CAS over in-flight, limit and the closed bit together, so
//! it never succeeds above the limit of that very moment; a lowered limit works by attrition.
//! It does not know who waits: whoever releases goes through [`Waiters`](crate::Waiters).

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::SeqCst;

use crossbeam_utils::CachePadded;

use crate::sync::AtomicU64;

/// One worker's slot word, alone on its cache line.
pub struct Slots {
    word: CachePadded<AtomicU64>,
}

impl Slots {
    pub fn new(limit: Option<NonZeroU32>) -> Self {
        Self { word: CachePadded::new(AtomicU64::new(SlotWord::limit_bits(limit))) }
    }

    /// SeqCst: a newcomer that finds no room here must not have read a stale word, or it would
    /// queue beside a free slot.
    #[inline]
    pub fn load(&self) -> SlotWord {
        SlotWord(self.word.load(SeqCst))
    }

    /// Takes a slot if there is room.
    #[inline]
    pub fn try_reserve(&self) -> bool {
        let mut seen = self.load();
        while seen.has_room() {
            match self.word.compare_exchange_weak(seen.0, seen.0 + 1, SeqCst, SeqCst) {
                Ok(_) => return true,
                Err(now) => seen = SlotWord(now),
            }
        }
        false
    }

    /// Takes a slot only if nothing changed since `seen`: what the comparison was based on.
    #[inline]
    pub fn reserve_if(&self, seen: SlotWord) -> bool {
        seen.has_room() && self.word.compare_exchange(seen.0, seen.0 + 1, SeqCst, SeqCst).is_ok()
    }

    /// Gives a slot back. Only for a reservation nobody can be waiting for; a pool with a queue
    /// uses [`Waiters::release`](crate::Waiters::release).
    #[inline]
    pub fn release(&self) {
        let before = SlotWord(self.word.fetch_sub(1, SeqCst));
        debug_assert!(before.in_flight() > 0, "a slot was released twice");
    }

    /// A lower limit cuts nobody off: the slots above it are not given out again. Whoever raises
    /// it calls [`Waiters::changed`](crate::Waiters::changed) next.
    pub fn set_limit(&self, limit: Option<NonZeroU32>) {
        let bits = SlotWord::limit_bits(limit);
        self.update(|word| word & !SlotWord::LIMIT | bits);
    }

    /// Nothing is reserved from now on; what is held stays held.
    pub fn close(&self) {
        self.update(|word| word | SlotWord::CLOSED);
    }

    pub fn open(&self) {
        self.update(|word| word & !SlotWord::CLOSED);
    }

    fn update(&self, change: impl Fn(u64) -> u64) {
        let mut seen = self.word.load(SeqCst);
        while let Err(now) = self.word.compare_exchange_weak(seen, change(seen), SeqCst, SeqCst) {
            seen = now;
        }
    }
}

/// What a slot word said at one moment: `closed:1 | limit:31 | in_flight:32`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SlotWord(u64);

impl SlotWord {
    const CLOSED: u64 = 1 << 63;
    const LIMIT: u64 = (Self::NO_LIMIT as u64) << 32;
    /// "No limit" still is a number above every real one, so that having room is one comparison
    /// and the in-flight half can never run over into the limit.
    const NO_LIMIT: u32 = (1 << 31) - 1;

    fn limit_bits(limit: Option<NonZeroU32>) -> u64 {
        let limit = limit.map_or(Self::NO_LIMIT, |limit| limit.get().min(Self::NO_LIMIT - 1));
        u64::from(limit) << 32
    }

    #[inline]
    pub fn in_flight(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub fn limit(self) -> Option<u32> {
        Some(self.raw_limit()).filter(|&limit| limit != Self::NO_LIMIT)
    }

    #[inline]
    pub fn is_closed(self) -> bool {
        self.0 & Self::CLOSED != 0
    }

    /// One more may be reserved.
    #[inline]
    pub fn has_room(self) -> bool {
        !self.is_closed() && self.in_flight() < self.raw_limit()
    }

    /// What is held may go on being held by somebody else: a hand-over keeps the count.
    #[inline]
    pub(crate) fn may_hand_over(self) -> bool {
        !self.is_closed() && self.in_flight() <= self.raw_limit()
    }

    #[inline]
    fn raw_limit(self) -> u32 {
        ((self.0 & Self::LIMIT) >> 32) as u32
    }
}

impl std::fmt::Debug for SlotWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlotWord")
            .field("in_flight", &self.in_flight())
            .field("limit", &self.limit())
            .field("closed", &self.is_closed())
            .finish()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_limit_of_one_is_never_two() {
        let slots = Slots::new(NonZeroU32::new(1));
        assert!(slots.try_reserve());
        assert!(!slots.try_reserve());
        assert!(!slots.reserve_if(slots.load()));
        slots.release();
        assert_eq!(slots.load().in_flight(), 0);
        assert!(slots.reserve_if(slots.load()));
    }

    #[test]
    fn a_stale_word_reserves_nothing() {
        let slots = Slots::new(None);
        let seen = slots.load();
        assert!(slots.try_reserve());
        assert!(!slots.reserve_if(seen));
        slots.release();
        slots.close();
        assert!(!slots.reserve_if(seen));
    }

    #[test]
    fn a_lower_limit_works_by_attrition() {
        let slots = Slots::new(NonZeroU32::new(3));
        (0..3).for_each(|_| assert!(slots.try_reserve()));
        slots.set_limit(NonZeroU32::new(1));
        assert_eq!((slots.load().in_flight(), slots.load().limit()), (3, Some(1)));
        assert!(!slots.load().may_hand_over());
        slots.release();
        slots.release();
        assert!(!slots.load().has_room() && slots.load().may_hand_over());
        slots.release();
        assert!(slots.try_reserve());
    }

    #[test]
    fn closed_keeps_what_is_held() {
        let slots = Slots::new(None);
        assert!(slots.try_reserve());
        slots.close();
        assert!(!slots.try_reserve());
        assert_eq!(slots.load().in_flight(), 1);
        slots.open();
        assert!(slots.try_reserve());
        assert_eq!(slots.load().limit(), None);
    }

    #[test]
    fn the_largest_limit_is_not_mistaken_for_none() {
        let slots = Slots::new(NonZeroU32::new(u32::MAX));
        assert_eq!(slots.load().limit(), Some(SlotWord::NO_LIMIT - 1));
    }
}
