//! Hostile requests end to end, by raw sockets; each case carries the id of its row. First what is
//! refused (nothing of it reaches a worker, the connection closes), then what is passed on and how.

use std::time::{Duration, Instant};

use isobar_tests::http::{Connection, Response, encode};
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, echo, respond};

/// Id, what it is, the bytes, and the statuses that are right.
type Refusal = (&'static str, &'static str, Vec<u8>, &'static [u16]);

#[test]
fn refused_requests_reach_no_worker() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "");
    let mut wrong = Vec::new();
    let cases = refusals();
    let count = cases.len();
    for (id, what, bytes, right) in cases {
        let before = origin.connections();
        let mut connection = isobar.open("web");
        connection.set_patience(Duration::from_secs(3)).expect("set");
        // It may close before it has read everything.
        let _ = connection.send(&bytes);
        let method = if bytes.starts_with(b"HEAD") { "HEAD" } else { "GET" };
        let status = match connection.response_to(method) {
            Ok(answer) => answer.status,
            Err(error) => {
                wrong.push(format!("{id} {what}: no answer ({error})"));
                continue;
            }
        };
        if !right.contains(&status) {
            wrong.push(format!("{id} {what}: {status} instead of {right:?}"));
        }
        if connection.read_to_end().is_ok_and(|rest| !rest.is_empty()) {
            wrong.push(format!("{id} {what}: more bytes after the refusal"));
        }
        if origin.connections() != before || origin.served() > 0 {
            wrong.push(format!("{id} {what}: reached a worker: {:?}", origin.log()));
            origin.clear();
        }
    }
    println!("refused requests: {count} cases, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn refusals() -> Vec<Refusal> {
    let post = |fields: &str, body: &str| {
        format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n{body}").into_bytes()
    };
    let chunked = |body: &str| post("Transfer-Encoding: chunked", body);
    let get = |fields: &str| format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n").into_bytes();
    let line = |line: &str| format!("{line}\r\nHost: h\r\n\r\n").into_bytes();
    let many = |count: usize| {
        let fields: String = (0..count).map(|i| format!("x{i}: 1\r\n")).collect();
        format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n").into_bytes()
    };
    const BAD: &[u16] = &[400];
    let mut cases: Vec<Refusal> = vec![
        ("H1-01", "two lengths", post("Content-Length: 1\r\nContent-Length: 2", "ab"), BAD),
        ("H1-01", "a list of lengths", post("Content-Length: 1, 2", "ab"), BAD),
        ("H1-04", "2^64+1", post("Content-Length: 18446744073709551617", ""), &[400, 413]),
        (
            "H1-05",
            "both",
            post("Content-Length: 3\r\nTransfer-Encoding: chunked", "0\r\n\r\n"),
            BAD,
        ),
        ("H1-06", "chunked is not last", post("Transfer-Encoding: chunked, gzip", ""), &[400, 501]),
        ("H1-07", "gzip, chunked", post("Transfer-Encoding: gzip, chunked", ""), &[400, 501]),
        (
            "H1-10",
            "1.0",
            b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_vec(),
            BAD,
        ),
        ("H1-15", "bare LF", b"GET / HTTP/1.1\nHost: h\n\n".to_vec(), BAD),
        ("H1-15", "one bare LF", b"GET / HTTP/1.1\r\nHost: h\na: b\r\n\r\n".to_vec(), BAD),
        ("H1-16", "bare CR", get("a: b\rc: d"), BAD),
        ("H1-17", "NUL", get("a: b\0c"), BAD),
        ("H1-17", "a control character", get("a: b\x01c"), BAD),
        ("H1-18", "space before the colon", get("a : b"), BAD),
        ("H1-18", "tab before the colon", get("Transfer-Encoding\t: chunked"), BAD),
        ("H1-19", "a fold", get("a: b\r\n c"), BAD),
        (
            "H1-20",
            "space before the first field",
            b"GET / HTTP/1.1\r\n Host: h\r\n\r\n".to_vec(),
            BAD,
        ),
        ("H1-21", "no colon", get("abc"), BAD),
        ("H1-21", "no name", get(": b"), BAD),
        ("H1-22", "no Host", b"GET / HTTP/1.1\r\n\r\n".to_vec(), BAD),
        ("H1-22", "two Hosts", get("Host: i"), BAD),
        ("H1-24", "authority-form", line("GET h:80 HTTP/1.1"), BAD),
        ("H1-24", "asterisk", line("GET * HTTP/1.1"), BAD),
        ("H1-24", "no slash", line("GET index HTTP/1.1"), BAD),
        ("H1-25", "fragment", line("GET /a#b HTTP/1.1"), BAD),
        ("H1-26", "tab", line("GET\t/ HTTP/1.1"), BAD),
        ("H1-26", "two spaces", line("GET  / HTTP/1.1"), BAD),
        ("H1-26", "lower case", line("GET / http/1.1"), &[400, 505]),
        ("H1-26", "1.12", line("GET / HTTP/1.12"), &[400, 505]),
        ("H1-26", "2.0", line("GET / HTTP/2.0"), &[400, 505]),
        ("H1-26", "a control character", line("GET /\x01 HTTP/1.1"), BAD),
        ("H1-27", "0.9", b"GET /\r\n\r\n".to_vec(), BAD),
        ("H1-27", "0.9, which has no empty line", b"GET /\r\n".to_vec(), BAD),
        (
            "H1-28",
            "a TLS hello",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
            BAD,
        ),
        ("H1-28", "the h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), &[400, 505]),
        ("H1-29", "a long target", line(&format!("GET /{} HTTP/1.1", "a".repeat(9 << 10))), &[414]),
        ("H1-29", "a long field", get(&format!("a: {}", "b".repeat(40 << 10))), &[431]),
        ("H1-29", "many fields", many(150), &[431]),
        ("H1-30", "20,000 tiny fields", many(20_000), &[431]),
        ("H1-39", "CONNECT", b"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n".to_vec(), &[405, 501]),
        ("H1-40", "TRACE", line("TRACE / HTTP/1.1"), &[405]),
        (
            "H1-40",
            "OPTIONS that may go no further",
            b"OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n".to_vec(),
            &[405],
        ),
        ("H1-41", "no token", line("G@T / HTTP/1.1"), BAD),
        ("PT-04", "a raw NUL", line("GET /a\0b HTTP/1.1"), BAD),
    ];
    for value in ["+3", "-1", "0x3", "1_0", "", "1 2", "3 ;", "٣"] {
        cases.push(("H1-03", "a length", post(&format!("Content-Length: {value}"), "abc"), BAD));
    }
    for value in ["chunked, chunked", ",chunked", "identity, chunked", "chunked,", "identity"] {
        let bytes = post(&format!("Transfer-Encoding: {value}"), "0\r\n\r\n");
        cases.push(("H1-08", "a coding", bytes, &[400, 501]));
    }
    for value in
        ["xchunked", "\"chunked\"", "\x0bchunked", "chunked\u{a0}", "chunked;a=b", "chunked x"]
    {
        let bytes = post(&format!("Transfer-Encoding: {value}"), "0\r\n\r\n");
        cases.push(("H1-09", "a coding in disguise", bytes, &[400, 501]));
    }
    for size in ["0x3", "+3", "0_3", " 3", "", "-1", "fffffffffffffffff", "3 3"] {
        cases.push(("H1-12", "a chunk size", chunked(&format!("{size}\r\nabc\r\n0\r\n\r\n")), BAD));
    }
    for body in ["3;a\n\r\nabc\r\n0\r\n\r\n", "3;a=\rb\r\nabc\r\n0\r\n\r\n"] {
        cases.push(("H1-13", "a chunk extension", chunked(body), BAD));
    }
    let long = format!("3;{}\r\nabc\r\n0\r\n\r\n", "e".repeat(1 << 20));
    cases.push(("H1-13", "a mebibyte of extension", chunked(&long), &[400, 413, 431]));
    cases.push(("H1-14", "data without CRLF", chunked("3\r\nabcd\r\n0\r\n\r\n"), BAD));
    for host in ["a, b", "u@h", "h/p", "h i", "h:65536", "h:x", "[::1", "a\u{e9}b", "h?q"] {
        let bytes = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes();
        cases.push(("H1-22", "a Host", bytes, BAD));
    }
    cases
}

#[test]
fn h1_02_equal_lengths_are_one_or_refused() {
    let (_isobar, answer) =
        send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab");
    match answer.status {
        200 => assert_eq!(answer.text().matches("ontent-").count(), 1, "{}", answer.text()),
        other => assert_eq!(other, 400),
    }
}

#[test]
fn h1_11_an_old_post_without_a_length_has_no_body() {
    let (_isobar, answer) = send(b"POST / HTTP/1.0\r\nHost: h\r\n\r\nGET /x HTTP/1.1\r\n\r\n");
    assert_eq!(answer.status, 200);
    assert!(!answer.text().contains("/x"), "{}", answer.text());
}

#[test]
fn h1_23_the_authority_of_an_absolute_target_wins() {
    let (_isobar, answer) = send(b"GET http://real.example/p HTTP/1.1\r\nHost: other\r\n\r\n");
    let seen = answer.text();
    assert!(seen.starts_with("GET /p HTTP/1.1\r\n"), "{seen}");
    assert!(seen.contains("ost: real.example\r\n") && !seen.contains("other"), "{seen}");
}

#[test]
fn h1_31_trailers_never_become_headers() {
    let (_isobar, answer) = send(
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\
          Host: evil\r\nContent-Length: 9\r\nAuthorization: evil\r\nTransfer-Encoding: evil\r\n\r\n",
    );
    let seen = answer.text();
    assert_eq!(answer.status, 200, "{seen}");
    assert!(!seen.contains("evil") && seen.ends_with("abc"), "{seen}");
}

#[test]
fn h1_33_ten_thousand_pipelined_requests_stay_in_order() {
    const COUNT: usize = 10_000;
    let origin = Origin::start(|request, visit| {
        match visit.write(&respond(200, request.target.as_bytes())) {
            Ok(()) => Next::Keep,
            Err(_) => Next::Close,
        }
    });
    let isobar = start(&origin, "");
    let address = isobar.address("web");
    let stream = std::net::TcpStream::connect(address).expect("connects");
    let mut writer = stream.try_clone().expect("a twin");
    let all: Vec<u8> = (0..COUNT).flat_map(|i| encode("GET", &format!("/{i}"), b"")).collect();
    let writing = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &all));
    let mut connection = Connection::over(stream).expect("a connection");
    for i in 0..COUNT {
        let answer = connection.response_to("GET").expect("an answer");
        assert_eq!(answer.text(), format!("/{i}"));
    }
    writing.join().expect("the writer").expect("all written");
    assert!(origin.wait_for(COUNT, Duration::from_secs(5)), "{}", origin.served());
    assert!(origin.most_at_once() <= 1, "one at a time");
}

