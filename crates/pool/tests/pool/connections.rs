use std::time::{Duration, Instant};

use isobar_balance::Outcome;
use isobar_pool::{ConnectError, IdleTime, KeepAlive, Pool, PoolSettings, Reuse};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;
use tokio::sync::oneshot;

use crate::kit::*;
use crate::origin::Origin;

const DONE: Outcome = Outcome::Served { status: 200 };

#[tokio::test]
async fn a_limited_workers_connection_travels_between_shards() {
    let origin = Origin::start();
    let pool = Pool::start("p", settings(), vec![worker("a", origin.address(), 1)], 3);
    let (there, back) = (oneshot::channel(), oneshot::channel());
    let one = {
        let pool = pool.clone();
        on_shard(0, async move || {
            let mut lease = ready(&pool);
            assert!(!exchange(&mut lease, b'q').await);
            lease.finish(DONE);
            let _ = there.0.send(());
            back.1.await.expect("the other shard is done");
            let mut lease = ready(&pool);
            assert!(exchange(&mut lease, b'q').await);
            lease.finish(DONE);
        })
    };
    let two = {
        let pool = pool.clone();
        on_shard(1, async move || {
            there.1.await.expect("the first shard is done");
            let mut lease = ready(&pool);
            assert!(exchange(&mut lease, b'q').await);
            lease.finish(DONE);
            let _ = back.0.send(());
        })
    };
    one.await;
    two.await;
    assert_eq!((origin.accepted(), status(&pool, "a").connections_open), (1, 1));
}

#[tokio::test]
async fn an_unlimited_workers_connections_stay_with_their_shard() {
    let origin = Origin::start();
    let keep_alive = KeepAlive { idle: IdleTime::Learned, max_idle: 1 };
    let settings = PoolSettings { queue: None, keep_alive, ..settings() };
    let pool = Pool::start("p", settings, vec![worker("a", origin.address(), 0)], 2);
    let (mut first, mut second) = (ready(&pool), ready(&pool));
    exchange(&mut first, b'q').await;
    exchange(&mut second, b'q').await;
    assert!(exchange(&mut first, b'q').await);
    let dialled = [first.dial().await, second.dial().await];
    for connection in dialled {
        first.keep(connection.expect("a connection"), Instant::now());
    }
    assert_eq!(status(&pool, "a").connections_open, 1, "max_idle");
    let there = pool.clone();
    on_shard(1, async move || {
        assert!(!exchange(&mut ready(&there), b'q').await);
    })
    .await;
}

#[tokio::test]
async fn up_10_a_dead_or_talkative_idle_connection_is_not_reused() {
    for slots in [0, 1] {
        for question in [b'x', b'e'] {
            let origin = Origin::start();
            let workers = vec![worker("a", origin.address(), slots)];
            let pool = Pool::start("p", settings(), workers, 1);
            let mut lease = ready(&pool);
            exchange(&mut lease, question).await;
            // The close, or what nobody asked for, has come by now or comes soon.
            while lease.reuse(Reuse::Live).map(|c| lease.keep(c, Instant::now())).is_some() {
                tokio::task::yield_now().await;
            }
            assert_eq!(status(&pool, "a").connections_open, 0);
            assert!(!exchange(&mut lease, b'q').await);
            lease.finish(DONE);
        }
    }
}

/// A request that cannot be sent twice does without the connections that have rested for long; others
/// may use them yet.
#[tokio::test]
async fn connections_too_cold_for_one_request_are_left_to_others() {
    for slots in [0, 2] {
        let origin = Origin::start();
        let pool = Pool::start("p", settings(), vec![worker("a", origin.address(), slots)], 1);
        let (mut first, mut second) = (ready(&pool), ready(&pool));
        let both = [first.dial().await, second.dial().await];
        let cold = Instant::now().checked_sub(Duration::from_secs(2)).expect("a while ago");
        for connection in both {
            first.keep(connection.expect("a connection"), cold);
        }
        assert!(first.reuse(Reuse::Live).is_none());
        assert_eq!(status(&pool, "a").connections_open, 2, "slots: {slots}");
        let _fresh = first.dial().await.expect("a connection");
        // Where there are slots it takes the place of one.
        assert_eq!(status(&pool, "a").connections_open, if slots == 0 { 3 } else { 2 });
        assert!(second.reuse(Reuse::Any).is_some(), "slots: {slots}");
    }
}

