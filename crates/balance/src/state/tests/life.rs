//! Ejections, panic, warm-up and slow start, in virtual time.

use super::*;

const SIGN: Sign = Sign::Failures(5);

#[test]
fn an_outlier_is_ejected_and_comes_back_by_itself() {
    let mut pool = Pool::new(ejecting(50), &["a", "b"]);
    let changes = pool.outlier("a");
    assert!(changes.usable);
    assert_eq!(changes.transitions[0].to, Health::Ejected);
    assert_eq!(changes.transitions[0].cause, "5 failures in a row; for 10s");
    assert_eq!(pool.names(), ["b"]);
    let ejection = *pool.member("a").ejection().expect("ejected");
    assert_eq!((ejection.until, ejection.sign), (pool.now + secs(10), SIGN));
    assert_eq!(pool.state.next_due(pool.now), Some(ejection.until));
    assert_eq!(pool.wait(9), Changes::default());
    let changes = pool.wait(1);
    assert_eq!((changes.usable, changes.transitions[0].to.label()), (true, "up"));
    assert_eq!(pool.names(), ["a", "b"]);
    assert_eq!(pool.state.next_due(pool.now), None);
}

#[test]
fn ejections_grow_are_capped_and_are_forgotten() {
    let mut pool = Pool::new(ejecting(50), &["a", "b"]);
    let mut eject = |pause: u64| {
        pool.wait(pause);
        pool.outlier("a");
        let ejection = *pool.member("a").ejection().expect("ejected");
        let length = (ejection.until - pool.now).as_secs();
        pool.wait(length);
        length
    };
    assert_eq!([0, 0, 0, 0].map(&mut eject), [10, 20, 30, 30], "the third is as long as any");
    // Half a minute of good behaviour each; `outlier` itself takes a second.
    assert_eq!(eject(28), 30);
    assert_eq!(eject(120), 20);
    assert_eq!(eject(100_000), 10);
}

#[test]
fn max_ejected_is_a_ceiling_and_the_last_one_always_stays() {
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    for (percent, most) in [(0, 0), (9, 0), (10, 1), (50, 5), (59, 5), (100, 9)] {
        let mut pool = Pool::new(ejecting(percent), &names);
        for name in names.iter().chain(&names) {
            pool.outlier(name);
        }
        assert_eq!(pool.names().len(), 10 - most, "{percent}%");
    }
    assert_eq!(Pool::new(ejecting(100), &["a"]).outlier("a"), Changes::default());
    let mut pool = Pool::new(ejecting(100), &["a", "b", "c"]);
    pool.apply(Event::Refused { worker: "b" });
    pool.admin("c", AdminState::Drain);
    assert_eq!(pool.outlier("a"), Changes::default(), "who is down or drains does not serve");
}

#[test]
fn an_ejected_worker_is_better_than_none() {
    let mut pool = Pool::new(ejecting(50), &["a", "b"]);
    pool.outlier("a");
    assert!(pool.apply(Event::Refused { worker: "b" }).usable);
    assert_eq!((pool.names(), pool.health("a")), (vec!["a"], Health::Ejected));
    assert!(pool.apply(Event::Recheck { worker: "b", ok: true }).usable);
    assert_eq!(pool.names(), ["b"]);
}

#[test]
fn an_operator_or_other_rules_end_an_ejection() {
    let mut pool = Pool::new(ejecting(50), &["a", "b"]);
    pool.outlier("a");
    assert!(pool.admin("a", AdminState::Up).usable);
    pool.outlier("a");
    let rules = Event::Rules(unprobed());
    assert_eq!(pool.apply(rules).transitions[0].to, Health::Up);
    assert_eq!(pool.outlier("a"), Changes::default(), "no rules, no outliers");
}

