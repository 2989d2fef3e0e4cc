//! Filters: each one's main behaviour and its errors, against real workers.

use isobar_tests::access_log;
use isobar_tests::http::{Connection, Response};
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, echo, raw};

/// One listener `web` with these filters before one route `all` to a pool of that origin.
fn start(origin: &Origin, filters: &str) -> Isobar {
    start_with(origin, "", &format!("routes: [ {{ name: all, pool: app, filters: {filters} }} ]"))
}

/// Where `top` is of the whole file and `listener` of the listener.
fn start_with(origin: &Origin, top: &str, listener: &str) -> Isobar {
    Isobar::start(&format!(
        "{top}\naccess_log: {{ format: json, path: ./access.log }}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", {listener} }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}

fn ask(connection: &mut Connection, request: &str) -> Response {
    connection.send(request.as_bytes()).expect("sends");
    let method = request.split(' ').next().expect("a method");
    connection.response_to(method).expect("an answer")
}

fn get(isobar: &Isobar, fields: &str) -> Response {
    ask(&mut isobar.open("web"), &format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
}

fn requests(isobar: &Isobar, labels: &[(&str, &str)]) -> f64 {
    isobar.metrics().sum("isobar_http_requests_total", labels)
}

#[test]
fn headers_are_edited_both_ways_also_on_our_own_answers() {
    let origin = Origin::start(|request, visit| match &*request.target {
        "/gone" => Next::Reset,
        _ => echo(request, visit),
    });
    let filter = "[ { headers: { request: { remove: cookie, set: { X-Env: prod }, add: { Accept: b/c } }, \
        response: { set: { X-Frame-Options: DENY, X-Request-Id: \"-\" }, remove: Content-Language } } } ]";
    let isobar = start(&origin, filter);
    let answer = get(&isobar, "Cookie: a=b\r\nx-env: evil\r\nAccept: a/b\r\n");
    let seen = answer.text();
    assert!(!seen.contains("Cookie") && !seen.contains("evil"), "{seen}");
    assert!(seen.contains("\r\nX-Env: prod\r\n"), "{seen}");
    assert!(seen.contains("\r\nAccept: a/b\r\n") && seen.contains("\r\nAccept: b/c\r\n"), "{seen}");
    assert_eq!(answer.all("x-frame-options"), ["DENY"]);

    // A HEAD, a connection that is kept, and an error that is ours.
    let mut connection = isobar.open("web");
    let head = ask(&mut connection, "HEAD /gone HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((head.status, head.header("x-frame-options")), (502, Some("DENY")));
    let error = ask(&mut connection, "GET /gone HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(error.header("x-isobar-reason"), Some("reset_before_head"));
    assert_eq!((error.status, error.all("x-frame-options")), (502, vec!["DENY"]));
    assert_eq!(error.text(), "502 Bad Gateway: reset_before_head\n");
    assert_eq!(connection.get("/").expect("still open").status, 200);
}

#[test]
fn listener_filters_come_first_and_see_what_no_route_takes() {
    let origin = Origin::start(echo);
    let isobar = start_with(
        &origin,
        "",
        "filters: [ { headers: { request: { set: { X-A: listener } }, response: { set: { X-B: listener } } } } ], \
         routes: [ { match: { path: /in }, pool: app, \
         filters: [ { headers: { request: { set: { X-A: route } }, response: { set: { X-B: route } } } } ] } ]",
    );
    let mut connection = isobar.open("web");
    let answer = connection.get("/in").expect("an answer");
    assert!(answer.text().contains("X-A: route\r\n"), "{}", answer.text());
    // The other way round on the way back.
    assert_eq!(answer.all("x-b"), ["listener"]);
    let answer = connection.get("/out").expect("an answer");
    assert_eq!((answer.status, answer.header("x-b")), (404, Some("listener")));
}

#[test]
fn allow_and_deny_judge_the_client_past_trusted_proxies() {
    let origin = Origin::start(echo);
    let isobar = start_with(
        &origin,
        "trusted_proxies: 127.0.0.0/8",
        "filters: [ { deny: [10.0.0.13, \"2001:db8::/32\"] }, { allow: [10.0.0.0/8, \"2001:db8::/31\"] } ], pool: app",
    );
    for (client, status) in [
        ("10.1.2.3", 200),
        ("10.0.0.13", 403),
        ("192.0.2.1", 403),
        ("2001:db9::1", 200),
        ("2001:db8::1", 403),
        ("::ffff:10.0.0.13", 403),
        ("10.0.0.13, 10.1.2.3", 200),
        ("junk", 403),
    ] {
        let answer =
            get(&isobar, &format!("X-Forwarded-For: {client}\r\nX-Request-Id: of-{client}\r\n"));
        assert_eq!(answer.status, status, "{client}");
        if status == 403 {
            assert_eq!(answer.header("x-isobar-reason"), Some("denied"));
            assert_eq!(answer.text(), "403 Forbidden: denied\n");
        }
    }
    assert_eq!(origin.served(), 3);
    assert_eq!(requests(&isobar, &[("route", "all"), ("pool", ""), ("code", "403")]), 5.0);
    assert_eq!(requests(&isobar, &[("route", "all"), ("pool", "app"), ("code", "200")]), 3.0);
    let pool = isobar.metrics().sum("isobar_worker_requests_total", &[("pool", "app")]);
    assert_eq!(pool, 3.0, "an answer of a filter takes no lease");

    let path = isobar.file("access.log");
    let log = until(|| Some(access_log::read(&path)).filter(|log| log.len() == 8));
    let denied: Vec<_> = log.iter().filter(|entry| entry.text("reason") == "denied").collect();
    assert_eq!(denied.len(), 5);
    for entry in denied {
        assert_eq!((entry.text("route"), entry.text("pool")), ("all", ""));
        assert_eq!((entry.number("status"), entry.number("attempts")), (Some(403.0), Some(0.0)));
        assert!(!entry.text("request_id").is_empty());
    }
    assert!(log.iter().any(|entry| entry.text("request_id") == "of-10.0.0.13"));
}

#[test]
fn max_body_refuses_what_is_announced_and_what_comes() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "[ { max_body: 10 } ]");
    let mut connection = isobar.open("web");
    assert_eq!(connection.request("POST", "/", b"0123456789").expect("an answer").status, 200);
    let announced = ask(
        &mut connection,
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!((announced.status, &announced.interim[..]), (413, &[][..]));
    assert_eq!(announced.header("x-isobar-reason"), Some("body_too_large"));
    let chunked = |body: &str| {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        ask(&mut isobar.open("web"), &format!("{head}{body}")).status
    };
    assert_eq!(chunked("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), 200);
    assert_eq!(chunked("5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n"), 413);
    let served = origin.served();
    assert_eq!(served, 2, "what is too large reaches no worker whole");
}

fn until<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(std::time::Instant::now() < patience, "it did not happen within 10 s");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[test]
fn an_unrelated_answer_passes_untouched() {
    let origin =
        Origin::start(raw("HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 2\r\n\r\nok", Next::Keep));
    let plain = start_with(&origin, "", "pool: app");
    let filtered = start(&origin, "[ { max_body: 1MiB }, { deny: 192.0.2.0/24 } ]");
    let (one, other) = (get(&plain, ""), get(&filtered, ""));
    assert_eq!((one.headers, one.body), (other.headers, other.body));
}
