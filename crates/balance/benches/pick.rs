//! Nanoseconds per reserve and release of every strategy, alone and among threads:
//! `cargo bench -p isobar-balance`.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_balance::strategy::{self, TABLE};
use isobar_balance::{
    Candidate, Held, Need, PickCx, Picker, Seat, Tried, Waiters, Worker, WorkerId,
};

const ROUNDS: usize = 7;
const TURNS: u32 = 300_000;

fn main() {
    println!("ns per pick + release through an empty queue, median of {ROUNDS}");
    println!(
        "{:<20} {:>10} {:>10} {:>10} {:>10}",
        "strategy", "4 idle", "64 idle", "64 busy", "2 threads"
    );
    let plain = TABLE.iter().map(|entry| (entry, &[][..]));
    let also = TABLE.iter().flat_map(|entry| entry.also.iter().map(move |set| (entry, *set)));
    for (entry, set) in plain.chain(also) {
        let strategy = match (entry.build)(&strategy::options(set)) {
            Ok(strategy) => strategy,
            Err(problem) => return eprintln!("{}: {problem}", entry.name),
        };
        let words = set.iter().map(|(_, value)| *value);
        let name = std::iter::once(entry.name).chain(words).collect::<Vec<_>>().join(" ");
        let measure = |workers, busy, threads| {
            let candidates = candidates(workers, busy);
            let picker = strategy.prepare(&candidates);
            median(|| together(threads, &*picker, &candidates))
        };
        let (few, many) = (measure(4, 0, 1), measure(64, 0, 1));
        let (busy, shared) = (measure(64, 1, 1), measure(64, 1, 2));
        println!("{name:<20} {few:>10.1} {many:>10.1} {busy:>10.1} {shared:>10.1}");
    }
    println!("{:<20} {:>10.1}", "hand-over", median(hand_overs));
}

fn together(threads: u64, picker: &dyn Picker, candidates: &[Candidate]) -> Duration {
    let waiters = Waiters::new();
    let waiters = &waiters;
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for seed in 0..threads {
            scope.spawn(move || turns(seed, picker, candidates, waiters));
        }
    });
    begin.elapsed()
}

fn turns(seed: u64, picker: &dyn Picker, candidates: &[Candidate], waiters: &Waiters<Chair>) {
    let chairs: Vec<_> = candidates.iter().map(|one| Chair(one.worker.clone())).collect();
    let mut rng = fastrand::Rng::with_seed(seed);
    let tried = Tried::new();
    let now = Instant::now();
    let mut key = seed;
    for _ in 0..TURNS {
        key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
        if !waiters.is_empty() {
            continue;
        }
        let mut cx = PickCx::new(candidates, Some(key), &tried, &mut rng, now);
        if let Some(reserved) = picker.pick(candidates, &mut cx) {
            waiters.release(&chairs[reserved.index()], Held::Request, now);
        }
    }
}

/// One slot that two requests pass to each other: join, hand over, take the grant.
fn hand_overs() -> Duration {
    use isobar_balance::Join;
    use std::task::{Context, Poll, Waker};
    let chair = Chair(candidates(1, 0).remove(0).worker);
    let waiters = Waiters::new();
    let now = Instant::now();
    waiters.publish(vec![chair.clone()], now);
    let mut holds = chair.worker().slots().try_reserve().then_some(chair);
    let begin = Instant::now();
    for _ in 0..TURNS {
        let joined = waiters.join(None, Need::Request, 9, Waker::noop(), now, || None);
        if let Some(seat) = holds.take() {
            waiters.release(&seat, Held::Request, now);
        }
        let Join::Waiting(mut ticket) = joined else { continue };
        let mut cx = Context::from_waker(Waker::noop());
        if let Poll::Ready(grant) = waiters.poll(&mut ticket, &mut cx) {
            holds = Some(grant.seat);
        }
    }
    begin.elapsed()
}

fn median(measure: impl Fn() -> Duration) -> f64 {
    let mut nanos: Vec<_> =
        (0..ROUNDS).map(|_| measure().as_secs_f64() * 1e9 / f64::from(TURNS)).collect();
    nanos.sort_by(f64::total_cmp);
    nanos[ROUNDS / 2]
}

/// Each with one slot to give, and so many leases held besides.
fn candidates(n: u32, busy: u32) -> Vec<Candidate> {
    let one = NonZeroU32::MIN;
    let candidate = |id| {
        let worker = Worker::new(WorkerId(id), &format!("w{id}"), NonZeroU32::new(busy + 1), 2);
        (0..busy).for_each(|_| assert!(worker.slots().try_reserve()));
        Candidate { worker: Arc::new(worker), weight: one, capacity: one }
    };
    (0..n).map(candidate).collect()
}

#[derive(Clone)]
struct Chair(Arc<Worker>);

impl Seat for Chair {
    fn worker(&self) -> &Worker {
        &self.0
    }
}