#[test]
fn h1_34_expect_never_deadlocks() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "");
    // A client that waits for 100 before it sends.
    let mut waits = isobar.open("web");
    waits.set_patience(Duration::from_secs(5)).expect("set");
    waits
        .send(b"POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        .expect("sends");
    let interim = waits.read_exactly(12).expect("an interim answer");
    assert_eq!(interim, b"HTTP/1.1 100");
    waits.read_exactly(b" Continue\r\n\r\n".len()).expect("its end");
    waits.send(b"abc").expect("sends");
    let answer = waits.response_to("POST").expect("the answer");
    assert_eq!(answer.status, 200);
    assert!(answer.text().ends_with("abc"));
    // Anything else in Expect.
    for value in ["200-maybe", "100-continued", "x100-continue"] {
        let mut connection = isobar.open("web");
        let bytes =
            format!("POST / HTTP/1.1\r\nHost: h\r\nExpect: {value}\r\nContent-Length: 0\r\n\r\n");
        connection.send(bytes.as_bytes()).expect("sends");
        let status = connection.response_to("POST").expect("an answer").status;
        assert!(matches!(status, 200 | 417), "{value}: {status}");
    }
}

#[test]
fn h1_35_a_body_on_get_keeps_its_framing() {
    for method in ["GET", "DELETE", "OPTIONS"] {
        let bytes = format!("{method} / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
        let (_isobar, answer) = send(bytes.as_bytes());
        let seen = answer.text();
        let whole = answer.status == 200 && seen.ends_with("abc");
        assert!(answer.status == 400 || whole, "{method}: {seen}");
    }
}

/// The answer came before the body was read: what is left is never a request.
#[test]
fn h1_36_a_leftover_body_is_never_a_request() {
    let origin = Origin::visits(|visit| {
        while let Ok(Some(request)) = visit.read_head() {
            let early = request.method == "POST";
            visit.record(request);
            let _ = visit.write(&respond(if early { 413 } else { 200 }, b""));
            if early {
                return visit.close();
            }
        }
    });
    let isobar = start(&origin, "");
    let mut connection = isobar.open("web");
    let smuggled = b"GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3_000);
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", smuggled.len());
    connection.send(head.as_bytes()).expect("sends");
    connection.send(&smuggled[..200]).expect("sends");
    let status = connection.response_to("POST").map(|answer| answer.status);
    let _ = connection.send(&smuggled[200..]);
    let _ = connection.read_to_end();
    assert_eq!(status.expect("the early answer"), 413);
    assert!(
        origin.log().iter().all(|record| record.request.method == "POST"),
        "{:?}",
        origin.log()
    );
}

#[test]
fn h1_37_bytes_after_an_upgrade_wait_for_the_101() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::visits(move |visit| {
        let Ok(Some(request)) = visit.read_head() else { return };
        std::thread::sleep(Duration::from_millis(200));
        let refuse = request.target == "/refuse";
        let answer: &[u8] = match refuse {
            true => b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            false => b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        };
        let _ = visit.write(answer);
        let rest = visit.read_exactly(if refuse { 1 } else { 5 }).unwrap_or_default();
        let _ = tell.lock().expect("tell").send(rest);
    });
    let isobar = start(&origin, "");
    let upgrade = |path: &str| {
        let head = "HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nearly";
        let mut connection = isobar.open("web");
        connection.send(format!("GET {path} {head}").as_bytes()).expect("sends");
        let status = connection.response_to("GET").expect("an answer").status;
        (status, connection, told.recv_timeout(Duration::from_secs(10)).expect("the rest"))
    };
    let (status, _open, rest) = upgrade("/accept");
    assert_eq!((status, rest.as_slice()), (101, b"early".as_slice()));
    // Refused: the bytes are the client's next request, or the end; never the worker's.
    let (status, _open, rest) = upgrade("/refuse");
    assert_eq!((status, rest.as_slice()), (403, b"".as_slice()));
}

