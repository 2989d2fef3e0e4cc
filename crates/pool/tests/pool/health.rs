use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::time::Duration;

use isobar_balance::Outcome;
use isobar_pool::probe::{Http, Tcp};
use isobar_pool::{Address, Pool};

use crate::kit::*;
use crate::origin::Origin;

#[tokio::test(start_paused = true)]
async fn rise_and_fall() {
    let script = Script::new(&[true]);
    let pool = Pool::start("p", probed(script.clone()), vec![worker("a", nowhere(), 0)], 1);
    assert_eq!(status(&pool, "a").health.label(), "starting");
    pool.ready().await;
    assert_eq!((status(&pool, "a").health.label(), script.sent()), ("up", 1));
    // Two failures are not three; hc_01.
    for answers in [&[false, false, true][..], &[false, true]] {
        script.then(answers);
        pass(8.0).await;
        assert_eq!(status(&pool, "a").health.label(), "up");
    }
    script.then(&[false]);
    pass(7.0).await;
    assert_eq!(status(&pool, "a").health.to_string(), "down (status 500)");
    assert_eq!(refusal(&pool), isobar_pool::LeaseError::NoWorker);
    script.then(&[true, false]);
    pass(5.0).await;
    assert_eq!(status(&pool, "a").health.label(), "down");
    script.then(&[true]);
    pass(5.0).await;
    assert_eq!(status(&pool, "a").health.label(), "up");
    drop(ready(&pool));
}

