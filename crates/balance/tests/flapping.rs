//! A pool's state through random weather: whatever is ejected, refused, drained and brought back,
//! a pool in which somebody could serve has somebody who does, and all that happens by itself ends.
#![cfg(not(loom))]

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use isobar_balance::Health;
use isobar_balance::outlier::Sign;
use isobar_balance::state::{AdminState, Event, FULL_SHARE, Member, Outlier, PoolState, Rules};
use proptest::prelude::*;

const LONGEST: Duration = Duration::from_secs(60);
const SLOTS: u32 = 7;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ejections_and_flapping_never_empty_a_healthy_pool(
        seed: u64,
        workers in 1_usize..12,
        max_ejected in 1_u16..=1000,
        panic_below in prop_oneof![Just(0), 1_u16..=1000],
        slow_start in prop_oneof![Just(0), 1_u64..100],
    ) {
        let outlier = Outlier {
            base_ejection: Duration::from_secs(5),
            longest_ejection: LONGEST,
            max_ejected,
        };
        let rules = Rules {
            outlier: Some(outlier),
            panic_below,
            slow_start: Duration::from_secs(slow_start),
            ..Rules::default()
        };
        let mut pool = Pool::new(seed, workers, rules);
        for _ in 0..400 {
            pool.step();
            pool.check(usize::from(max_ejected))?;
        }
        pool.calm_down()?;
    }
}

struct Pool {
    state: PoolState,
    /// What the state cannot know: whether each listens, and what its operator asked for.
    workers: Vec<(String, bool, AdminState)>,
    now: Instant,
    rng: fastrand::Rng,
}

impl Pool {
    fn new(seed: u64, workers: usize, rules: Rules) -> Pool {
        let mut rng = fastrand::Rng::with_seed(seed);
        let names = (0..workers).map(|i| format!("w{i}"));
        let members = names.clone().map(|name| Member {
            name,
            weight: None,
            tunnels: None,
            slots: NonZeroU32::new(SLOTS),
            tier: rng.u8(0..2),
        });
        let now = Instant::now();
        let mut state = PoolState::new(rules);
        state.apply(Event::Set(members.collect()), now);
        let workers = names.map(|name| (name, true, AdminState::Up)).collect();
        Pool { state, workers, now, rng }
    }

    fn step(&mut self) {
        let due = self.state.next_due(self.now).filter(|_| self.rng.bool());
        let later = self.now + Duration::from_millis(self.rng.u64(0..3000));
        self.now = due.unwrap_or(later);
        let chosen = self.rng.usize(..self.workers.len());
        let (worker, listens, admin) = &mut self.workers[chosen];
        let event = match self.rng.u32(0..10) {
            0..5 => Event::Outlier { worker, sign: Sign::Failures(5) },
            5 | 6 if *listens => {
                *listens = false;
                Event::Refused { worker }
            }
            5..8 => {
                *listens = true;
                Event::Recheck { worker, ok: true }
            }
            state => {
                let asked = [AdminState::Up, AdminState::Drain, AdminState::Maintenance];
                *admin = if state == 8 { AdminState::Up } else { asked[self.rng.usize(..3)] };
                Event::Admin { worker, state: *admin }
            }
        };
        self.state.apply(event, self.now);
    }

    fn check(&self, max_ejected: usize) -> Result<(), TestCaseError> {
        let able = |name: &str| {
            let (_, listens, admin) = self.workers.iter().find(|(n, ..)| n == name).expect("one");
            *listens && *admin == AdminState::Up
        };
        let usable = self.state.usable();
        let some_can = self.workers.iter().any(|(name, ..)| able(name));
        prop_assert_eq!(!usable.is_empty(), some_can);
        prop_assert!(usable.iter().all(|usable| able(usable.name)));
        let ejected = self.state.members().filter(|m| *m.health() == Health::Ejected).count();
        prop_assert!(ejected <= self.workers.len() * max_ejected / 1000, "{} ejected", ejected);
        if some_can {
            for tier in usable.iter().map(|usable| usable.tier) {
                let shares = usable.iter().filter(|u| u.tier == tier).map(|u| u.share);
                prop_assert_eq!(
                    shares.max(),
                    Some(FULL_SHARE),
                    "nobody takes what a newcomer leaves"
                );
            }
        }
        for usable in usable {
            prop_assert!((1..=FULL_SHARE).contains(&usable.share));
            prop_assert!(usable.slots.is_some_and(|slots| (1..=SLOTS).contains(&slots.get())));
        }
        prop_assert!(self.state.next_due(self.now).is_none_or(|due| due > self.now));
        Ok(())
    }

    /// When nothing more comes, everybody who listens is up after the longest ejection and a slow
    /// start, in few steps.
    fn calm_down(&mut self) -> Result<(), TestCaseError> {
        let began = self.now;
        let mut steps = 0;
        while let Some(due) = self.state.next_due(self.now) {
            self.now = due;
            self.state.apply_all([], due);
            steps += 1;
        }
        prop_assert!(self.now - began <= LONGEST + Duration::from_secs(2 * 100));
        prop_assert!(steps <= 25 * self.workers.len(), "{} steps", steps);
        let ejected = self.state.members().any(|member| member.ejection().is_some());
        prop_assert!(!ejected);
        Ok(())
    }
}
