//! The worker that answers soonest: the time it takes lately × the leases it would hold, for its
//! capacity.
//!
//! The time is a peak EWMA over response heads (see [`Timing`](crate::Timing)); times within an
//! eighth of each other are equal, and equals take turns. Nobody starves: who was not asked for a
//! while is believed to be faster. Fast errors are not fast: they are no times at all, and a worker
//! that fails often is considered only with half the chance of its fair share, however light it
//! looks. Over TCP no times are known: then it is `least_connections` by capacity.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crossbeam_utils::CachePadded;

use super::{Choice, Entry, Picker, SlowStart, Strategy, only};
use crate::candidate::{Candidate, PickCx, Reserved};
use crate::slots::SlotWord;
use crate::timing::Timing;

pub(super) const ENTRY: Entry = Entry {
    name: "least_time",
    about: "the shortest time to answer (peak EWMA) for the leases held; errors are not fast",
    choice: Choice::Lightest,
    options: &[],
    build: |options| {
        only(options, &[])?;
        Ok(Box::new(LeastTime::default()))
    },
    also: &[],
};

/// Each conflict means that another shard got on; a pick must end.
const RESCANS: usize = 64;
/// Of a pool that has answered nothing yet, in seconds.
const UNKNOWN: f32 = 0.001;

#[derive(Default)]
struct LeastTime {
    turn: Arc<CachePadded<AtomicUsize>>,
}

impl Strategy for LeastTime {
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker> {
        candidates.iter().for_each(|candidate| candidate.worker.stats().timing().watch());
        let capacity = candidates.iter().map(|candidate| f64::from(candidate.capacity.get())).sum();
        Box::new(Soonest { turn: self.turn.clone(), capacity })
    }

    fn slow_start(&self) -> SlowStart {
        SlowStart::Turns
    }
}

struct Soonest {
    /// Behind the worker chosen last: equals take turns.
    turn: Arc<CachePadded<AtomicUsize>>,
    /// Of all together.
    capacity: f64,
}

impl Picker for Soonest {
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved> {
        for _ in 0..RESCANS {
            let start = cx.turn().unwrap_or_else(|| self.turn.load(Relaxed));
            let start = if start < candidates.len() { start } else { 0 };
            let (soonest, seen, assumed) = self.soonest(candidates, cx, start)?;
            if let Some(reserved) = cx.reserve_if(soonest, seen) {
                if let Some(seconds) = assumed {
                    candidates[soonest].worker.stats().timing().assume(seconds, cx.now());
                }
                // A newcomer's turn is beside the others'.
                if cx.turn().is_none() {
                    self.turn.store(soonest + 1, Relaxed);
                }
                return Some(reserved);
            }
        }
        (0..candidates.len()).find_map(|i| cx.reserve(i))
    }
}

impl Soonest {
    fn soonest(
        &self,
        candidates: &[Candidate],
        cx: &mut PickCx<'_>,
        start: usize,
    ) -> Option<(usize, SlotWord, Option<f32>)> {
        let now = cx.now();
        // Those that fail often are the last resort, unless chance lets them in.
        let (mut best, mut resort) = (Best::default(), Best::default());
        let (mut shortest, mut sum, mut known) = (f32::INFINITY, 0.0, 0_usize);
        let mut unmeasured = false;
        let order = || (start..candidates.len()).chain(0..start);
        for i in order() {
            let Some(word) = cx.eligible(i) else { continue };
            let timing = candidates[i].worker.stats().timing();
            let time = timing.time(now);
            let Some(measured) = time.measured else {
                unmeasured = true;
                continue;
            };
            (shortest, sum, known) = (shortest.min(measured), sum + measured, known + 1);
            let load = load(measured.max(time.silent), word, &candidates[i]);
            self.group(timing, &candidates[i], cx, &mut best, &mut resort).offer(i, word, load);
        }
        if unmeasured {
            // As good as the best, so that it is asked.
            let shortest = if shortest.is_finite() { shortest } else { UNKNOWN };
            for i in order() {
                let Some(word) = cx.eligible(i) else { continue };
                let timing = candidates[i].worker.stats().timing();
                let time = timing.time(now);
                if time.measured.is_none() {
                    let load = load(shortest.max(time.silent), word, &candidates[i]);
                    let group = self.group(timing, &candidates[i], cx, &mut best, &mut resort);
                    group.offer(i, word, load);
                }
            }
        }
        let (chosen, seen) = best.chosen.or(resort.chosen)?;
        // From then on as good as any other, and its own times count as they wear that off: a first
        // fast answer among others that remember their slow ones would draw a burst.
        let fresh = unmeasured && known > 0 && {
            let timing = candidates[chosen].worker.stats().timing();
            timing.time(now).measured.is_none()
        };
        Some((chosen, seen, fresh.then(|| sum / known as f32)))
    }

    fn group<'b>(
        &self,
        timing: &Timing,
        candidate: &Candidate,
        cx: &mut PickCx<'_>,
        best: &'b mut Best,
        resort: &'b mut Best,
    ) -> &'b mut Best {
        if !timing.fails_often(cx.now()) {
            return best;
        }
        let fair = f64::from(candidate.capacity.get()) / self.capacity;
        if cx.rng().f64() < fair / 2.0 { best } else { resort }
    }
}

fn load(seconds: f32, word: SlotWord, candidate: &Candidate) -> f64 {
    // Three bits of the mantissa: steps of an eighth.
    let about = f32::from_bits(seconds.to_bits() & !0x000f_ffff);
    f64::from(about) * (f64::from(word.in_flight()) + 1.0) / f64::from(candidate.capacity.get())
}

#[derive(Default)]
struct Best {
    chosen: Option<(usize, SlotWord)>,
    load: f64,
}

impl Best {
    fn offer(&mut self, i: usize, word: SlotWord, load: f64) {
        if self.chosen.is_none() || load < self.load {
            (self.chosen, self.load) = (Some((i, word)), load);
        }
    }
}
