//! Every interleaving of the queue and the slot word, in models small enough to be exhausted.
//!
//! `RUSTFLAGS="--cfg loom" cargo test -p isobar-balance --release --test loom`
#![cfg(loom)]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use isobar_balance::{
    Grant, Held, Join, Need, Seat, Seats, Slots, Ticket, Waiters, Worker, WorkerId,
};
use loom::thread;

/// No overshoot: a limit of one is never two, whichever way it is taken.
#[test]
fn slots_never_go_above_their_limit() {
    loom::model(|| {
        let slots = Arc::new(Slots::new(NonZeroU32::new(1)));
        let other = slots.clone();
        let taken = thread::spawn(move || other.try_reserve());
        let seen = slots.load();
        let here = slots.reserve_if(seen);
        let there = taken.join().unwrap();
        assert!(!(here && there));
        assert!(here || there, "a free slot goes to somebody");
        assert_eq!(slots.load().in_flight(), 1);
    });
}

/// A limit lowered in mid-reserve, and a close: what was reserved before stays, nothing after.
#[test]
fn a_change_of_the_limit_loses_no_count() {
    loom::model(|| {
        let slots = Arc::new(Slots::new(NonZeroU32::new(2)));
        let control = slots.clone();
        let control = thread::spawn(move || {
            control.set_limit(NonZeroU32::new(1));
            control.close();
            control.try_reserve()
        });
        let held = u32::from(slots.try_reserve()) + u32::from(slots.try_reserve());
        assert!(!control.join().unwrap(), "closed");
        assert_eq!(slots.load().in_flight(), held);
    });
}

/// No lost wake-up: a release and a newcomer cross, and the newcomer gets the slot.
#[test]
fn a_release_and_a_newcomer_never_miss_each_other() {
    loom::model(|| {
        let pool = Pool::new(1);
        let held = pool.reserve().unwrap();
        let releaser = pool.clone();
        let releaser = thread::spawn(move || releaser.release(&held));
        let joined = pool.join(None);
        releaser.join().unwrap();
        let seat = pool.seat(joined).expect("the slot came free");
        assert_eq!(pool.in_flight(), 1);
        pool.release(&seat);
        assert_eq!((pool.in_flight(), pool.waiters.len()), (0, 0));
    });
}

/// Two newcomers and one slot: one gets it, the other is next.
#[test]
fn of_two_newcomers_one_is_served_and_the_other_is_next() {
    loom::model(|| {
        let pool = Pool::new(1);
        let held = pool.reserve().unwrap();
        let other = pool.clone();
        let other = thread::spawn(move || other.arrive());
        let releaser = pool.clone();
        let releaser = thread::spawn(move || releaser.release(&held));
        let here = pool.arrive();
        let there = other.join().unwrap();
        releaser.join().unwrap();
        assert_eq!(pool.in_flight(), 1, "no slot idle, none taken twice");
        let (first, second) = (pool.settle(here), pool.settle(there));
        let (served, waits) = match (first, second) {
            (Ok(seat), Err(ticket)) | (Err(ticket), Ok(seat)) => (seat, ticket),
            (Ok(_), Ok(_)) => panic!("a limit of one was two"),
            (Err(_), Err(_)) => panic!("both wait beside a free slot"),
        };
        pool.release(&served);
        assert!(pool.settle(Join::Waiting(waits)).is_ok());
    });
}

/// Whatever the order of a hand-over and a leave, the next in line gets the slot.
#[test]
fn a_leave_passes_on_a_grant() {
    loom::model(|| {
        let pool = Pool::new(1);
        let held = pool.reserve().unwrap();
        let (Join::Waiting(first), Join::Waiting(second)) = (pool.join(None), pool.join(None))
        else {
            panic!("the slot is taken")
        };
        let releaser = pool.clone();
        let releaser = thread::spawn(move || releaser.release(&held));
        pool.waiters.leave(first, pool.now);
        releaser.join().unwrap();
        assert_eq!(pool.in_flight(), 1);
        assert!(pool.settle(Join::Waiting(second)).is_ok());
    });
}

/// The only waiter leaves while the slot is on its way: it ends up free, and not lost.
#[test]
fn a_slot_nobody_wants_any_more_is_free() {
    loom::model(|| {
        let pool = Pool::new(1);
        let held = pool.reserve().unwrap();
        let Join::Waiting(ticket) = pool.join(None) else { panic!("the slot is taken") };
        let releaser = pool.clone();
        let releaser = thread::spawn(move || releaser.release(&held));
        pool.waiters.leave(ticket, pool.now);
        releaser.join().unwrap();
        assert_eq!((pool.in_flight(), pool.waiters.len()), (0, 0));
    });
}