#[test]
fn in_a_panic_ejections_and_silence_are_forgiven_and_refusals_are_not() {
    let rules = Rules { panic_below: 500, ..Rules { probed: true, ..ejecting(100) } };
    let mut pool = Pool::new(rules, &["a", "b", "c", "d", "e"]);
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(pool.probe(name, ProbeResult::Ok).panic, None, "the start is no panic");
    }
    pool.outlier("a");
    assert_eq!(pool.probe("b", timed_out()).panic, None, "three of five");
    let changes = pool.probe("c", failed("status 500"));
    assert_eq!((changes.panic, changes.usable), (Some(Panic::Began), true));
    assert_eq!(pool.names(), ["a", "b", "d", "e"], "what said 500 is not forgiven");
    pool.apply(Event::Refused { worker: "b" });
    assert_eq!(pool.names(), ["a", "d", "e"]);
    assert_eq!(pool.health("b"), Health::Down(CONNECT_REFUSED.into()));
    assert_eq!(pool.admin("b", AdminState::Drain).panic, Some(Panic::Ended), "two of four");
    assert_eq!(pool.names(), ["d", "e"]);
    assert!(!pool.state.is_panicking());
}

#[test]
fn silence_that_becomes_a_refusal_is_forgiven_no_more() {
    let rules = Rules { panic_below: 1000, ..probed(1, 1) };
    let mut pool = Pool::new(rules, &["a", "b"]);
    pool.probe("a", ProbeResult::Ok);
    pool.probe("b", timed_out());
    assert_eq!(pool.names(), ["a", "b"]);
    pool.probe("b", failed(CONNECT_REFUSED));
    assert_eq!(pool.names(), ["a"]);
}

#[test]
fn nobody_serves_before_the_warm_up_at_start_or_recovery() {
    let mut pool = Pool::new(Rules { warm_up: true, ..probed(1, 1) }, &["a", "b"]);
    pool.probe("a", ProbeResult::Ok);
    assert_eq!(pool.health("a"), Health::Warming);
    assert!(pool.names().is_empty() && !pool.state.is_settled());
    assert!(pool.warm_up("a", Ok(())).usable);
    pool.probe("b", ProbeResult::Ok);
    assert!(!pool.state.is_settled());
    pool.warm_up("b", Ok(()));
    assert!(pool.state.is_settled());
    pool.probe("a", failed("x"));
    pool.probe("a", ProbeResult::Ok);
    assert_eq!((pool.health("a"), pool.names()), (Health::Warming, vec!["b"]));
    assert_eq!(pool.warm_up("b", Ok(())), Changes::default(), "it is warm already");
    pool.warm_up("a", Ok(()));
    for state in [AdminState::Drain, AdminState::Up] {
        pool.admin("a", state);
    }
    assert_eq!(pool.health("a"), Health::Up, "drained and still warm");
    for state in [AdminState::Maintenance, AdminState::Up] {
        pool.admin("a", state);
    }
    assert_eq!(pool.health("a"), Health::Warming, "replaced, perhaps");
    // Whoever serves when warm-ups are introduced goes on.
    let mut pool = Pool::new(unprobed(), &["a"]);
    assert!(!pool.apply(Event::Rules(Rules { warm_up: true, ..unprobed() })).usable);
    pool.set(&["a", "b"]);
    assert_eq!((pool.health("a"), pool.health("b")), (Health::Up, Health::Warming));
}

#[test]
fn who_cannot_be_warmed_is_the_last_resort() {
    let mut pool = Pool::new(Rules { warm_up: true, ..unprobed() }, &["a", "b"]);
    for _ in 0..2 {
        assert!(!pool.warm_up("a", Err("status 500".into())).usable);
    }
    assert!(pool.warm_up("a", Err("status 500".into())).usable);
    assert_eq!(pool.member("a").failed_warm_ups(), (3, Some("status 500")));
    assert_eq!((pool.names(), pool.health("a")), (vec!["a"], Health::Warming));
    assert!(pool.warm_up("b", Ok(())).usable);
    assert_eq!(pool.names(), ["b"]);
    pool.warm_up("a", Ok(()));
    assert_eq!(pool.names(), ["a", "b"]);
}

