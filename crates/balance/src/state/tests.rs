mod life;

use std::time::Duration;

use super::*;

#[test]
fn an_unprobed_worker_is_up_at_once() {
    let mut pool = Pool::new(unprobed(), &["a", "b"]);
    assert_eq!(pool.names(), ["a", "b"]);
    assert!(pool.state.is_settled());
    assert_eq!(pool.probe("a", failed("x")), Changes::default(), "no probe decides here");
}

#[test]
fn a_probed_worker_starts_with_its_first_verdict() {
    let mut pool = Pool::new(probed(2, 3), &["a", "b"]);
    assert!(pool.names().is_empty() && !pool.state.is_settled());
    assert!(!pool.probe("a", ProbeResult::Inconclusive).usable);
    assert!(pool.probe("a", ProbeResult::Ok).usable);
    assert!(!pool.state.is_settled());
    let changes = pool.probe("b", failed("status 500"));
    assert!(!changes.usable);
    assert_eq!(changes.transitions[0].to, Health::Down("status 500".into()));
    assert!(pool.state.is_settled());
    assert_eq!(pool.names(), ["a"]);
}

#[test]
fn fall_takes_out_and_rise_brings_back() {
    let mut pool = Pool::new(probed(2, 3), &["a"]);
    pool.probe("a", ProbeResult::Ok);
    assert!(!pool.probe("a", failed("1")).usable);
    assert!(!pool.probe("a", failed("2")).usable);
    pool.probe("a", ProbeResult::Ok);
    assert!(!pool.probe("a", failed("1")).usable, "a success starts the run again");
    pool.probe("a", ProbeResult::Inconclusive);
    assert!(!pool.probe("a", failed("2")).usable);
    let down = pool.probe("a", failed("3"));
    assert!(down.usable && down.transitions[0].cause == "3");
    assert!(!pool.probe("a", failed("4")).usable, "first cause kept");
    assert_eq!(pool.health("a"), Health::Down("3".into()));
    assert_eq!(pool.member("a").last_probe(), Some(&Err("4".into())));
    assert!(!pool.probe("a", ProbeResult::Ok).usable);
    assert!(pool.probe("a", ProbeResult::Ok).usable);
}

/// Whatever kept us from connecting: its words are the cause, and the worker is looked at again.
#[test]
fn a_worker_to_which_there_is_no_way_is_down_in_the_words_of_the_system() {
    let mut pool = Pool::new(unprobed(), &["a"]);
    let why = "connecting failed: Permission denied";
    let changes = pool.apply(Event::Unreachable { worker: "a", why });
    assert_eq!(changes.transitions[0].to, Health::Down(why.into()));
    assert!(pool.member("a").awaits_recheck());
    pool.apply(Event::Rules(unprobed()));
    assert!(pool.member("a").awaits_recheck(), "other rules bring nobody back");
    assert!(pool.apply(Event::Recheck { worker: "a", ok: true }).usable);
}

#[test]
fn a_refusal_counts_at_once_and_each_pool_returns_its_own_way() {
    let mut probed = Pool::new(probed(2, 3), &["a"]);
    probed.probe("a", ProbeResult::Ok);
    assert!(probed.apply(Event::Refused { worker: "a" }).usable);
    assert!(!probed.member("a").awaits_recheck());
    assert!(!probed.apply(Event::Recheck { worker: "a", ok: true }).usable);
    probed.probe("a", ProbeResult::Ok);
    assert!(probed.probe("a", ProbeResult::Ok).usable);

    let mut unprobed = Pool::new(unprobed(), &["a"]);
    let changes = unprobed.apply(Event::Refused { worker: "a" });
    assert_eq!(changes.transitions[0].to, Health::Down(CONNECT_REFUSED.into()));
    assert_eq!(unprobed.apply(Event::Refused { worker: "a" }), Changes::default());
    assert!(unprobed.member("a").awaits_recheck());
    assert!(!unprobed.apply(Event::Recheck { worker: "a", ok: false }).usable);
    assert!(unprobed.apply(Event::Recheck { worker: "a", ok: true }).usable);
    assert!(!unprobed.member("a").awaits_recheck());
}

