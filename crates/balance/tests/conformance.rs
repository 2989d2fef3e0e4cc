//! What every strategy in the table must keep, whoever wrote it (docs/contributing.md).
//!
//! A line in `strategy::TABLE` enrols a strategy here; a test that does not apply to a kind of
//! strategy says so where it skips it.
#![cfg(not(loom))]

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::Instant;

use isobar_balance::strategy::{self, Entry, Key, Options, TABLE, Takes};
use isobar_balance::{
    Candidate, PickCx, Picker, Reserved, Strategy, Tried, Worker, WorkerId, client_key,
};

#[test]
fn names_are_unique_and_options_are_checked() {
    for entry in TABLE {
        let found = strategy::find(entry.name).expect("findable");
        assert!(std::ptr::eq(found, entry), "{} is there twice", entry.name);
        assert!(!entry.about.is_empty());
        let unknown = Options::from([("no_such_option".to_owned(), "1".to_owned())]);
        let refusal = (entry.build)(&unknown).err().expect("an unknown option is refused");
        assert!(refusal.contains("no_such_option"), "{}: {refusal}", entry.name);
    }
    assert!(strategy::find("least_conections").is_none());
}

/// The options told to the schema are those that are read.
#[test]
fn told_options_are_read() {
    for entry in TABLE {
        let build = |name: &str, value: &str| {
            (entry.build)(&Options::from([(name.to_owned(), value.to_owned())]))
        };
        for option in entry.options {
            let good: Vec<String> = match &option.takes {
                Takes::Words(words) => words.iter().map(|word| (*word).to_owned()).collect(),
                Takes::Number(least, most) => vec![least.to_string(), most.to_string()],
                Takes::Text { example, .. } => vec![(*example).to_owned()],
            };
            let default = Some(option.default.to_owned()).filter(|default| !default.is_empty());
            for value in good.iter().chain(&default) {
                let built = build(option.name, value).map(drop);
                assert_eq!(built, Ok(()), "{}: {}: {value}", entry.name, option.name);
            }
            assert!(!option.about.is_empty());
            let refused = build(option.name, "\u{7}").is_err();
            assert!(refused, "{}: {} takes anything", entry.name, option.name);
        }
    }
}

#[test]
fn picks_are_in_bounds() {
    for entry in TABLE {
        assert!(Bench::new(entry, Vec::new()).pick().is_none(), "{}: of nobody", entry.name);
        for n in [1, 2, 10_000] {
            let mut bench = Bench::new(entry, equal(n));
            for _ in 0..100 {
                let index = bench.pick().expect("all are free").index();
                assert!(index < n, "{}: {index} of {n}", entry.name);
                bench.release(index);
            }
        }
    }
}

/// By turns for those that count none, by held leases for those that do.
#[test]
fn weights_are_kept_within_two_percent() {
    for entry in TABLE {
        let weights = [1, 2, 3, 10];
        let total: u32 = weights.iter().sum();
        let picks = 1000 * total;
        let mut bench = Bench::new(entry, weights.map(|weight| worker_of(weight, None)).into());
        let counts = bench.counts(picks, !entry.load_aware);
        for (count, weight) in counts.iter().zip(weights) {
            let due = f64::from(picks) * f64::from(weight) / f64::from(total);
            // A hash is as even as its keys: 16,000 of them scatter by more than a percent.
            let allowed = if entry.key == Key::None { 0.02 } else { 0.10 };
            let off = (f64::from(*count) - due).abs() / due;
            assert!(off <= allowed, "{}: weights {weights:?}, picks {counts:?}", entry.name);
        }
    }
}

/// The shares of a hash are those of its table, over a great many keys.
#[test]
fn a_hash_gives_its_table_to_the_weights_within_two_percent() {
    for entry in TABLE.iter().filter(|entry| entry.key != Key::None) {
        let weights = [1, 2, 3, 10];
        let mut bench = Bench::new(entry, weights.map(|weight| worker_of(weight, None)).into());
        let counts = bench.counts(1_600_000, true);
        for (count, weight) in counts.iter().zip(weights) {
            let off = f64::from(*count) / (100_000.0 * f64::from(weight)) - 1.0;
            assert!(off.abs() <= 0.02, "{}: {counts:?}", entry.name);
        }
    }
}

