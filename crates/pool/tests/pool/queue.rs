use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use isobar_balance::{Outcome, Tried, strategy};
use isobar_pool::{LeaseError, LeaseRequest, Leased, Pool, PoolSettings, Queue};
use tokio::sync::oneshot;

use crate::kit::*;
use crate::origin::Origin;

const DONE: Outcome = Outcome::Served { status: 200 };

fn drops(pool: &Pool, reason: &str) -> u64 {
    let drops = pool.figures().queue_drops;
    drops.iter().find(|(name, _)| *name == reason).expect("a known reason").1
}

#[tokio::test]
async fn a_slot_is_handed_over_across_threads() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1)], 3);
    let held = ready(&pool);
    let (joined, has_joined) = oneshot::channel();
    let there = pool.clone();
    let other = on_shard(1, async move || {
        let Ok(Leased::Queued(wait)) = ask(&there, &Tried::new()) else { panic!("must queue") };
        let _ = joined.send(());
        let lease = wait.await.expect("the slot");
        assert!(lease.was_queued() && lease.limited());
        lease.finish(DONE);
    });
    has_joined.await.expect("queued");
    assert_eq!(pool.figures().queue_depth, 1);
    held.finish(DONE);
    other.await;
    let figures = pool.figures();
    assert_eq!((figures.queue_depth, figures.queue_wait.count, in_flight(&pool)), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_bounded_in_length_and_time() {
    let queue = Some(Queue { max: 1, timeout: Duration::from_secs(2) });
    let pool =
        Pool::start("p", PoolSettings { queue, ..settings() }, vec![worker("a", nowhere(), 1)], 1);
    let held = ready(&pool);
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    assert_eq!(refusal(&pool), LeaseError::QueueFull);
    let before = tokio::time::Instant::now();
    assert_eq!(wait.await.expect_err("no slot"), LeaseError::QueueTimeout);
    assert!(before.elapsed() >= Duration::from_secs(2));
    assert_eq!((drops(&pool, "queue_full"), drops(&pool, "queue_timeout")), (1, 1));
    drop(held);
    assert_eq!(in_flight(&pool), 0);
    ready(&pool).finish(DONE);
}

/// `on_full: wait`: whoever comes while others wait still waits for its own worker.
#[tokio::test]
async fn a_bound_client_keeps_its_worker_behind_a_queue() {
    let strategy = strategy::find("ip_hash").expect("in the table");
    let options = [("on_full".to_owned(), "wait".to_owned())].into();
    let workers = vec![worker("a", nowhere(), 1), worker("b", nowhere(), 1)];
    let pool = Pool::start("p", PoolSettings { strategy, options, ..settings() }, workers, 1);
    let ask = |key| {
        let (asker, tried) = (&Asks(key), &Tried::new());
        pool.lease(&LeaseRequest { asker, tried, now: Instant::now(), waited: Duration::ZERO })
    };
    let Ok(Leased::Ready(mine)) = ask(1) else { panic!("free") };
    let home = mine.target().id();
    // Some other key's home is the other worker.
    let other = (2..100).find_map(|key| match ask(key) {
        Ok(Leased::Ready(lease)) => Some(lease),
        _ => None,
    });
    let other = other.expect("a key at home elsewhere");
    let (Ok(Leased::Queued(first)), Ok(Leased::Queued(second))) = (ask(1), ask(1)) else {
        panic!("both must queue")
    };
    other.finish(DONE);
    mine.finish(DONE);
    let first = first.await.expect("the slot");
    assert_eq!(first.target().id(), home);
    first.finish(DONE);
    let second = second.await.expect("the slot");
    assert_eq!(second.target().id(), home, "it came while somebody waited");
    second.finish(DONE);
}

#[tokio::test]
async fn who_leaves_passes_the_slot_on() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1)], 1);
    let held = ready(&pool);
    let Ok(Leased::Queued(first)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    let Ok(Leased::Queued(second)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    held.finish(DONE);
    // Granted, and gone before it knew.
    drop(first);
    second.await.expect("the slot").finish(DONE);
    assert_eq!((in_flight(&pool), drops(&pool, "client_gone")), (0, 1));
}

#[tokio::test]
async fn eight_threads_never_meet_at_one_slot() {
    for slots in [1, 2] {
        let origin = Origin::start();
        let pool = Pool::start("p", settings(), vec![worker("a", origin.address(), slots)], 9);
        let inside = Arc::new(AtomicUsize::new(0));
        let shards: Vec<_> = (0..8)
            .map(|index| {
                let (pool, inside) = (pool.clone(), inside.clone());
                on_shard(index, async move || {
                    for _ in 0..100 {
                        let mut lease = lease(&pool).await.expect("a slot");
                        assert!(inside.fetch_add(1, SeqCst) < slots as usize);
                        exchange(&mut lease, b'q').await;
                        inside.fetch_sub(1, SeqCst);
                        lease.finish(DONE);
                    }
                })
            })
            .collect();
        for shard in shards {
            shard.await;
        }
        assert!(origin.most_open() <= slots as usize && origin.most_busy() <= slots as usize);
        let worker = status(&pool, "a");
        assert_eq!((worker.in_flight, worker.requests[0]), (0, ("served", 800)));
        assert_eq!(pool.figures().queue_depth, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_starts_lets_its_queue_hope() {
    let script = Script::new(&[true]);
    let pool = Pool::start("p", probed(script), vec![worker("a", nowhere(), 1)], 1);
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    pool.ready().await;
    wait.await.expect("the worker is up now").finish(DONE);

    let without = PoolSettings { queue: None, ..probed(Script::new(&[true])) };
    let pool = Pool::start("p", without, vec![worker("a", nowhere(), 0)], 1);
    assert_eq!(refusal(&pool), LeaseError::NoWorker);
    pool.ready().await;
    ready(&pool).finish(DONE);
}

#[tokio::test]
async fn who_has_tried_them_all_is_told_so() {
    let pool =
        Pool::start("p", settings(), vec![worker("a", nowhere(), 1), worker("b", nowhere(), 1)], 1);
    let (first, second) = (ready(&pool), ready(&pool));
    let mut tried = Tried::new();
    tried.insert(first.target().id());
    // The other one is only busy: wait, and take what comes.
    let Ok(Leased::Queued(wait)) = ask(&pool, &tried) else { panic!("must queue") };
    first.finish(DONE);
    wait.await.expect("a slot").finish(DONE);
    tried.insert(second.target().id());
    assert_eq!(ask(&pool, &tried).expect_err("nobody is left"), LeaseError::NoOther);
}

#[tokio::test]
async fn closing_answers_everybody() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1)], 1);
    let held = ready(&pool);
    let target = Arc::downgrade(held.target());
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    pool.close().await;
    assert_eq!(wait.await.expect_err("closed"), LeaseError::Draining);
    assert_eq!(refusal(&pool), LeaseError::Draining);
    held.finish(DONE);
    drop(pool);
    // Any other pool's lease makes this thread let go of what it had cached.
    let other = Pool::start("q", settings(), vec![worker("a", nowhere(), 0)], 1);
    drop(ready(&other));
    tokio::task::yield_now().await;
    assert!(target.upgrade().is_none(), "pool and targets hold each other");
}

#[tokio::test]
async fn an_abandoned_lease_keeps_its_slot() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1)], 1);
    let mut lease = ready(&pool);
    lease.abandon();
    lease.abandon();
    let worker = status(&pool, "a");
    assert_eq!((worker.abandoned, worker.in_flight), (1, 1));
    drop(lease);
    let worker = status(&pool, "a");
    assert_eq!((worker.abandoned, worker.in_flight), (0, 0));
    assert!(worker.requests.contains(&("abandoned", 1)));
}