#[test]
fn whoever_is_up_may_be_used_with_its_tier() {
    let mut pool = Pool::new(unprobed(), &[]);
    let set = [("a", 0), ("b", 0), ("c", 1), ("d", 7)];
    pool.apply(Event::Set(set.map(|(name, tier)| Member { tier, ..member(name) }).into()));
    let tiers = |pool: &Pool| -> Vec<_> {
        pool.state.usable().iter().map(|usable| (usable.name.to_owned(), usable.tier)).collect()
    };
    let all = |known: &[(&str, u8)]| -> Vec<_> {
        known.iter().map(|(name, tier)| ((*name).to_owned(), *tier)).collect()
    };
    assert_eq!(tiers(&pool), all(&[("a", 0), ("b", 0), ("c", 1), ("d", 7)]));
    assert!(pool.apply(Event::Refused { worker: "c" }).usable, "a request may fall back to it");
    pool.apply(Event::Refused { worker: "a" });
    assert_eq!(tiers(&pool), all(&[("b", 0), ("d", 7)]));
    pool.apply(Event::Refused { worker: "b" });
    assert_eq!(tiers(&pool), all(&[("d", 7)]));
    pool.apply(Event::Recheck { worker: "a", ok: true });
    assert_eq!(tiers(&pool), all(&[("a", 0), ("d", 7)]));
    let moved = [("a", 3), ("b", 0), ("c", 1), ("d", 7)];
    let moved = moved.map(|(name, tier)| Member { tier, ..member(name) }).into();
    assert!(pool.apply(Event::Set(moved)).usable, "another tier is another answer");
}

/// The last worker up is never ejected; a backup that is up counts.
#[test]
fn the_last_worker_is_the_pools_and_not_the_tiers() {
    let outlier = Outlier {
        base_ejection: Duration::from_secs(10),
        longest_ejection: Duration::from_secs(300),
        max_ejected: 1000,
    };
    let mut pool = Pool::new(Rules { outlier: Some(outlier), ..unprobed() }, &[]);
    let tiers = [("a", 0), ("b", 1)];
    pool.apply(Event::Set(tiers.map(|(name, tier)| Member { tier, ..member(name) }).into()));
    let suspect = |worker| Event::Outlier { worker, sign: Sign::Failures(5) };
    pool.apply(suspect("a"));
    assert_eq!((pool.health("a"), pool.names()), (Health::Ejected, vec!["b"]));
    pool.apply(suspect("b"));
    assert_eq!((pool.health("b"), pool.names()), (Health::Up, vec!["b"]));
    // Nobody is up in any tier: who may be ill is better than nobody.
    pool.apply(Event::Refused { worker: "b" });
    assert_eq!(pool.names(), ["a"]);
}

#[test]
fn an_operator_outranks_what_is_observed() {
    let mut pool = Pool::new(probed(1, 1), &["a", "b"]);
    pool.probe("a", ProbeResult::Ok);
    pool.probe("b", ProbeResult::Ok);
    for (state, health) in
        [(AdminState::Drain, Health::Draining), (AdminState::Maintenance, Health::Maintenance)]
    {
        assert_eq!(pool.admin("a", state).transitions[0].to, health);
        assert_eq!(pool.names(), ["b"]);
        assert_eq!(pool.probe("a", failed("x")), Changes::default());
        assert_eq!(pool.probe("a", ProbeResult::Ok), Changes::default());
        assert_eq!(pool.health("a"), health);
    }
    pool.probe("a", failed("x"));
    assert!(!pool.admin("a", AdminState::Up).usable, "it went down meanwhile");
    assert_eq!(pool.health("a"), Health::Down("x".into()));
    assert_eq!(pool.admin("a", AdminState::Up), Changes::default());
}

#[test]
fn overrides_survive_a_reload_unless_the_file_changes_them() {
    let mut pool = Pool::new(unprobed(), &["a", "b"]);
    let weight = Event::Weight { worker: "a", weight: NonZeroU32::new(5) };
    assert_eq!(changed(&pool.apply(weight.clone())), (true, false));
    assert_eq!(changed(&pool.apply(weight)), (false, false));
    let slots = Event::Slots { worker: "a", slots: NonZeroU32::new(2) };
    assert_eq!(changed(&pool.apply(slots)), (true, true));
    pool.admin("a", AdminState::Drain);

    assert_eq!(changed(&pool.set(&["a", "b"])), (false, false), "the same file");
    assert_eq!(pool.member("a").weight(), NonZeroU32::new(5));
    assert_eq!(pool.health("a"), Health::Draining);

    let file = Member { slots: NonZeroU32::new(4), ..member("a") };
    let changes = pool.apply(Event::Set(vec![file, member("b")]));
    assert_eq!(changed(&changes), (false, true), "it drains: only its limit is new");
    let a = pool.member("a");
    assert_eq!((a.slots(), a.slots_override()), (NonZeroU32::new(4), None));
    assert_eq!((a.weight(), a.member().weight), (NonZeroU32::new(5), None));

    pool.apply(Event::Weight { worker: "a", weight: None });
    assert_eq!(pool.member("a").weight(), None);
}

