//! What every strategy in the table must keep while time passes: workers that take their time, a
//! clock of the test's own, requests that come whether or not the earlier ones are answered.
//!
//! Its figures: `cargo test -p isobar-balance --test conformance virtual_time -- --nocapture`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_balance::strategy::Choice;
use isobar_balance::{Candidate, Outcome, PickCx, Picker, Strategy, Tried, Worker, WorkerId};

use crate::enrolled::{Enrolled, enrolled};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A hash has no state that a rebuild could disturb; that it makes the same table again is in the
/// rest of the suite.
#[test]
fn a_rebuild_every_10_ms_favours_nobody() {
    for one in enrolled().filter(|one| one.choice != Choice::Key) {
        let shares = [None, Some(ms(10))].map(|rebuild| {
            let mut town = Town::of(&one, &[ms(5); 4]);
            town.rebuild = rebuild;
            town.run(ms(40_000), ms(2));
            town.shares()
        });
        println!("{one}: shares {:.3?}, rebuilt every 10 ms {:.3?}", shares[0], shares[1]);
        for share in &shares[1] {
            assert!((share - 0.25).abs() <= 0.02, "{one}: {shares:?}");
        }
    }
}

/// One more worker joins twenty that are busy, and of which times are known: it takes what it lacks,
/// and then its share, though its first answer takes as long as thirty requests take to come.
#[test]
fn a_fresh_worker_gets_no_burst() {
    for one in enrolled() {
        let every = Duration::from_micros(660);
        let mut town = Town::of(&one, &[ms(10); 20]);
        town.run(ms(4_000), every);
        town.join(ms(10));
        town.got.fill(0);
        town.run(ms(20), every);
        let (first, all): (u32, u32) = (town.got[20], town.got.iter().sum());
        town.run(ms(4_000), every);
        let share = town.shares()[20] * 21.0;
        println!("{one}: {first} of the first {all}, then {share:.2} of its share");
        assert!(first <= 2 * all / 21 + 4, "{one}: {first} of {all}");
        assert!(share <= 1.3, "{one}: {share}");
    }
}

/// One of four begins to fail in a twentieth of the time that the others take to answer. Who goes by
/// time gives it half of its share at most; who counts leases alone finds it light, and says so
/// (docs/strategies.md); who looks at nothing does not notice.
#[test]
fn fast_errors_are_not_fast() {
    let mut go_by_time = 0;
    for one in enrolled() {
        let mut town = Town::of(&one, &[ms(20); 4]);
        town.run(ms(10_000), ms(8));
        town.models[3] = Model { status: 500, service: ms(1), ..town.models[3] };
        town.got.fill(0);
        town.run(ms(60_000), ms(8));
        let share = town.shares()[3];
        println!("{one}: {share:.3} for the one that fails");
        if town.goes_by_time() {
            go_by_time += 1;
            assert!(share <= 0.14, "{one}: {share}");
        } else if matches!(one.choice, Choice::Turns | Choice::Chance) {
            assert!((share - 0.25).abs() <= 0.02, "{one}: {share}");
        }
    }
    assert!(go_by_time >= 2, "{go_by_time}");
}

/// For a second one of four takes three seconds for each request; what it was given then it still has
/// to do. `least_time` forgets by a factor of 20 in half a minute and may ask nobody so slow in it;
/// after that nobody is left out.
#[test]
fn nobody_starves() {
    for one in enrolled() {
        let mut town = Town::of(&one, &[ms(10); 4]);
        town.run(ms(10_000), ms(5));
        town.models[3].service = ms(3_000);
        town.run(ms(1_000), ms(5));
        town.models[3].service = ms(10);
        let shares = [(); 2].map(|()| {
            town.got.fill(0);
            town.run(ms(30_000), ms(5));
            town.shares()[3]
        });
        println!("{one}: {:.3} in the half minute after, {:.3} in the next", shares[0], shares[1]);
        assert!(shares[1] >= 0.05, "{one}: {shares:?}");
    }
}

