//! How exchanges, tunnels and connections end when one side closes a direction, or all of it: what a
//! FIN means and when, that a reset is noticed behind it, and that nobody holds a slot for nothing.

use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use isobar_tests::http::{self, Connection};
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Request, Visit, after, raw, respond, websocket};
use isobar_tests::wait;

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n";
const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n";
/// Longer than any of these tests.
const LONG: Duration = Duration::from_secs(20);
const SLOTS: [&str; 2] = ["", "slots: 1, "];

/// Nothing is said for a long time: only the FIN can tell.
#[test]
fn a_fin_behind_an_event_stream_that_has_begun_frees_its_slot() {
    let origin = streams(Duration::ZERO);
    for slots in SLOTS {
        let isobar = start(slots, &origin);
        let mut client = isobar.open("web");
        client.send(GET).expect("sends");
        assert_eq!(head_of(&mut client).status, 200);
        let began = Instant::now();
        client.finish_sending().expect("closes its side");
        not_in_flight(&isobar);
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    }
}

/// A client that closed its side with its request is told all that happens.
#[test]
fn a_fin_before_an_event_stream_is_no_good_bye() {
    let origin = streams(Duration::from_millis(300));
    for slots in SLOTS {
        let isobar = start(slots, &origin);
        let mut client = isobar.open("web");
        client.send(GET).expect("sends");
        client.finish_sending().expect("closes its side");
        assert_eq!(head_of(&mut client).status, 200);
        std::thread::sleep(Duration::from_millis(700));
        assert_eq!(in_flight(&isobar), 1.0, "{slots}");
        let began = Instant::now();
        client.reset();
        not_in_flight(&isobar);
        assert!(began.elapsed() < Duration::from_millis(1_500), "{:?}", began.elapsed());
    }
}

/// FIN, and 0.3 s later RST: while the answer is waited for, and in the middle of it.
#[test]
fn a_reset_is_noticed_behind_a_fin() {
    let waits = || Origin::start(after(LONG, "late"));
    let pauses = || {
        Origin::visits(|visit: &mut Visit| {
            let Ok(Some(request)) = visit.read_request() else { return };
            visit.record(request);
            let _ = visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf");
            std::thread::sleep(LONG);
        })
    };
    for origin in [waits(), pauses()] {
        let isobar = start("", &origin);
        let mut client = isobar.open("web");
        client.send(GET).expect("sends");
        wait::until(|| (in_flight(&isobar) == 1.0).then_some(()));
        client.finish_sending().expect("closes its side");
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(in_flight(&isobar), 1.0, "a FIN alone is none");
        let began = Instant::now();
        client.reset();
        not_in_flight(&isobar);
        assert!(began.elapsed() < Duration::from_millis(1_300), "{:?}", began.elapsed());
        assert_eq!(outcome(&isobar, "client_gone"), 1.0);
    }
}

/// The slot stays with the worker, but the request is over: its log line is written.
#[test]
fn a_reset_behind_a_fin_ends_the_exchange_where_the_slot_stays_taken() {
    let origin = Origin::start(after(LONG, "late"));
    let isobar = start("slots: 1, ", &origin);
    let mut client = isobar.open("web");
    client.send(GET).expect("sends");
    wait::until(|| (in_flight(&isobar) == 1.0).then_some(()));
    client.finish_sending().expect("closes its side");
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    client.reset();
    wait::until(|| (isobar.metrics().sum("isobar_worker_abandoned", &[]) == 1.0).then_some(()));
    assert!(began.elapsed() < Duration::from_millis(1_300), "{:?}", began.elapsed());
    assert_eq!(isobar.metrics().sum("isobar_http_requests_total", &[("code", "499")]), 1.0);
}

