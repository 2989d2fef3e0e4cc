//! Slow start for strategies that follow the load: a newcomer has none, so it would be given every
//! request. Instead each pick draws whose turn it is; a newcomer can be picked in its turns only,
//! and they are as many as its share. What a share is, the pool's state says.

use std::num::NonZeroU32;

use crate::state::FULL_SHARE;

/// Prepared with the candidates of a snapshot, in their order.
#[derive(Clone, Debug)]
pub struct Turns {
    slow: Box<[bool]>,
    /// Of 2³² draws those below `.0` and not below the one before are `.1`'s.
    ends: Box<[(u32, usize)]>,
}

impl Turns {
    /// From each candidate's weight and tenths of its share; `None` if all have all of it.
    pub fn new(candidates: &[(NonZeroU32, u32)]) -> Option<Turns> {
        let slow: Box<[bool]> = candidates.iter().map(|(_, share)| *share < FULL_SHARE).collect();
        if !slow.contains(&true) {
            return None;
        }
        let all: f64 = candidates.iter().map(|(weight, _)| f64::from(weight.get())).sum();
        let mut end = 0.0;
        let mut ends = Vec::new();
        for (i, (weight, share)) in candidates.iter().enumerate().filter(|(i, _)| slow[*i]) {
            end += f64::from(weight.get()) / all * f64::from(*share) / f64::from(FULL_SHARE);
            ends.push(((end * 2_f64.powi(32)) as u32, i));
        }
        Some(Turns { slow, ends: ends.into() })
    }

    pub(super) fn draw(&self, rng: &mut fastrand::Rng) -> Option<usize> {
        let draw = rng.u32(..);
        self.ends.iter().find(|(end, _)| draw < *end).map(|(_, i)| *i)
    }

    pub(super) fn is_slow(&self, i: usize) -> bool {
        self.slow.get(i).is_some_and(|slow| *slow)
    }
}
