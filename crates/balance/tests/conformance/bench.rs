//! One strategy and its candidates, without a pool around them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use isobar_balance::strategy::{Entry, Options};
use isobar_balance::{Candidate, PickCx, Picker, Reserved, Strategy, Tried, Worker, WorkerId};

use crate::enrolled::Enrolled;

/// One strategy with its candidates, picked from as the pool would.
pub(crate) struct Bench {
    pub(crate) strategy: Box<dyn Strategy>,
    pub(crate) picker: Box<dyn Picker>,
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) tried: Tried,
    pub(crate) rng: fastrand::Rng,
    pub(crate) asks: Asks,
    pub(crate) bound: Option<usize>,
}

/// What the requests bring.
pub(crate) enum Asks {
    AnyKey,
    Key(u64),
    NoKey,
}

impl Bench {
    pub(crate) fn of(one: &Enrolled, candidates: Vec<Candidate>) -> Self {
        Self::with(one.entry, &one.options, candidates)
    }

    pub(crate) fn with(entry: &Entry, options: &Options, candidates: Vec<Candidate>) -> Self {
        let strategy = (entry.build)(options).expect("good options");
        let mut bench = Self {
            picker: strategy.prepare(&[]),
            strategy,
            candidates,
            tried: Tried::new(),
            rng: fastrand::Rng::with_seed(7),
            asks: Asks::AnyKey,
            bound: None,
        };
        bench.name_workers();
        bench.rebuild();
        bench
    }

    pub(crate) fn rebuild(&mut self) {
        self.picker = self.strategy.prepare(&self.candidates);
    }

    /// Candidates are made without identity; their place gives it.
    pub(crate) fn name_workers(&mut self) {
        for (id, candidate) in self.candidates.iter_mut().enumerate() {
            if candidate.worker.name().is_empty() {
                let limit = candidate.worker.slots().load().limit().and_then(NonZeroU32::new);
                let worker = Worker::new(WorkerId(id as u32), &format!("w{id}"), limit, 1);
                candidate.worker = Arc::new(worker);
            }
        }
    }

    pub(crate) fn pick(&mut self) -> Option<Reserved> {
        let key = match self.asks {
            Asks::AnyKey => Some(self.rng.u64(..)),
            Asks::Key(key) => Some(key),
            Asks::NoKey => None,
        };
        let now = Instant::now();
        let mut cx = PickCx::new(&self.candidates, key, &self.tried, &mut self.rng, now);
        let reserved = self.picker.pick(&self.candidates, &mut cx);
        self.bound = cx.bound();
        reserved
    }

    pub(crate) fn counts(&mut self, picks: u32, release: bool) -> Vec<u32> {
        let mut counts = vec![0; self.candidates.len()];
        for _ in 0..picks {
            let index = self.pick().expect("free").index();
            counts[index] += 1;
            if release {
                self.release(index);
            }
        }
        counts
    }

    pub(crate) fn occupy(&self, index: usize, leases: u32) {
        (0..leases).for_each(|_| assert!(self.candidates[index].worker.slots().try_reserve()));
    }

    pub(crate) fn release(&self, index: usize) {
        self.candidates[index].worker.slots().release();
    }

    pub(crate) fn in_flight(&self) -> Vec<u32> {
        self.candidates.iter().map(|candidate| in_flight(&candidate.worker)).collect()
    }
}

pub(crate) fn in_flight(worker: &Worker) -> u32 {
    worker.slots().load().in_flight()
}

pub(crate) fn equal(n: usize) -> Vec<Candidate> {
    (0..n).map(|_| worker_of(0, None)).collect()
}

pub(crate) fn limited(n: usize, limit: u32) -> Vec<Candidate> {
    (0..n).map(|_| worker_of(0, slots(limit))).collect()
}

pub(crate) fn slots(limit: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(limit)
}

/// Weight 0: none was given.
pub(crate) fn worker_of(weight: u32, limit: Option<NonZeroU32>) -> Candidate {
    let weight = NonZeroU32::new(weight);
    Candidate {
        worker: Arc::new(Worker::new(WorkerId(0), "", limit, 1)),
        weight: weight.unwrap_or(NonZeroU32::MIN),
        capacity: weight.or(limit).unwrap_or(NonZeroU32::MIN),
    }
}
