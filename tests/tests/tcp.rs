//! The TCP proxy: half-close, resets, the queue, the idle limit.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use isobar_tests::access_log::{self, Entry};
use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, Visit};
use isobar_tests::wait;

/// L4-01, from the client's side: its FIN passes and the worker may still answer.
#[test]
fn l4_01_a_client_that_half_closes_is_answered() {
    let origin = Origin::visits(|visit| {
        let all = visit.read_to_end().unwrap_or_default();
        let _ = visit.write(format!("got {}", all.len()).as_bytes());
        visit.close();
    });
    for shards in [1, 4] {
        let isobar = start(shards, &origin, "");
        let mut client = isobar.open("db");
        client.send(&[b'x'; 100_000]).expect("sends");
        client.finish_sending().expect("half-closes");
        assert_eq!(client.read_to_end().expect("the answer"), b"got 100000");
    }
}

/// L4-01, from the worker's side.
#[test]
fn l4_01_a_worker_that_half_closes_still_reads() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::visits(move |visit| {
        let _ = visit.write(b"bye");
        visit.finish_sending();
        let all = visit.read_to_end().unwrap_or_default();
        let _ = tell.lock().expect("tell").send(all.len());
    });
    let isobar = start(1, &origin, "");
    let mut client = isobar.open("db");
    assert_eq!(client.read_to_end().expect("to the worker's FIN"), b"bye");
    client.send(&[b'y'; 50_000]).expect("still open this way");
    client.finish_sending().expect("half-closes");
    assert_eq!(told.recv_timeout(Duration::from_secs(5)), Ok(50_000));
}

#[test]
fn l4_02_a_workers_reset_reaches_the_client_as_a_reset() {
    let origin = Origin::visits(|visit| {
        let _ = visit.read_some();
        visit.reset();
    });
    let isobar = start(1, &origin, "");
    let mut client = isobar.open("db");
    client.send(b"hello").expect("sends");
    let error = client.read_to_end().expect_err("no clean end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn l4_02_a_clients_reset_reaches_the_worker_as_a_reset() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::visits(move |visit| {
        let _ = visit.read_exactly(5);
        let end = visit.read_to_end().map_err(|error| error.kind());
        let _ = tell.lock().expect("tell").send(end);
    });
    let isobar = start(1, &origin, "");
    let mut client = isobar.open("db");
    client.send(b"hello").expect("sends");
    std::thread::sleep(Duration::from_millis(50));
    client.reset();
    let end = told.recv_timeout(Duration::from_secs(5)).expect("the worker noticed");
    assert_eq!(end, Err(ErrorKind::ConnectionReset));
}

#[test]
fn l4_03_an_idle_connection_is_closed() {
    let origin = Origin::visits(|visit| {
        let _ = visit.read_to_end();
    });
    let isobar = start(1, &origin, ", timeouts: { idle: 300ms }");
    let mut client = isobar.open("db");
    client.send(b"hello").expect("sends");
    let began = Instant::now();
    let _ = client.read_to_end();
    let took = began.elapsed();
    assert!((Duration::from_millis(250)..Duration::from_secs(2)).contains(&took), "{took:?}");
}