#[test]
fn h1_38_h2c_is_not_forwarded() {
    let (_isobar, answer) = send(
        b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
    );
    let seen = answer.text().to_lowercase();
    assert!(!seen.contains("h2c") && !seen.contains("http2-settings"), "{seen}");
}

#[test]
fn h1_41_an_unknown_method_is_forwarded() {
    let (_isobar, answer) = send(b"BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n");
    assert!(answer.text().starts_with("BREW /pot HTTP/1.1\r\n"), "{}", answer.text());
}

#[test]
fn h1_42_a_client_that_half_closes_is_answered() {
    let origin = Origin::start(after(Duration::from_millis(200), "ok"));
    let isobar = start(&origin, "");
    let mut connection = isobar.open("web");
    connection.send(&encode("GET", "/", b"")).expect("sends");
    connection.finish_sending().expect("half-closes");
    assert_eq!(connection.response_to("GET").expect("answered").status, 200);
}

#[test]
fn h1_43_a_reset_in_an_upload_reaches_the_worker_within_a_second() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::visits(move |visit| {
        let Ok(Some(request)) = visit.read_head() else { return };
        let _ = visit.read_body(&request);
        let _ = tell.lock().expect("tell").send(Instant::now());
    });
    let isobar = start(&origin, "");
    let mut connection = isobar.open("web");
    connection
        .send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\nsome")
        .expect("sends");
    std::thread::sleep(Duration::from_millis(100));
    connection.reset();
    let began = Instant::now();
    told.recv_timeout(Duration::from_secs(5)).expect("the worker's request ended");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    wait_until(|| isobar.metrics().sum("isobar_worker_in_flight", &[]) == 0.0);
}

