//! Tunnels counted apart: what a lease holds from its grant to its end.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use isobar_balance::{Key, Need, Outcome, Tried, strategy};
use isobar_pool::{
    Asker, Lease, LeaseError, LeaseRequest, Leased, Pool, PoolSettings, WorkerChange, WorkerSpec,
};

use crate::kit::*;

const DONE: Outcome = Outcome::Served { status: 200 };

struct Upgrade;

impl Asker for Upgrade {
    fn key(&self, _: &Key) -> Option<u64> {
        Some(7)
    }

    fn need(&self) -> Need {
        Need::Tunnel
    }
}

fn apart(name: &str, slots: u32, tunnels: u32) -> WorkerSpec {
    WorkerSpec { tunnels: NonZeroU32::new(tunnels), ..worker(name, nowhere(), slots) }
}

fn upgrade(pool: &Arc<Pool>) -> Result<Leased, LeaseError> {
    pool.lease(&LeaseRequest {
        asker: &Upgrade,
        tried: &Tried::new(),
        now: Instant::now(),
        waited: Duration::ZERO,
    })
}

fn tunnel(pool: &Arc<Pool>) -> Lease {
    match upgrade(pool) {
        Ok(Leased::Ready(lease)) => lease,
        other => panic!("expected a lease, found {other:?}"),
    }
}

/// Slots taken, and tunnels.
fn taken(pool: &Pool) -> (u32, u32) {
    let workers = pool.status().workers;
    (workers.iter().map(|w| w.slots_taken).sum(), workers.iter().map(|w| w.tunnels).sum())
}

#[tokio::test]
async fn a_tunnel_gives_its_slot_back_when_it_begins() {
    let pool = Pool::start("p", settings(), vec![apart("a", 1, 2)], 1);
    let mut first = tunnel(&pool);
    assert_eq!(taken(&pool), (1, 1), "both, until it is known what it is");
    first.begin_tunnel(Instant::now());
    assert_eq!((taken(&pool), in_flight(&pool)), ((0, 1), 1));

    let mut second = tunnel(&pool);
    // Another answer: it was no tunnel.
    second.give_up_tunnel(Instant::now());
    assert_eq!((taken(&pool), in_flight(&pool)), ((1, 1), 2));
    second.finish(DONE);
    first.finish(Outcome::Served { status: 101 });
    assert_eq!((taken(&pool), in_flight(&pool)), ((0, 0), 0));
}

/// How long a tunnel lives says nothing of how busy its worker is.
#[tokio::test]
async fn a_tunnel_keeps_its_worker_busy_until_it_begins() {
    let pool = Pool::start("p", settings(), vec![apart("a", 1, 1)], 1);
    let mut lease = tunnel(&pool);
    let granted = lease.granted_at();
    lease.begin_tunnel(granted + Duration::from_millis(20));
    lease.finish_at(DONE, granted + Duration::from_secs(3600));
    assert_eq!(status(&pool, "a").busy, Duration::from_millis(20));
}

#[tokio::test]
async fn without_a_tunnel_slot_it_waits_and_requests_do_not() {
    let pool = Pool::start("p", settings(), vec![apart("a", 2, 1)], 1);
    let mut first = tunnel(&pool);
    first.begin_tunnel(Instant::now());
    let Ok(Leased::Queued(wait)) = upgrade(&pool) else { panic!("there is one tunnel slot") };
    assert_eq!(taken(&pool), (0, 1), "it holds nothing while it waits");
    let (one, two) = (ready(&pool), ready(&pool));
    assert_eq!(taken(&pool), (2, 1));
    one.finish(DONE);
    first.finish(DONE);
    let second = wait.await.expect("the tunnel slot");
    assert_eq!(taken(&pool), (2, 1));
    two.finish(DONE);
    second.finish(DONE);
    assert_eq!(taken(&pool), (0, 0));
}

/// Where nothing queues, what has no room is told so at once, and what has some is served.
#[tokio::test]
async fn a_pool_without_a_queue_knows_tunnels_too() {
    let settings = PoolSettings { queue: None, ..settings() };
    let pool = Pool::start("p", settings, vec![apart("a", 1, 1)], 1);
    let mut first = tunnel(&pool);
    first.begin_tunnel(Instant::now());
    assert!(matches!(upgrade(&pool), Err(LeaseError::QueueFull)));
    ready(&pool).finish(DONE);
}

/// Waiting tunnels have a bound of their own: they do not fill the queue of requests.
#[tokio::test]
async fn a_queue_full_of_tunnels_has_room_for_requests() {
    let queue = settings().queue.map(|queue| isobar_pool::Queue { max: 2, ..queue });
    let settings = PoolSettings { queue, ..settings() };
    let pool = Pool::start("p", settings, vec![apart("a", 1, 1)], 1);
    let mut first = tunnel(&pool);
    first.begin_tunnel(Instant::now());
    let _waits = [upgrade(&pool), upgrade(&pool)];
    assert!(matches!(upgrade(&pool), Err(LeaseError::QueueFull)));
    let _busy = ready(&pool);
    assert!(matches!(ask(&pool, &Tried::new()), Ok(Leased::Queued(_))));
}

