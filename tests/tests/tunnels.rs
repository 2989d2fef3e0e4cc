//! Tunnels and event streams beside requests: with one number for both they take the slots, with two
//! they are counted apart.

use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Request, Visit, websocket};
use isobar_tests::wait;

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const EVENTS: &str = "Accept: text/event-stream\r\n";
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";

/// More tunnels than slots, one after the other, and requests pass beside them.
#[test]
fn tunnels_take_no_slots_where_they_are_counted_apart() {
    let origin = app();
    for (shards, head, status) in SHARDS_AND_KINDS {
        let isobar = start(shards, "{ requests: 1, tunnels: 5 }", &origin);
        let open: Vec<_> = (0..5).map(|_| opened(&isobar, "/stream", head, status)).collect();
        holds(&isobar, 0, 5);
        for _ in 0..5 {
            assert_eq!(isobar.open("web").get("/").expect("an answer").status, 200);
        }
        // The sixth waits, and holds nothing meanwhile; requests pass beside it, too.
        let mut sixth = ask(&isobar, "/stream", head);
        depth(&isobar, 1.0);
        let began = Instant::now();
        for _ in 0..20 {
            assert_eq!(isobar.open("web").get("/").expect("an answer").status, 200);
        }
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        holds(&isobar, 0, 5);
        drop(open.into_iter().next_back());
        assert_eq!(sixth.response_to("HEAD").expect("its turn").status, status);
        drop(sixth);
        holds(&isobar, 0, 0);
        assert_eq!(isobar.metrics().sum("isobar_worker_in_flight", &[]), 0.0);
    }
}

const SHARDS_AND_KINDS: [(usize, &str, u16); 4] =
    [(1, UPGRADE, 101), (4, UPGRADE, 101), (1, EVENTS, 200), (4, EVENTS, 200)];

/// Asked for and not given: an upgrade that is refused is a request like any other.
#[test]
fn an_answer_that_is_no_tunnel_gives_the_tunnel_slot_back() {
    let origin = app();
    let isobar = start(1, "{ requests: 2, tunnels: 1 }", &origin);
    for head in [UPGRADE, EVENTS] {
        for _ in 0..3 {
            let (mut slow, answer) = opened(&isobar, "/slow-body", head, 200);
            assert_eq!(answer, 200);
            holds(&isobar, 1, 0);
            assert_eq!(slow.read_exactly(4).expect("its body"), b"done");
        }
    }
}

/// A stream that its request did not announce: it takes a tunnel slot at its head, or keeps its slot
/// until there is one, though nothing is said on it.
#[test]
fn a_stream_that_nobody_announced_moves_when_it_can() {
    let origin = app();
    for shards in [1, 4] {
        let isobar = start(shards, "{ requests: 1, tunnels: 1 }", &origin);
        let first = opened(&isobar, "/stream", "", 200);
        holds(&isobar, 0, 1);
        let second = opened(&isobar, "/stream", "", 200);
        holds(&isobar, 1, 1);
        let mut third = ask(&isobar, "/", "");
        depth(&isobar, 1.0);
        drop(first);
        assert_eq!(third.response_to("HEAD").expect("the slot").status, 200);
        holds(&isobar, 0, 1);
        drop((second, third));
        holds(&isobar, 0, 0);
    }
}

