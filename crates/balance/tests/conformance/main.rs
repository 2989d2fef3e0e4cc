//! What every strategy in the table must keep, whoever wrote it (docs/contributing.md).
//!
//! A line in `strategy::TABLE` enrols a strategy here, with its default options and with those of
//! the line's `also`; a test that does not apply to a kind of strategy says so where it skips it.
//! What needs time to pass is in `virtual_time`.
#![cfg(not(loom))]

mod bench;
mod enrolled;
mod virtual_time;

use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use isobar_balance::strategy::{self, Choice, Options, TABLE, Takes};
use isobar_balance::{PickCx, Tried, WorkerId, client_key};

use bench::{Asks, Bench, equal, in_flight, limited, slots, worker_of};
use enrolled::{Enrolled, enrolled};

#[test]
fn names_are_unique_and_options_are_checked() {
    for entry in TABLE.iter() {
        let found = strategy::find(entry.name).expect("findable");
        assert!(std::ptr::eq(found, entry), "{} is there twice", entry.name);
        assert!(!entry.about.is_empty());
        let unknown = Options::from([("no_such_option".to_owned(), "1".to_owned())]);
        let refusal = (entry.build)(&unknown).err().expect("an unknown option is refused");
        let refusal = refusal.to_string();
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
    for one in enrolled() {
        assert!(Bench::of(&one, Vec::new()).pick().is_none(), "{}: of nobody", one);
        for n in [1, 2, 10_000] {
            let mut bench = Bench::of(&one, equal(n));
            for _ in 0..100 {
                let index = bench.pick().expect("all are free").index();
                assert!(index < n, "{}: {index} of {n}", one);
                bench.release(index);
            }
        }
    }
}

/// By turns for those that count none, by held leases for those that do.
#[test]
fn weights_are_kept_within_two_percent() {
    for one in enrolled().filter(|one| !matches!(one.choice, Choice::Key | Choice::Chance)) {
        let weights = [1, 2, 3, 10];
        let total: u32 = weights.iter().sum();
        let picks = 1000 * total;
        let mut bench = Bench::of(&one, weights.map(|weight| worker_of(weight, None)).into());
        let counts = bench.counts(picks, !one.choice.is_load_aware());
        for (count, weight) in counts.iter().zip(weights) {
            let due = f64::from(picks) * f64::from(weight) / f64::from(total);
            let off = (f64::from(*count) - due).abs() / due;
            assert!(off <= 0.02, "{one}: weights {weights:?}, picks {counts:?}");
        }
    }
}

/// The shares of a hash are those of its table, and those of chance what they are, over a great
/// many picks. A ring's points are drawn by chance too.
#[test]
fn a_hash_gives_its_table_to_the_weights_within_two_percent() {
    for one in enrolled().filter(|one| matches!(one.choice, Choice::Key | Choice::Chance)) {
        let weights = [1, 2, 3, 10];
        let mut bench = Bench::of(&one, weights.map(|weight| worker_of(weight, None)).into());
        let counts = bench.counts(1_600_000, true);
        let allowed = if one.is_ring() { 0.15 } else { 0.02 };
        for (count, weight) in counts.iter().zip(weights) {
            let off = f64::from(*count) / (100_000.0 * f64::from(weight)) - 1.0;
            assert!(off.abs() <= allowed, "{one}: {counts:?}");
        }
    }
}

#[test]
fn slots_count_only_where_capacity_is_meant() {
    for (name, expected) in [("round_robin", [200, 200]), ("weighted", [300, 100])] {
        let entry = strategy::find(name).expect("in the table");
        let mut bench = Bench::with(
            entry,
            &Options::new(),
            vec![worker_of(0, slots(3)), worker_of(0, slots(1))],
        );
        assert_eq!(bench.counts(400, true), expected, "{name}");
    }
}

#[test]
fn the_same_seed_makes_the_same_choices() {
    for one in enrolled() {
        let run = || {
            let mut bench = Bench::of(&one, equal(7));
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
        assert_eq!(run(), run(), "{}", one);
    }
}

/// A hash has no ties: its keys are spread instead. Chance has them come out even in the end.
#[test]
fn ties_rotate() {
    for one in enrolled().filter(|one| one.choice != Choice::Key) {
        let mut bench = Bench::of(&one, equal(5));
        let counts = bench.counts(500, true);
        let slack = if one.draws() { 45 } else { 0 };
        let even = counts.iter().all(|count| count.abs_diff(100) <= slack);
        assert!(even, "{one}: {counts:?}");
    }
}

/// Between three of four as well: the one that is busy does not pass its turn to a neighbour.
#[test]
fn load_aware_ones_rotate_ties_around_a_busy_worker() {
    for one in enrolled().filter(|one| one.choice == Choice::Lightest) {
        let mut bench = Bench::of(&one, equal(4));
        bench.occupy(1, 3);
        assert_eq!(bench.counts(300, true), [100, 0, 100, 100], "{one}");
    }
}

/// Those that look at two are sure to see the lighter one if there are only two.
#[test]
fn load_aware_ones_prefer_the_lighter() {
    for one in enrolled().filter(|one| one.choice.is_load_aware()) {
        let workers = if one.draws() { 2 } else { 4 };
        for lighter in 0..workers {
            let mut bench = Bench::of(&one, equal(workers));
            (0..workers).filter(|&i| i != lighter).for_each(|i| bench.occupy(i, 2));
            bench.occupy(lighter, 1);
            assert_eq!(bench.pick().map(|r| r.index()), Some(lighter), "{one}");
        }
        // Lighter for its weight: 5 of 10 is less than 1 of 1.
        let mut bench = Bench::of(&one, vec![worker_of(1, None), worker_of(10, None)]);
        bench.occupy(0, 1);
        bench.occupy(1, 5);
        assert_eq!(bench.pick().map(|r| r.index()), Some(1), "{one}");
    }
}

/// Whoever waits for its own worker does not look for others.
#[test]
fn while_some_are_full_the_others_are_found() {
    for one in enrolled().filter(|one| !one.waits()) {
        for n in [1, 2, 5, 64, 1000] {
            for free in [1, n / 2, n - 1] {
                let mut bench = Bench::of(&one, limited(n, 1));
                let mut order: Vec<usize> = (0..n).collect();
                fastrand::Rng::with_seed(n as u64).shuffle(&mut order);
                order[free..].iter().for_each(|&i| bench.occupy(i, 1));
                let mut found: Vec<_> =
                    (0..free).map(|_| bench.pick().expect("one is free").index()).collect();
                found.sort_unstable();
                order.truncate(free);
                order.sort_unstable();
                assert_eq!(found, order, "{}: {free} of {n} free", one);
                assert!(bench.pick().is_none(), "{}: none is free", one);
            }
        }
    }
}

/// A heavy worker fills thousands of positions in a row; the light one behind it is still found.
#[test]
fn a_light_worker_is_found_behind_a_heavy_one_that_is_full() {
    for one in enrolled().filter(|one| !one.waits()) {
        let mut bench = Bench::of(
            &one,
            vec![worker_of(60_000, slots(1)), worker_of(1, slots(2)), worker_of(60_000, slots(1))],
        );
        let mut found: Vec<_> = (0..4).filter_map(|_| bench.pick()).map(|r| r.index()).collect();
        found.sort_unstable();
        assert_eq!(found, [0, 1, 1, 2], "{}", one);
    }
}

#[test]
fn the_closed_and_the_tried_are_passed_over() {
    for one in enrolled() {
        let mut bench = Bench::of(&one, equal(3));
        bench.candidates[0].worker.slots().close();
        bench.tried.insert(WorkerId(2));
        for _ in 0..20 {
            assert_eq!(bench.pick().map(|r| r.index()), Some(1), "{}", one);
        }
        bench.tried.insert(WorkerId(1));
        assert!(bench.pick().is_none(), "{}", one);
    }
}

/// Nothing is given back, so words only grow, and a choice made by a word that still stands was
/// the lightest when it was taken: whenever all eight have picked, nobody holds two more than
/// anybody else.
#[test]
fn eight_threads_never_take_a_second_lightest() {
    for one in enrolled().filter(|one| one.choice == Choice::Lightest) {
        let bench = Bench::of(&one, equal(64));
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
                        let mut cx = PickCx::new(candidates, None, &tried, &mut rng, now);
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
        assert_eq!(widest.load(Relaxed), 1, "{}: took a second-lightest", one);
        assert_eq!(bench.in_flight(), [125; 64], "{}", one);
    }
}

/// At any rhythm: a pool whose snapshot is rebuilt every few requests is served as evenly as one
/// that is never rebuilt.
#[test]
fn a_rebuild_favours_nobody() {
    for one in enrolled().filter(|one| one.choice != Choice::Key) {
        for every in [1, 2, 3, 4, 7, 10, 64] {
            let mut bench = Bench::of(&one, equal(4));
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
            let allowed = if one.draws() { 160 } else { 40 };
            assert!(spread <= Some(allowed), "{one}: every {every}: {counts:?}");
        }
    }
}

/// Where load is counted, a worker that joins empty takes what it lacks and then its share; it is
/// not handed one request after another beyond that.
#[test]
fn a_fresh_worker_gets_no_burst() {
    for one in enrolled().filter(|one| one.choice.is_load_aware()) {
        let mut bench = Bench::of(&one, equal(4));
        bench.counts(400, false);
        bench.candidates.push(worker_of(0, None));
        bench.name_workers();
        bench.rebuild();
        // 400 held, five workers: 80 each once as many have ended and come again.
        let mut chance = fastrand::Rng::with_seed(3);
        let holders = bench.in_flight().into_iter().enumerate();
        let mut held: Vec<usize> =
            holders.flat_map(|(i, leases)| std::iter::repeat_n(i, leases as usize)).collect();
        let mut most = 0;
        for _ in 0..4000 {
            bench.release(held.swap_remove(chance.usize(..held.len())));
            held.push(bench.pick().expect("no limit").index());
            most = most.max(bench.in_flight()[4]);
        }
        let slack = if one.draws() { 6 } else { 1 };
        assert!(most <= 80 + slack, "{one}: {most} at once");
        let even = bench.in_flight().iter().all(|&n| n.abs_diff(80) <= slack);
        assert!(even, "{one}: {:?}", bench.in_flight());
    }
}

#[test]
fn a_hash_keeps_a_client_and_moves_few_when_a_worker_goes() {
    for one in enrolled().filter(|one| one.choice == Choice::Key) {
        for n in [2, 3, 10, 50] {
            let mut bench = Bench::of(&one, equal(n));
            let before = homes(&mut bench);
            assert_eq!(before, homes(&mut bench), "{}: a client stays", one);
            let gone = bench.candidates.remove(n / 3).worker.name().to_owned();
            bench.rebuild();
            let after = homes(&mut bench);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            assert!(!after.contains(&gone));
            assert!(moved <= 2 * before.len() / n, "{}: {moved} moved of {n}", one);
            // The order of the file has no say.
            bench.candidates.reverse();
            bench.rebuild();
            assert_eq!(after, homes(&mut bench), "{}", one);
        }
    }
}

#[test]
fn on_full_wait_waits_for_its_worker_and_for_no_dead_one() {
    for one in enrolled().filter(Enrolled::waits) {
        let mut bench = Bench::of(&one, limited(4, 1));
        bench.asks = Asks::Key(7);
        let home = bench.pick().expect("free").index();
        if one.options.contains_key("bounded") {
            // 1.5 × a share of half a lease is one lease: it is above its bound, and another's.
            let second = bench.pick().expect("another").index();
            assert!(second != home && bench.bound.is_none(), "{one}");
            continue;
        }
        assert_eq!((bench.pick().is_none(), bench.bound), (true, Some(home)), "{one}: full: wait");
        bench.candidates[home].worker.slots().close();
        let second = bench.pick().expect("a closed one is not waited for").index();
        assert_ne!(second, home);
        assert_eq!((bench.pick().is_none(), bench.bound), (true, Some(second)), "{one}");
        bench.tried.insert(WorkerId(second as u32));
        assert!(bench.pick().is_some_and(|third| ![home, second].contains(&third.index())));
    }
}

/// It is spread by weight and waits for nobody, whatever the table and the terms.
#[test]
fn a_request_without_its_key_goes_anywhere() {
    for one in enrolled().filter(|one| one.choice == Choice::Key) {
        let mut bench = Bench::of(&one, [1, 1, 2].map(|weight| worker_of(weight, None)).into());
        bench.asks = Asks::NoKey;
        let counts = bench.counts(40_000, true);
        for (count, due) in counts.iter().zip([10_000_u32, 10_000, 20_000]) {
            assert!(count.abs_diff(due) <= due / 10, "{one}: {counts:?}");
        }
        let mut bench = Bench::of(&one, limited(3, 2));
        bench.asks = Asks::NoKey;
        (0..6).for_each(|n| assert!(bench.pick().is_some(), "{one}: {n} of 6 slots"));
        assert_eq!((bench.pick().is_none(), bench.bound), (true, None), "{one}");
    }
}

/// One key, 1,600 leases: nobody holds more than its bound, and the key's own worker holds that
/// much.
#[test]
fn a_bound_spreads_a_hot_key() {
    for one in enrolled().filter(|one| one.options.contains_key("bounded")) {
        let factor: f64 = one.options["bounded"].parse().expect("a number");
        let weights = [1, 1, 2, 4];
        let mut bench = Bench::of(&one, weights.map(|weight| worker_of(weight, None)).into());
        for key in [3, u64::MAX / 3, u64::MAX] {
            bench.asks = Asks::Key(key);
            let home = bench.pick().expect("no limit").index();
            bench.release(home);
            for held in 0..1600_u32 {
                let _held = bench.pick().expect("no limit");
                for (weight, holds) in weights.iter().zip(bench.in_flight()) {
                    let share = f64::from(held + 1) * f64::from(*weight) / 8.0;
                    let bound = (factor * share).ceil();
                    assert!(f64::from(holds) <= bound, "{one}: {holds} of {held}, {bound}");
                }
            }
            let bound = (factor * 200.0 * f64::from(weights[home])).ceil().min(1600.0);
            let holds = f64::from(bench.in_flight()[home]);
            assert!(holds >= bound - 1.0, "{one}: the key's own worker holds {holds} of {bound}");
            let held = bench.in_flight();
            held.iter().enumerate().for_each(|(i, &n)| (0..n).for_each(|_| bench.release(i)));
        }
    }
}

/// Where a table's size would have to change every key would move: up to here it does not.
#[test]
fn a_hash_of_thousands_moves_few() {
    for one in enrolled().filter(|one| one.choice == Choice::Key && one.options.len() < 2) {
        for n in [656, 1300] {
            let mut bench = Bench::of(&one, equal(n));
            let before = homes(&mut bench);
            bench.candidates.remove(n / 3);
            bench.rebuild();
            let after = homes(&mut bench);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            println!("{one}: {moved} of {} moved when 1 of {n} went", before.len());
            assert!(moved <= before.len() / 20, "{one}: {moved} moved of {n}");
        }
    }
}

fn homes(bench: &mut Bench) -> Vec<String> {
    let clients = (0..10_000_u32).map(|n| client_key(Ipv4Addr::from_bits(n).into()));
    let mut home = |key| {
        bench.asks = Asks::Key(key);
        let index = bench.pick().expect("no limit").index();
        bench.release(index);
        bench.candidates[index].worker.name().to_owned()
    };
    clients.map(&mut home).collect()
}
