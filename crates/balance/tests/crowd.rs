//! However many wait, bound to a worker or not, one event costs what it costs with few.
#![cfg(not(loom))]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use isobar_balance::{Grant, Join, Seat, Ticket, Waiters, Worker, WorkerId};

const WORKERS: u32 = 10;

/// One kind of event, done once for each of so many waiters.
type Case = (&'static str, fn(usize) -> Duration);

/// Ten times as many waiters: about ten times the work, where a walk per event would make it a
/// hundred times. The best of several rounds, so that a busy machine is no walk.
#[test]
fn an_event_costs_the_same_among_ten_thousand_waiters() {
    let cases: [Case; 4] = [
        ("hand-over to one bound to the worker", hand_overs),
        ("a bound waiter that comes to take any worker", unbindings),
        ("a bound waiter that leaves from the middle", departures),
        ("a worker that goes and leaves its waiters to the others", strandings),
    ];
    for (what, run) in cases {
        let best = |waiters| (0..5).map(|_| run(waiters)).min().unwrap_or_default();
        let (few, many) = (best(1_000), best(10_000));
        println!("{what}: {:?} among 1,000, {:?} among 10,000", few / 1_000, many / 10_000);
        assert!(many < few * 40, "{what}: {few:?} for 1,000, {many:?} for 10,000");
    }
}

/// Every slot is released, and goes to the oldest of its worker, until all have had one.
fn hand_overs(waiting: usize) -> Duration {
    let mut crowd = Crowd::of(waiting);
    timed(|| {
        for at in 0..waiting {
            let seat = crowd.chairs[at % crowd.chairs.len()].clone();
            crowd.waiters.release(&seat, crowd.now);
            let ticket = &mut crowd.tickets[at];
            match crowd.waiters.poll(ticket, &mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Grant { seat: granted, .. }) => assert_eq!(granted.id(), seat.id()),
                Poll::Pending => panic!("the oldest of this worker is next"),
            }
        }
        assert!(crowd.waiters.is_empty());
    })
}

/// In the order in which their patience ends when it began in this order.
fn unbindings(waiting: usize) -> Duration {
    let crowd = Crowd::of(waiting);
    let mut rest = Vec::with_capacity(waiting);
    let took = timed(|| {
        for ticket in crowd.tickets {
            match crowd.waiters.unbind(ticket, crowd.now, || None) {
                Err(ticket) => rest.push(ticket),
                Ok(_) => panic!("nothing is free"),
            }
        }
    });
    // The oldest is served first, by any worker.
    crowd.waiters.release(&crowd.chairs[WORKERS as usize - 1], crowd.now);
    let polled = crowd.waiters.poll(&mut rest[0], &mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready());
    took
}

fn departures(waiting: usize) -> Duration {
    let mut crowd = Crowd::of(waiting);
    timed(|| {
        while !crowd.tickets.is_empty() {
            let left = crowd.tickets.swap_remove(crowd.tickets.len() / 2);
            crowd.waiters.leave(left, crowd.now);
        }
        assert!(crowd.waiters.is_empty());
    })
}

fn strandings(waiting: usize) -> Duration {
    let crowd = Crowd::of(waiting);
    timed(|| {
        for left in (1..crowd.chairs.len()).rev() {
            crowd.waiters.publish(crowd.chairs[..left].to_vec(), crowd.now);
        }
        assert_eq!(crowd.waiters.len(), waiting);
    })
}

/// Workers of one slot, all taken, and those who wait for one of them each, in turns.
struct Crowd {
    waiters: Waiters<Chair>,
    chairs: Vec<Chair>,
    tickets: Vec<Ticket>,
    now: Instant,
}

impl Crowd {
    fn of(waiting: usize) -> Crowd {
        let (waiters, now) = (Waiters::new(), Instant::now());
        let chairs: Vec<Chair> = (0..WORKERS).map(Chair::new).collect();
        waiters.publish(chairs.clone(), now);
        chairs.iter().for_each(|chair| assert!(chair.worker().slots().try_reserve()));
        let join = |at: usize| {
            let bound = Some(WorkerId(at as u32 % WORKERS));
            match waiters.join(bound, usize::MAX, Waker::noop(), now, || None) {
                Join::Waiting(ticket) => ticket,
                Join::Granted(_) | Join::Full => panic!("nothing is free"),
            }
        };
        let tickets = (0..waiting).map(join).collect();
        Crowd { waiters, chairs, tickets, now }
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

#[derive(Clone)]
struct Chair(Arc<Worker>);

impl Chair {
    fn new(id: u32) -> Self {
        Self(Arc::new(Worker::new(WorkerId(id), "w", NonZeroU32::new(1), 1)))
    }

    fn id(&self) -> WorkerId {
        self.0.id()
    }
}

impl Seat for Chair {
    fn worker(&self) -> &Worker {
        &self.0
    }
}
