//! Workers that misbehave (UP rows) and what a client is told, end to end. A client never sees a
//! part of a message as a whole one, nor another client's bytes.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use isobar_tests::black_hole::black_hole;
use isobar_tests::http::encode;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Visit, after, raw, respond};
use isobar_tests::sockets::free_address;
use isobar_tests::wait;

/// An idempotent request goes to another worker; the client sees nothing of it (UP-02, RT-04).
#[test]
fn an_idempotent_request_is_tried_elsewhere() {
    for next in [Next::Close, Next::Reset] {
        for slots in ["", "slots: 1, "] {
            let bad = Origin::start(raw("HTTP/1.1 200 OK\r\nConte", next));
            let good = Origin::start(after(Duration::ZERO, "good"));
            let isobar = workers(slots, &[bad.address(), good.address()]);
            let mut connection = isobar.open("web");
            for id in 0..20 {
                let answer = connection.get(&format!("/{id}")).expect("an answer");
                assert_eq!((answer.status, answer.text().as_str()), (200, "good"));
            }
            assert!(bad.served() > 0);
            assert!(isobar.metrics().sum("isobar_retries_total", &[]) > 0.0);
            // RT-01: a POST is executed once at most.
            let before = bad.served() + good.served();
            let status = connection.request("POST", "/", b"x").expect("an answer").status;
            assert!(matches!(status, 200 | 502), "{status}");
            assert_eq!(bad.served() + good.served() - before, 1);
        }
    }
}

#[test]
fn up_01_a_refused_worker_is_passed_over() {
    let closed = free_address();
    let good = Origin::start(after(Duration::ZERO, "good"));
    let isobar = workers("", &[closed, good.address()]);
    for id in 0..20 {
        // Nothing was written, so a POST may go elsewhere, too.
        let method = if id % 2 == 0 { "GET" } else { "POST" };
        let answer = isobar.open("web").request(method, "/", b"").expect("an answer");
        assert_eq!(answer.status, 200, "{method}");
    }
    let alone = workers("", &[closed]);
    let answer = alone.open("web").get("/").expect("an answer");
    assert!(matches!(answer.status, 502 | 503), "{}", answer.status);
    assert!(answer.header("x-isobar-reason").is_some());
}