/// The worker pauses in the middle of its answer, as an event stream does between two events.
#[test]
fn h1_43_a_reset_in_a_quiet_download_reaches_the_worker_within_a_second() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let origin = Origin::visits(move |visit| {
        let Ok(Some(_)) = visit.read_request() else { return };
        let _ = visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
        let _ = visit.read_to_end();
        let _ = tell.lock().expect("tell").send(Instant::now());
    });
    for fin in ["answer", "abort"] {
        let isobar = start(&origin, &format!(", client_fin: {fin}"));
        let mut connection = isobar.open("web");
        connection.send(&encode("GET", "/", b"")).expect("sends");
        connection.read_exactly(50).expect("the answer has begun");
        let began = Instant::now();
        match fin {
            "abort" => connection.finish_sending().expect("half-closes"),
            _ => connection.reset(),
        }
        told.recv_timeout(Duration::from_secs(5)).expect("the worker's request ended");
        assert!(began.elapsed() < Duration::from_secs(1), "{fin}: {:?}", began.elapsed());
        wait_until(|| isobar.metrics().sum("isobar_worker_in_flight", &[]) == 0.0);
    }
}

/// A half-closed client still gets the rest of an answer that pauses, and its connection ends.
#[test]
fn h1_42_a_half_close_in_a_quiet_download_cuts_nothing() {
    let origin = Origin::visits(|visit| {
        let Ok(Some(_)) = visit.read_request() else { return };
        let _ = visit.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
        std::thread::sleep(Duration::from_millis(300));
        let _ = visit.write(b"2\r\ncd\r\n0\r\n\r\n");
    });
    let isobar = start(&origin, "");
    let mut connection = isobar.open("web");
    connection.send(&encode("GET", "/", b"")).expect("sends");
    std::thread::sleep(Duration::from_millis(100));
    connection.finish_sending().expect("half-closes");
    assert_eq!(connection.response_to("GET").expect("answered").body, b"abcd");
    assert!(connection.read_to_end().expect("a clean end").is_empty());
}

fn wait_until(holds: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < until, "it never held");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends to an echoing worker on a proxy of its own.
fn send(bytes: &[u8]) -> (Isobar, Response) {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "");
    let mut connection = isobar.open("web");
    connection.send(bytes).expect("sends");
    let answer = connection.response_to("GET").expect("an answer");
    (isobar, answer)
}

fn start(origin: &Origin, more: &str) -> Isobar {
    Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app{more} }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
