//! Clients that come back to their worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_balance::state::AdminState;
use isobar_balance::{Outcome, Tried};
use isobar_pool::{
    Affinity, AffinityKey, Asker, Lease, LeaseError, LeaseRequest, Leased, OnLost, Pool,
    PoolSettings, Queue, Secure, WorkerChange,
};

use crate::kit::*;

const DONE: Outcome = Outcome::Served { status: 200 };

/// A client with what it was told.
#[derive(Default)]
struct Client(Option<String>);

impl Asker for Client {
    fn key(&self, _: &isobar_balance::Key) -> Option<u64> {
        None
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        assert_eq!(name, "isobar");
        self.0.as_deref().map(str::as_bytes)
    }
}

impl Client {
    fn ask(&self, pool: &Arc<Pool>, tried: &Tried) -> Result<Leased, LeaseError> {
        pool.lease(&LeaseRequest {
            asker: self,
            tried,
            now: Instant::now(),
            waited: Duration::ZERO,
        })
    }

    fn ready(&self, pool: &Arc<Pool>) -> Lease {
        match self.ask(pool, &Tried::new()) {
            Ok(Leased::Ready(lease)) => lease,
            other => panic!("expected a lease, found {other:?}"),
        }
    }

    /// Keeps the cookie of an answer.
    fn told(&mut self, lease: &Lease) -> bool {
        let cookie = lease.new_cookie(self);
        let told = cookie.is_some();
        if let Some(cookie) = cookie {
            self.0 = Some(String::from_utf8(cookie.value.to_vec()).expect("hex"));
        }
        told
    }
}

fn sticky(on_lost: OnLost, wait: Duration) -> PoolSettings {
    let key = AffinityKey::new(&b"a key of the tests"[..]);
    let affinity = Affinity {
        cookie: "isobar".into(),
        attributes: "; Path=/".into(),
        secure: Secure::Auto,
        wait,
        on_lost,
        key,
    };
    let queue = Some(Queue { max: 10, timeout: Duration::from_secs(10) });
    PoolSettings { affinity: Some(affinity), queue, ..settings() }
}

fn pool(on_lost: OnLost, wait: Duration) -> Arc<Pool> {
    let workers = ["a", "b", "c"].map(|name| worker(name, nowhere(), 1)).into();
    Pool::start("p", sticky(on_lost, wait), workers, 1)
}

fn client_of(pool: &Arc<Pool>) -> (Client, String) {
    let mut client = Client::default();
    let lease = client.ready(pool);
    assert!(client.told(&lease), "a new client is told");
    let home = lease.target().name().to_owned();
    lease.finish(DONE);
    (client, home)
}

async fn drain(pool: &Pool, worker: &str) {
    let change = WorkerChange { state: Some(AdminState::Drain), ..WorkerChange::default() };
    pool.set_worker(worker, change).await.expect("a member");
}

#[tokio::test]
async fn a_client_comes_back_to_its_worker_and_is_told_once() {
    let pool = pool(OnLost::Rebalance, Duration::from_secs(1));
    let (mut client, home) = client_of(&pool);
    for _ in 0..20 {
        let lease = client.ready(&pool);
        assert_eq!(lease.target().name(), home);
        assert!(!client.told(&lease));
        lease.finish(DONE);
    }
    // What nobody made with our key is no cookie.
    let mut stranger = Client(Some("0".repeat(32)));
    let lease = stranger.ready(&pool);
    assert!(stranger.told(&lease));
    // A reconfigured pool knows its clients still.
    let workers = ["a", "b", "c", "d"].map(|name| worker(name, nowhere(), 1)).into();
    drop(lease);
    pool.reconfigure(sticky(OnLost::Rebalance, Duration::ZERO), workers);
    assert_eq!(client.ready(&pool).target().name(), home);
}

#[tokio::test(start_paused = true)]
async fn a_full_worker_is_waited_for_and_then_left() {
    let pool = pool(OnLost::Rebalance, Duration::from_secs(1));
    let (mut client, home) = client_of(&pool);
    let held = client.ready(&pool);
    // The others are free: this one waits all the same, and gets its own.
    let Ok(Leased::Queued(wait)) = client.ask(&pool, &Tried::new()) else { panic!("must wait") };
    held.finish(DONE);
    let lease = wait.await.expect("its worker");
    assert_eq!(lease.target().name(), home);
    assert!(!client.told(&lease));

    let Ok(Leased::Queued(wait)) = client.ask(&pool, &Tried::new()) else { panic!("must wait") };
    let begin = tokio::time::Instant::now();
    let other = wait.await.expect("another worker");
    assert!((1..=2).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_ne!(other.target().name(), home);
    assert!(client.told(&other), "it moved");
    assert_eq!(in_flight(&pool), 2);
}

/// It keeps its age when it goes over to those who wait for anybody.
#[tokio::test(start_paused = true)]
async fn where_all_are_full_it_waits_on_at_its_age() {
    let pool = pool(OnLost::Rebalance, Duration::from_secs(1));
    let (client, _) = client_of(&pool);
    let held: Vec<Lease> = (0..3).map(|_| Client::default().ready(&pool)).collect();
    let Ok(Leased::Queued(mut mine)) = client.ask(&pool, &Tried::new()) else { panic!("waits") };
    let Ok(Leased::Queued(younger)) = Client::default().ask(&pool, &Tried::new()) else {
        panic!("waits")
    };
    let timeout = tokio::time::timeout(Duration::from_secs(2), &mut mine).await;
    assert!(timeout.is_err(), "nobody is free");
    for lease in held {
        lease.finish(DONE);
        tokio::task::yield_now().await;
        if let Ok(lease) = tokio::time::timeout(Duration::ZERO, &mut mine).await {
            lease.expect("the first slot, of any worker").finish(DONE);
            younger.await.expect("the next").finish(DONE);
            return;
        }
    }
    panic!("slots came free, and it still waits");
}

#[tokio::test(start_paused = true)]
async fn fail_is_a_refusal() {
    let pool = pool(OnLost::Fail, Duration::from_secs(1));
    let (client, home) = client_of(&pool);
    let held = client.ready(&pool);
    let Ok(Leased::Queued(wait)) = client.ask(&pool, &Tried::new()) else { panic!("must wait") };
    assert_eq!(wait.await.expect_err("it never comes free"), LeaseError::QueueTimeout);
    // While it waits its worker goes: no other will do.
    let Ok(Leased::Queued(wait)) = client.ask(&pool, &Tried::new()) else { panic!("must wait") };
    drain(&pool, &home).await;
    assert_eq!(wait.await.expect_err("its worker is gone"), LeaseError::NoWorker);
    let refused = client.ask(&pool, &Tried::new()).expect_err("it is draining");
    assert_eq!(refused, LeaseError::NoWorker);
    held.finish(DONE);
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test]
async fn a_draining_or_tried_worker_is_left_at_once() {
    let pool = pool(OnLost::Rebalance, Duration::from_secs(1));
    let (mut client, home) = client_of(&pool);
    let mut tried = Tried::new();
    let lease = client.ready(&pool);
    tried.insert(lease.target().id());
    lease.finish(DONE);
    let Ok(Leased::Ready(lease)) = client.ask(&pool, &tried) else { panic!("others are free") };
    assert_ne!(lease.target().name(), home);
    lease.finish(DONE);
    drain(&pool, &home).await;
    let lease = client.ready(&pool);
    assert_ne!(lease.target().name(), home);
    assert!(client.told(&lease));
}
