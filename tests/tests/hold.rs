//! The only worker restarts: requests and TCP connections wait for it, and for nobody who is dead.
//! `ISOBAR_RESTARTS=10` makes the long form.

use std::net::SocketAddr;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isobar_tests::apps::{App, Kind, Python};
use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after};
use isobar_tests::sockets::free_address;
use isobar_tests::wait;

/// 50 requests a second.
const BETWEEN: Duration = Duration::from_millis(20);
/// Between a restart and the next kill.
const UP: Duration = Duration::from_millis(300);
/// A busy machine may need some seconds to start an interpreter.
const HOLD: &str = "queue: { max: 1000, hold: 15s, timeout: 20s }, ";

#[test]
fn a_restart_of_the_only_gunicorn_fails_nobody_with_1_shard() {
    restarts("http", "", 1);
}

#[test]
fn a_restart_of_the_only_gunicorn_fails_nobody_with_4_shards() {
    restarts("http", "", 4);
}

#[test]
fn a_restart_of_the_only_gunicorn_with_slots_and_probes_fails_nobody() {
    let probed = "slots: 1, health: { http: { path: /r/probe } }, ";
    restarts("http", probed, 4);
}

#[test]
fn a_restart_of_the_only_gunicorn_fails_no_tcp_client_with_1_shard() {
    restarts("tcp", "", 1);
}

#[test]
fn a_restart_of_the_only_gunicorn_fails_no_tcp_client_with_4_shards() {
    restarts("tcp", "", 4);
}

fn restarts(protocol: &str, more: &str, shards: usize) {
    let Some(python) = Python::find("hold") else { return };
    let count =
        std::env::var("ISOBAR_RESTARTS").ok().and_then(|n| n.parse().ok()).unwrap_or(2_usize);
    let mut app = App::start(&python, Kind::Gunicorn);
    let isobar = start(shards, protocol, &format!("{HOLD}{more}"), app.address());
    let target = isobar.address("in");
    // What a worker dies over can be saved as long as nothing of it has reached the client: with slots,
    // where short answers are read ahead. Without them it dies while it rests.
    let resting = RwLock::new(());
    let ask = |id: usize| {
        let _busy = more.is_empty().then(|| resting.read().expect("unpoisoned"));
        let request = format!("GET /r/{id} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        let mut connection = Connection::open(target).ok()?;
        connection.send(request.as_bytes()).ok()?;
        connection.response_to("GET").ok().map(|answer| answer.status)
    };
    let over = AtomicBool::new(false);
    let answers = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut asked = Vec::new();
            while !over.load(Ordering::SeqCst) {
                let id = asked.len();
                let ask = &ask;
                asked.push(scope.spawn(move || ask(id)));
                std::thread::sleep(BETWEEN);
            }
            let answers = asked.into_iter().map(|asked| asked.join().expect("a client"));
            answers.collect::<Vec<_>>()
        });
        for _ in 0..count {
            std::thread::sleep(UP);
            let rests = resting.write().expect("unpoisoned");
            app.kill();
            // The last process of its group may take a moment to let the socket go.
            while Connection::open(app.address()).is_ok() {}
            drop(rests);
            app.restart();
        }
        std::thread::sleep(UP);
        over.store(true, Ordering::SeqCst);
        load.join().expect("the load")
    });
    println!("{count} restarts, {protocol}, {shards} shard(s): {} requests", answers.len());
    let failed: Vec<_> = answers.iter().enumerate().filter(|(_, got)| **got != Some(200)).collect();
    assert_eq!(failed, []);
}

/// A pool that is dead for longer than `hold`: whoever waits is told when that is over, whoever comes
/// later at once.
#[test]
fn a_dead_pool_is_said_at_once_after_the_hold() {
    for shards in [1, 4] {
        let origin = Origin::start(after(Duration::ZERO, "good"));
        let address = origin.address();
        let isobar = start(shards, "http", "queue: { hold: 600ms }, ", address);
        assert_eq!(isobar.open("in").get("/").expect("an answer").status, 200);
        drop(origin);
        let lost = Instant::now();
        let first = isobar.open("in").get("/").expect("an answer");
        let took = lost.elapsed();
        assert_eq!((first.status, first.header("x-isobar-reason")), (503, Some("no_worker")));
        assert!(
            (Duration::from_millis(550)..Duration::from_millis(1_000)).contains(&took),
            "{took:?}"
        );
        for _ in 0..5 {
            let mut connection = isobar.open("in");
            let began = Instant::now();
            let answer = connection.get("/").expect("an answer");
            let took = began.elapsed();
            assert_eq!((answer.status, answer.header("x-isobar-reason")), (503, Some("no_worker")));
            assert!(took <= Duration::from_millis(50), "{took:?}");
        }
        let drops = [("pool", "app"), ("reason", "no_worker")];
        let dropped = isobar.metrics().sum("isobar_pool_queue_drops_total", &drops);
        // The next one may have come in the last moments of the hold.
        assert!((1.0..=2.0).contains(&dropped), "{dropped}");
        // It is found when it comes back.
        let _back = Origin::start_at(address, after(Duration::ZERO, "good")).expect("its address");
        let is_found = || isobar.open("in").get("/").expect("an answer").status == 200;
        wait::until(|| is_found().then_some(()));
    }
}

#[test]
fn an_operator_and_a_closed_port_let_nobody_wait() {
    let origin = Origin::start(after(Duration::ZERO, "good"));
    let never = start(1, "http", "", free_address());
    let off = start(1, "http", "queue: { hold: off }, ", origin.address());
    let drained = start(1, "http", "", origin.address());
    assert_eq!(drained.open("in").get("/").expect("an answer").status, 200);
    assert_eq!(off.open("in").get("/").expect("an answer").status, 200);
    let name = origin.address().to_string();
    let told = drained.command(&["drain", "app", &name]);
    assert!(told.status.success(), "{told:?}");
    refused_at_once(&drained, 503);
    drop(origin);
    refused_at_once(&off, 502);
    refused_at_once(&off, 503);
    refused_at_once(&never, 502);
    refused_at_once(&never, 503);
}

fn refused_at_once(isobar: &Isobar, status: u16) {
    let mut connection: Connection = isobar.open("in");
    let began = Instant::now();
    assert_eq!(connection.get("/").expect("an answer").status, status);
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
}

fn start(shards: usize, protocol: &str, more: &str, worker: SocketAddr) -> Isobar {
    Isobar::start(&format!(
        "shards: {shards}\n\
         listeners: {{ in: {{ bind: \"127.0.0.1:0\", protocol: {protocol}, pool: app }} }}\n\
         pools: {{ app: {{ {more}workers: [\"{worker}\"] }} }}\n"
    ))
}
