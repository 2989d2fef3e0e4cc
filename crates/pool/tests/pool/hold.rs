//! A pool that loses its last usable worker lets requests wait for one: for a while, and only where
//! there is hope.

use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use isobar_balance::state::AdminState;
use isobar_balance::{Outcome, Tried};
use isobar_pool::{
    Address, Health, Hold, LeaseError, LeaseRequest, Leased, Pool, PoolSettings, Wait,
    WorkerChange, probe,
};
use tokio::time::Instant;

use crate::kit::*;

const DONE: Outcome = Outcome::Served { status: 200 };
const HOLD: Duration = Duration::from_secs(2);

/// A worker that listens or does not; nobody answers.
struct Door {
    path: PathBuf,
    open: Option<UnixListener>,
}

impl Door {
    fn open() -> Door {
        let mut door = Door { path: socket_path(), open: None };
        door.reopen();
        door
    }

    fn reopen(&mut self) {
        self.open = Some(UnixListener::bind(&self.path).expect("binds"));
    }

    fn close(&mut self) {
        self.open = None;
        std::fs::remove_file(&self.path).expect("was there");
    }

    fn address(&self) -> Address {
        Address::Unix(self.path.clone())
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Without slots: nothing queues but for a worker.
fn held() -> PoolSettings {
    let hold = Some(Hold { max: 3, time: HOLD, wait: HOLD });
    PoolSettings { queue: None, hold, ..settings() }
}

fn pool(settings: PoolSettings, door: &Door) -> Arc<Pool> {
    Pool::start("p", settings, vec![worker("a", door.address(), 0)], 1)
}

fn ask(pool: &Arc<Pool>, waited: Duration) -> Result<Leased, LeaseError> {
    let now = Instant::now().into_std();
    pool.lease(&LeaseRequest { asker: &Asks(0), tried: &Tried::new(), now, waited })
}

fn queued(pool: &Arc<Pool>) -> Wait {
    match ask(pool, Duration::ZERO) {
        Ok(Leased::Queued(wait)) => wait,
        other => panic!("must wait, found {other:?}"),
    }
}

fn refused(pool: &Arc<Pool>) -> LeaseError {
    ask(pool, Duration::ZERO).expect_err("a refusal")
}

/// A request that is served, so that the worker has proven itself.
async fn serve(pool: &Arc<Pool>) {
    let mut lease = ready(pool);
    drop(lease.dial().await.expect("accepts"));
    lease.finish(DONE);
}

/// A request that finds the door closed.
async fn knock(pool: &Arc<Pool>) {
    let mut lease = ready(pool);
    lease.dial().await.expect_err("nobody listens");
    lease.finish(Outcome::NotSent);
}

fn dropped(pool: &Pool) -> u64 {
    let drops = pool.figures().queue_drops;
    drops.iter().find(|(reason, _)| *reason == "no_worker").expect("a known reason").1
}

#[tokio::test(start_paused = true)]
async fn who_comes_while_the_only_worker_restarts_waits_for_it() {
    for probed in [false, true] {
        let mut door = Door::open();
        let health = probed.then(|| Health {
            probe: Arc::new(probe::Tcp),
            interval: Duration::from_secs(10),
            timeout: Duration::from_secs(1),
            rise: 2,
            fall: 3,
            busy_limit: Duration::from_secs(60),
        });
        let pool = pool(PoolSettings { health, ..held() }, &door);
        pool.ready().await;
        serve(&pool).await;
        door.close();
        knock(&pool).await;
        // At once, and after the supervisor has heard of it.
        let first = queued(&pool);
        pass(0.02).await;
        let second = queued(&pool);
        pass(0.7).await;
        door.reopen();
        let back = Instant::now();
        first.await.expect("it is back").finish(DONE);
        second.await.expect("it is back").finish(DONE);
        assert!(
            back.elapsed() < Duration::from_millis(500),
            "looked at often: {:?}",
            back.elapsed()
        );
        assert_eq!((dropped(&pool), pool.figures().queue_depth), (0, 0));
        ready(&pool).finish(DONE);
    }
}

#[tokio::test(start_paused = true)]
async fn after_the_hold_requests_are_refused_at_once() {
    let mut door = Door::open();
    let pool = pool(held(), &door);
    serve(&pool).await;
    door.close();
    let lost = Instant::now();
    knock(&pool).await;
    let first = queued(&pool);
    pass(1.5).await;
    let late = queued(&pool);
    let before = ask(&pool, Duration::from_millis(1_999));
    let Ok(Leased::Queued(before)) = before else { panic!("a millisecond is left to it") };
    assert_eq!(refused(&pool), LeaseError::QueueFull, "three wait");
    assert_eq!(before.await.expect_err("it has waited before"), LeaseError::NoWorker);
    assert!(lost.elapsed() < Duration::from_millis(1_600));
    assert_eq!(first.await.expect_err("nobody came"), LeaseError::NoWorker);
    assert_eq!(late.await.expect_err("nobody came"), LeaseError::NoWorker);
    let took = lost.elapsed();
    assert!((HOLD..HOLD + Duration::from_millis(50)).contains(&took), "{took:?}");
    assert_eq!((refused(&pool), dropped(&pool)), (LeaseError::NoWorker, 3));
}

/// Nobody was there before, so nobody is expected back.
#[tokio::test(start_paused = true)]
async fn a_pool_that_never_had_a_worker_answers_at_once() {
    let door = Door { path: socket_path(), open: None };
    let pool = pool(held(), &door);
    knock(&pool).await;
    assert_eq!(refused(&pool), LeaseError::NoWorker);
    pass(0.02).await;
    assert_eq!((refused(&pool), dropped(&pool)), (LeaseError::NoWorker, 0));
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_for_a_worker_that_an_operator_took_out() {
    for state in [AdminState::Drain, AdminState::Maintenance] {
        let mut door = Door::open();
        let pool = pool(held(), &door);
        serve(&pool).await;
        let out = WorkerChange { state: Some(state), ..WorkerChange::default() };
        pool.set_worker("a", out).await.expect("a worker");
        assert_eq!(refused(&pool), LeaseError::NoWorker);
        // Back, lost, and then taken out.
        let up = WorkerChange { state: Some(AdminState::Up), ..WorkerChange::default() };
        pool.set_worker("a", up).await.expect("a worker");
        serve(&pool).await;
        door.close();
        knock(&pool).await;
        pass(0.02).await;
        drop(queued(&pool));
        pool.set_worker("a", out).await.expect("a worker");
        assert_eq!(refused(&pool), LeaseError::NoWorker);
    }
}

/// Accepting is not serving: the time goes on from the first loss.
#[tokio::test(start_paused = true)]
async fn a_worker_that_fails_again_begins_no_new_hold() {
    let mut door = Door::open();
    let pool = pool(held(), &door);
    serve(&pool).await;
    door.close();
    let lost = Instant::now();
    knock(&pool).await;
    for _ in 0..2 {
        let waits = queued(&pool);
        door.reopen();
        let mut lease = waits.await.expect("it is back");
        drop(lease.dial().await.expect("it accepts"));
        door.close();
        lease.finish(Outcome::Failed(isobar_balance::Failure::Reset));
        knock(&pool).await;
        pass(0.02).await;
    }
    assert_eq!(queued(&pool).await.expect_err("nobody came"), LeaseError::NoWorker);
    let took = lost.elapsed();
    assert!((HOLD..HOLD + Duration::from_millis(50)).contains(&took), "{took:?}");
    // Now it has served: a new loss is a new hold.
    door.reopen();
    while ask(&pool, Duration::ZERO).is_err() {
        pass(0.1).await;
    }
    door.close();
    knock(&pool).await;
    assert_eq!(refused(&pool), LeaseError::NoWorker, "it has not served");
    door.reopen();
    while ask(&pool, Duration::ZERO).is_err() {
        pass(0.1).await;
    }
    serve(&pool).await;
    door.close();
    knock(&pool).await;
    drop(queued(&pool));
}

/// A backup serves: nobody waits. Only when no tier has a worker a hold begins.
#[tokio::test(start_paused = true)]
async fn a_hold_begins_when_no_tier_has_a_worker() {
    let (mut first, mut second) = (Door::open(), Door::open());
    let mut backup = worker("b", second.address(), 0);
    backup.tier = 1;
    let pool = Pool::start("p", held(), vec![worker("a", first.address(), 0), backup], 1);
    serve(&pool).await;
    first.close();
    knock(&pool).await;
    pass(0.02).await;
    let lease = ready(&pool);
    assert_eq!(lease.target().name(), "b");
    lease.finish(DONE);
    second.close();
    knock(&pool).await;
    let waits = queued(&pool);
    second.reopen();
    let lease = waits.await.expect("a backup is a worker");
    assert_eq!(lease.target().name(), "b");
    lease.finish(DONE);
}

/// Who waits for a slot when the worker goes is told no later than everybody else.
#[tokio::test(start_paused = true)]
async fn who_waited_for_a_slot_is_told_when_the_hold_ends() {
    let mut door = Door::open();
    let settings = PoolSettings { queue: settings().queue, ..held() };
    let pool = Pool::start("p", settings, vec![worker("a", door.address(), 2)], 1);
    serve(&pool).await;
    let stuck = ready(&pool);
    let mut found = ready(&pool);
    let waits = queued(&pool);
    door.close();
    let lost = Instant::now();
    found.dial().await.expect_err("nobody listens");
    found.finish(Outcome::NotSent);
    assert_eq!(waits.await.expect_err("nobody came"), LeaseError::NoWorker);
    let took = lost.elapsed();
    assert!((HOLD..HOLD + Duration::from_millis(50)).contains(&took), "{took:?}");
    drop(stuck);
}