#[tokio::test]
async fn a_slot_never_has_two_connections() {
    let origin = Origin::start();
    let pool = Pool::start("p", settings(), vec![worker("a", origin.address(), 1)], 1);
    let mut lease = ready(&pool);
    exchange(&mut lease, b'q').await;
    // A retry that will not trust the resting connection dials; that one has to go.
    let fresh = lease.dial().await.expect("a connection");
    assert_eq!(status(&pool, "a").connections_open, 1);
    lease.keep(fresh, Instant::now());
    lease.finish(DONE);
    assert_eq!(status(&pool, "a").connections_open, 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_closes_at_once_and_a_listener_brings_the_worker_back() {
    let path = socket_path();
    let address = isobar_pool::Address::Unix(path.clone());
    let workers = vec![worker("a", address, 1), worker("b", nowhere(), 1)];
    let pool = Pool::start("p", settings(), workers, 1);
    let mut lease = ready(&pool);
    while lease.target().name() != "a" {
        lease = ready(&pool);
    }
    assert!(matches!(lease.dial().await, Err(ConnectError::NoSocket)));
    lease.finish(Outcome::ClientGone);
    // The supervisor has not run yet; nobody goes there all the same.
    for _ in 0..4 {
        assert_eq!(ready(&pool).target().name(), "b");
    }
    pass(5.0).await;
    assert_eq!(status(&pool, "a").health.to_string(), "down (connect_refused)");
    let listener = UnixListener::bind(&path).expect("a socket");
    let (_stream, _) = listener.accept().await.expect("the re-check");
    while status(&pool, "a").health.label() != "up" {
        pass(0.01).await;
    }
    let leases = [ready(&pool), ready(&pool)];
    assert!(leases.iter().any(|lease| lease.target().name() == "a"));
    std::fs::remove_file(path).expect("removed");
}

#[tokio::test(start_paused = true)]
async fn nobody_left_is_said_at_once() {
    let pool = Pool::start("p", settings(), vec![worker("a", nowhere(), 1)], 1);
    let mut lease = ready(&pool);
    assert!(lease.dial().await.is_err());
    assert_eq!(refusal(&pool), isobar_pool::LeaseError::NoWorker);
    pass(0.05).await;
    assert_eq!(refusal(&pool), isobar_pool::LeaseError::NoWorker);
}

#[tokio::test(start_paused = true)]
async fn cold_connections_are_swept() {
    for slots in [0, 1] {
        let origin = Origin::start();
        let idle = Duration::from_nanos(1);
        let settings = PoolSettings {
            keep_alive: KeepAlive { idle: IdleTime::Fixed(idle), max_idle: 9 },
            ..settings()
        };
        let pool = Pool::start("p", settings, vec![worker("a", origin.address(), slots)], 1);
        let mut lease = ready(&pool);
        exchange(&mut lease, b'q').await;
        lease.finish(DONE);
        assert_eq!(status(&pool, "a").connections_open, 1);
        pass(2.5).await;
        assert_eq!((status(&pool, "a").connections_open, in_flight(&pool)), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_refusals_loses_nobody() {
    const WORKERS: usize = 1100;
    let workers = (0..WORKERS).map(|i| worker(&i.to_string(), nowhere(), 1)).collect();
    let pool = Pool::start("p", settings(), workers, 1);
    let version = pool.status().version;
    let leases: Vec<_> = (0..WORKERS).map(|_| ready(&pool)).collect();
    // More than the mailbox holds, before the supervisor gets a turn.
    for mut lease in leases {
        assert!(lease.dial().await.is_err());
    }
    pass(0.01).await;
    let status = pool.status();
    assert!(status.workers.iter().all(|worker| worker.health.label() == "down"));
    assert!(status.version <= version + 3, "one rebuild for all, not one each");
}

#[tokio::test(start_paused = true)]
async fn a_full_backlog_is_busy_and_not_down() {
    let path = socket_path();
    let at = SockAddr::unix(&path).expect("an address");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
    listener.bind(&at).expect("bound");
    listener.listen(1).expect("listening");
    let mut waiting = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).expect("a socket");
        client.set_nonblocking(true).expect("non-blocking");
        match client.connect(&at) {
            Ok(()) => waiting.push(client),
            Err(_full) => break,
        }
    }
    let workers = vec![worker("a", isobar_pool::Address::Unix(path.clone()), 1)];
    let pool = Pool::start("p", settings(), workers, 1);
    let mut lease = ready(&pool);
    assert!(matches!(lease.dial().await, Err(ConnectError::Timeout)));
    let (dialled, _) = tokio::join!(lease.dial(), async {
        pass(0.1).await;
        listener.accept().expect("one of those that wait")
    });
    assert!(dialled.is_ok());
    assert_eq!(status(&pool, "a").health.label(), "up");
    std::fs::remove_file(path).expect("removed");
}
