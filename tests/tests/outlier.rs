//! What takes a worker out by its own traffic: the check that is on by default, and what is written.

use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Request, Visit, respond};

#[test]
fn a_worker_that_resets_every_connection_is_taken_out_with_1_shard() {
    a_worker_that_resets_every_connection_is_taken_out(1);
}

#[test]
fn a_worker_that_resets_every_connection_is_taken_out_with_4_shards() {
    a_worker_that_resets_every_connection_is_taken_out(4);
}

/// By one client alone: the other worker answers the same requests.
fn a_worker_that_resets_every_connection_is_taken_out(shards: usize) {
    let (ill, well) = (Origin::start(|_, visit| reset(visit)), Origin::start(good));
    let isobar = start(shards, &[&ill, &well], "");
    let statuses: Vec<u16> = (0..200).map(|_| get(&isobar, "/")).collect();
    assert_eq!(statuses, [200; 200]);
    until_out(&isobar, &ill);
    assert!(ill.connections() < 20, "{} connections", ill.connections());
    let pool = isobar.pool("app").to_string();
    assert!(pool.contains("5 transport failures in a row"), "{pool}");
}

/// A request that every worker breaks on empties no pool, however often one client sends it.
#[test]
fn one_clients_poison_takes_nobody_out() {
    let poisoned = |request: &Request, visit: &mut Visit| match &*request.target {
        "/poison" => reset(visit),
        _ => good(request, visit),
    };
    let origins = [Origin::start(poisoned), Origin::start(poisoned)];
    let isobar = start(1, &[&origins[0], &origins[1]], "");
    for method in ["GET", "POST"] {
        for _ in 0..20 {
            assert_eq!(ask(&isobar, method, "/poison", "192.0.2.1"), 502);
        }
    }
    assert_eq!(ejections(&isobar), 0.0);
    // Others meet the same: it is not that client's doing. One worker always stays.
    for client in 2..20 {
        ask(&isobar, "POST", "/poison", &format!("192.0.2.{client}"));
    }
    until(|| ejections(&isobar) == 1.0);
    assert_eq!(get(&isobar, "/"), 200);
}

/// Neither what a worker says nor a deadline that is the request's own.
#[test]
fn statuses_and_the_requests_own_deadline_take_nobody_out() {
    let slow = |request: &Request, visit: &mut Visit| match &*request.target {
        "/slow" => {
            let _ = visit.read_some();
            Next::Close
        }
        _ => answer(visit, 503),
    };
    let origins = [Origin::start(slow), Origin::start(slow)];
    let pool = "timeouts: { request: 50ms }";
    let isobar = start(1, &[&origins[0], &origins[1]], pool);
    for client in 0..20 {
        assert_eq!(ask(&isobar, "POST", "/", &format!("192.0.2.{client}")), 503);
        assert_eq!(ask(&isobar, "POST", "/slow", &format!("192.0.2.{client}")), 504);
    }
    for client in 0..12 {
        assert_eq!(ask(&isobar, "POST", "/slow", &format!("192.0.2.{client}")), 504);
    }
    assert_eq!(ejections(&isobar), 0.0);
}

/// `first_byte` is ours, and a bad answer is the worker's.
#[test]
fn silence_and_nonsense_take_a_worker_out() {
    let silent = |_: &Request, visit: &mut Visit| {
        let _ = visit.read_some();
        Next::Close
    };
    let nonsense = |_: &Request, visit: &mut Visit| {
        let _ = visit.write(b"hello\r\n\r\n");
        Next::Close
    };
    for (ill, slots) in [
        (Origin::start(silent), ""),
        (Origin::start(silent), "slots: 20\n    "),
        (Origin::start(nonsense), ""),
    ] {
        let well = Origin::start(good);
        // Beside another key the default stays in force.
        let pool = format!(
            "{slots}timeouts: {{ first_byte: 50ms }}\n    outlier: {{ consecutive_failures: off }}"
        );
        let isobar = start(1, &[&ill, &well], &pool);
        let clients = (0..12).map(|client| format!("192.0.2.{client}"));
        let failed = clients.filter(|client| ask(&isobar, "POST", "/", client) != 200).count();
        until_out(&isobar, &ill);
        assert!((5..=6).contains(&failed), "{failed}");
    }
}