/// The FIN came while the first worker had the request; that one failed, and the second is busy.
#[test]
fn a_fin_seen_before_the_queue_means_left_in_it() {
    let fails = Origin::start(|_: &Request, _: &mut Visit| {
        std::thread::sleep(Duration::from_millis(900));
        Next::Reset
    });
    let busy = Origin::start(after(LONG, "late"));
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ slots: 1, strategy: least_connections, \
           workers: [{{ name: busy, address: \"{}\", weight: 100 }}, \
                     {{ name: fails, address: \"{}\" }}] }} }}\n",
        busy.address(),
        fails.address()
    ));
    let mut holds = isobar.open("web");
    holds.send(GET).expect("sends");
    assert!(wait::until(|| (busy.connections() + fails.connections() > 0).then_some(true)));
    assert_eq!(busy.connections(), 1, "the heavier one first");
    let mut client = isobar.open("web");
    client.send(GET).expect("sends");
    wait::until(|| (in_flight(&isobar) == 2.0).then_some(()));
    client.finish_sending().expect("closes its side");
    // Another gets the slot of the worker that fails.
    let mut third = isobar.open("web");
    third.send(GET).expect("sends");
    wait::until(|| (isobar.metrics().sum("isobar_pool_queue_depth", &[]) == 1.0).then_some(()));
    let gone =
        || isobar.metrics().sum("isobar_pool_queue_drops_total", &[("reason", "client_gone")]);
    wait::until(|| (gone() == 1.0).then_some(()));
    drop((holds, third));
}

/// Three requests and a FIN at once: three answers, with and without a queue.
#[test]
fn pipelined_requests_behind_a_fin_are_answered() {
    let origin = Origin::start(after(Duration::from_millis(100), "ok"));
    for slots in SLOTS {
        let isobar = start(slots, &origin);
        let mut other = isobar.open("web");
        other.send(GET).expect("sends");
        let mut client = isobar.open("web");
        // The first may have to wait: it is not alone, and its FIN comes when it has its turn.
        client.send(&[GET, GET, GET].concat()).expect("sends");
        head_and_body(&mut client);
        client.finish_sending().expect("closes its side");
        head_and_body(&mut client);
        head_and_body(&mut client);
        assert!(client.read_to_end().expect("a clean end").is_empty());
        assert_eq!(other.response_to("GET").expect("an answer").status, 200);
    }
    let isobar = start("", &origin);
    let mut client = isobar.open("web");
    client.send(&[GET, GET, GET].concat()).expect("sends");
    client.finish_sending().expect("closes its side");
    for _ in 0..3 {
        head_and_body(&mut client);
    }
    // Our own answers, too.
    let isobar = Isobar::start(
        "listeners: { web: { bind: \"127.0.0.1:0\", routes: [ { respond: { status: 200 } } ] } }\n",
    );
    let mut client = isobar.open("web");
    client.send(&[GET, GET, GET].concat()).expect("sends");
    client.finish_sending().expect("closes its side");
    for _ in 0..3 {
        head_and_body(&mut client);
    }
}

/// Whoever closes first, TCP or WebSocket: the other one has 300 ms.
#[test]
fn a_tunnel_of_which_one_side_has_closed_gives_its_slot_back() {
    let timeouts = "timeouts: { half_close: 300ms }";
    let closes = Origin::start(|request: &Request, visit: &mut Visit| {
        // Says its last and keeps the socket, as a process that hangs does.
        if !request.target.starts_with("/ws") {
            return raw(respond(200, b"ok"), Next::Keep)(request, visit);
        }
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        let _ = visit.write(format!("{head}\r\n").as_bytes());
        visit.finish_sending();
        std::thread::sleep(LONG);
        Next::Close
    });
    let stays = Origin::start(|request: &Request, visit: &mut Visit| {
        let next = websocket(request, visit);
        std::thread::sleep(LONG);
        next
    });
    for (origin, client_closes) in [(closes, false), (stays, true)] {
        let isobar = Isobar::start(&format!(
            "shards: 1\n\
             listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app, {timeouts} }} }}\n\
             pools: {{ app: {{ slots: 1, workers: [\"{}\"] }} }}\n",
            origin.address()
        ));
        let mut client = isobar.open("web");
        let head =
            "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        client.send(head.as_bytes()).expect("sends");
        assert_eq!(head_of(&mut client).status, 101);
        if client_closes {
            client.finish_sending().expect("closes its side");
        }
        let began = Instant::now();
        not_in_flight(&isobar);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

#[test]
fn a_tcp_connection_of_which_one_side_has_closed_gives_its_slot_back() {
    for worker_closes in [true, false] {
        let origin = Origin::visits(move |visit: &mut Visit| {
            if worker_closes {
                visit.finish_sending();
            }
            std::thread::sleep(LONG);
        });
        let isobar = Isobar::start(&format!(
            "shards: 1\n\
             listeners: {{ db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db, \
               timeouts: {{ half_close: 300ms }} }} }}\n\
             pools: {{ db: {{ slots: 1, workers: [\"{}\"] }} }}\n",
            origin.address()
        ));
        let client = TcpStream::connect(isobar.address("db")).expect("connects");
        wait::until(|| (origin.connections() == 1).then_some(()));
        if !worker_closes {
            client.shutdown(Shutdown::Write).expect("closes its side");
        }
        let began = Instant::now();
        not_in_flight(&isobar);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    }
}

/// A streamed body keeps its trailers; one that is held whole has a length, and says nothing of them.
#[test]
fn trailers_reach_a_worker_where_the_body_is_chunked() {
    let origin = Origin::visits(|visit: &mut Visit| {
        let Ok(Some(mut request)) = visit.read_head() else { return };
        let chunked = request.header("transfer-encoding").is_some();
        let end: &[u8] = if chunked { b"0\r\n" } else { b"abcd" };
        while http::find(&request.body, end).is_none()
            || (chunked && !request.body.ends_with(b"\r\n\r\n"))
        {
            match visit.read_some() {
                Ok(more) if !more.is_empty() => request.body.extend(more),
                _ => break,
            }
        }
        visit.record(request);
        let _ = visit.write(&respond(200, b"ok"));
    });
    for slots in SLOTS {
        origin.clear();
        let isobar = start(slots, &origin);
        let mut client = isobar.open("web");
        let head = "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers, deflate\r\nTrailer: X-Sum\r\n\
                    Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n";
        client.send(head.as_bytes()).expect("sends");
        std::thread::sleep(Duration::from_millis(100));
        client
            .send(b"0\r\nX-Sum: 42\r\nContent-Length: 7\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n")
            .expect("sends");
        assert_eq!(client.response_to("POST").expect("an answer").status, 200);
        let request = origin.log().pop().expect("one").request;
        assert_eq!(request.header("te"), Some("trailers"), "{}", request.head);
        assert_eq!(request.header("connection"), Some("TE"), "{}", request.head);
        // Held whole or streamed: trailers need chunks to stand behind.
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert!(body.ends_with("0\r\nX-Sum: 42\r\n\r\n"), "{body:?}");
        assert_eq!(request.header("trailer"), Some("X-Sum"));
    }
}

/// Who asks for no trailers, or for another coding, is not said to take some.
#[test]
fn only_trailers_are_passed_on_of_te() {
    let origin = Origin::start(isobar_tests::origin::echo);
    let isobar = start("", &origin);
    for (te, passed) in [("gzip", None), ("Trailers;q=0.5", Some("trailers")), ("", None)] {
        let mut client = isobar.open("web");
        client.ask(&format!("GET / HTTP/1.1\r\nHost: h\r\nTE: {te}\r\nConnection: TE\r\n\r\n"));
        let request = origin.log().pop().expect("one").request;
        assert_eq!(request.header("te"), passed, "{te}: {}", request.head);
    }
}

/// Says nothing after its head, which comes after this long.
fn streams(delay: Duration) -> Origin {
    Origin::visits(move |visit: &mut Visit| {
        let Ok(Some(request)) = visit.read_request() else { return };
        visit.record(request);
        std::thread::sleep(delay);
        let _ = visit.write(STREAM);
        std::thread::sleep(LONG);
    })
}

/// The head alone: a body may never end.
fn head_of(client: &mut Connection) -> http::Response {
    client.response_to("HEAD").expect("a head")
}

#[track_caller]
fn head_and_body(client: &mut Connection) {
    let answer = client.response_to("GET").expect("an answer");
    assert_eq!(answer.status, 200, "{:?}", answer.header("x-isobar-reason"));
}

fn in_flight(isobar: &Isobar) -> f64 {
    isobar.metrics().sum("isobar_worker_in_flight", &[])
}

fn not_in_flight(isobar: &Isobar) {
    wait::until(|| (in_flight(isobar) == 0.0).then_some(()));
}

fn outcome(isobar: &Isobar, outcome: &str) -> f64 {
    isobar.metrics().sum("isobar_worker_requests_total", &[("outcome", outcome)])
}

fn start(pool: &str, origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ {pool}workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