/// The kernel asks both silent ends whether they live; what it waits for is in its own table.
#[test]
fn l4_03_silent_ends_are_asked_whether_they_live() {
    let origin = Origin::visits(echo_all);
    let isobar = start(1, &origin, "");
    let mut client = isobar.open("db");
    client.send(b"hello").expect("sends");
    client.read_exactly(5).expect("the relay stands");
    let port = |address: std::net::SocketAddr| format!(":{:04X}", address.port());
    let (listener, worker) = (port(isobar.address("db")), port(origin.address()));
    // Of the proxy's two sockets: one is bound to the listener's port, one leads to the worker's.
    let probed = || {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
        let established = table.lines().filter_map(|line| {
            let mut columns = line.split_whitespace().skip(1);
            let (local, remote, state) = (columns.next()?, columns.next()?, columns.next()?);
            let timer = columns.nth(1)?;
            let ours = local.ends_with(&listener) || remote.ends_with(&worker);
            (ours && state == "01").then(|| timer.starts_with("02:"))
        });
        established.filter(|probed| *probed).count()
    };
    let until = Instant::now() + Duration::from_secs(5);
    while probed() != 2 {
        assert!(Instant::now() < until, "{} of 2 sockets are probed", probed());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One slot: the second client waits, connected and unread, until the first has gone.
#[test]
fn slots_are_connections_and_the_queue_holds_a_socket_unread() {
    let origin = Origin::visits(echo_all);
    for shards in [1, 4] {
        let isobar = Isobar::start(&format!(
            "shards: {shards}\n\
             listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db }} }}\n\
             pools: {{ db: {{ slots: 1, queue: {{ max: 10, timeout: 10s }}, workers: [\"{}\"] }} }}\n",
            origin.address()
        ));
        let before = origin.connections();
        let mut first = isobar.open("db");
        first.send(b"one").expect("sends");
        assert_eq!(first.read_exactly(3).expect("echo"), b"one");
        let mut second = isobar.open("db");
        second.send(b"two").expect("sends into the socket");
        second.set_patience(Duration::from_millis(300)).expect("set");
        assert!(second.read_exactly(1).is_err(), "the second must wait");
        assert_eq!(origin.connections() - before, 1, "no second connection to the worker");
        second.set_patience(Duration::from_secs(5)).expect("set");
        drop(first);
        assert_eq!(second.read_exactly(3).expect("its turn"), b"two");
    }
}

/// A client that resets while queued leaves the queue; the next is served.
#[test]
fn a_queued_client_that_leaves_is_forgotten() {
    let origin = Origin::visits(echo_all);
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db }} }}\n\
         pools: {{ db: {{ slots: 1, queue: {{ max: 10, timeout: 10s }}, workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut first = isobar.open("db");
    first.send(b"one").expect("sends");
    first.read_exactly(3).expect("echo");
    let gone = isobar.open("db");
    wait_for_depth(&isobar, 1.0);
    gone.reset();
    wait_for_depth(&isobar, 0.0);
    let before = origin.connections();
    drop(first);
    let mut third = isobar.open("db");
    third.send(b"two").expect("sends");
    assert_eq!(third.read_exactly(3).expect("served"), b"two");
    assert_eq!(origin.connections() - before, 1);
}

#[test]
fn a_full_queue_refuses_at_once() {
    let origin = Origin::visits(echo_all);
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db }} }}\n\
         pools: {{ db: {{ slots: 1, queue: {{ max: 1, timeout: 10s }}, workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut first = isobar.open("db");
    first.send(b"one").expect("sends");
    first.read_exactly(3).expect("echo");
    let _second = isobar.open("db");
    wait_for_depth(&isobar, 1.0);
    let began = Instant::now();
    // The reset may be there before this side knows that it is connected.
    let third = Connection::open(isobar.address("db"));
    let end = third.and_then(|mut third| third.read_to_end());
    assert_eq!(end.expect_err("refused").kind(), ErrorKind::ConnectionReset);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Its line in the access log says how long it has waited, though no worker took it.
#[test]
fn a_wait_that_ends_in_the_queue_is_in_the_log() {
    let origin = Origin::visits(echo_all);
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         access_log: {{ format: json, path: ./access.log }}\n\
         listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db }} }}\n\
         pools: {{ db: {{ slots: 1, queue: {{ timeout: 200ms }}, workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut first = isobar.open("db");
    first.send(b"one").expect("sends");
    first.read_exactly(3).expect("echo");
    let end = isobar.open("db").read_to_end();
    assert_eq!(end.expect_err("refused").kind(), ErrorKind::ConnectionReset);
    let log = first_lines(&isobar);
    assert_eq!(log[0].text("reason"), "queue_timeout");
    let queued = log[0].number("queue_ms");
    assert!(queued.is_some_and(|millis| millis >= 200.0), "{queued:?}");
}

fn wait_for_depth(isobar: &Isobar, depth: f64) {
    let until = Instant::now() + Duration::from_secs(5);
    while isobar.metrics().sum("isobar_pool_queue_depth", &[]) != depth {
        assert!(Instant::now() < until, "the queue never held {depth}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn echo_all(visit: &mut Visit) {
    while let Ok(bytes) = visit.read_some() {
        if bytes.is_empty() || visit.write(&bytes).is_err() {
            return;
        }
    }
}

fn start(shards: usize, origin: &Origin, more: &str) -> Isobar {
    Isobar::start(&format!(
        "shards: {shards}\n\
         listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db{more} }} }}\n\
         pools: {{ db: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}

/// A connection is what the client opened, so the metrics and the log count it once.
#[test]
fn a_tcp_connection_is_one_log_line() {
    let origin = Origin::visits(echo_all);
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         access_log: {{ format: json, path: ./access.log }}\n\
         listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db }} }}\n\
         pools: {{ db: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut client: Connection = isobar.open("db");
    client.send(b"12345").expect("sends");
    client.read_exactly(5).expect("echo");
    drop(client);
    let log = first_lines(&isobar);
    assert_eq!(log.len(), 1);
    assert_eq!(log[0].number("bytes_in"), Some(5.0));
    assert_eq!(log[0].number("bytes_out"), Some(5.0));
    assert_eq!(log[0].text("listener"), "db");
}

/// What the access log has as soon as it has something.
fn first_lines(isobar: &Isobar) -> Vec<Entry> {
    let path = isobar.file("access.log");
    wait::until(|| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        text.ends_with('\n').then(|| access_log::read(&path))
    })
}
