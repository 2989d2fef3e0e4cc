//! Backups: the next tier serves a request that has nobody left to ask in the lower ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_balance::{Outcome, Tried, strategy};
use isobar_pool::{
    Affinity, AffinityKey, Asker, LeaseError, LeaseRequest, Leased, OnLost, Overflow, Pool,
    PoolSettings, Secure, WorkerSpec,
};

use crate::kit::*;
use crate::origin::Origin;

const DONE: Outcome = Outcome::Served { status: 200 };

fn backup(name: &str, tier: u8, slots: u32) -> WorkerSpec {
    WorkerSpec { tier, ..worker(name, nowhere(), slots) }
}

/// The name of the worker this request gets at once.
fn name(pool: &Arc<Pool>, tried: &Tried) -> Result<String, LeaseError> {
    match ask(pool, tried)? {
        Leased::Ready(lease) => {
            let name = lease.target().name().to_owned();
            lease.finish(DONE);
            Ok(name)
        }
        Leased::Queued(_) => Ok("queued".to_owned()),
    }
}

/// Every strategy: who has tried all of a tier goes on to the next, in order.
#[tokio::test]
async fn a_request_goes_from_tier_to_tier() {
    for entry in strategy::TABLE {
        let workers = vec![
            backup("d", 9, 0),
            backup("c", 1, 0),
            worker("a", nowhere(), 0),
            worker("b", nowhere(), 0),
        ];
        let pool = Pool::start("p", PoolSettings { strategy: entry, ..settings() }, workers, 1);
        let mut tried = Tried::new();
        let mut order = Vec::new();
        while let Ok(Leased::Ready(lease)) = ask(&pool, &tried) {
            order.push(lease.target().name().to_owned());
            tried.insert(lease.target().id());
            lease.finish(DONE);
        }
        order[..2].sort();
        assert_eq!(order, ["a", "b", "c", "d"], "{}", entry.name);
        assert_eq!(name(&pool, &tried), Err(LeaseError::NoOther), "after all tiers");
    }
}

/// Where a pool overflows the next tier takes what would wait; else it waits beside a free backup.
#[tokio::test]
async fn a_full_tier_overflows_where_it_may() {
    let workers = || vec![worker("a", nowhere(), 1), backup("b", 1, 1), backup("c", 2, 1)];
    let pool = Pool::start("p", settings(), workers(), 1);
    let _a = ready(&pool);
    assert_eq!(name(&pool, &Tried::new()).as_deref(), Ok("queued"));

    for queue in [settings().queue, None] {
        let settings = PoolSettings { overflow: Overflow::On, queue, ..settings() };
        let pool = Pool::start("p", settings, workers(), 1);
        let mut held = Vec::new();
        for expected in ["a", "b", "c"] {
            held.push(ready(&pool));
            assert_eq!(held.last().map(|lease| lease.target().name()), Some(expected));
        }
        // The lowest one that is free, whoever that is.
        held.remove(1).finish(DONE);
        assert_eq!(name(&pool, &Tried::new()).as_deref(), Ok("b"));
        held.push(ready(&pool));
        let last = ask(&pool, &Tried::new());
        match (queue, last) {
            (None, Err(LeaseError::QueueFull)) => {}
            // Who waits takes any.
            (Some(_), Ok(Leased::Queued(wait))) => {
                held.remove(1).finish(DONE);
                assert_eq!(wait.await.expect("a lease").target().name(), "c");
            }
            (_, other) => panic!("{other:?}"),
        }
    }
}

/// It can be turned on while requests wait: what is free takes them.
#[tokio::test]
async fn who_waits_overflows_as_soon_as_that_is_turned_on() {
    let workers = vec![worker("a", nowhere(), 1), backup("b", 1, 1)];
    let pool = Pool::start("p", settings(), workers.clone(), 1);
    let _a = ready(&pool);
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("a is full") };
    pool.reconfigure(PoolSettings { overflow: Overflow::On, ..settings() }, workers);
    assert_eq!(wait.await.expect("a lease").target().name(), "b");
}

/// A tier whose workers have all refused is passed over before the supervisor knows.
#[tokio::test]
async fn a_tier_that_refuses_is_passed_over_at_once() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1), backup("b", 1, 1)], 1);
    let mut lease = ready(&pool);
    assert_eq!(lease.target().name(), "a");
    lease.dial().await.expect_err("nobody listens there");
    lease.finish(DONE);
    assert_eq!(name(&pool, &Tried::new()).as_deref(), Ok("b"));
}

