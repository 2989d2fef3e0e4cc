//! A pool's life in virtual time: thousands of random steps, every invariant after each.
//!
//! The model beside the queue knows who waits, since when and for whom, and checks what the queue
//! promises: limits at the time of the reserve, no usable slot idle beside a waiter, first come
//! first served among those who compete, and an integral of idle time that is exact. Some of its
//! workers count tunnels apart: a slot and a tunnel slot are then one thing that is taken together.
#![cfg(not(loom))]

mod model;

use std::num::NonZeroU32;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use isobar_balance::{Grant, Held, Need};
use proptest::prelude::*;

use model::{Chair, Lateness, Pool};

const STEPS: usize = 4000;

#[test]
fn events_in_time_leave_no_slot_idle() {
    for seed in 0..24 {
        let mut pool = Pool::new(seed, 6, Lateness::None);
        (0..STEPS).for_each(|_| pool.step());
        assert_eq!(pool.waiters.idle_while_waiting(), Duration::ZERO, "seed {seed}");
        assert!(pool.handed_over > STEPS / 20, "seed {seed}: {} only", pool.handed_over);
        pool.end();
    }
}

#[test]
fn events_applied_late_are_counted_exactly() {
    for seed in 100..124 {
        let mut pool = Pool::new(seed, 6, Lateness::Random);
        (0..STEPS).for_each(|_| pool.step());
        assert_eq!(pool.waiters.idle_while_waiting(), pool.idle(), "seed {seed}");
        assert!(pool.idle() > Duration::ZERO);
        pool.end();
    }
}

#[test]
fn a_hand_over_20_ms_late_shows_as_20_ms() {
    let mut pool = Pool::new(1, 1, Lateness::None);
    pool.workers[0].slots().set_limit(NonZeroU32::new(1));
    pool.publish_all();
    pool.arrive(None, Need::Request);
    pool.arrive(None, Need::Request);
    let freed = pool.now + Duration::from_millis(5);
    pool.now = freed + Duration::from_millis(20);
    pool.waiters.observe(pool.now);
    let (seat, held) = pool.held.remove(0);
    pool.waiters.release(&seat, held, freed);
    assert_eq!(pool.waiters.idle_while_waiting(), Duration::from_millis(20));
    let mut waiting = pool.tickets.remove(0);
    match pool.waiters.poll(&mut waiting.ticket, &mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Grant { seat, held, at }) => {
            assert_eq!(at, freed, "so the hand-over histogram shows it as well");
            pool.waiters.release(&seat, held, pool.now);
        }
        Poll::Pending => panic!("the slot is free"),
    }
}

/// A picker that panics takes its own request along and nobody else's.
#[test]
fn a_panic_under_the_lock_is_survived() {
    let mut pool = Pool::new(1, 1, Lateness::None);
    pool.workers[0].slots().set_limit(NonZeroU32::new(1));
    pool.publish_all();
    pool.arrive(None, Need::Request);
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let need = Need::Request;
        let _ = pool.waiters.join(None, need, 9, Waker::noop(), pool.now, || panic!("a bug"));
    }));
    assert!(panicked.is_err());
    pool.arrive(None, Need::Request);
    assert_eq!(pool.waiters.len(), 1);
    let (seat, held) = pool.held.remove(0);
    pool.waiters.release(&seat, held, pool.now);
    assert!(pool.waiters.is_empty());
    pool.end();
}

/// A limit was raised, and before `changed` says so somebody else comes by: the room goes to those
/// who already wait for it, at the first opportunity.
#[test]
fn room_nobody_has_announced_belongs_to_who_waits() {
    for seed in 0..20 {
        let mut pool = Pool::new(seed, 2, Lateness::None);
        pool.workers.iter().for_each(|seat| seat.slots().set_limit(NonZeroU32::new(1)));
        for worker in [0, 1, 0] {
            pool.arrive(Some(worker), Need::Request);
        }
        assert_eq!((pool.held.len(), pool.waiters.len()), (2, 1));
        pool.workers[0].slots().set_limit(NonZeroU32::new(2));
        pool.arrive(None, Need::Request);
        assert!(pool.tickets[0].woken.0.load(SeqCst), "a newcomer overtook");
        assert_eq!((pool.held.len(), pool.waiters.len()), (2, 1));

        pool.arrive(None, Need::Request);
        pool.workers[1].slots().set_limit(NonZeroU32::new(2));
        let (last, held) = pool.held.remove(1);
        assert_eq!(last.id(), 1);
        pool.waiters.release(&last, held, pool.now);
        assert_eq!((pool.waiters.len(), last.in_flight()), (0, 2), "both slots handed over");
        pool.end();
    }
}

/// One seat of a vanished worker is released long after: the new worker of that name is not it.
#[test]
fn a_worker_that_came_back_is_another() {
    let mut pool = Pool::new(1, 1, Lateness::None);
    pool.publish_all();
    let old = pool.workers[0].clone();
    assert!(old.slots().try_reserve());
    pool.workers[0] = Chair::new(0, 1);
    pool.publish_all();
    assert!(pool.workers[0].slots().try_reserve());
    pool.held.push((pool.workers[0].clone(), Held::Request));
    pool.arrive(None, Need::Request);
    pool.waiters.release(&old, Held::Request, pool.now);
    assert_eq!((old.in_flight(), pool.waiters.len()), (0, 1));
    pool.end();
}

/// Two crowds at two doors: who waits for a tunnel slot keeps nobody from a free slot, and who has
/// no tunnel to begin gets no slot that somebody older could have used.
#[test]
fn who_misses_a_tunnel_slot_stands_in_nobodys_way() {
    let mut pool = Pool::new(1, 1, Lateness::None);
    let worker = pool.workers[0].clone();
    worker.slots().set_limit(NonZeroU32::new(2));
    worker.0.tunnels().set_limit(NonZeroU32::new(1));
    let counts = || (worker.in_flight(), worker.0.tunnels().load().in_flight());
    pool.arrive(None, Need::Tunnel);
    assert_eq!(counts(), (1, 1));
    pool.waiters.release(&worker, Held::Request, pool.now);
    pool.held[0].1 = Held::Tunnel;
    assert_eq!(counts(), (0, 1), "the tunnel stands and takes no slot");

    pool.arrive(None, Need::Tunnel);
    assert_eq!((pool.waiters.len(), counts()), (1, (0, 1)), "neither of the two is taken in vain");
    assert!(pool.waiters.is_open());
    pool.arrive(None, Need::Request);
    pool.arrive(None, Need::Request);
    pool.arrive(None, Need::Request);
    assert_eq!((pool.waiters.len(), counts()), (2, (2, 1)));

    // The tunnel ends: the older one would have its tunnel slot, and waits for the first slot.
    pool.waiters.release(&worker, Held::Tunnel, pool.now);
    pool.held.remove(0);
    assert_eq!(counts(), (2, 0));
    pool.waiters.release(&worker, Held::Request, pool.now);
    pool.held.remove(0);
    assert_eq!((pool.waiters.len(), counts()), (1, (2, 1)));
    assert!(pool.tickets[0].woken.0.load(SeqCst), "the older one");
    pool.end();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Shorter lives from anywhere, over pools of every size.
    #[test]
    fn any_life_keeps_the_invariants(seed: u64, workers in 1_u32..12, late: bool) {
        let mut pool = Pool::new(seed, workers, if late { Lateness::Random } else { Lateness::None });
        (0..300).for_each(|_| pool.step());
        prop_assert_eq!(pool.waiters.idle_while_waiting(), pool.idle());
        pool.end();
    }
}