#[test]
fn slots_count_only_where_capacity_is_meant() {
    for (name, expected) in [("round_robin", [200, 200]), ("weighted", [300, 100])] {
        let entry = strategy::find(name).expect("in the table");
        let mut bench = Bench::new(entry, vec![worker_of(0, slots(3)), worker_of(0, slots(1))]);
        assert_eq!(bench.counts(400, true), expected, "{name}");
    }
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    for entry in TABLE {
        let run = || {
            let mut bench = Bench::new(entry, equal(7));
            let mut chance = fastrand::Rng::with_seed(11);
            let mut held = Vec::new();
            let mut choices = Vec::new();
            for _ in 0..2000 {
                if chance.bool() && !held.is_empty() {
                    let index = held.swap_remove(chance.usize(..held.len()));
                    bench.release(index);
                } else if let Some(reserved) = bench.pick() {
                    held.push(reserved.index());
                    choices.push(reserved.index());
                }
            }
            choices
        };
        assert_eq!(run(), run(), "{}", entry.name);
    }
}

/// A hash has no ties: its keys are spread instead.
#[test]
fn ties_rotate() {
    for entry in TABLE.iter().filter(|entry| entry.key == Key::None) {
        let mut bench = Bench::new(entry, equal(5));
        assert_eq!(bench.counts(500, true), [100; 5], "{}", entry.name);
    }
}

/// Between three of four as well: the one that is busy does not pass its turn to a neighbour.
#[test]
fn load_aware_ones_rotate_ties_around_a_busy_worker() {
    for entry in TABLE.iter().filter(|entry| entry.load_aware) {
        let mut bench = Bench::new(entry, equal(4));
        bench.occupy(1, 3);
        assert_eq!(bench.counts(300, true), [100, 0, 100, 100], "{}", entry.name);
    }
}

#[test]
fn load_aware_ones_prefer_the_lighter() {
    for entry in TABLE.iter().filter(|entry| entry.load_aware) {
        for lighter in 0..4 {
            let mut bench = Bench::new(entry, equal(4));
            (0..4).filter(|&i| i != lighter).for_each(|i| bench.occupy(i, 2));
            bench.occupy(lighter, 1);
            assert_eq!(bench.pick().map(|r| r.index()), Some(lighter), "{}", entry.name);
        }
        // Lighter for its weight: 5 of 10 is less than 1 of 1.
        let mut bench = Bench::new(entry, vec![worker_of(1, None), worker_of(10, None)]);
        bench.occupy(0, 1);
        bench.occupy(1, 5);
        assert_eq!(bench.pick().map(|r| r.index()), Some(1), "{}", entry.name);
    }
}

#[test]
fn while_some_are_full_the_others_are_found() {
    for entry in TABLE {
        for n in [1, 2, 5, 64, 1000] {
            for free in [1, n / 2, n - 1] {
                let mut bench = Bench::new(entry, limited(n, 1));
                let mut order: Vec<usize> = (0..n).collect();
                fastrand::Rng::with_seed(n as u64).shuffle(&mut order);
                order[free..].iter().for_each(|&i| bench.occupy(i, 1));
                let mut found: Vec<_> =
                    (0..free).map(|_| bench.pick().expect("one is free").index()).collect();
                found.sort_unstable();
                order.truncate(free);
                order.sort_unstable();
                assert_eq!(found, order, "{}: {free} of {n} free", entry.name);
                assert!(bench.pick().is_none(), "{}: none is free", entry.name);
            }
        }
    }
}

/// A heavy worker fills thousands of positions in a row; the light one behind it is still found.
#[test]
fn a_light_worker_is_found_behind_a_heavy_one_that_is_full() {
    for entry in TABLE {
        let mut bench = Bench::new(
            entry,
            vec![worker_of(60_000, slots(1)), worker_of(1, slots(2)), worker_of(60_000, slots(1))],
        );
        let mut found: Vec<_> = (0..4).filter_map(|_| bench.pick()).map(|r| r.index()).collect();
        found.sort_unstable();
        assert_eq!(found, [0, 1, 1, 2], "{}", entry.name);
    }
}

#[test]
fn the_closed_and_the_tried_are_passed_over() {
    for entry in TABLE {
        let mut bench = Bench::new(entry, equal(3));
        bench.candidates[0].worker.slots().close();
        bench.tried.insert(WorkerId(2));
        for _ in 0..20 {
            assert_eq!(bench.pick().map(|r| r.index()), Some(1), "{}", entry.name);
        }
        bench.tried.insert(WorkerId(1));
        assert!(bench.pick().is_none(), "{}", entry.name);
    }
}

