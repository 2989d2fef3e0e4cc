//! What the log says when something went wrong: who it was, which request, and why, in the words of
//! the parser or the system; and what changed in a pool.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, raw};
use isobar_tests::proxy::Proxy;
use isobar_tests::scratch::Scratch;

const PATIENCE: Duration = Duration::from_secs(5);

fn before(worker: &str, more: &str) -> Isobar {
    Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [ {{ name: w1, address: \"{worker}\" }} ], {more} }} }}\n"
    ))
}

/// The first line of the log that has all of these words.
#[track_caller]
fn line(isobar: &Isobar, words: &[&str]) -> String {
    let line = isobar.wait_for_line(words, PATIENCE);
    line.unwrap_or_else(|| panic!("no line with {words:?} in\n{}", isobar.stderr()))
}

#[test]
fn a_bad_answer_is_told_of_with_worker_request_and_rule() {
    type Case = (&'static str, Next, &'static str, &'static str);
    let cases: [Case; 6] = [
        ("hello\r\n\r\n", Next::Close, "bad_response", "status line: found"),
        ("HTTP/1.1 200 OK\r\na b: c\r\n\r\n", Next::Close, "bad_response", "field line: found"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
            Next::Close,
            "bad_response",
            "found 1 and 2",
        ),
        ("", Next::Close, "reset_before_head", "ended before the response's head"),
        ("", Next::Reset, "reset_before_head", "Connection reset by peer"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
            Next::Close,
            "bad_response",
            "chunk: found",
        ),
    ];
    for (answer, next, reason, words) in cases {
        let origin = Origin::start(raw(answer.as_bytes().to_vec(), next));
        let isobar = before(&origin.address().to_string(), "");
        let answer = isobar.open("web").request("POST", "/", b"");
        let line = line(&isobar, &["WARN", reason, words]);
        assert!(line.contains("worker=\"w1\"") && line.contains("pool=\"app\""), "{line}");
        let Ok(answer) = answer else { continue };
        if let Some(id) = answer.header("x-request-id") {
            assert!(line.contains(id), "{id} in {line}");
        }
        assert!(!answer.text().contains(words), "a client learns nothing of it");
    }
}

#[test]
fn a_crowd_of_bad_answers_is_a_few_lines() {
    let origin = Origin::start(raw(b"hello\r\n\r\n".to_vec(), Next::Close));
    let isobar = before(&origin.address().to_string(), "");
    let mut connection = isobar.open("web");
    for _ in 0..100 {
        assert_eq!(connection.request("POST", "/", b"").expect("an answer").status, 502);
    }
    line(&isobar, &["WARN", "bad_response"]);
    let told = isobar.stderr().lines().filter(|line| line.contains("bad_response")).count();
    assert!(told < 20, "{told} lines");
}

#[test]
fn a_refused_request_is_told_which_rule_it_broke() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = before(&origin.address().to_string(), "");
    let cases = [
        ("GET / HTTP/1.1\nHost: h\r\n\r\n", 400, "bare LF"),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400, "field line: found `Host : h`"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "Host: found"),
        ("GET / HTTP/1.1\r\nHost: h\r\nCookie: secret\u{1}\r\n\r\n", 400, "found `Cookie: …`"),
        ("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: x\r\n secret\r\n\r\n", 400, "found ` …`"),
        ("GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key: secret\u{1}\r\n\r\n", 400, "`X-Api-Key: …`"),
        ("GET http://u:secret@h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400, "found `http://…@h/`"),
        ("GET /?secret HTTP/1.1 x\r\nHost: h\r\n\r\n", 400, "found `GET /?…`"),
        ("GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400, "hexadecimal digits"),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, "HTTP/1 only"),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "exactly `chunked`"),
        (
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400,
            "chunk: found",
        ),
    ];
    for (request, status, words) in cases {
        let mut connection = isobar.open("web");
        let answer = connection.ask(request);
        let line = line(&isobar, &["INFO", words]);
        assert_eq!(answer.status, status, "{request:?}");
        assert!(answer.text().contains(words), "{}", answer.text());
        let id = answer.header("x-request-id").expect("every refusal has one");
        assert!(line.contains(id) && line.contains("127.0.0.1"), "{line}");
    }
    assert!(!isobar.stderr().contains("secret"), "{}", isobar.stderr());
}

/// `connect_refused` is said of refusals only.
#[test]
fn a_connect_error_keeps_its_own_words() {
    let scratch = Scratch::new();
    let path = scratch.file("datagrams.sock");
    let _other = UnixDatagram::bind(&path).expect("binds");
    let isobar = before(&format!("unix:{}", path.display()), "");
    let answer = isobar.open("web").get("/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-isobar-reason")), (502, Some("no_worker")));
    let told = line(&isobar, &["WARN", "worker failed", "Protocol wrong type for socket"]);
    assert!(told.contains("w1") && !told.contains("connect_refused"), "{told}");
    let cause = isobar.pool("app")["workers"][0]["cause"].to_string();
    assert!(cause.contains("Protocol wrong type"), "{cause}");
    assert!(!isobar.stderr().contains("connect_refused"), "{}", isobar.stderr());

    let isobar = before(&format!("unix:{}", scratch.file("none.sock").display()), "");
    let answer = isobar.open("web").get("/").expect("an answer");
    assert_eq!(answer.header("x-isobar-reason"), Some("connect_refused"));
    line(&isobar, &["WARN", "there is no such socket", "w1"]);
}