#[test]
fn an_ejected_worker_comes_back_through_warm_up_and_slow_start() {
    let rules = Rules { warm_up: true, slow_start: secs(10), ..ejecting(50) };
    let mut pool = Pool::new(rules, &["a", "b"]);
    pool.warm_up("a", Ok(()));
    pool.warm_up("b", Ok(()));
    pool.wait(60);
    pool.outlier("a");
    assert_eq!(pool.wait(10).transitions[0].to, Health::Warming);
    pool.warm_up("a", Ok(()));
    assert_eq!(pool.shares(), [("a", 1), ("b", 10)]);
}

#[test]
fn a_slow_start_has_ten_steps_and_an_end() {
    let mut pool = Pool::new(Rules { slow_start: secs(30), ..unprobed() }, &["a"]);
    assert_eq!(pool.shares(), [("a", 10)], "alone there is nobody to leave the rest to");
    pool.wait(100);
    pool.set(&["a", "b"]);
    let mut shares = vec![pool.shares()[1].1];
    let mut snapshots = 0;
    while let Some(due) = pool.state.next_due(pool.now) {
        assert!(due > pool.now);
        pool.now = due;
        snapshots += usize::from(pool.state.apply_all([], due).usable);
        shares.push(pool.shares()[1].1);
    }
    assert_eq!(shares, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    assert_eq!(snapshots, 9);
}

#[test]
fn who_comes_up_together_steps_together() {
    let mut pool = Pool::new(Rules { slow_start: secs(100), ..probed(1, 1) }, &["a", "b"]);
    pool.probe("a", ProbeResult::Ok);
    pool.probe("b", ProbeResult::Ok);
    while let Some(due) = pool.state.next_due(pool.now) {
        pool.now = due;
        pool.state.apply_all([], due);
        assert_eq!(pool.shares(), [("a", 10), ("b", 10)]);
    }
}

#[test]
fn slots_start_slowly_too_and_never_below_one() {
    let mut pool = Pool::new(Rules { slow_start: secs(30), ..unprobed() }, &[]);
    let slots = |name, slots| Member { slots: NonZeroU32::new(slots), ..member(name) };
    pool.apply(Event::Set(vec![slots("a", 20)]));
    pool.wait(60);
    pool.apply(Event::Set(vec![slots("a", 20), slots("b", 20), slots("c", 1)]));
    let limits = |pool: &Pool| -> Vec<u32> {
        pool.state.limits().iter().map(|(_, limit)| limit.expect("one").get()).collect()
    };
    assert_eq!(limits(&pool), [20, 2, 1]);
    pool.wait(20);
    let half = limits(&pool)[1];
    assert!((8..=14).contains(&half), "{half}");
    // The others go: it is no longer slow beside anybody.
    pool.admin("a", AdminState::Drain);
    assert_eq!(limits(&pool), [20, 20, 1]);
    pool.wait(60);
    assert_eq!(pool.state.next_due(pool.now), None);
    assert!(!pool.admin("a", AdminState::Up).limits, "drained and still warm: no slow start");
}

impl Pool {
    fn outlier(&mut self, worker: &str) -> Changes {
        self.apply(Event::Outlier { worker, sign: SIGN })
    }

    fn warm_up(&mut self, worker: &str, result: Result<(), String>) -> Changes {
        self.apply(Event::WarmUp { worker, result })
    }

    fn wait(&mut self, seconds: u64) -> Changes {
        self.now += secs(seconds);
        self.state.apply_all([], self.now)
    }

    fn shares(&self) -> Vec<(&str, u32)> {
        self.state.usable().iter().map(|usable| (usable.name, usable.share)).collect()
    }
}

fn ejecting(percent: u16) -> Rules {
    let max_ejected = percent * 10;
    let outlier = Outlier { base_ejection: secs(10), longest_ejection: secs(30), max_ejected };
    Rules { outlier: Some(outlier), ..unprobed() }
}

fn timed_out() -> ProbeResult {
    ProbeResult::TimedOut("timeout".into())
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