/// Nothing is given back, so words only grow, and a choice made by a word that still stands was
/// the lightest when it was taken: whenever all eight have picked, nobody holds two more than
/// anybody else.
#[test]
fn eight_threads_never_take_a_second_lightest() {
    for entry in TABLE.iter().filter(|entry| entry.load_aware) {
        let bench = Bench::new(entry, equal(64));
        let (candidates, picker) = (&bench.candidates, &bench.picker);
        let (round, widest) = (&Barrier::new(8), &AtomicU32::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    let mut rng = fastrand::Rng::with_seed(thread);
                    let tried = Tried::new();
                    for _ in 0..1000 {
                        round.wait();
                        let now = Instant::now();
                        let mut cx = PickCx::new(candidates, 0, &tried, &mut rng, now);
                        // Asserted below: a panic here would leave the others at the barrier.
                        let _held = picker.pick(candidates, &mut cx);
                        if round.wait().is_leader() {
                            let held = || candidates.iter().map(|c| in_flight(&c.worker));
                            let spread = held().max().zip(held().min());
                            widest.fetch_max(spread.map_or(0, |(max, min)| max - min), Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(widest.load(Relaxed), 1, "{}: took a second-lightest", entry.name);
        assert_eq!(bench.in_flight(), [125; 64], "{}", entry.name);
    }
}

/// At any rhythm: a pool whose snapshot is rebuilt every few requests is served as evenly as one
/// that is never rebuilt.
#[test]
fn a_rebuild_favours_nobody() {
    for entry in TABLE.iter().filter(|entry| entry.key == Key::None) {
        for every in [1, 2, 3, 4, 7, 10, 64] {
            let mut bench = Bench::new(entry, equal(4));
            let mut counts = [0_i32; 4];
            for pick in 0..4000 {
                if pick % every == 0 {
                    bench.rebuild();
                }
                let index = bench.pick().expect("free").index();
                bench.release(index);
                counts[index] += 1;
            }
            let spread = counts.iter().max().zip(counts.iter().min()).map(|(max, min)| max - min);
            assert!(spread <= Some(40), "{}: every {every}: {counts:?}", entry.name);
        }
    }
}

/// Where load is counted, a worker that joins empty takes what it lacks and then its share; it is
/// not handed one request after another beyond that.
#[test]
fn a_fresh_worker_gets_no_burst() {
    for entry in TABLE.iter().filter(|entry| entry.load_aware) {
        let mut bench = Bench::new(entry, equal(4));
        bench.counts(400, false);
        bench.candidates.push(worker_of(0, None));
        bench.name_workers();
        bench.rebuild();
        // 400 held, five workers: 80 each once as many have ended and come again.
        let mut chance = fastrand::Rng::with_seed(3);
        let mut held: Vec<usize> = (0..4).flat_map(|i| std::iter::repeat_n(i, 100)).collect();
        let mut most = 0;
        for _ in 0..4000 {
            bench.release(held.swap_remove(chance.usize(..held.len())));
            held.push(bench.pick().expect("no limit").index());
            most = most.max(bench.in_flight()[4]);
        }
        assert!(most <= 81, "{}: {most} at once", entry.name);
        assert!(bench.in_flight().iter().all(|n| (79..=81).contains(n)), "{:?}", bench.in_flight());
    }
}

#[test]
fn a_hash_keeps_a_client_and_moves_few_when_a_worker_goes() {
    for entry in TABLE.iter().filter(|entry| entry.key != Key::None) {
        for n in [2, 3, 10, 50] {
            let mut bench = Bench::new(entry, equal(n));
            let before = homes(&mut bench);
            assert_eq!(before, homes(&mut bench), "{}: a client stays", entry.name);
            let gone = bench.candidates.remove(n / 3).worker.name().to_owned();
            bench.rebuild();
            let after = homes(&mut bench);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!(!after.contains(&gone));
            assert!(moved <= 2 * before.len() / n, "{}: {moved} moved of {n}", entry.name);
            // The order of the file has no say.
            bench.candidates.reverse();
            bench.rebuild();
            assert_eq!(after, homes(&mut bench), "{}", entry.name);
        }
    }
}

#[test]
fn on_full_wait_waits_for_its_worker_and_for_no_dead_one() {
    let entry = strategy::find("ip_hash").expect("in the table");
    let options = Options::from([("on_full".to_owned(), "wait".to_owned())]);
    let mut bench = Bench::with(entry, &options, limited(4, 1));
    bench.fixed_key = Some(7);
    let home = bench.pick().expect("free").index();
    assert_eq!((bench.pick().is_none(), bench.bound), (true, Some(home)), "full: wait");
    bench.candidates[home].worker.slots().close();
    let second = bench.pick().expect("a closed one is not waited for").index();
    assert_ne!(second, home);
    assert_eq!((bench.pick().is_none(), bench.bound), (true, Some(second)));
    bench.tried.insert(WorkerId(second as u32));
    assert!(bench.pick().is_some_and(|third| ![home, second].contains(&third.index())));

    let wrong = Options::from([("on_full".to_owned(), "panic".to_owned())]);
    assert!((entry.build)(&wrong).err().is_some_and(|text| text.contains("panic")));
}

fn homes(bench: &mut Bench) -> Vec<String> {
    let clients = (0..10_000_u32).map(|n| client_key(std::net::Ipv4Addr::from_bits(n).into()));
    let mut home = |key| {
        bench.fixed_key = Some(key);
        let index = bench.pick().expect("no limit").index();
        bench.release(index);
        bench.candidates[index].worker.name().to_owned()
    };
    clients.map(&mut home).collect()
}

/// One strategy with its candidates, picked from as the pool would.
struct Bench {
    strategy: Box<dyn Strategy>,
    picker: Box<dyn Picker>,
    candidates: Vec<Candidate>,
    tried: Tried,
    rng: fastrand::Rng,
    fixed_key: Option<u64>,
    bound: Option<usize>,
}

impl Bench {
    fn new(entry: &Entry, candidates: Vec<Candidate>) -> Self {
        Self::with(entry, &BTreeMap::new(), candidates)
    }

    fn with(entry: &Entry, options: &Options, candidates: Vec<Candidate>) -> Self {
        let strategy = (entry.build)(options).expect("good options");
        let mut bench = Self {
            picker: strategy.prepare(&[]),
            strategy,
            candidates,
            tried: Tried::new(),
            rng: fastrand::Rng::with_seed(7),
            fixed_key: None,
            bound: None,
        };
        bench.name_workers();
        bench.rebuild();
        bench
    }

    fn rebuild(&mut self) {
        self.picker = self.strategy.prepare(&self.candidates);
    }

    /// Candidates are made without identity; their place gives it.
    fn name_workers(&mut self) {
        for (id, candidate) in self.candidates.iter_mut().enumerate() {
            if candidate.worker.name().is_empty() {
                let limit = candidate.worker.slots().load().limit().and_then(NonZeroU32::new);
                let worker = Worker::new(WorkerId(id as u32), &format!("w{id}"), limit, 1);
                candidate.worker = Arc::new(worker);
            }
        }
    }

    fn pick(&mut self) -> Option<Reserved> {
        let key = self.fixed_key.unwrap_or_else(|| self.rng.u64(..));
        let now = Instant::now();
        let mut cx = PickCx::new(&self.candidates, key, &self.tried, &mut self.rng, now);
        let reserved = self.picker.pick(&self.candidates, &mut cx);
        self.bound = cx.bound();
        reserved
    }

    fn counts(&mut self, picks: u32, release: bool) -> Vec<u32> {
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

    fn occupy(&self, index: usize, leases: u32) {
        (0..leases).for_each(|_| assert!(self.candidates[index].worker.slots().try_reserve()));
    }

    fn release(&self, index: usize) {
        self.candidates[index].worker.slots().release();
    }

    fn in_flight(&self) -> Vec<u32> {
        self.candidates.iter().map(|candidate| in_flight(&candidate.worker)).collect()
    }
}

fn in_flight(worker: &Worker) -> u32 {
    worker.slots().load().in_flight()
}

fn equal(n: usize) -> Vec<Candidate> {
    (0..n).map(|_| worker_of(0, None)).collect()
}

fn limited(n: usize, limit: u32) -> Vec<Candidate> {
    (0..n).map(|_| worker_of(0, slots(limit))).collect()
}

fn slots(limit: u32) -> Option<NonZeroU32> {
    NonZeroU32::new(limit)
}

/// Weight 0: none was given.
fn worker_of(weight: u32, limit: Option<NonZeroU32>) -> Candidate {
    let weight = NonZeroU32::new(weight);
    Candidate {
        worker: Arc::new(Worker::new(WorkerId(0), "", limit, 1)),
        weight: weight.unwrap_or(NonZeroU32::MIN),
        capacity: weight.or(limit).unwrap_or(NonZeroU32::MIN),
    }
}