#[test]
fn off_is_off() {
    let (ill, well) = (Origin::start(|_, visit| reset(visit)), Origin::start(good));
    for pool in ["outlier: off", "outlier: { transport_failures: off, failure_rate: 99% }"] {
        let isobar = start(1, &[&ill, &well], pool);
        let clients = (0..20).map(|client| format!("192.0.2.{client}"));
        let failed = clients.filter(|client| ask(&isobar, "POST", "/", client) != 200).count();
        assert_eq!((failed, ejections(&isobar)), (10, 0.0), "{pool}");
    }
}

/// Never two in a row.
#[test]
fn so_many_failures_within_a_time_take_a_worker_out() {
    let every_other = |request: &Request, visit: &mut Visit| match &*request.target {
        "/bad" => answer(visit, 500),
        _ => good(request, visit),
    };
    let origins = [Origin::start(every_other), Origin::start(every_other)];
    let pool = "strategy: { hash: { key: path } }\n    \
                outlier: { failures: { count: 4, within: 10s } }";
    let isobar = start(1, &[&origins[0], &origins[1]], pool);
    let same = (0..100).map(|i| format!("/{i}")).find(|path| {
        let before = origins[0].served();
        get(&isobar, "/bad");
        let bad_is_first = origins[0].served() > before;
        let before = origins[0].served();
        get(&isobar, path);
        bad_is_first == (origins[0].served() > before)
    });
    let same = same.expect("a path of the same worker");
    for _ in 0..3 {
        get(&isobar, "/bad");
        get(&isobar, &same);
    }
    until(|| ejections(&isobar) == 1.0);
    let pool = isobar.pool("app").to_string();
    assert!(pool.contains("4 failures within 10s"), "{pool}");
}

#[test]
fn a_tcp_worker_that_resets_every_connection_is_taken_out() {
    let ill = Origin::visits(|visit| visit.reset());
    let well = Origin::visits(|visit| {
        let _ = visit.write(b"hello");
    });
    let isobar = Isobar::start(&format!(
        "shards: 1\nlisteners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: app }} }}\n\
         pools: {{ app: {{ strategy: round_robin, workers: [\"{}\", \"{}\"] }} }}",
        ill.address(),
        well.address()
    ));
    let served = |_| isobar.open("db").read_to_end().is_ok_and(|all| all == b"hello");
    let failed = (0..10).map(served).filter(|served| !served).count();
    until_out(&isobar, &ill);
    // A reset that comes before we see the connection open is tried again elsewhere.
    assert!(failed <= 5, "{failed}");
    assert!((0..10).all(served));
}

/// Ten retries a second are always allowed. A retry takes the next turn, so each request meets the
/// ill one first.
#[test]
fn a_quiet_pool_may_retry_ten_times_a_second() {
    let (ill, well) = (Origin::start(|_, visit| reset(visit)), Origin::start(good));
    let isobar = start(1, &[&ill, &well], "outlier: off");
    let statuses: Vec<u16> = (0..95).map(|_| get(&isobar, "/")).collect();
    assert_eq!(statuses, [200; 95]);
}

fn start(shards: usize, origins: &[&Origin], pool: &str) -> Isobar {
    let strategy = if pool.contains("strategy") { "" } else { "strategy: round_robin\n    " };
    let workers: Vec<String> =
        origins.iter().map(|origin| format!("\"{}\"", origin.address())).collect();
    Isobar::start(&format!(
        "shards: {shards}\ntrusted_proxies: [127.0.0.1]\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools:\n  app:\n    {strategy}workers: [{}]\n    {pool}\n",
        workers.join(", ")
    ))
}

fn get(isobar: &Isobar, path: &str) -> u16 {
    isobar.open("web").get(path).expect("an answer").status
}

fn ask(isobar: &Isobar, method: &str, path: &str, client: &str) -> u16 {
    let mut connection: Connection = isobar.open("web");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {client}\r\nContent-Length: 0\r\n\r\n"
    );
    connection.ask(&request).status
}

fn ejections(isobar: &Isobar) -> f64 {
    isobar.metrics().sum("isobar_outlier_ejections_total", &[("pool", "app")])
}

fn until_out(isobar: &Isobar, origin: &Origin) {
    let name = origin.address().to_string();
    until(|| isobar.worker_health("app", &name) == "ejected");
}

fn until(mut holds: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < patience, "it does not come about");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn good(_: &Request, visit: &mut Visit) -> Next {
    answer(visit, 200)
}

fn answer(visit: &mut Visit, status: u16) -> Next {
    match visit.write(&respond(status, b"")) {
        Ok(()) => Next::Keep,
        Err(_) => Next::Close,
    }
}

fn reset(visit: &mut Visit) -> Next {
    visit.reset();
    Next::Close
}