#[test]
fn a_kept_name_keeps_its_health_and_a_new_one_begins() {
    let mut pool = Pool::new(probed(2, 2), &["a", "b"]);
    pool.probe("a", ProbeResult::Ok);
    pool.probe("b", failed("x"));
    let since = pool.member("b").since();
    assert!(!pool.set(&["b", "a", "c", "c"]).usable);
    assert_eq!(pool.state.members().count(), 3, "a name counts once");
    assert_eq!((pool.health("b"), pool.member("b").since()), (Health::Down("x".into()), since));
    assert_eq!(pool.health("c"), Health::Starting);
    assert!(pool.set(&["b"]).usable);
    assert!(pool.names().is_empty());
    assert_eq!(pool.probe("a", ProbeResult::Ok), Changes::default(), "late, not wrong");
}

#[test]
fn flapping_within_a_batch_is_logged_and_changes_nothing() {
    let mut pool = Pool::new(unprobed(), &["a", "b"]);
    let storm = (0..100)
        .flat_map(|_| [Event::Refused { worker: "a" }, Event::Recheck { worker: "a", ok: true }]);
    let changes = pool.state.apply_all(storm, pool.now);
    assert_eq!((changed(&changes), changes.transitions.len()), ((false, false), 200));
}

#[test]
fn where_probes_begin_or_end_nobody_is_lost() {
    let mut pool = Pool::new(probed(1, 1), &["starting", "down", "refused", "up"]);
    pool.probe("down", failed("x"));
    pool.probe("up", ProbeResult::Ok);
    pool.probe("refused", ProbeResult::Ok);
    pool.apply(Event::Refused { worker: "refused" });
    assert_eq!(pool.apply(Event::Rules(unprobed())).transitions.len(), 2);
    assert_eq!(pool.names(), ["starting", "down", "up"]);
    assert!(pool.member("refused").awaits_recheck());
    assert!(!pool.apply(Event::Rules(probed(1, 1))).usable, "up until a probe says otherwise");
    assert!(pool.probe("refused", ProbeResult::Ok).usable);
}

#[test]
fn capacity_is_the_weight_else_the_slots_else_one() {
    let figures = |weight, slots| {
        let mut pool = Pool::new(unprobed(), &[]);
        let (weight, slots) = (NonZeroU32::new(weight), NonZeroU32::new(slots));
        pool.apply(Event::Set(vec![Member { weight, slots, ..member("a") }]));
        let usable = pool.state.usable()[0];
        (usable.weight_or_one().get(), usable.capacity().get())
    };
    assert_eq!(figures(0, 0), (1, 1));
    assert_eq!(figures(0, 4), (1, 4));
    assert_eq!(figures(3, 4), (3, 3));
}

struct Pool {
    state: PoolState,
    now: Instant,
}

impl Pool {
    fn new(rules: Rules, names: &[&str]) -> Self {
        let mut pool = Self { state: PoolState::new(rules), now: Instant::now() };
        pool.set(names);
        pool
    }

    fn apply(&mut self, event: Event<'_>) -> Changes {
        self.now += Duration::from_secs(1);
        self.state.apply(event, self.now)
    }

    fn set(&mut self, names: &[&str]) -> Changes {
        self.apply(Event::Set(names.iter().map(|name| member(name)).collect()))
    }

    fn probe(&mut self, worker: &str, result: ProbeResult) -> Changes {
        self.apply(Event::Probe { worker, result })
    }

    fn admin(&mut self, worker: &str, state: AdminState) -> Changes {
        self.apply(Event::Admin { worker, state })
    }

    fn names(&self) -> Vec<&str> {
        self.state.usable().iter().map(|usable| usable.name).collect()
    }

    fn member(&self, name: &str) -> &MemberState {
        self.state.members().find(|member| member.name() == name).expect("a member")
    }

    fn health(&self, name: &str) -> Health {
        self.member(name).health().clone()
    }
}

fn changed(changes: &Changes) -> (bool, bool) {
    (changes.usable, changes.limits)
}

fn member(name: &str) -> Member {
    Member { name: name.into(), weight: None, slots: None, tunnels: None, tier: 0 }
}

fn failed(cause: &str) -> ProbeResult {
    ProbeResult::Failed(cause.into())
}

fn probed(rise: u32, fall: u32) -> Rules {
    Rules { probed: true, rise, fall, ..Rules::default() }
}

fn unprobed() -> Rules {
    Rules::default()
}