#[tokio::test]
async fn turns_of_one_tier_do_not_move_while_another_is_asked() {
    let strategy = strategy::find("round_robin").expect("in the table");
    let mut workers: Vec<_> = ["a", "b", "c"].map(|name| worker(name, nowhere(), 0)).into();
    workers.extend(["x", "y"].map(|name| backup(name, 1, 0)));
    let pool = Pool::start("p", PoolSettings { strategy, ..settings() }, workers, 1);
    let mut tried = Tried::new();
    let mut first = Vec::new();
    for _ in 0..3 {
        let lease = ready(&pool);
        tried.insert(lease.target().id());
        first.push(lease.target().name().to_owned());
        lease.finish(DONE);
    }
    let mut backups = Vec::new();
    for turn in 0..6 {
        assert_eq!(name(&pool, &Tried::new()).as_deref(), Ok(&*first[turn % 3]));
        backups.push(name(&pool, &tried).expect("a backup"));
    }
    assert_eq!(backups[..2], backups[2..4]);
    assert_ne!(backups[0], backups[1]);
}

/// Who waits for a slot of the tier that serves is given no backup's, and keeps nobody from it.
#[tokio::test]
async fn a_queue_waits_for_the_tier_that_serves() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1), backup("b", 1, 1)], 1);
    let held = ready(&pool);
    let mut tried = Tried::new();
    tried.insert(held.target().id());
    let Ok(Leased::Queued(waiting)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    let Ok(Leased::Ready(fallen)) = ask(&pool, &tried) else { panic!("a backup is free") };
    assert_eq!(fallen.target().name(), "b");
    fallen.finish(DONE);
    assert_eq!(pool.figures().queue_depth, 1, "a backup's slot came free, and is not for it");
    held.finish(DONE);
    let lease = waiting.await.expect("a slot of the first tier");
    assert_eq!(lease.target().name(), "a");
    lease.finish(DONE);
}

/// What a refusal leaves to the queue: those who wait are given the next tier's slots.
#[tokio::test]
async fn who_waits_for_a_tier_that_goes_gets_the_next() {
    let origin = Origin::start();
    let first = worker("a", origin.address(), 1);
    let pool = Pool::start("p", settings(), vec![first, backup("b", 1, 1)], 1);
    let held = ready(&pool);
    let Ok(Leased::Queued(waiting)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    let out = isobar_pool::WorkerChange {
        state: Some(isobar_balance::state::AdminState::Drain),
        ..Default::default()
    };
    pool.set_worker("a", out).await.expect("a worker");
    let lease = waiting.await.expect("a backup's slot");
    assert_eq!(lease.target().name(), "b");
    lease.finish(DONE);
    held.finish(DONE);
    assert_eq!(in_flight(&pool), 0);
}

struct Client(Option<String>);

impl Asker for Client {
    fn key(&self, _: &isobar_balance::Key) -> Option<u64> {
        None
    }

    fn cookie(&self, _: &str) -> Option<&[u8]> {
        self.0.as_deref().map(str::as_bytes)
    }
}

/// A client that came to a backup stays there while that is up, as with HAProxy: its session is
/// there, also after a lower tier is back.
#[tokio::test]
async fn a_client_stays_on_its_backup() {
    for on_lost in [OnLost::Fail, OnLost::Rebalance] {
        let key = AffinityKey::new(&b"a key of the tests"[..]);
        let affinity = Affinity {
            cookie: "isobar".into(),
            attributes: "; Path=/".into(),
            secure: Secure::Auto,
            wait: Duration::ZERO,
            on_lost,
            key,
        };
        let settings = PoolSettings { affinity: Some(affinity), ..settings() };
        let workers = vec![worker("a", nowhere(), 1), backup("b", 1, 1)];
        let pool = Pool::start("p", settings, workers, 1);
        let ask = |client: &Client, tried: &Tried| {
            let asked = pool.lease(&LeaseRequest {
                asker: client,
                tried,
                now: Instant::now(),
                waited: Duration::ZERO,
            });
            let Ok(Leased::Ready(lease)) = asked else { panic!("expected a lease: {asked:?}") };
            lease
        };
        let lease = ask(&Client(None), &Tried::new());
        let mut tried = Tried::new();
        tried.insert(lease.target().id());
        lease.finish(DONE);
        let lease = ask(&Client(None), &tried);
        let cookie = lease.new_cookie(&Client(None)).expect("a new client is told");
        lease.finish(DONE);
        let client = Client(Some(String::from_utf8(cookie.value.to_vec()).expect("hex")));
        let lease = ask(&client, &Tried::new());
        assert_eq!(lease.target().name(), "b", "{on_lost:?}");
        lease.finish(DONE);
    }
}
