use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use isobar_balance::state::AdminState;
use isobar_balance::{Outcome, Tried, strategy};
use isobar_pool::discovery::{Discovery, DiscoveryError};
use isobar_pool::{LeaseError, Leased, Pool, PoolSettings, WorkerChange, WorkerSpec};
use tokio::sync::mpsc;

use crate::kit::*;

const DONE: Outcome = Outcome::Served { status: 200 };

fn asks(state: AdminState) -> WorkerChange {
    WorkerChange { state: Some(state), ..WorkerChange::default() }
}

fn limits(slots: Option<u32>) -> WorkerChange {
    WorkerChange { slots: Some(slots.and_then(NonZeroU32::new)), ..WorkerChange::default() }
}

#[tokio::test]
async fn a_drained_worker_gets_nothing_new_and_ends_what_it_has() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1)], 1);
    let held = ready(&pool);
    for (state, label) in
        [(AdminState::Drain, "draining"), (AdminState::Maintenance, "maintenance")]
    {
        pool.set_worker("a", asks(state)).await.expect("a worker");
        assert_eq!(status(&pool, "a").health.label(), label);
        assert_eq!(refusal(&pool), LeaseError::NoWorker);
    }
    held.finish(DONE);
    assert_eq!(in_flight(&pool), 0);
    pool.set_worker("a", asks(AdminState::Up)).await.expect("a worker");
    drop(ready(&pool));
    assert!(pool.set_worker("b", asks(AdminState::Up)).await.is_err());
}

/// A whole pool is one change, however many workers it has.
#[tokio::test]
async fn a_pool_is_drained_at_once() {
    let workers = (0..500).map(|n| worker(&format!("w{n}"), nowhere(), 1)).collect();
    let pool = Pool::start("p", settings(), workers, 1);
    for (state, label) in [(AdminState::Drain, "draining"), (AdminState::Up, "up")] {
        let before = pool.status().version;
        pool.set_every_worker(state);
        let now = pool.status();
        assert_eq!(now.version, before + 1, "one snapshot");
        assert!(now.workers.iter().all(|worker| worker.health.label() == label), "{label}");
    }
    drop(ready(&pool));
}

#[tokio::test]
async fn undraining_hands_over_to_who_waits() {
    let workers = vec![worker("a", nowhere(), 1), worker("b", nowhere(), 1)];
    let pool = Pool::start("p", settings(), workers, 1);
    pool.set_worker("b", asks(AdminState::Drain)).await.expect("a worker");
    let held = ready(&pool);
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    pool.set_worker("b", asks(AdminState::Up)).await.expect("a worker");
    assert_eq!(wait.await.expect("a slot").target().name(), "b");
    drop(held);
}

#[tokio::test]
async fn a_raised_limit_hands_over_and_a_lowered_one_waits() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1)], 1);
    let first = ready(&pool);
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("must queue") };
    pool.set_worker("a", limits(Some(2))).await.expect("a worker");
    let second = wait.await.expect("the new slot");
    pool.set_worker("a", limits(Some(1))).await.expect("a worker");
    drop(first);
    assert!(matches!(ask(&pool, &Tried::new()), Ok(Leased::Queued(_))));
    drop(second);
    drop(ready(&pool));
}

#[tokio::test]
async fn overrides_stand_beside_the_files_value_until_that_changes() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 2)], 1);
    let address = status(&pool, "a").address;
    pool.set_worker("a", limits(Some(5))).await.expect("a worker");
    pool.reconfigure(settings(), vec![worker("a", address.clone(), 2)]);
    let worker_a = status(&pool, "a");
    assert_eq!((worker_a.slots, worker_a.file_slots), (NonZeroU32::new(5), NonZeroU32::new(2)));
    pool.reconfigure(settings(), vec![worker("a", address, 3)]);
    assert_eq!(status(&pool, "a").slots, NonZeroU32::new(3));
    pool.set_worker("a", limits(Some(5))).await.expect("a worker");
    pool.set_worker("a", limits(None)).await.expect("a worker");
    assert_eq!(status(&pool, "a").slots, NonZeroU32::new(3));
}

#[tokio::test]
async fn a_reload_keeps_what_it_does_not_change() {
    let (at, elsewhere) = (nowhere(), nowhere());
    let workers = vec![worker("a", at.clone(), 1), worker("b", at.clone(), 1)];
    let pool = Pool::start("p", settings(), workers, 1);
    let held = ready(&pool);
    let kept = held.target().clone();
    ready(&pool).finish(DONE);
    let version = pool.status().version;

    pool.reconfigure(settings(), vec![worker(kept.name(), at.clone(), 1)]);
    assert!(pool.status().version > version);
    assert_eq!(pool.status().workers.len(), 1);
    assert_eq!(status(&pool, kept.name()).in_flight, 1);
    assert!(matches!(ask(&pool, &Tried::new()), Ok(Leased::Queued(_))));
    held.finish(DONE);
    let again = ready(&pool);
    assert!(Arc::ptr_eq(again.target(), &kept));
    drop(again);
    assert_eq!(status(&pool, kept.name()).requests[0], ("served", 1));

    // Another address is another worker, whatever its name.
    pool.reconfigure(settings(), vec![worker(kept.name(), elsewhere, 1)]);
    assert!(!Arc::ptr_eq(ready(&pool).target(), &kept));
    assert_eq!(status(&pool, kept.name()).requests[0], ("served", 0));

    pool.reconfigure(settings(), Vec::new());
    assert_eq!(refusal(&pool), LeaseError::NoWorker);
}

