//! Backups: a request that has nobody left to ask in a tier is served by the next, over HTTP and TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, raw};
use isobar_tests::sockets::free_address;

/// Fresh starts: the first request of each meets workers nobody has asked yet.
const STARTS: usize = 5;

/// Closed ports in the tier that serves, however many, cost a request no attempt.
#[test]
fn a_closed_tier_is_passed_over_from_the_first_request_on() {
    let good = Origin::start(after(Duration::ZERO, "good"));
    for closed in [1, 3, 12] {
        for shards in [1, 4] {
            for _ in 0..STARTS {
                let closed: Vec<_> = (0..closed).map(|_| free_address()).collect();
                let isobar = start(shards, "http", "attempts: 1", &closed, &[good.address()]);
                for method in ["GET", "POST"] {
                    let answer = isobar.open("in").request(method, "/", b"").expect("an answer");
                    assert_eq!(answer.status, 200, "{closed:?}, {shards} shard(s), {method}");
                }
            }
        }
    }
}

#[test]
fn a_tcp_client_reaches_the_next_tier() {
    let good = Origin::visits(|visit| {
        let _ = visit.write(b"good");
        visit.close();
    });
    for closed in [1, 12] {
        for shards in [1, 4] {
            for _ in 0..STARTS {
                let closed: Vec<_> = (0..closed).map(|_| free_address()).collect();
                let isobar = start(shards, "tcp", "attempts: 2", &closed, &[good.address()]);
                let told = isobar.open("in").read_to_end();
                assert_eq!(told.expect("a backup"), b"good", "{shards} shard(s)");
            }
        }
    }
}

/// A primary that closes, resets or lies before its head: the backup answers, within `attempts`, and
/// a POST that may have been executed is executed once.
#[test]
fn a_failing_tier_is_left_for_the_next() {
    for next in [Next::Close, Next::Reset] {
        for shards in [1, 4] {
            let bad = Origin::start(raw("HTTP/1.1 200 OK\r\nConte", next));
            let good = Origin::start(after(Duration::ZERO, "good"));
            let isobar = start(shards, "http", "attempts: 2", &[bad.address()], &[good.address()]);
            // Fewer than would eject it.
            for id in 0..2 {
                let answer = isobar.open("in").get(&format!("/{id}")).expect("an answer");
                assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
            }
            let before = (bad.served(), good.served());
            let answer = isobar.open("in").request("POST", "/", b"x").expect("an answer");
            assert_eq!((bad.served() - before.0, good.served() - before.1), (1, 0));
            assert_eq!(answer.status, 502);
        }
    }
}

/// A fallback is an attempt: with one attempt, or with more failing workers than attempts, there is none.
#[test]
fn a_fallback_costs_an_attempt() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let good = Origin::start(move |_, visit| {
        count.fetch_add(1, Ordering::SeqCst);
        let _ = visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        Next::Keep
    });
    let bad: Vec<Origin> = (0..2).map(|_| Origin::start(raw("", Next::Close))).collect();
    let primaries: Vec<SocketAddr> = bad.iter().map(Origin::address).collect();
    for (attempts, statuses) in [(1, 502), (2, 502), (3, 200)] {
        let retry = format!("attempts: {attempts}");
        let isobar = start(1, "http", &retry, &primaries, &[good.address()]);
        let before = (bad.iter().map(Origin::served).sum::<usize>(), asked.load(Ordering::SeqCst));
        assert_eq!(isobar.open("in").get("/").expect("an answer").status, statuses);
        let served = bad.iter().map(Origin::served).sum::<usize>() - before.0;
        let fell_back = asked.load(Ordering::SeqCst) - before.1;
        assert_eq!((served, fell_back), (attempts.min(2), usize::from(attempts == 3)));
    }
}

/// Where every tier has failed the same worker is asked again, if that may be done.
#[test]
fn the_same_worker_again_comes_after_all_tiers() {
    let (ill, backup_ill) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let first = {
        let ill = ill.clone();
        Origin::start(move |_, visit| match ill.swap(false, Ordering::SeqCst) {
            true => Next::Close,
            false => {
                let _ = visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
                Next::Keep
            }
        })
    };
    let second = {
        let asked = backup_ill.clone();
        Origin::start(move |_, _| {
            asked.fetch_add(1, Ordering::SeqCst);
            Next::Close
        })
    };
    let isobar = start(1, "http", "attempts: 3", &[first.address()], &[second.address()]);
    let answer = isobar.open("in").get("/").expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "first"));
    assert_eq!(backup_ill.load(Ordering::SeqCst), 1, "the backup was asked before");
}

fn start(
    shards: usize,
    protocol: &str,
    retry: &str,
    first: &[SocketAddr],
    backups: &[SocketAddr],
) -> Isobar {
    let first = first.iter().map(|address| format!("\"{address}\""));
    let backups = backups.iter().map(|address| format!("{{ address: \"{address}\", tier: 1 }}"));
    let workers: Vec<String> = first.chain(backups).collect();
    let routes = match protocol {
        "http" => format!("routes: [{{ retry: {{ {retry} }}, pool: app }}]"),
        _ => "pool: app".to_owned(),
    };
    Isobar::start(&format!(
        "shards: {shards}\n\
         listeners: {{ in: {{ bind: \"127.0.0.1:0\", protocol: {protocol}, {routes} }} }}\n\
         pools: {{ app: {{ workers: [{}] }} }}\n",
        workers.join(", ")
    ))
}