/// A pool in its own time.
struct Town {
    strategy: Box<dyn Strategy>,
    picker: Box<dyn Picker>,
    candidates: Vec<Candidate>,
    models: Vec<Model>,
    /// Requests given to each worker.
    got: Vec<u32>,
    ends: BinaryHeap<Reverse<End>>,
    now: Instant,
    rebuild: Option<Duration>,
    rebuilt: Instant,
    rng: fastrand::Rng,
}

/// A worker: it does one thing after another.
#[derive(Clone, Copy)]
struct Model {
    service: Duration,
    status: u16,
    idle_from: Instant,
}

/// When a lease ends; of two at once the earlier begun.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct End {
    at: Instant,
    begun: Instant,
    worker: usize,
    timed: bool,
    status: u16,
}

impl Town {
    fn of(one: &Enrolled, services: &[Duration]) -> Town {
        let strategy = (one.build)(&one.options).expect("good options");
        let now = Instant::now();
        let mut town = Town {
            picker: strategy.prepare(&[]),
            strategy,
            candidates: Vec::new(),
            models: Vec::new(),
            got: Vec::new(),
            ends: BinaryHeap::new(),
            now,
            rebuild: None,
            rebuilt: now,
            rng: fastrand::Rng::with_seed(5),
        };
        services.iter().for_each(|service| town.join(*service));
        town
    }

    fn join(&mut self, service: Duration) {
        let id = self.candidates.len();
        let worker = Worker::new(WorkerId(id as u32), &format!("w{id}"), None, 1);
        let (weight, capacity) = (NonZeroU32::MIN, NonZeroU32::MIN);
        self.candidates.push(Candidate { worker: Arc::new(worker), weight, capacity });
        self.models.push(Model { service, status: 200, idle_from: self.now });
        self.got.push(0);
        self.picker = self.strategy.prepare(&self.candidates);
    }

    /// Requests come by chance, one in `every` on average.
    fn run(&mut self, time: Duration, every: Duration) {
        let until = self.now + time;
        loop {
            let next = self.now + self.chance(every);
            if next > until {
                break;
            }
            self.pass_to(next);
            self.arrive();
        }
        self.pass_to(until);
    }

    fn pass_to(&mut self, now: Instant) {
        self.now = now;
        while self.ends.peek().is_some_and(|Reverse(end)| end.at <= now) {
            let Some(Reverse(end)) = self.ends.pop() else { break };
            let worker = &self.candidates[end.worker].worker;
            let took = end.at - end.begun;
            if end.timed {
                worker.stats().timing().answered(end.status, took, end.at);
            }
            worker.stats().finished(Outcome::Served { status: end.status }, took, end.at);
            worker.slots().release();
        }
        if self.rebuild.is_some_and(|every| now - self.rebuilt >= every) {
            self.picker = self.strategy.prepare(&self.candidates);
            self.rebuilt = now;
        }
    }

    fn arrive(&mut self) {
        let (key, tried) = (self.rng.u64(..), Tried::new());
        let mut cx = PickCx::new(&self.candidates, Some(key), &tried, &mut self.rng, self.now);
        let picked = self.picker.pick(&self.candidates, &mut cx);
        let worker = picked.expect("nobody has a limit").index();
        self.got[worker] += 1;
        let timed = self.candidates[worker].worker.stats().timing().asked(self.now);
        let Model { service, status, idle_from } = self.models[worker];
        let at = idle_from.max(self.now) + self.chance(service);
        self.models[worker].idle_from = at;
        self.ends.push(Reverse(End { at, begun: self.now, worker, timed, status }));
    }

    /// Exponentially distributed.
    fn chance(&mut self, mean: Duration) -> Duration {
        mean.mul_f64(-(1.0 - self.rng.f64()).ln())
    }

    fn shares(&self) -> Vec<f64> {
        let all: u32 = self.got.iter().sum();
        self.got.iter().map(|&got| f64::from(got) / f64::from(all)).collect()
    }

    /// The strategy has asked for times.
    fn goes_by_time(&self) -> bool {
        self.candidates[0].worker.stats().timing().time(self.now).measured.is_some()
    }
}
