//! Clients that take their time, in either direction or between two requests (SL rows), end to end.

use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after, echo};

#[test]
fn sl_01_a_slow_head_is_cut() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "timeouts: { header: 400ms }");
    let mut connection = isobar.open("web");
    let began = Instant::now();
    for byte in b"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: aaaaaaaaaaaaaaaaaaaa" {
        if connection.send(&[*byte]).is_err() || began.elapsed() > Duration::from_secs(3) {
            break;
        }
        std::thread::sleep(Duration::from_millis(30));
    }
    let took = began.elapsed();
    let rest = connection.read_to_end().unwrap_or_default();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{rest:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn sl_02_a_slow_body_is_cut_and_held_no_worker() {
    let origin = Origin::start(echo);
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app, timeouts: {{ body_idle: 300ms }} }} }}\n\
         pools: {{ app: {{ slots: 1, workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut slow = isobar.open("web");
    slow.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nab").expect("sends");
    // Meanwhile the worker is free for others.
    let mut quick = isobar.open("web");
    assert_eq!(quick.get("/").expect("at once").status, 200);
    let began = Instant::now();
    let answer = slow.response_to("POST").expect("an answer");
    assert_eq!(answer.status, 408);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(origin.served(), 1);
}

/// A client that was too slow keeps its place in the listener no longer by going on to send slowly.
#[test]
fn sl_02_a_slow_client_is_closed_soon_after_its_408() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "timeouts: { header: 300ms, body_idle: 300ms }");
    let head = "POST / HTTP/1.1\r\nHost: h\r\n";
    for begun in
        [String::from("GET / HTTP/1.1\r\nX: "), format!("{head}Content-Length: 99\r\n\r\n")]
    {
        let mut slow = isobar.open("web");
        slow.send(begun.as_bytes()).expect("sends");
        assert_eq!(slow.response_to("POST").expect("an answer").status, 408, "{begun}");
        let began = Instant::now();
        while slow.send(b"x").is_ok() && began.elapsed() < Duration::from_secs(4) {
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(began.elapsed() < Duration::from_secs(3), "{begun}");
    }
}

/// The time-out of the whole exchange counts while the shield waits for a body, too.
#[test]
fn sl_02_a_dripping_body_ends_with_the_request_time_out() {
    let origin = Origin::start(echo);
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ slots: 1, timeouts: {{ request: 500ms }}, workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut slow = isobar.open("web");
    slow.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n").expect("sends");
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) && slow.send(b"x").is_ok() {
        std::thread::sleep(Duration::from_millis(50));
    }
    slow.set_patience(Duration::from_secs(1)).expect("set");
    let answer = slow.response_to("POST").expect("an answer");
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("x-isobar-reason"), Some("request_timeout"));
    assert_eq!(origin.connections(), 0);
}

/// SL-03: who does not read costs little memory and is cut.
#[test]
fn sl_03_a_client_that_does_not_read_is_cut() {
    let big = vec![b'z'; 32 << 20];
    let origin = Origin::start(after(Duration::ZERO, big));
    let isobar = start(&origin, "timeouts: { write_stall: 500ms }");
    let before = isobar.resident_kib();
    let mut stalled: Vec<Connection> = (0..10).map(|_| isobar.open("web")).collect();
    for connection in &mut stalled {
        connection.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
    }
    std::thread::sleep(Duration::from_millis(300));
    let grown = isobar.resident_kib().saturating_sub(before);
    println!("10 clients that do not read 32 MiB: {grown} KiB more");
    assert!(grown <= 10 * 256 + 1_024, "{grown} KiB");
    std::thread::sleep(Duration::from_millis(1_500));
    let cut = stalled.iter_mut().filter_map(|connection| {
        connection.read_to_end().map_or(Some(()), |all| (all.len() < 32 << 20).then_some(()))
    });
    assert_eq!(cut.count(), 10);
}

/// A full listener ends what has been idle for longest, and only if somebody waits for room; who is
/// being answered stays.
#[test]
fn sl_05_the_oldest_idle_connection_makes_room() {
    for shards in [1, 4] {
        let origin = Origin::start(|request: &isobar_tests::origin::Request, visit: &mut _| {
            let slow = request.target == "/slow";
            after(Duration::from_millis(if slow { 1_000 } else { 0 }), "ok")(request, visit)
        });
        let isobar = Isobar::start(&format!(
            "shards: {shards}\n\
             listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app, limits: {{ connections: 4 }} }} }}\n\
             pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
            origin.address()
        ));
        let mut busy = isobar.open("web");
        busy.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
        let mut idle: Vec<Connection> = (0..3)
            .map(|_| {
                let mut connection = isobar.open("web");
                assert_eq!(connection.get("/").expect("an answer").status, 200);
                std::thread::sleep(Duration::from_millis(20));
                connection
            })
            .collect();
        // It is full, and nobody waits: nobody leaves.
        std::thread::sleep(Duration::from_millis(200));
        for connection in &mut idle {
            assert_eq!(connection.get("/").expect("still there").status, 200);
            std::thread::sleep(Duration::from_millis(20));
        }
        let began = Instant::now();
        let mut fresh = isobar.open("web");
        assert_eq!(fresh.get("/").expect("there is room").status, 200);
        assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
        let oldest = idle.remove(0).read_to_end();
        assert!(oldest.as_ref().is_ok_and(Vec::is_empty), "the oldest leaves: {oldest:?}");
        assert_eq!(busy.response_to("GET").expect("it was being answered").status, 200);
    }
}

fn start(origin: &Origin, more: &str) -> Isobar {
    Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app, {more} }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
