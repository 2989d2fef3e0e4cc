//! What routes do with requests: split, redirect, respond.

use std::time::Duration;

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{closed_loop, failures, get};
use isobar_tests::origin::{Origin, after};

#[test]
fn a_split_is_exact_over_all_shards() {
    for shards in [1, 4] {
        let stable = Origin::start(after(Duration::ZERO, "stable"));
        let canary = Origin::start(after(Duration::ZERO, "canary"));
        let isobar = Isobar::start(&format!(
            "shards: {shards}\n\
             listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [{{ name: r, split: {{ stable: 95, canary: 5 }} }}] }} }}\n\
             pools:\n  stable: {{ workers: [\"{}\"] }}\n  canary: {{ workers: [\"{}\"] }}\n",
            stable.address(),
            canary.address()
        ));
        let shots = closed_loop(isobar.address("web"), 16, 2_000, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        println!("split 95:5, {shards} shard(s): {} and {}", stable.served(), canary.served());
        assert_eq!((stable.served(), canary.served()), (1_900, 100));
        let metrics = isobar.metrics();
        let counted =
            |pool| metrics.sum("isobar_http_requests_total", &[("route", "r"), ("pool", pool)]);
        assert_eq!((counted("stable"), counted("canary")), (1_900.0, 100.0));
    }
}

/// The share of a pool that is gone is answered with an error: nothing hides that it is gone.
#[test]
fn a_split_does_not_move_the_share_of_a_pool_without_workers() {
    let stable = Origin::start(after(Duration::ZERO, "stable"));
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [{{ split: {{ stable: 3, gone: 1 }} }}] }} }}\n\
         pools:\n  stable: {{ workers: [\"{}\"] }}\n  gone: {{ workers: [127.0.0.1:1] }}\n",
        stable.address()
    ));
    let shots = closed_loop(isobar.address("web"), 4, 400, |id| get(format!("/{id}")));
    assert_eq!(failures(&shots, 200).len(), 100);
    assert_eq!(stable.served(), 300);
}