/// One number for both: the tabs that are open take every slot, and the log says who it was.
#[test]
fn plain_slots_count_tunnels_and_the_log_says_so() {
    let origin = app();
    let isobar = start(1, "2", &origin);
    let _open: Vec<_> = (0..2).map(|_| opened(&isobar, "/stream", UPGRADE, 101)).collect();
    holds(&isobar, 0, 2);
    let _waits = ask(&isobar, "/", "");
    depth(&isobar, 1.0);
    let said = wait::until(|| {
        let log = isobar.stderr();
        log.contains("tunnels and event streams hold more than half of the slots").then_some(log)
    });
    let line = said.lines().find(|line| line.contains("more than half")).expect("a line");
    for part in ["WARN", "waiting=1", "tunnels=2", "slots=2", "slots: { requests: N, tunnels: M }"]
    {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let status = told(&isobar, &["status"]).0;
    assert!(status.contains("2 tunnels and event streams"), "{status}");
}

/// An operator's word, both ways, and what the process says of it.
#[test]
fn tunnel_slots_are_set_at_run_time() {
    let origin = app();
    let isobar = start(1, "{ requests: 1, tunnels: 1 }", &origin);
    let _first = opened(&isobar, "/stream", UPGRADE, 101);
    let mut second = ask(&isobar, "/stream", UPGRADE);
    depth(&isobar, 1.0);
    let (said, _) = told(&isobar, &["slots", "app", "w", "--tunnels", "2"]);
    assert!(said.contains("slots 1, tunnels 2"), "{said}");
    assert!(said.contains("tunnels: set at run time, the file says 1"), "{said}");
    assert_eq!(second.response_to("HEAD").expect("its turn").status, 101);
    let status = told(&isobar, &["status"]).0;
    assert!(status.contains("1 + 2* tunnels"), "{status}");
    let metrics = isobar.metrics();
    assert_eq!(metrics.sum("isobar_worker_tunnels", &[]), 2.0);
    assert_eq!(metrics.sum("isobar_worker_tunnel_slots", &[]), 2.0);
    let (said, _) = told(&isobar, &["slots", "app", "w", "3", "--tunnels", "reset"]);
    assert!(said.contains("slots 3, tunnels 1"), "{said}");
    assert!(!said.contains("tunnels: set"), "{said}");
    let (_, complaint) = told(&isobar, &["drain", "app", "w", "--wait", "--timeout", "300ms"]);
    assert!(complaint.contains("still holds 2 (leases)"), "{complaint}");
}

/// What lives for hours is counted as it goes, not when it is over.
#[test]
fn bytes_are_counted_while_a_tunnel_is_open() {
    let origin = app();
    let isobar = start(1, "{ requests: 1, tunnels: 2 }", &origin);
    let bytes =
        |direction: &str| isobar.metrics().sum("isobar_bytes_total", &[("direction", direction)]);
    let (mut tunnel, _) = opened(&isobar, "/stream", UPGRADE, 101);
    let before = (bytes("in"), bytes("out"));
    tunnel.send(&[b'x'; 5000]).expect("sends");
    assert_eq!(tunnel.read_exactly(5000).expect("an echo").len(), 5000);
    wait::until(|| {
        let now = (bytes("in") - before.0, bytes("out") - before.1);
        (now.0 >= 5000.0 && now.1 >= 5000.0).then_some(())
    });
    let before = bytes("out");
    let (mut events, _) = opened(&isobar, "/stream", EVENTS, 200);
    assert!(!events.read_exactly(4).expect("an event").is_empty());
    wait::until(|| (bytes("out") - before > STREAM.len() as f64).then_some(()));
    drop((tunnel, events));
    holds(&isobar, 0, 0);
}

/// A crowd of tunnels that come and go, of requests, and of clients that leave at any moment: nothing
/// is left over, and the worker never sees more than it should.
#[test]
fn a_crowd_of_both_leaves_nothing_behind() {
    let origin = app();
    for shards in [1, 4] {
        let isobar = start(shards, "{ requests: 2, tunnels: 3 }", &origin);
        std::thread::scope(|scope| {
            for client in 0..12 {
                let isobar = &isobar;
                scope.spawn(move || {
                    for round in 0..6 {
                        let head = [UPGRADE, EVENTS, ""][(client + round) % 3];
                        let path = ["/stream", "/slow-body", "/"][(client * 7 + round) % 3];
                        let mut connection = ask(isobar, path, head);
                        if (client + round) % 4 == 0 {
                            continue;
                        }
                        let status = connection.response_to("HEAD").expect("an answer").status;
                        assert!([200, 101].contains(&status), "{status}");
                    }
                });
            }
        });
        holds(&isobar, 0, 0);
        let metrics = isobar.metrics();
        assert_eq!(metrics.sum("isobar_worker_in_flight", &[]), 0.0);
        assert_eq!(metrics.sum("isobar_pool_queue_depth", &[]), 0.0);
        assert_eq!(isobar.open("web").get("/").expect("an answer").status, 200);
    }
}

/// `/stream`: a tunnel if that is asked for, else events; `/slow-body`: an answer that takes a while.
fn app() -> Origin {
    Origin::start(|request: &Request, visit: &mut Visit| match request.target.as_str() {
        "/stream" if request.header("upgrade").is_some() => websocket(request, visit),
        "/stream" => {
            let _ = visit.write(STREAM);
            let _ = visit.read_some();
            Next::Close
        }
        "/slow-body" => {
            let _ = visit
                .write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Accel-Buffering: no\r\n\r\n");
            std::thread::sleep(Duration::from_millis(400));
            visit.write(b"done").map_or(Next::Close, |()| Next::Keep)
        }
        _ => {
            let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
            visit.write(ok).map_or(Next::Close, |()| Next::Keep)
        }
    })
}

fn start(shards: usize, slots: &str, origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "shards: {shards}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ slots: {slots}, \
           workers: [{{ name: w, address: \"{}\" }}] }} }}\n",
        origin.address()
    ))
}

fn ask(isobar: &Isobar, path: &str, head: &str) -> Connection {
    let mut client = isobar.open("web");
    let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\n{head}\r\n");
    client.send(request.as_bytes()).expect("sends");
    client
}

fn opened(isobar: &Isobar, path: &str, head: &str, status: u16) -> (Connection, u16) {
    let mut client = ask(isobar, path, head);
    let answer = client.response_to("HEAD").expect("an answer").status;
    assert_eq!(answer, status, "{path} {head}");
    (client, answer)
}

/// Slots taken by requests, and tunnels, as the admin API tells them.
fn holds(isobar: &Isobar, requests: u64, tunnels: u64) {
    wait::until(|| {
        let pool = isobar.pool("app");
        let holds = &pool["workers"][0]["holds"];
        (holds["requests"] == requests && holds["tunnels"] == tunnels).then_some(())
    });
}

fn depth(isobar: &Isobar, waiting: f64) {
    wait::until(|| (isobar.metrics().sum("isobar_pool_queue_depth", &[]) == waiting).then_some(()));
}

/// What a command prints, on either channel.
fn told(isobar: &Isobar, arguments: &[&str]) -> (String, String) {
    let output = isobar.command(arguments);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}
