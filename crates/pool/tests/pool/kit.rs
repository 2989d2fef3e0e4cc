//! Settings, workers and shards for the tests.

use std::collections::VecDeque;
use std::future::Future;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use isobar_balance::{Key, Tried, shard, strategy};
use isobar_pool::{
    Address, Asker, Buffer, Dial, Health, IdleTime, KeepAlive, Lease, LeaseError, LeaseRequest,
    Leased, Life, Overflow, Pool, PoolSettings, Probe, ProbeError, Queue, Reuse, Via, WorkerSpec,
    WorkerStatus,
};
use tokio::runtime::LocalOptions;

pub fn settings() -> PoolSettings {
    PoolSettings {
        strategy: strategy::find("least_connections").expect("in the table"),
        options: strategy::Options::new(),
        queue: Some(Queue { max: 1000, timeout: Duration::from_secs(10) }),
        queue_per_slot: None,
        hold: None,
        health: None,
        connect_timeout: Duration::from_secs(1),
        keep_alive: KeepAlive { idle: IdleTime::Learned, max_idle: 64 },
        spill: None,
        retry_budget: None,
        abandon_after: Duration::from_secs(30),
        affinity: None,
        via: Via::On,
        overflow: Overflow::Off,
        buffer: Buffer { request: 0, response: 0 },
        life: Life::default(),
    }
}

pub fn probed(probe: Arc<dyn Probe>) -> PoolSettings {
    let health = Health {
        probe,
        interval: Duration::from_secs(2),
        timeout: Duration::from_secs(1),
        rise: 2,
        fall: 3,
        busy_limit: Duration::from_secs(60),
    };
    PoolSettings { health: Some(health), ..settings() }
}

/// `slots`: 0 = no limit.
pub fn worker(name: &str, address: Address, slots: u32) -> WorkerSpec {
    let slots = NonZeroU32::new(slots);
    WorkerSpec {
        name: name.to_owned(),
        address,
        weight: None,
        slots,
        tunnels: None,
        tier: 0,
        tls: None,
    }
}

/// A unix socket's path that nobody else uses and nobody listens at.
pub fn socket_path() -> PathBuf {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("isobar-pool-{}-{}", std::process::id(), NEXT.fetch_add(1, SeqCst));
    std::env::temp_dir().join(name)
}

pub fn nowhere() -> Address {
    Address::Unix(socket_path())
}

/// A request with this key, whatever part of it is asked for.
pub struct Asks(pub u64);

impl Asker for Asks {
    fn key(&self, _: &Key) -> Option<u64> {
        Some(self.0)
    }
}

pub fn ask(pool: &Arc<Pool>, tried: &Tried) -> Result<Leased, LeaseError> {
    pool.lease(&LeaseRequest {
        asker: &Asks(0),
        tried,
        now: Instant::now(),
        waited: Duration::ZERO,
    })
}

/// A lease that is free now.
pub fn ready(pool: &Arc<Pool>) -> Lease {
    match ask(pool, &Tried::new()) {
        Ok(Leased::Ready(lease)) => lease,
        other => panic!("expected a lease, found {other:?}"),
    }
}

pub fn refusal(pool: &Arc<Pool>) -> LeaseError {
    ask(pool, &Tried::new()).expect_err("a refusal")
}

pub async fn lease(pool: &Arc<Pool>) -> Result<Lease, LeaseError> {
    match ask(pool, &Tried::new())? {
        Leased::Ready(lease) => Ok(lease),
        Leased::Queued(wait) => wait.await,
    }
}

/// One question, one answer; the connection is kept. True if it had been used before.
pub async fn exchange(lease: &mut Lease, question: u8) -> bool {
    let mut connection = match lease.reuse(Reuse::Any) {
        Some(connection) => connection,
        None => lease.dial().await.expect("a connection"),
    };
    let reused = connection.rested().is_some();
    let stream = connection.stream_mut();
    stream.send_all(&[question]).await.expect("sent");
    let mut answer = Vec::with_capacity(1);
    stream.recv(&mut answer).await.expect("answered");
    assert_eq!(answer, b"a");
    lease.keep(connection, Instant::now());
    reused
}

pub fn status(pool: &Pool, name: &str) -> WorkerStatus {
    let mut workers = pool.status().workers.into_iter();
    workers.find(|worker| worker.name == name).expect("a worker of that name")
}

pub fn in_flight(pool: &Pool) -> u32 {
    pool.status().workers.iter().map(|worker| worker.in_flight).sum()
}

/// Runs `work` as shard `index`: a thread with a runtime of its own. Ends with the thread.
pub fn on_shard<F, Fut>(index: usize, work: F) -> impl Future<Output = ()>
where
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = ()>,
{
    let thread = std::thread::spawn(move || {
        shard::enter(index);
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build_local(LocalOptions::default());
        runtime.expect("a runtime").block_on(work());
    });
    async move {
        let joined = tokio::task::spawn_blocking(move || thread.join()).await;
        joined.expect("joined").expect("the shard's work");
    }
}

/// Says what it was told to; the last answer stays.
pub struct Script {
    answers: Mutex<VecDeque<bool>>,
    pub sent: AtomicUsize,
}

impl Script {
    pub fn new(answers: &[bool]) -> Arc<Script> {
        let answers = Mutex::new(answers.iter().copied().collect());
        Arc::new(Script { answers, sent: AtomicUsize::new(0) })
    }

    pub fn then(&self, answers: &[bool]) {
        *self.answers.lock().expect("unpoisoned") = answers.iter().copied().collect();
    }

    pub fn sent(&self) -> usize {
        self.sent.load(SeqCst)
    }
}

impl Probe for Script {
    fn probe<'a>(&'a self, _: &'a Dial) -> BoxFuture<'a, Result<(), ProbeError>> {
        self.sent.fetch_add(1, SeqCst);
        let mut answers = self.answers.lock().expect("unpoisoned");
        let answer = match answers.len() {
            0 | 1 => answers.front().copied().unwrap_or(true),
            _ => answers.pop_front().unwrap_or(true),
        };
        Box::pin(async move { if answer { Ok(()) } else { Err(ProbeError::Status(500)) } })
    }

    fn describe(&self) -> String {
        "script".to_owned()
    }
}

/// Lets virtual time pass.
pub async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}