const ANSWERS: &str = "
access_log: { path: ACCESS }
trusted_proxies: [127.0.0.2/32]
listeners:
  web:
    bind: [127.0.0.1:0]
    routes:
      - { name: old, match: { path: /old }, redirect: { to: /new, status: 308 } }
      - { match: { path_prefix: /v1 }, redirect: { path_prefix: /v2 } }
      - { match: { path_prefix: /root }, redirect: { path_prefix: / } }
      - { match: { path_prefix: /away }, redirect: { to: \"https://other.example:8443\", status: 301 } }
      - { match: { path_prefix: /tls }, redirect: { scheme: https } }
      - { name: hello, match: { path: /hello }, respond: { body: \"hello\\n\", headers: { x-a: b } } }
      - { match: { path: /nothing }, respond: 204 }
      - { match: { path: /same }, respond: { status: 304, headers: { etag: '\"a\"' } } }
      - { match: { path: /gone }, respond: { status: 410, body: '{}', content_type: application/json } }
pools: {}
";

fn answers() -> Isobar {
    Isobar::start(&ANSWERS.replace("access_log: { path: ACCESS }\n", ""))
}

fn ask(isobar: &Isobar, request: &str) -> isobar_tests::http::Response {
    let mut connection = isobar.open("web");
    connection.send(request.as_bytes()).expect("sends");
    let method = request.split(' ').next().unwrap_or_default();
    connection.response_to(method).expect("an answer")
}

#[test]
fn a_redirect_leads_where_it_should_and_nowhere_else() {
    let isobar = answers();
    for (target, host, status, location) in [
        ("/old?a=b", "h.example", 308, "/new?a=b"),
        ("/old/../old", "h.example", 308, "/new"),
        ("/v1/users?x=%0d%0aSet-Cookie:%20a", "h", 302, "/v2/users?x=%0d%0aSet-Cookie:%20a"),
        ("/v1", "h", 302, "/v2"),
        ("/v1/", "h", 302, "/v2/"),
        ("/v1/%0d%0aX:%20y", "h", 302, "/v2/%0D%0AX:%20y"),
        ("/root//evil.example/%2e%2e/x", "h", 302, "/x"),
        ("/root//evil.example", "h", 302, "/evil.example"),
        ("/root/%2fevil.example", "h", 302, "/%2Fevil.example"),
        ("/root/%5cevil.example", "h", 302, "/%5Cevil.example"),
        ("/root", "h", 302, "/"),
        ("/away/x?y", "h", 301, "https://other.example:8443/away/x?y"),
        ("/tls/x", "H.Example:8080", 302, "https://h.example/tls/x"),
        ("/tls/x", "[2001:DB8::1]:80", 302, "https://[2001:db8::1]/tls/x"),
        ("/tls/x", "a$b", 400, ""),
        ("http://abs.example/tls/x", "other", 302, "https://abs.example/tls/x"),
        ("/root/\\evil.example", "h", 400, ""),
    ] {
        let answer = ask(&isobar, &format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let said = answer.header("location").unwrap_or_default();
        assert_eq!((answer.status, said), (status, location), "{target} at {host}");
        assert_eq!(answer.all("set-cookie"), [""; 0]);
    }
}

/// However a trusted proxy spells it; from anybody else it is not believed.
#[test]
fn a_redirect_keeps_the_scheme_that_the_client_came_by() {
    for (trusted, said, scheme) in [
        ("[127.0.0.0/8]", "https", "https"),
        ("[127.0.0.0/8]", "HTTPS", "https"),
        ("[127.0.0.0/8]", "http", "http"),
        ("off", "https", "http"),
    ] {
        let isobar = Isobar::start(&format!(
            "trusted_proxies: {trusted}\n\
             listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [{{ redirect: {{ host: b.example }} }}] }} }}\n\
             pools: {{ unused: {{ workers: [127.0.0.1:1] }} }}\n"
        ));
        let answer = ask(
            &isobar,
            &format!("GET /x HTTP/1.1\r\nHost: a.example\r\nX-Forwarded-Proto: {said}\r\n\r\n"),
        );
        let location = answer.header("location").unwrap_or_default();
        assert!(location.starts_with(&format!("{scheme}://b.example")), "{said}: {location}");
    }
}

#[test]
fn an_answer_is_framed_by_its_method_and_status() {
    let isobar = answers();
    let hello = ask(&isobar, "GET /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((hello.status, hello.text().as_str()), (200, "hello\n"));
    assert_eq!(hello.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!((hello.header("x-a"), hello.header("x-isobar-reason")), (Some("b"), None));
    assert!(hello.header("date").is_some_and(|date| date.ends_with(" GMT")), "{hello:?}");

    // One connection serves them all: none leaves a byte behind that it should not.
    let mut connection = isobar.open("web");
    for (method, path, status, length) in [
        ("HEAD", "/hello", 200, Some("6")),
        ("GET", "/nothing", 204, None),
        ("GET", "/same", 304, None),
        ("HEAD", "/gone", 410, Some("2")),
        ("GET", "/gone", 410, Some("2")),
        ("POST", "/hello", 200, Some("6")),
        ("GET", "/old", 308, Some("0")),
        ("GET", "/hello", 200, Some("6")),
    ] {
        let answer = connection.request(method, path, b"").expect("on the same connection");
        assert_eq!((answer.status, answer.header("content-length")), (status, length), "{path}");
        assert_eq!(answer.header("connection"), None);
    }
    let answer = connection.request("POST", "/hello", b"a body that came at once").expect("kept");
    assert_eq!((answer.status, answer.header("connection")), (200, None));
    assert_eq!(connection.get("/hello").expect("kept").status, 200);
}

#[test]
fn an_answer_does_not_wait_for_a_body() {
    let isobar = answers();
    for expect in ["", "Expect: 100-continue\r\n"] {
        let mut connection = isobar.open("web");
        let head =
            format!("POST /old HTTP/1.1\r\nHost: h\r\n{expect}Content-Length: 100000\r\n\r\n");
        connection.send(head.as_bytes()).expect("sends");
        let answer = connection.response_to("POST").expect("at once");
        assert_eq!((answer.status, answer.header("connection")), (308, Some("close")));
        assert_eq!(answer.interim, [0; 0]);
        assert_eq!(connection.read_to_end().expect("closed"), b"");
    }
    let mut pipelined = isobar.open("web");
    pipelined.send(&b"GET /hello HTTP/1.1\r\nHost: h\r\n\r\n".repeat(100)).expect("sends");
    for _ in 0..100 {
        assert_eq!(pipelined.response_to("GET").expect("each").status, 200);
    }
}

#[test]
fn http_1_0_clients_are_told_that_their_connection_is_kept() {
    let isobar = answers();
    for (ask, said) in [("keep-alive", "keep-alive"), ("close", "close")] {
        let mut connection = Connection::open(isobar.address("web")).expect("connects");
        let request = format!("GET /hello HTTP/1.0\r\nConnection: {ask}\r\n\r\n");
        connection.send(request.as_bytes()).expect("sends");
        let answer = connection.response_to("GET").expect("an answer");
        assert_eq!(answer.header("connection"), Some(said));
    }
}

#[test]
fn answers_are_counted_and_logged_without_a_pool() {
    let config = ANSWERS.replace("ACCESS", "./access.log");
    let mut isobar = Isobar::start(&config);
    let mut connection = isobar.open("web");
    for _ in 0..3 {
        assert_eq!(connection.get("/hello").expect("an answer").status, 200);
    }
    assert_eq!(connection.get("/old").expect("an answer").status, 308);
    let metrics = isobar.metrics();
    let labels = |route, code| [("route", route), ("pool", ""), ("code", code)];
    assert_eq!(metrics.sum("isobar_http_requests_total", &labels("hello", "200")), 3.0);
    assert_eq!(metrics.sum("isobar_http_requests_total", &labels("old", "308")), 1.0);
    isobar.signal(rustix::process::Signal::TERM);
    assert!(isobar.wait(Duration::from_secs(10)).is_some());
    let entries = isobar_tests::access_log::read(&isobar.file("access.log"));
    let said: Vec<_> = entries.iter().map(|e| (e.text("route"), e.text("pool"))).collect();
    assert_eq!(said, [("hello", ""), ("hello", ""), ("hello", ""), ("old", "")]);
}
