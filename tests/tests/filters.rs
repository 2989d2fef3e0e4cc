//! Filters: each one's main behaviour and its errors, against real workers. Compression has a file of
//! its own.

use std::time::{Duration, Instant};

use isobar_tests::access_log;
use isobar_tests::http::{Connection, Response};
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, echo, raw};
use isobar_tests::wait::until;

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

fn get(isobar: &Isobar, fields: &str) -> Response {
    isobar.open("web").ask(&format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
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
    let head = connection.ask("HEAD /gone HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!((head.status, head.header("x-frame-options")), (502, Some("DENY")));
    let error = connection.ask("GET /gone HTTP/1.1\r\nHost: h\r\n\r\n");
    assert_eq!(error.header("x-isobar-reason"), Some("reset_before_head"));
    assert_eq!((error.status, error.all("x-frame-options")), (502, vec!["DENY"]));
    assert_eq!(error.text(), "502 Bad Gateway: reset_before_head\n");
    assert_eq!(connection.get("/").expect("still open").status, 200);
}

/// Whatever a client makes our own answer as long as, its filters are not passed.
#[test]
fn a_long_redirect_is_edited_as_well() {
    let origin = Origin::start(echo);
    let isobar = start_with(
        &origin,
        "",
        "limits: { uri: 200KiB, header_bytes: 256KiB }, routes: [ { redirect: { scheme: https }, \
         filters: [ { headers: { response: { set: { X-Frame-Options: DENY } } } } ] } ]",
    );
    for length in [10, 100_000] {
        let path = format!("/{}", "x".repeat(length));
        let answer = isobar.open("web").get(&path).expect("an answer");
        assert_eq!((answer.status, answer.header("x-frame-options")), (302, Some("DENY")));
        let location = answer.header("location").expect("a place");
        assert!(location.ends_with(&path), "{length}");
    }
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
    let announced = connection
        .ask("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!((announced.status, &announced.interim[..]), (413, &[][..]));
    assert_eq!(announced.header("x-isobar-reason"), Some("body_too_large"));
    let chunked = |body: &str| {
        let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        isobar.open("web").ask(&format!("{head}{body}")).status
    };
    assert_eq!(chunked("5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n"), 200);
    assert_eq!(chunked("5\r\n01234\r\n6\r\n56789a\r\n0\r\n\r\n"), 413);
    let served = origin.served();
    assert_eq!(served, 2, "what is too large reaches no worker whole");
}

#[test]
fn a_rewritten_path_and_host_reach_the_worker_in_their_normal_form() {
    let origin = Origin::start(echo);
    let isobar = start_with(
        &origin,
        "",
        "routes: [ { match: { path_prefix: /api }, pool: app, filters: [ { rewrite: { path_prefix: /v2/, host: app.internal } } ] }, \
         { match: { path_prefix: /strip }, pool: app, filters: [ { rewrite: { path_prefix: / } } ] }, \
         { match: { path: /old }, pool: app, filters: [ { rewrite: { path: /new } } ] } ]",
    );
    let mut connection = isobar.open("web");
    for (asked, line) in [
        ("/api/users?x=/api", "GET /v2/users?x=/api HTTP/1.1\r\n"),
        ("/api", "GET /v2 HTTP/1.1\r\n"),
        ("/x/../%61pi//a%2fb/./c", "GET /v2/a%2Fb/c HTTP/1.1\r\n"),
        ("/strip//evil.example/", "GET /evil.example/ HTTP/1.1\r\n"),
        ("/strip", "GET / HTTP/1.1\r\n"),
        ("/old?q", "GET /new?q HTTP/1.1\r\n"),
    ] {
        let answer = connection.ask(&format!("GET {asked} HTTP/1.1\r\nHost: h\r\n\r\n"));
        let seen = answer.text();
        assert!(seen.starts_with(line), "{asked}: {seen}");
        let host = if asked.contains("pi") { "app.internal" } else { "h" };
        assert!(seen.contains(&format!("\r\nHost: {host}\r\n")), "{asked}: {seen}");
        assert!(seen.contains("\r\nX-Forwarded-Host: h\r\n"), "{asked}: {seen}");
        assert_eq!(seen.matches("\r\nHost: ").count(), 1);
    }
    let path = isobar.file("access.log");
    let log = until(|| Some(access_log::read(&path)).filter(|log| log.len() == 6));
    assert_eq!(log[0].text("path"), "/api/users", "the log has what the client asked for");
}

#[test]
fn a_rate_limit_is_exact_over_all_shards() {
    for shards in [1, 4] {
        let origin = Origin::start(after(Duration::ZERO, "ok"));
        let isobar = start_with(
            &origin,
            &format!("shards: {shards}"),
            "filters: [ { rate_limit: { rate: 100/s, burst: 20, key: global } } ], pool: app",
        );
        let address = isobar.address("web");
        let started = Instant::now();
        let passed: usize = std::thread::scope(|scope| {
            let client = || {
                let mut connection = Connection::open(address).expect("connects");
                let mut passed = 0;
                while started.elapsed() < Duration::from_secs(1) {
                    let answer = connection.get("/").expect("an answer");
                    match answer.status {
                        200 => passed += 1,
                        429 => assert_eq!(answer.header("retry-after"), Some("1")),
                        other => panic!("{other}"),
                    }
                }
                passed
            };
            let clients: Vec<_> = (0..8).map(|_| scope.spawn(client)).collect();
            clients.into_iter().map(|client| client.join().expect("a client")).sum()
        });
        let allowed = 20.0 + 100.0 * started.elapsed().as_secs_f64();
        println!("rate limit, {shards} shards: {passed} passed, {allowed:.1} allowed");
        assert!(
            passed as f64 <= allowed + 1.0 && passed as f64 >= allowed * 0.9 - 3.0,
            "{passed} of {allowed}"
        );
        assert_eq!(origin.served(), passed);
    }
}

#[test]
fn a_rate_limit_counts_clients_and_header_values_apart_and_survives_a_reload() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let filters =
        "filters: [ { rate_limit: { rate: 1/h, burst: 2, key: \"header:x-key\" } } ], pool: app";
    let isobar = start_with(&origin, "trusted_proxies: 127.0.0.1", filters);
    let from = |client: &str, key: &str| {
        get(&isobar, &format!("X-Forwarded-For: {client}\r\n{key}")).status
    };
    assert_eq!([(); 3].map(|()| from("192.0.2.1", "X-Key: a\r\n")), [200, 200, 429]);
    assert_eq!([(); 3].map(|()| from("192.0.2.2", "X-Key: b\r\n")), [200, 200, 429]);
    // Without the header it is the client that counts.
    assert_eq!([(); 3].map(|()| from("192.0.2.3", "")), [200, 200, 429]);
    assert_eq!(from("192.0.2.4", ""), 200);
    let config = std::fs::read_to_string(isobar.file("isobar.yaml")).expect("the file");
    let config = config.replace("pool: app", "pool: app, client_fin: abort");
    std::fs::write(isobar.file("isobar.yaml"), config).expect("writes");
    assert!(isobar.command(&["reload"]).status.success());
    assert_eq!(from("192.0.2.1", "X-Key: a\r\n"), 429, "a reload forgets nothing");
    let answer = get(&isobar, "X-Key: a\r\n");
    assert_eq!(answer.header("x-isobar-reason"), Some("rate_limited"));
    let wait: u64 =
        answer.header("retry-after").and_then(|text| text.parse().ok()).expect("seconds");
    assert!((3500..=3600).contains(&wait), "{wait}");
}

const USERS: &str = "ann:$2b$04$dmMkFdCgXjPBhFqX5a3qbuhaCKFWgshYTegaOup2PuMswv.gefC2W\n\
    bob:$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$39tbUSD70LTTCIyCWo9t5sDidhNPptw1P94ISzTyALc\n";

#[test]
fn basic_auth_takes_who_proves_it() {
    let scratch = isobar_tests::scratch::Scratch::new();
    let users = scratch.file("users");
    std::fs::write(&users, USERS).expect("writes");
    let origin = Origin::start(echo);
    let filter = |keep: &str| {
        let file = users.display();
        format!(
            "[ {{ basic_auth: {{ users: {{ file: \"{file}\" }}, realm: staff, authorization: {keep} }} }} ]"
        )
    };
    let isobar = start(&origin, &filter("remove"));
    let said = |credentials: &str| get(&isobar, &format!("Authorization: {credentials}\r\n"));
    // ann:secret, bob:secret, twice for what is remembered
    for good in ["Basic YW5uOnNlY3JldA==", "basic Ym9iOnNlY3JldA==", "Basic YW5uOnNlY3JldA=="] {
        let answer = said(good);
        assert_eq!(answer.status, 200, "{good}");
        assert!(!answer.text().to_lowercase().contains("authorization"), "{}", answer.text());
    }
    // ann:wrong, eve:secret, ann: and what is no Basic
    for bad in
        ["Basic YW5uOndyb25n", "Basic ZXZlOnNlY3JldA==", "Basic YW5uOg==", "Basic !", "Bearer x"]
    {
        let answer = said(bad);
        assert_eq!(answer.status, 401, "{bad}");
        assert_eq!(answer.header("x-isobar-reason"), Some("denied"));
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some("Basic realm=\"staff\", charset=\"UTF-8\""));
    }
    let twice = "Basic YW5uOnNlY3JldA==\r\nAuthorization: Basic YW5uOnNlY3JldA==";
    assert_eq!(said(twice).status, 401, "two are none");
    let answer = get(&isobar, "");
    assert_eq!((answer.status, answer.text().as_str()), (401, "401 Unauthorized: denied\n"));
    assert_eq!(origin.served(), 3);
    assert!(!isobar.stderr().contains("$2b$"));

    let keeps = start(&origin, &filter("keep"));
    let answer = get(&keeps, "Authorization: Basic YW5uOnNlY3JldA==\r\n");
    assert!(answer.text().contains("Authorization: Basic YW5uOnNlY3JldA=="), "{}", answer.text());
}

/// Each example of docs/filters.md is a configuration that starts.
#[test]
fn every_example_of_the_docs_is_taken() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/filters.md"))
        .expect("it");
    let examples: Vec<&str> =
        text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 8, "{}", examples.len());
    let scratch = isobar_tests::scratch::Scratch::new();
    std::fs::write(scratch.file("users"), USERS).expect("writes");
    for example in examples {
        let example =
            example.replace("/etc/isobar/users", &scratch.file("users").display().to_string());
        let config = if example.starts_with("listeners:") {
            format!(
                "{}pools: {{ app: {{ workers: [127.0.0.1:1] }} }}\n",
                example.replace("0.0.0.0:8080", "127.0.0.1:0")
            )
        } else {
            let filters: String =
                example.lines().map(|line| format!("          {line}\n")).collect();
            format!(
                "listeners:\n  web:\n    bind: 127.0.0.1:0\n    routes:\n      - match: {{ path_prefix: /api }}\n        \
                 pool: app\n        filters:\n{filters}pools: {{ app: {{ workers: [127.0.0.1:1] }} }}\n"
            )
        };
        drop(Isobar::start(&config));
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