#[test]
fn a_tcp_client_without_a_worker_leaves_a_line() {
    let isobar = Isobar::start(
        "listeners: { web: { bind: \"127.0.0.1:0\", protocol: tcp, pool: app } }\n\
         pools: { app: { workers: [ { name: w1, address: \"127.0.0.1:1\" } ] } }\n",
    );
    let mut connection = isobar.open("web");
    let _ = connection.read_to_end();
    line(&isobar, &["WARN", "worker failed: connection refused", "w1"]);
}

#[test]
fn a_worker_that_goes_down_is_a_warning_and_a_pool_without_any_an_error() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let health = "health: { http: { path: / }, interval: 50ms, fall: 1 }";
    let isobar = before(&origin.address().to_string(), health);
    assert_eq!(isobar.open("web").get("/").expect("served").status, 200);
    drop(origin);
    line(&isobar, &["WARN", "pool changed", "w1: up -> down"]);
    line(&isobar, &["ERROR", "no worker of the pool can serve", "app"]);
}

#[test]
fn a_reload_says_what_it_changed_in_a_pool() {
    let config = |workers: &str| {
        format!(
            "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
             pools: {{ app: {{ workers: [ {workers} ] }} }}\n"
        )
    };
    let one = "{ name: a, address: \"127.0.0.1:1\" }";
    let isobar = Isobar::start(&config(one));
    line(&isobar, &["pool changed", "a: added"]);
    let edits = [
        ("{ name: a, address: \"127.0.0.1:1\", weight: 3 }", "a: weight default -> 3"),
        ("{ name: a, address: \"127.0.0.1:1\", slots: 2 }", "slots no limit -> 2"),
        (
            "{ name: a, address: \"127.0.0.1:1\", slots: 2 }, { name: b, address: \"127.0.0.1:2\" }",
            "b: added",
        ),
        ("{ name: b, address: \"127.0.0.1:2\" }", "a: removed"),
        ("{ name: b, address: \"127.0.0.1:3\" }", "b: address 127.0.0.1:2 -> 127.0.0.1:3"),
        ("{ name: b, address: \"127.0.0.1:3\", tier: 1 }", "tier 0 -> 1"),
    ];
    for (workers, said) in edits {
        isobar.rewrite(&config(workers));
        assert!(isobar.command(&["reload"]).status.success());
        line(&isobar, &["pool changed", said]);
    }
    assert!(isobar.command(&["weight", "app", "b", "7"]).status.success());
    line(&isobar, &["pool changed", "b: weight default -> 7"]);
    assert!(!isobar.stderr().contains("changes=\"\""), "{}", isobar.stderr());
}

#[test]
fn proxy_writes_an_access_log_if_asked() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let mut proxy = Proxy::start(origin.address(), &["--access-log"]);
    assert_eq!(proxy.get("/x").status, 200);
    let line = proxy.first_line();
    assert!(line.starts_with('{') && line.contains("\"path\":\"/x\""), "{line}");
}