#[tokio::test]
async fn an_unchanged_strategy_keeps_its_turn() {
    let turns = || PoolSettings {
        strategy: strategy::find("round_robin").expect("in the table"),
        ..settings()
    };
    let at = nowhere();
    let workers = || ["a", "b", "c"].map(|name| worker(name, at.clone(), 0)).to_vec();
    let pool = Pool::start("p", turns(), workers(), 1);
    let mut order = Vec::new();
    for _ in 0..6 {
        order.push(ready(&pool).target().name().to_owned());
        pool.reconfigure(turns(), workers());
    }
    assert_eq!(order[..3], order[3..]);
    assert_eq!(order.iter().collect::<std::collections::BTreeSet<_>>().len(), 3);
}

#[tokio::test]
async fn a_backup_serves_only_while_nobody_else_can() {
    let mut backup = worker("backup", nowhere(), 0);
    backup.tier = 1;
    let pool = Pool::start("p", settings(), vec![backup, worker("a", nowhere(), 0)], 1);
    assert_eq!(ready(&pool).target().name(), "a");
    pool.set_worker("a", asks(AdminState::Maintenance)).await.expect("a worker");
    assert_eq!(ready(&pool).target().name(), "backup");
    pool.set_worker("a", asks(AdminState::Up)).await.expect("a worker");
    assert_eq!(ready(&pool).target().name(), "a");
}

/// Sends whole sets, one after the other.
struct Sets(Mutex<Option<mpsc::Receiver<Vec<WorkerSpec>>>>);

struct Following(mpsc::Receiver<Vec<WorkerSpec>>);

impl Discovery for Sets {
    fn watch(&self) -> BoxStream<'static, Result<Vec<WorkerSpec>, DiscoveryError>> {
        Box::pin(Following(self.0.lock().expect("unpoisoned").take().expect("one watcher")))
    }
}

impl Stream for Following {
    type Item = Result<Vec<WorkerSpec>, DiscoveryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(cx).map(|set| set.map(Ok))
    }
}

#[tokio::test(start_paused = true)]
async fn discovered_workers_come_and_go() {
    let (sender, sets) = mpsc::channel(4);
    let at = nowhere();
    sender.send(vec![worker("a", at.clone(), 0)]).await.expect("room");
    let pool = Pool::discover("p", settings(), Arc::new(Sets(Mutex::new(Some(sets)))), 1);
    assert_eq!(ready(&pool).target().name(), "a", "what is known at once serves at once");
    let first = ready(&pool).target().clone();
    sender.send(vec![worker("b", at.clone(), 0), worker("a", at.clone(), 0)]).await.expect("room");
    pass(0.01).await;
    assert_eq!(pool.status().workers.len(), 2);
    sender.send(vec![worker("a", at, 0)]).await.expect("room");
    pass(0.01).await;
    assert!(Arc::ptr_eq(ready(&pool).target(), &first));
    // The end of a discovery is not the end of the workers.
    drop(sender);
    pass(0.01).await;
    drop(ready(&pool));
}

#[tokio::test]
async fn a_reload_that_changes_nothing_publishes_nothing() {
    let workers = || vec![worker("a", isobar_pool::Address::Unix("/a".into()), 1)];
    let pool = Pool::start("p", settings(), workers(), 1);
    let version = pool.status().version;
    pool.reconfigure(settings(), workers());
    assert_eq!(pool.status().version, version);
    pool.reconfigure(PoolSettings { queue: None, ..settings() }, workers());
    assert_eq!(pool.status().version, version + 1);
    assert_eq!(pool.queue(), None);
}

#[tokio::test]
async fn changes_under_load_lose_nobody() {
    let addresses = [nowhere(), nowhere(), nowhere()];
    let spec = |i: usize, slots| worker(["a", "b", "c"][i], addresses[i].clone(), slots);
    let pool = Pool::start("p", settings(), vec![spec(0, 1), spec(1, 2)], 5);
    let done = Arc::new(AtomicUsize::new(0));
    let shards: Vec<_> = (0..4)
        .map(|index| {
            let (pool, done) = (pool.clone(), done.clone());
            on_shard(index, async move || {
                for _ in 0..1000 {
                    let lease = lease(&pool).await.expect("somebody is always there");
                    tokio::task::yield_now().await;
                    lease.finish(DONE);
                }
                done.fetch_add(1, SeqCst);
            })
        })
        .collect();
    let mut version = 0;
    while done.load(SeqCst) < 4 {
        pool.reconfigure(settings(), vec![spec(0, 1), spec(2, 3)]);
        pool.set_worker("a", limits(Some(2))).await.expect("a worker");
        pool.set_worker("c", asks(AdminState::Drain)).await.expect("a worker");
        tokio::task::yield_now().await;
        pool.set_worker("c", asks(AdminState::Up)).await.expect("a worker");
        pool.reconfigure(settings(), vec![spec(0, 2), spec(1, 1), spec(2, 1)]);
        assert!(std::mem::replace(&mut version, pool.status().version) < pool.status().version);
        tokio::task::yield_now().await;
    }
    for shard in shards {
        shard.await;
    }
    assert_eq!((in_flight(&pool), pool.figures().queue_depth), (0, 0));
}