#[test]
fn a_raised_limit_reaches_who_waits() {
    loom::model(|| {
        let pool = Pool::new(1);
        let _held = pool.reserve().unwrap();
        let control = pool.clone();
        let control = thread::spawn(move || {
            control.seat.slots().set_limit(NonZeroU32::new(2));
            control.waiters.changed(control.now);
        });
        let joined = pool.join(Some(WorkerId(0)));
        control.join().unwrap();
        assert!(pool.settle(joined).is_ok(), "waits beside a free slot");
        assert_eq!(pool.in_flight(), 2);
    });
}

#[test]
fn a_new_worker_reaches_who_waits() {
    loom::model(|| {
        let pool = Pool::new(1);
        let _held = pool.reserve().unwrap();
        let control = pool.clone();
        let fresh = Chair::new(1, 1);
        let control = thread::spawn(move || {
            control.waiters.publish(vec![control.seat.clone(), fresh], control.now);
        });
        // Its snapshot may be the old one: the pick knows the first worker only.
        let joined = pool.join(None);
        control.join().unwrap();
        let seat = pool.settle(joined).expect("waits beside a free slot");
        assert_eq!(seat.worker().id(), WorkerId(1));
    });
}

/// A backup's slot comes free while its tier begins to serve: who waits for any worker gets it.
#[test]
fn a_backup_that_begins_to_serve_reaches_who_waits() {
    loom::model(|| {
        let pool = Pool::new(1);
        let held = pool.reserve().unwrap();
        let backups = |backups| Seats { serving: Vec::new(), overflow: Vec::new(), backups };
        pool.waiters.publish(backups(vec![pool.seat.clone()]), pool.now);
        let Join::Waiting(ticket) =
            pool.waiters.join(None, Need::Request, 9, Waker::noop(), pool.now, || None)
        else {
            panic!("a backup is not for everybody")
        };
        let control = pool.clone();
        let control = thread::spawn(move || {
            control.waiters.publish(vec![control.seat.clone()], control.now);
        });
        pool.release(&held);
        control.join().unwrap();
        assert!(pool.settle(Join::Waiting(ticket)).is_ok(), "waits beside a free slot");
        assert_eq!((pool.in_flight(), pool.waiters.len()), (1, 0));
    });
}

/// A worker closes while its slot is being handed over: either way the count is right.
#[test]
fn a_closing_worker_hands_over_or_not_but_never_halfway() {
    loom::model(|| {
        let pool = Pool::new(1);
        let held = pool.reserve().unwrap();
        let Join::Waiting(ticket) = pool.join(None) else { panic!("the slot is taken") };
        let control = pool.clone();
        let control = thread::spawn(move || control.seat.slots().close());
        pool.release(&held);
        control.join().unwrap();
        match pool.settle(Join::Waiting(ticket)) {
            Ok(_) => assert_eq!((pool.in_flight(), pool.waiters.len()), (1, 0)),
            Err(ticket) => {
                assert_eq!((pool.in_flight(), pool.waiters.len()), (0, 1));
                pool.seat.slots().open();
                pool.waiters.changed(pool.now);
                assert!(pool.settle(Join::Waiting(ticket)).is_ok());
            }
        }
    });
}

/// A tunnel ends while somebody joins who needs its tunnel slot: it is not missed.
#[test]
fn a_tunnel_that_ends_reaches_who_needs_its_slot() {
    loom::model(|| {
        let pool = Pool::new(1).with_tunnels(1);
        let tunnel = pool.tunnel();
        let other = pool.clone();
        let other = thread::spawn(move || {
            other.waiters.release(&tunnel, Held::Tunnel, other.now);
        });
        let joined = pool.need(Need::Tunnel);
        other.join().unwrap();
        assert!(pool.settle(joined).is_ok(), "waits beside a free pair");
        assert_eq!((pool.in_flight(), pool.tunnels()), (1, 1));
    });
}

/// A request takes the slot, past the lock, while somebody wants it together with a tunnel slot:
/// one of them has it, and no tunnel slot is taken in vain.
#[test]
fn a_pair_is_taken_whole_or_not_at_all() {
    loom::model(|| {
        let pool = Pool::new(1).with_tunnels(1);
        let other = pool.clone();
        let other = thread::spawn(move || other.arrive());
        let pair = pool.need(Need::Tunnel);
        let request = other.join().unwrap();
        let (pair, request) = (pool.settle(pair), pool.settle(request));
        assert_eq!(pool.in_flight(), 1);
        match (pair, request) {
            (Ok(pair), Err(waits)) => {
                assert_eq!(pool.tunnels(), 1);
                pool.waiters.release(&pair, Held::Request, pool.now);
                assert!(pool.settle(Join::Waiting(waits)).is_ok());
                assert_eq!((pool.in_flight(), pool.tunnels()), (1, 1));
            }
            (Err(waits), Ok(request)) => {
                assert_eq!(pool.tunnels(), 0, "taken in vain");
                pool.release(&request);
                assert!(pool.settle(Join::Waiting(waits)).is_ok());
                assert_eq!((pool.in_flight(), pool.tunnels()), (1, 1));
            }
            _ => panic!("one slot, two takers"),
        }
    });
}