#[tokio::test(start_paused = true)]
async fn hc_07_a_probe_that_we_were_late_for_proves_nothing() {
    let script = Script::new(&[true]);
    let pool = Pool::start("p", probed(script.clone()), vec![worker("a", nowhere(), 0)], 1);
    pool.ready().await;
    script.then(&[false]);
    for _ in 0..10 {
        tokio::time::advance(Duration::from_secs(30)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert!(script.sent() > 5);
    assert_eq!(status(&pool, "a").health.label(), "up");
}

#[tokio::test(start_paused = true)]
async fn a_probe_takes_a_free_slot_or_is_not_sent() {
    let script = Script::new(&[true]);
    let pool = Pool::start("p", probed(script.clone()), vec![worker("a", nowhere(), 1)], 1);
    pool.ready().await;
    let lease = ready(&pool);
    script.then(&[false]);
    let sent = script.sent();
    pass(20.0).await;
    assert_eq!((script.sent(), status(&pool, "a").health.label()), (sent, "up"));
    lease.finish(Outcome::Served { status: 200 });
    pass(7.0).await;
    assert_eq!(status(&pool, "a").health.label(), "down");
    assert_eq!(in_flight(&pool), 0);
}

#[tokio::test(start_paused = true)]
async fn where_probes_decide_a_refusal_still_counts_at_once() {
    let script = Script::new(&[true]);
    let pool = Pool::start("p", probed(script.clone()), vec![worker("a", nowhere(), 1)], 1);
    pool.ready().await;
    assert!(ready(&pool).dial().await.is_err());
    assert_eq!(refusal(&pool), isobar_pool::LeaseError::NoWorker);
    pass(0.1).await;
    assert_eq!(status(&pool, "a").health.to_string(), "down (connect_refused)");
    // Two probes, `rise`, bring it back, closed slots or not.
    pass(5.0).await;
    assert_eq!(status(&pool, "a").health.label(), "up");
    drop(ready(&pool));
}

#[tokio::test]
async fn a_tcp_probe_connects() {
    let origin = Origin::start();
    let workers = vec![worker("up", origin.address(), 0), worker("down", nowhere(), 0)];
    let pool = Pool::start("p", probed(Arc::new(Tcp)), workers, 1);
    pool.ready().await;
    assert_eq!(status(&pool, "up").health.label(), "up");
    assert_eq!(status(&pool, "down").health.to_string(), "down (connect_refused)");
}

/// What a worker says, and what becomes of it.
#[tokio::test]
async fn hc_04_an_http_probe_believes_a_status_and_nothing_else() {
    let endless: &[u8] = &[b'x'; 200 * 1024];
    let cases: &[(&[&[u8]], &str)] = &[
        (&[b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"], "up"),
        (&[b"HTTP/1.0 204 No Content\r\n\r\n"], "up"),
        (&[b"HTTP/1.1 103 Early Hints\r\n\r\n", b"HTTP/1.1 200\r\n\r\n"], "up"),
        (&[b"HTTP/1.1 200 OK\r\n\r\n", endless], "up"),
        (&[b"HTTP/1.1 301 Moved\r\n\r\n"], "down (status 301)"),
        (&[b"HTTP/1.1 503 Busy\r\n\r\n"], "down (status 503)"),
        (&[b"HTTP/1.1 2000 OK\r\n\r\n"], "down (no HTTP answer)"),
        (&[b"HTTP/2.0 200 OK\r\n\r\n"], "down (no HTTP answer)"),
        (&[b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"], "down (no HTTP answer)"),
        (&[b"HTTP/1.1 200 OK\r\nx: ", endless], "down (no HTTP answer)"),
    ];
    for (answer, expected) in cases {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let answer: Vec<Vec<u8>> = answer.iter().map(|part| part.to_vec()).collect();
        let served = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("the probe");
            let mut request = [0; 1024];
            let n = stream.read(&mut request).expect("a request");
            for part in answer {
                let _ = stream.write_all(&part);
            }
            String::from_utf8_lossy(&request[..n]).into_owned()
        });
        let http = Http {
            path: "/healthz".to_owned(),
            expect: vec![200..=299],
            host: Some("app".to_owned()),
            // The worker's own port is wrong: the probe goes to the other one.
            port: Some(address.port()),
        };
        let elsewhere = Address::Tcp(([127, 0, 0, 1], 9).into());
        let pool = Pool::start("p", probed(Arc::new(http)), vec![worker("a", elsewhere, 1)], 1);
        pool.ready().await;
        assert_eq!(status(&pool, "a").health.to_string(), *expected);
        pool.close().await;
        let request = served.join().expect("the worker");
        assert!(request.starts_with("GET /healthz HTTP/1.1\r\nHost: app\r\n"), "{request}");
    }
}

#[tokio::test(start_paused = true)]
async fn hc_04_a_worker_that_hangs_is_given_up() {
    let listener = UnixListener::bind(socket_path()).expect("a socket");
    let path = listener.local_addr().expect("bound").as_pathname().expect("a path").to_owned();
    let http = Http { path: "/".to_owned(), expect: vec![200..=299], host: None, port: None };
    let workers = vec![worker("a", Address::Unix(path.clone()), 1)];
    let pool = Pool::start("p", probed(Arc::new(http)), workers, 1);
    let before = tokio::time::Instant::now();
    pool.ready().await;
    assert_eq!(before.elapsed().as_secs(), 1);
    let worker = status(&pool, "a");
    assert_eq!(worker.health.to_string(), "down (timeout)");
    // It may still compute what it was asked, so nobody else asks: neither a request nor a probe.
    assert_eq!((worker.in_flight, worker.connections_open), (1, 1));
    pass(20.0).await;
    assert_eq!(status(&pool, "a").connections_open, 1);
    drop(listener);
    std::fs::remove_file(path).expect("removed");
    pass(10.0).await;
    let worker = status(&pool, "a");
    assert_eq!(worker.health.to_string(), "down (connect_refused)");
    assert_eq!((worker.in_flight, worker.connections_open), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn hc_02_all_down_from_the_start_is_said_at_once() {
    let pool = Pool::start("p", probed(Script::new(&[false])), vec![worker("a", nowhere(), 1)], 1);
    pool.ready().await;
    assert_eq!(refusal(&pool), isobar_pool::LeaseError::NoWorker);
}
