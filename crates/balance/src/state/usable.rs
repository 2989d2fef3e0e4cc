//! Who may be used, and with what share: the pure answer a snapshot is made of.
//!
//! Normally those who are up, each with its tier. In a panic, and where nobody is up in any tier,
//! ejections (and in a panic probe time-outs) are forgiven: a worker that may be ill is better than
//! none. Slow start is relative: nobody waits for a share that no other worker of the tier takes.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use super::event::AdminState;
use super::member::MemberState;
use super::ramp::FULL;
use super::rules::Rules;
use crate::health::Health;

/// So many failed warm-ups make a worker the last resort.
const COLD_AFTER: u32 = 3;

/// A worker that may be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usable<'a> {
    pub name: &'a str,
    /// Effective and explicit.
    pub weight: Option<NonZeroU32>,
    /// Effective, and in its slow start fewer.
    pub slots: Option<NonZeroU32>,
    /// Tenths of the share it will have after its slow start, beside the others' shares.
    pub share: u32,
    /// 0 serves; a higher one does while no lower one can.
    pub tier: u8,
    full_slots: Option<NonZeroU32>,
}

impl Usable<'_> {
    /// Its share of turns.
    pub fn weight_or_one(&self) -> NonZeroU32 {
        self.weight.unwrap_or(NonZeroU32::MIN)
    }

    /// What it can do: its weight, else its slots, else 1.
    pub fn capacity(&self) -> NonZeroU32 {
        self.weight.or(self.full_slots).unwrap_or(NonZeroU32::MIN)
    }
}

/// Tenths of the share a worker will have; all of it.
pub const FULL_SHARE: u32 = FULL;

/// The pool forgives what it can.
pub(super) fn panics(members: &[MemberState], rules: &Rules) -> bool {
    if rules.panic_below == 0 {
        return false;
    }
    // Who is out by an operator's wish, or has not had the time to be in, is not missed.
    let expected = |m: &&MemberState| {
        m.admin == AdminState::Up && !matches!(m.health, Health::Starting | Health::Warming)
    };
    let all = members.iter().filter(expected).count();
    let up = members.iter().filter(|m| m.health == Health::Up).count();
    up * 1000 < all * usize::from(rules.panic_below)
}

pub(super) fn usable(members: &[MemberState], panic: bool) -> Vec<Usable<'_>> {
    let nobody_up = !members.iter().any(|m| m.health == Health::Up);
    let may_be_used = |m: &&MemberState| match m.health {
        Health::Up => true,
        Health::Ejected => panic || nobody_up,
        Health::Down(_) => panic && m.is_silent(),
        Health::Warming => nobody_up && m.failed_warm_ups().0 >= COLD_AFTER,
        Health::Starting | Health::Draining | Health::Maintenance => false,
    };
    let usable: Vec<_> = members.iter().filter(may_be_used).collect();
    let mut furthest = BTreeMap::new();
    for m in &usable {
        let most = furthest.entry(m.member.tier).or_insert(m.share);
        *most = m.share.max(*most);
    }
    usable
        .into_iter()
        .map(|m| {
            let tier = m.member.tier;
            let share = (m.share * FULL).div_ceil(furthest[&tier]);
            let full_slots = m.slots();
            let slots = full_slots.map(|slots| part(slots, share));
            Usable { name: m.name(), weight: m.weight(), slots, share, tier, full_slots }
        })
        .collect()
}

/// Never below one.
fn part(slots: NonZeroU32, share: u32) -> NonZeroU32 {
    let part = (u64::from(slots.get()) * u64::from(share)).div_ceil(u64::from(FULL));
    u32::try_from(part).ok().and_then(NonZeroU32::new).unwrap_or(slots)
}

/// Something will be known of it soon: who comes now may hope.
pub(super) fn is_promising(member: &MemberState) -> bool {
    match member.health {
        Health::Starting => true,
        Health::Warming => member.failed_warm_ups().0 < COLD_AFTER,
        _ => false,
    }
}