/// A full backlog: the connect never completes.
#[test]
fn up_01_a_black_hole_ends_with_the_connect_timeout() {
    let (_filling, hole) = black_hole();
    let isobar = workers("connect_timeout: 300ms, ", &[hole]);
    let began = Instant::now();
    let answer = isobar.open("web").get("/").expect("an answer");
    assert!(matches!(answer.status, 502..=504), "{}", answer.status);
    assert_eq!(answer.header("x-isobar-reason"), Some("connect_timeout"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// What came of a head before its connection ended belongs to no other answer.
#[test]
fn up_02_half_a_head_is_no_part_of_the_next() {
    const HALF: &[u8] =
        b"HTTP/1.1 200 OK\r\nSet-Cookie: of-somebody-else=0123456789abcdef0123456789abcdef\r\nX: ";
    const WHOLE: &[u8] = b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT\r\n\
        Content-Length: 5\r\nContent-Type: text/plain\r\nServer: an-origin\r\n\r\nhello";
    for slots in ["", "slots: 1, "] {
        let visits = AtomicUsize::new(0);
        let origin = Origin::visits(move |visit: &mut Visit| {
            if visits.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                let _ = visit.read_request();
                let _ = visit.write(HALF);
                // The half is read on its own.
                std::thread::sleep(Duration::from_millis(20));
                return visit.close();
            }
            if let Ok(Some(request)) = visit.read_request() {
                visit.record(request);
                let _ = visit.write(WHOLE);
                visit.close();
            }
        });
        let isobar = one_worker(slots, &origin);
        for _ in 0..5 {
            let answer = isobar.open("web").get("/").expect("an answer");
            assert_eq!((answer.status, &*answer.text()), (200, "hello"));
            assert_eq!(answer.all("content-length"), ["5"]);
            assert_eq!(answer.header("set-cookie"), None);
            assert_eq!(answer.header("transfer-encoding"), None);
        }
    }
}

/// UP-10, UP-20: bytes nobody asked for drop the connection; no other client sees them.
#[test]
fn up_10_late_bytes_reach_nobody() {
    for slots in ["", "slots: 1, "] {
        let late = Arc::new(AtomicUsize::new(0));
        let written = late.clone();
        let origin = Origin::visits(move |visit: &mut Visit| {
            while let Ok(Some(request)) = visit.read_request() {
                let answer = respond(200, request.target.as_bytes());
                visit.record(request);
                let _ = visit.write(&answer);
                std::thread::sleep(Duration::from_millis(2));
                let _ = visit.write(&respond(200, b"poison"));
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
        let isobar = one_worker(slots, &origin);
        for id in 0..20 {
            let path = format!("/{id}");
            let answer = isobar.open("web").get(&path).expect("an answer");
            assert_eq!(answer.text(), path);
            // What comes behind the next request is, as far as anybody can tell, the answer to that.
            wait::until(|| (late.load(Ordering::SeqCst) > id).then_some(()));
        }
        // The same in one packet.
        let origin = Origin::start(raw(
            [respond(200, b"mine"), respond(200, b"poison")].concat(),
            Next::Keep,
        ));
        let isobar = one_worker(slots, &origin);
        for _ in 0..20 {
            assert_eq!(isobar.open("web").get("/").expect("an answer").text(), "mine");
        }
    }
}

#[test]
fn up_11_no_body_where_none_may_be() {
    for slots in ["", "slots: 1, "] {
        for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200)] {
            let head = format!("HTTP/1.1 {status} S\r\nContent-Length: 6\r\n\r\n");
            let origin = Origin::start(raw(format!("{head}poison"), Next::Keep));
            let isobar = one_worker(slots, &origin);
            let mut connection = isobar.open("web");
            for _ in 0..5 {
                let answer = connection.request(method, "/", b"").expect("an answer");
                assert_eq!((answer.status, answer.body.len()), (status, 0), "{method}");
            }
        }
    }
}

#[test]
fn up_12_interim_answers_are_passed_on_and_bounded() {
    let origin = Origin::start(raw(
        "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        Next::Keep,
    ));
    let answer = one_worker("", &origin).open("web").get("/").expect("an answer");
    assert_eq!((answer.interim.as_slice(), answer.text().as_str()), ([103].as_slice(), "ok"));

    // Endless, slowly: the deadline of the first byte holds.
    let origin = Origin::visits(|visit| {
        let _ = visit.read_request();
        while visit.write(b"HTTP/1.1 102 Processing\r\n\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let isobar = with_route_timeout("first_byte: 500ms", &origin);
    let began = Instant::now();
    let status = isobar.open("web").request("POST", "/", b"").map(|answer| answer.status);
    assert!(matches!(status, Ok(502 | 504)), "{status:?}");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
}

#[test]
fn up_14_a_refused_upgrade_stays_http() {
    for (status, slots) in [(200, ""), (403, "slots: 1, ")] {
        let origin = Origin::start(raw(respond(status, b"no"), Next::Keep));
        let isobar = one_worker(slots, &origin);
        let mut connection = isobar.open("web");
        for _ in 0..3 {
            connection
                .send(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
                .expect("sends");
            let answer = connection.response_to("GET").expect("an answer");
            assert_eq!((answer.status, answer.text().as_str()), (status, "no"));
        }
    }
}

/// The worker answers and closes before it read the body: the client gets that answer.
#[test]
fn up_15_an_early_answer_is_delivered() {
    let origin = Origin::visits(|visit| {
        let Ok(Some(request)) = visit.read_head() else { return };
        visit.record(request);
        let _ = visit
            .write(b"HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
        visit.finish_sending();
        let _ = visit.read_some();
        visit.close();
    });
    // With slots a worker is asked when the whole upload is here, unless that is off.
    for slots in ["", "slots: 1, buffer: { request: off }, "] {
        let isobar = one_worker(slots, &origin);
        let mut connection = isobar.open("web");
        let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n\r\n";
        connection.send(head.as_bytes()).expect("sends");
        for _ in 0..100 {
            if connection.send(&[b'x'; 10_000]).is_err() {
                break;
            }
        }
        let answer = connection.response_to("POST").expect("the 413");
        assert_eq!((answer.status, answer.text().as_str()), (413, "big"), "{slots}");
    }
}

/// UP-16: the worker closes its idle connection just as the next request comes.
#[test]
fn up_16_a_closing_idle_connection_is_survived() {
    for slots in ["", "slots: 1, "] {
        let executed = Arc::new(AtomicUsize::new(0));
        let seen = executed.clone();
        let origin = Origin::start(move |_, visit| {
            seen.fetch_add(1, Ordering::SeqCst);
            let _ = visit.write(&respond(200, b"ok"));
            std::thread::sleep(Duration::from_micros(fastrand::u64(0..400)));
            Next::Close
        });
        let isobar = one_worker(slots, &origin);
        let mut connection = isobar.open("web");
        for id in 0..300 {
            let method = if id % 3 == 0 { "POST" } else { "GET" };
            let before = executed.load(Ordering::SeqCst);
            let answer = connection.request(method, "/", b"").expect("an answer");
            let runs = executed.load(Ordering::SeqCst) - before;
            match method {
                "GET" => assert_eq!(answer.status, 200),
                _ => assert!(matches!(answer.status, 200 | 502), "{}", answer.status),
            }
            assert!(runs <= 1, "executed {runs} times");
            std::thread::sleep(Duration::from_micros(fastrand::u64(0..400)));
        }
    }
}

#[test]
fn up_17_deadlines_and_streaming() {
    let silent = Origin::start(after(Duration::from_secs(5), "late"));
    let isobar = with_route_timeout("first_byte: 300ms", &silent);
    let answer = isobar.open("web").request("POST", "/", b"").expect("an answer");
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("x-isobar-reason"), Some("first_byte_timeout"));

    let isobar = with_route_timeout("request: 300ms", &silent);
    let answer = isobar.open("web").request("POST", "/", b"").expect("an answer");
    assert_eq!(answer.status, 504);
    assert_eq!(answer.header("x-isobar-reason"), Some("request_timeout"));

    // Pieces come through as they are written.
    let dripping = Origin::visits(|visit| {
        let _ = visit.read_request();
        let _ = visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for _ in 0..3 {
            let _ = visit.write(b"1\r\nx\r\n");
            std::thread::sleep(Duration::from_millis(400));
        }
        let _ = visit.write(b"0\r\n\r\n");
    });
    let isobar = one_worker("", &dripping);
    let mut connection = isobar.open("web");
    connection.send(&encode("GET", "/", b"")).expect("sends");
    let began = Instant::now();
    connection.read_exactly(15).expect("the head, not buffered");
    assert!(began.elapsed() < Duration::from_millis(700), "{:?}", began.elapsed());
}

/// The time-out of the whole exchange is not for streams of events, however they are framed; of
/// anything else it cuts the body as well.
#[test]
fn up_17_the_request_time_out_spares_event_streams_alone() {
    const LENGTHS: [(&str, bool); 4] = [
        ("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked", true),
        ("Content-Type: text/event-stream; charset=utf-8\r\nConnection: close", true),
        ("Content-Type: text/plain\r\nTransfer-Encoding: chunked", false),
        ("Content-Type: text/plain\r\nConnection: close", false),
    ];
    for (fields, whole) in LENGTHS {
        let chunked = fields.contains("chunked");
        let origin = Origin::visits(move |visit| {
            let _ = visit.read_request();
            let _ = visit.write(format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").as_bytes());
            for _ in 0..4 {
                std::thread::sleep(Duration::from_millis(150));
                let _ = visit.write(if chunked { b"1\r\nx\r\n" } else { b"x" });
            }
            let _ = visit.write(if chunked { b"0\r\n\r\n" } else { b"" });
        });
        let isobar = with_route_timeout("request: 300ms", &origin);
        let answer = isobar.open("web").request("GET", "/", b"");
        match whole {
            true => assert_eq!(answer.expect(fields).body, b"xxxx", "{fields}"),
            false => {
                let kinds = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
                let aborted = answer.as_ref().is_err_and(|error| kinds.contains(&error.kind()));
                assert!(aborted, "{fields}: {answer:?}");
            }
        }
    }
}

#[test]
fn hc_02_all_down_is_said_at_once() {
    let closed = free_address();
    let health = "health: { tcp: {}, interval: 100ms, timeout: 100ms, rise: 1, fall: 1 }, ";
    let isobar = workers(health, &[closed]);
    let mut connection = isobar.open("web");
    let began = Instant::now();
    let answer = connection.get("/").expect("an answer");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("x-isobar-reason"), Some("no_worker"));
    assert!(answer.header("retry-after").is_some());
    assert!(began.elapsed() < Duration::from_millis(50), "{:?}", began.elapsed());
    let listener = std::net::TcpListener::bind(closed).expect("it comes back");
    let until = Instant::now() + Duration::from_secs(3);
    while isobar.worker_health("app", &closed.to_string()) != "up" {
        assert!(Instant::now() < until, "{}", isobar.pool("app"));
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(listener);
}

fn one_worker(more: &str, origin: &Origin) -> Isobar {
    workers(more, &[origin.address()])
}

fn workers(more: &str, addresses: &[SocketAddr]) -> Isobar {
    let workers: Vec<String> = addresses.iter().map(|a| format!("\"{a}\"")).collect();
    Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ strategy: round_robin, {more}workers: [{}] }} }}\n",
        workers.join(", ")
    ))
}

fn with_route_timeout(timeout: &str, origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [ {{ pool: app, timeouts: {{ {timeout} }} }} ] }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