/// A stream that nobody announced: at its head, or as soon as there is room.
#[tokio::test]
async fn an_unannounced_stream_moves_when_a_tunnel_slot_is_free() {
    let pool = Pool::start("p", settings(), vec![apart("a", 2, 1)], 1);
    let mut first = ready(&pool);
    first.begin_tunnel(Instant::now());
    assert_eq!(taken(&pool), (0, 1));

    let mut second = ready(&pool);
    second.begin_tunnel(Instant::now());
    assert_eq!(taken(&pool), (1, 1), "it keeps its slot");
    let mut cx = Context::from_waker(Waker::noop());
    second.poll_tunnel(&mut cx);
    assert_eq!(taken(&pool), (1, 1));
    let moved = tokio::spawn(async move {
        std::future::poll_fn(|cx| {
            second.poll_tunnel(cx);
            match second.holds_slot() {
                true => std::task::Poll::Pending,
                false => std::task::Poll::Ready(()),
            }
        })
        .await;
        second
    });
    tokio::task::yield_now().await;
    first.finish(DONE);
    let second = moved.await.expect("it is woken");
    assert_eq!(taken(&pool), (0, 1));
    second.finish(DONE);
    assert_eq!((taken(&pool), in_flight(&pool)), ((0, 0), 0));
}

/// What an operator raises serves who waits, and a stream that could not move.
#[tokio::test]
async fn a_raised_limit_reaches_who_waits() {
    let pool = Pool::start("p", settings(), vec![apart("a", 4, 1)], 1);
    let mut first = tunnel(&pool);
    first.begin_tunnel(Instant::now());
    let mut stream = ready(&pool);
    stream.begin_tunnel(Instant::now());
    let Ok(Leased::Queued(wait)) = upgrade(&pool) else { panic!("there is one tunnel slot") };
    let more = |n| WorkerChange { tunnels: Some(NonZeroU32::new(n)), ..WorkerChange::default() };
    pool.set_worker("a", more(3)).await.expect("known");
    let waited = wait.await.expect("a tunnel slot");
    stream.poll_tunnel(&mut Context::from_waker(Waker::noop()));
    assert_eq!(taken(&pool), (1, 3), "of the one that waited");
    let now = status(&pool, "a");
    assert_eq!((now.tunnel_slots, now.file_tunnel_slots), (NonZeroU32::new(3), NonZeroU32::new(1)));
    drop((first, stream, waited));
    assert_eq!(taken(&pool), (0, 0));
}

/// One number for both: a tunnel holds a slot for its life, and is counted all the same.
#[tokio::test]
async fn plain_slots_count_both() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 2)], 1);
    let mut first = tunnel(&pool);
    assert_eq!(taken(&pool), (1, 0));
    first.begin_tunnel(Instant::now());
    assert_eq!(taken(&pool), (1, 1));
    let mut second = ready(&pool);
    second.begin_tunnel(Instant::now());
    assert!(matches!(upgrade(&pool), Ok(Leased::Queued(_))));
    drop((first, second));
    assert_eq!((taken(&pool), in_flight(&pool)), ((0, 0), 0));
}

/// A reload that counts tunnels apart moves those that come, not those that are there.
#[tokio::test]
async fn a_reload_may_begin_to_count_apart() {
    let address = nowhere();
    let spec = |tunnels| WorkerSpec {
        tunnels: NonZeroU32::new(tunnels),
        ..worker("a", address.clone(), 2)
    };
    let pool = Pool::start("p", settings(), vec![spec(0)], 1);
    let mut old = ready(&pool);
    old.begin_tunnel(Instant::now());
    pool.reconfigure(settings(), vec![spec(2)]);
    let mut new = tunnel(&pool);
    new.begin_tunnel(Instant::now());
    assert_eq!(taken(&pool), (1, 2));
    old.finish(DONE);
    assert_eq!(taken(&pool), (0, 1));
    drop(new);
    assert_eq!(taken(&pool), (0, 0));
}

/// A key that waits for its worker waits for a tunnel slot of it, too.
#[tokio::test]
async fn a_tunnel_whose_key_waits_goes_nowhere_else() {
    let settings = PoolSettings {
        strategy: strategy::find("hash").expect("in the table"),
        options: [("key", "client_ip"), ("on_full", "wait")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..settings()
    };
    let workers = vec![apart("a", 4, 1), apart("b", 4, 1)];
    let pool = Pool::start("p", settings, workers, 1);
    let mut first = tunnel(&pool);
    let home = first.target().name().to_owned();
    first.begin_tunnel(Instant::now());
    let Ok(Leased::Queued(wait)) = upgrade(&pool) else { panic!("its worker has no tunnel slot") };
    first.finish(DONE);
    assert_eq!(wait.await.expect("its worker's").target().name(), home);
}

/// Tunnels go where the fewest are, though they take no slots; and each takes one turn, not two.
#[tokio::test]
async fn tunnels_are_shared_out() {
    for name in ["least_connections", "round_robin", "weighted"] {
        let settings =
            PoolSettings { strategy: strategy::find(name).expect("in the table"), ..settings() };
        let workers = vec![apart("a", 1, 50), apart("b", 1, 50)];
        let pool = Pool::start("p", settings, workers, 1);
        let mut held = Vec::new();
        for _ in 0..10 {
            let mut lease = tunnel(&pool);
            lease.begin_tunnel(Instant::now());
            held.push(lease);
        }
        assert_eq!([status(&pool, "a").tunnels, status(&pool, "b").tunnels], [5, 5], "{name}");
    }
}