/// A tunnel begins, and gives its slot back, while a request arrives.
#[test]
fn a_tunnel_that_begins_reaches_who_waits_for_its_slot() {
    loom::model(|| {
        let pool = Pool::new(1).with_tunnels(1);
        let Join::Granted(seat) = pool.need(Need::Tunnel) else { panic!("both are free") };
        let other = pool.clone();
        let other = thread::spawn(move || {
            other.waiters.release(&seat, Held::Request, other.now);
        });
        let arrived = pool.arrive();
        other.join().unwrap();
        assert!(pool.settle(arrived).is_ok(), "waits beside a free slot");
        assert_eq!((pool.in_flight(), pool.tunnels()), (1, 1));
    });
}

/// Two streams that nobody announced want the last tunnel slot, while who waits leaves.
#[test]
fn a_tunnel_slot_is_never_two() {
    loom::model(|| {
        let pool = Pool::new(2).with_tunnels(1);
        let (first, second) = (pool.reserve().unwrap(), pool.reserve().unwrap());
        let Join::Waiting(ticket) = pool.need(Need::Tunnel) else { panic!("both slots are taken") };
        let other = pool.clone();
        let other = thread::spawn(move || {
            let moved = other.waiters.take_tunnel(&first);
            if moved {
                other.release(&first);
            }
            moved
        });
        pool.release(&second);
        let moved = other.join().unwrap();
        let granted = pool.settle(Join::Waiting(ticket)).is_ok();
        assert!(moved != granted, "one slot, one of the two: {moved} {granted}");
        assert_eq!(pool.tunnels(), 1);
    });
}

#[derive(Clone)]
struct Pool {
    waiters: Arc<Waiters<Chair>>,
    seat: Chair,
    now: Instant,
}

#[derive(Clone, Debug)]
struct Chair(Arc<Named>);

struct Named(Worker);

impl std::fmt::Debug for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Chair {
    fn new(id: u32, limit: u32) -> Self {
        Self(Arc::new(Named(Worker::new(WorkerId(id), "w", NonZeroU32::new(limit), 1))))
    }

    fn slots(&self) -> &Slots {
        self.worker().slots()
    }
}

impl Seat for Chair {
    fn worker(&self) -> &Worker {
        &self.0.0
    }
}

impl Pool {
    fn new(limit: u32) -> Self {
        let pool = Self {
            waiters: Arc::new(Waiters::new()),
            seat: Chair::new(0, limit),
            now: Instant::now(),
        };
        pool.waiters.publish(vec![pool.seat.clone()], pool.now);
        pool
    }

    fn with_tunnels(self, limit: u32) -> Self {
        self.seat.worker().tunnels().set_limit(NonZeroU32::new(limit));
        self
    }

    /// One that has begun.
    fn tunnel(&self) -> Chair {
        let Join::Granted(seat) = self.need(Need::Tunnel) else { panic!("nothing is free") };
        self.waiters.release(&seat, Held::Request, self.now);
        seat
    }

    fn tunnels(&self) -> u32 {
        self.seat.worker().tunnels().load().in_flight()
    }

    fn need(&self, need: Need) -> Join<Chair> {
        self.waiters.join(None, need, 9, Waker::noop(), self.now, || self.reserve())
    }

    fn reserve(&self) -> Option<Chair> {
        self.seat.slots().try_reserve().then(|| self.seat.clone())
    }

    fn release(&self, seat: &Chair) {
        self.waiters.release(seat, Held::Request, self.now);
    }

    fn join(&self, bound: Option<WorkerId>) -> Join<Chair> {
        self.waiters.join(bound, Need::Request, 9, Waker::noop(), self.now, || self.reserve())
    }

    /// As a request does: the gate, the pick, the queue.
    fn arrive(&self) -> Join<Chair> {
        let seat = if self.waiters.is_open() { self.reserve() } else { None };
        seat.map_or_else(|| self.join(None), Join::Granted)
    }

    fn settle(&self, join: Join<Chair>) -> Result<Chair, Ticket> {
        match join {
            Join::Granted(seat) => Ok(seat),
            Join::Full => panic!("nine may wait"),
            Join::Waiting(mut ticket) => {
                match self.waiters.poll(&mut ticket, &mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(Grant { seat, .. }) => Ok(seat),
                    Poll::Pending => Err(ticket),
                }
            }
        }
    }

    fn seat(&self, join: Join<Chair>) -> Option<Chair> {
        self.settle(join).ok()
    }

    fn in_flight(&self) -> u32 {
        self.seat.slots().load().in_flight()
    }
}
