//! However many wait, bound to a worker or not, one event costs what it costs with few.
#![cfg(not(loom))]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use isobar_balance::{Grant, Held, Join, Need, Seat, Ticket, Waiters, Worker, WorkerId};

const WORKERS: u32 = 10;

/// One kind of event, done for each of so many waiters: what each of them cost.
type Case = (&'static str, fn(usize) -> Vec<Duration>);

/// Half of the events among 10,000 cost no more than four times what half of them cost among 1,000,
/// where a walk costs ten times as much. The other half is the machine's, which may be busy.
#[test]
fn an_event_costs_the_same_among_ten_thousand_waiters() {
    let cases: [Case; 4] = [
        ("hand-over to one bound to the worker", hand_overs),
        ("a bound waiter that comes to take any worker", unbindings),
        ("a bound waiter that leaves from the middle", departures),
        ("a worker that goes and leaves its waiters to the others", strandings),
    ];
    for (what, run) in cases {
        let median = |waiters| {
            let mut costs: Vec<Duration> = (0..5).flat_map(|_| run(waiters)).collect();
            let middle = costs.len() / 2;
            *costs.select_nth_unstable(middle).1
        };
        let (few, many) = (median(1_000), median(10_000));
        println!("{what}: {few:?} among 1,000, {many:?} among 10,000");
        assert!(many < few * 4 + Duration::from_micros(2), "{what}: {few:?}, {many:?}");
    }
}

/// Every slot is released, and goes to the oldest of its worker, until all have had one.
fn hand_overs(waiting: usize) -> Vec<Duration> {
    let mut crowd = Crowd::of(waiting);
    let hand_over = |at: usize| {
        let seat = crowd.chairs[at % crowd.chairs.len()].clone();
        crowd.waiters.release(&seat, Held::Request, crowd.now);
        let ticket = &mut crowd.tickets[at];
        match crowd.waiters.poll(ticket, &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Grant { seat: granted, .. }) => assert_eq!(granted.id(), seat.id()),
            Poll::Pending => panic!("the oldest of this worker is next"),
        }
    };
    let costs = (0..waiting).map(timed(hand_over)).collect();
    assert!(crowd.waiters.is_empty());
    costs
}

/// In the order in which their patience ends when it began in this order.
fn unbindings(waiting: usize) -> Vec<Duration> {
    let Crowd { waiters, chairs, tickets, now } = Crowd::of(waiting);
    let mut rest = Vec::with_capacity(waiting);
    let unbind = |ticket| match waiters.unbind(ticket, now, || None) {
        Err(ticket) => rest.push(ticket),
        Ok(_) => panic!("nothing is free"),
    };
    let costs = tickets.into_iter().map(timed(unbind)).collect();
    // The oldest is served first, by any worker.
    waiters.release(&chairs[WORKERS as usize - 1], Held::Request, now);
    let polled = waiters.poll(&mut rest[0], &mut Context::from_waker(Waker::noop()));
    assert!(polled.is_ready());
    costs
}

fn departures(waiting: usize) -> Vec<Duration> {
    let Crowd { waiters, mut tickets, now, .. } = Crowd::of(waiting);
    let leave = |_| waiters.leave(tickets.swap_remove(tickets.len() / 2), now);
    let costs = (0..waiting).map(timed(leave)).collect();
    assert!(waiters.is_empty());
    costs
}

/// For each of those whose worker goes.
fn strandings(waiting: usize) -> Vec<Duration> {
    let Crowd { waiters, chairs, now, tickets: _tickets } = Crowd::of(waiting);
    let strand = |left: usize| waiters.publish(chairs[..left].to_vec(), now);
    let costs = (1..chairs.len()).rev().map(timed(strand));
    let costs = costs.map(|cost| cost / (waiting as u32 / WORKERS)).collect();
    assert_eq!(waiters.len(), waiting);
    costs
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
            match waiters.join(bound, Need::Request, usize::MAX, Waker::noop(), now, || None) {
                Join::Waiting(ticket) => ticket,
                Join::Granted(_) | Join::Full => panic!("nothing is free"),
            }
        };
        let tickets = (0..waiting).map(join).collect();
        Crowd { waiters, chairs, tickets, now }
    }
}

fn timed<T>(mut event: impl FnMut(T)) -> impl FnMut(T) -> Duration {
    move |what| {
        let begin = Instant::now();
        event(what);
        begin.elapsed()
    }
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
