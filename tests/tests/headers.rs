//! Header trust, hop-by-hop fields and paths (HB and PT rows), end to end: what a worker really gets
//! to see.

use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, echo, raw};
use isobar_tests::sockets::free_address;

/// Id, the request's fields, what the worker must see, and what it must not (lower case).
type Passage = (&'static str, &'static str, &'static [&'static str], &'static [&'static str]);

const PASSAGES: &[Passage] = &[
    ("HB-01", "Connection: X-Foo\r\nX-Foo: secret", &[], &["x-foo", "secret"]),
    (
        "HB-02",
        "Connection: close, X-Forwarded-For, Host, Content-Length",
        &["x-forwarded-for: 127.0.0.1\r\n", "host: h\r\n"],
        &[],
    ),
    ("HB-03", "Keep-Alive: timeout=5", &[], &["keep-alive: timeout"]),
    ("HB-03", "Proxy-Connection: keep-alive", &[], &["proxy-connection"]),
    ("HB-03", "Proxy-Authenticate: Basic", &[], &["proxy-authenticate"]),
    ("HB-03", "TE: gzip, trailers;q=0.5", &[], &["gzip"]),
    ("HB-03", "Upgrade: websocket", &[], &["upgrade: "]),
    ("HB-04", "X-Forwarded-For: 1.2.3.4", &["x-forwarded-for: 127.0.0.1\r\n"], &["1.2.3.4"]),
    (
        "HB-05",
        "X-Forwarded-For: unknown\r\nX-Forwarded-For: [::1]:x, ,,",
        &["x-forwarded-for: 127.0.0.1\r\n"],
        &["unknown"],
    ),
    ("HB-06", "X-Real-IP: 6.6.6.6", &[], &["6.6.6.6"]),
    ("HB-06", "X-Forwarded-Proto: https", &["x-forwarded-proto: http\r\n"], &["https"]),
    ("HB-06", "X-Forwarded-Host: evil", &["x-forwarded-host: h\r\n"], &["evil"]),
    ("HB-06", "X-Forwarded-Prefix: /evil", &[], &["evil"]),
    ("HB-06", "X-Forwarded-Port: 666", &[], &["x-forwarded-port"]),
    ("HB-06", "Forwarded: for=6.6.6.6;host=evil", &[], &["6.6.6.6", "evil"]),
    ("HB-06", "X-Request-Start: t=1", &[], &["x-request-start: t=1\r\n"]),
    ("HB-06", "X-Queue-Time: 666666", &[], &["x-queue-time: 666666"]),
    (
        "HB-06",
        "Client-Cert: :evil:\r\nX-SSL-Client-S-DN: CN=evil\r\nX-Forwarded-Client-Cert: evil",
        &[],
        &["evil"],
    ),
    (
        "HB-06",
        "X-Forwarded-Ssl: on\r\nX-Forwarded-Scheme: https\r\nX-Kept: 1",
        &["x-kept: 1"],
        &["ssl", "https"],
    ),
    ("HB-07", "X_Forwarded_For: evil\r\nContent_Length: 5", &[], &["evil", "content_length"]),
    ("HB-08", "Proxy: http://evil", &[], &["evil"]),
    ("HB-12", "X-Request-Id: evil\"id", &[], &["evil\"id"]),
    ("HB-12", "Cookie: a=b", &["cookie: a=b\r\n", "x-request-id: "], &[]),
];

#[test]
fn a_worker_sees_only_what_it_should() {
    let origin = Origin::start(echo);
    let isobar = start(&origin);
    let mut wrong = Vec::new();
    for (id, fields, must, must_not) in PASSAGES {
        let mut connection = isobar.open("web");
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        connection.send(request.as_bytes()).expect("sends");
        let answer = match connection.response_to("GET") {
            Ok(answer) => answer,
            Err(error) => {
                wrong.push(format!("{id} {fields:?}: {error}"));
                continue;
            }
        };
        // An underscore may also be refused.
        if *id == "HB-07" && answer.status == 400 {
            continue;
        }
        let seen = answer.text().to_lowercase();
        let missing = must.iter().filter(|part| !seen.contains(**part));
        let leaked = must_not.iter().filter(|part| seen.contains(**part));
        for part in missing.chain(leaked) {
            wrong.push(format!("{id} {fields:?}: {part:?} in {seen:?}"));
        }
    }
    println!("headers: {} cases, {} wrong", PASSAGES.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn hb_01_hop_by_hop_fields_of_a_response_stay_here() {
    let origin = Origin::start(raw(
        "HTTP/1.1 200 OK\r\nConnection: X-Foo, keep-alive\r\nX-Foo: secret\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Authenticate: Basic\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok",
        Next::Keep,
    ));
    let answer = start(&origin).open("web").get("/").expect("an answer");
    for name in ["x-foo", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.header(name), None, "{name}");
    }
    // HB-11: several Set-Cookie are never merged.
    assert_eq!(answer.all("set-cookie"), ["a=1", "b=2"]);
}

/// RFC 9110 §6.6.1: of whoever makes a response, and of whoever passes on one that has none.
#[test]
fn every_response_has_one_date() {
    const OLD: &str = "Mon, 23 Nov 2026 10:00:00 GMT";
    for (fields, theirs) in [(format!("Date: {OLD}\r\n"), Some(OLD)), (String::new(), None)] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok");
        let origin = Origin::start(raw(head, Next::Keep));
        let isobar = start(&origin);
        let mut connection = isobar.open("web");
        let passed = connection.get("/").expect("an answer");
        connection.send(b"TRACE / HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
        let ours = connection.response_to("GET").expect("a refusal");
        for (answer, theirs) in [(passed, theirs), (ours, None)] {
            let [date] = answer.all("date")[..] else { panic!("{:?}", answer.all("date")) };
            assert!(date.len() == OLD.len() && date.ends_with(" GMT"), "{date}");
            assert!(theirs.is_none_or(|theirs| theirs == date), "{date}");
        }
    }
}

/// RFC 9110 §7.6.2: counted down for OPTIONS, where it is a number, and left alone for the rest.
#[test]
fn max_forwards_counts_the_proxies_on_the_way() {
    let origin = Origin::start(echo);
    let isobar = start(&origin);
    let mut connection = isobar.open("web");
    for (method, sent, seen) in [
        ("OPTIONS", "3", "2"),
        ("OPTIONS", "1", "0"),
        ("OPTIONS", "soon", "soon"),
        ("GET", "3", "3"),
    ] {
        let head = format!("{method} / HTTP/1.1\r\nHost: h\r\nMax-Forwards: {sent}\r\n\r\n");
        connection.send(head.as_bytes()).expect("sends");
        let answer = connection.response_to(method).expect("an answer");
        let text = answer.text().to_lowercase();
        assert_eq!(text.matches("max-forwards").count(), 1, "{text}");
        assert!(text.contains(&format!("max-forwards: {seen}\r\n")), "{method} {sent}: {text}");
    }
}

#[test]
fn hb_05_ten_thousand_forwarded_addresses_are_bounded() {
    let origin = Origin::start(echo);
    let isobar = start(&origin);
    let mut connection = isobar.open("web");
    let list = "1.2.3.4, ".repeat(3_000);
    let request = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {list}5.6.7.8\r\n\r\n");
    connection.send(request.as_bytes()).expect("sends");
    let answer = connection.response_to("GET").expect("an answer");
    assert!(matches!(answer.status, 200 | 431), "{}", answer.status);
    assert!(!answer.text().contains("1.2.3.4"));
}

#[test]
fn hb_04_a_trusted_proxy_is_believed() {
    let origin = Origin::start(echo);
    let isobar = Isobar::start(&format!(
        "trusted_proxies: [127.0.0.0/8]\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut connection = isobar.open("web");
    connection
        .send(b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Request-Id: abc-1\r\n\r\n")
        .expect("sends");
    let seen = connection.response_to("GET").expect("an answer").text().to_lowercase();
    assert!(seen.contains("x-forwarded-for: 1.2.3.4, 127.0.0.1\r\n"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
    assert!(seen.contains("x-request-id: abc-1\r\n"), "{seen}");
}

/// HB-06: behind a proxy that ends TLS, and is trusted, its word is passed on.
#[test]
fn hb_06_a_trusted_proxys_claims_are_passed_on() {
    let origin = Origin::start(echo);
    let isobar = Isobar::start(&format!(
        "trusted_proxies: [127.0.0.1]\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut connection = isobar.open("web");
    let request = b"GET / HTTP/1.1\r\nHost: h\r\nX-SSL-Client-Verify: SUCCESS\r\n\r\n";
    connection.send(request).expect("sends");
    let answer = connection.response_to("GET").expect("an answer").text();
    assert!(answer.contains("X-SSL-Client-Verify: SUCCESS\r\n"), "{answer}");
}

/// HB-04: over a unix socket, whose other end is trusted, the client is who it says.
#[test]
fn hb_04_a_proxy_on_a_unix_socket_is_believed() {
    let origin = Origin::start(echo);
    let folder = isobar_tests::scratch::Scratch::new();
    let socket = folder.path().join("web.sock");
    let isobar = Isobar::start(&format!(
        "trusted_proxies: [10.0.0.0/8]\n\
         listeners: {{ web: {{ bind: [\"127.0.0.1:0\", \"unix:{}\"], routes: [\n\
           {{ pool: app }}, {{ match: {{ client: 192.0.2.0/24 }}, respond: 418 }} ] }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        socket.display(),
        origin.address()
    ));
    let _isobar = isobar;
    for (forwarded, status) in
        [("192.0.2.1", 418), ("192.0.2.1, 10.1.1.1", 418), ("192.0.2.1, 8.8.8.8", 200), ("", 200)]
    {
        let mut connection = Connection::open_unix(&socket).expect("connects");
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: {forwarded}\r\n\r\n");
        connection.send(request.as_bytes()).expect("sends");
        assert_eq!(connection.response_to("GET").expect("an answer").status, status, "{forwarded}");
    }
}

/// HB-09: the proxy's worker is the proxy itself.
#[test]
fn hb_09_a_loop_ends() {
    let address = free_address();
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"{address}\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{address}\"] }} }}\n"
    ));
    let mut connection = isobar.open("web");
    let began = Instant::now();
    let answer = connection.get("/").expect("an answer");
    assert!(matches!(answer.status, 502 | 508), "{}", answer.status);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn hb_10_one_host_has_many_spellings() {
    let (named, other) = (
        Origin::start(after(Duration::ZERO, "named")),
        Origin::start(after(Duration::ZERO, "other")),
    );
    let isobar = Isobar::start(&format!(
        "listeners:\n\
         \x20 web:\n\
         \x20   bind: 127.0.0.1:0\n\
         \x20   routes:\n\
         \x20     - {{ match: {{ host: example.com }}, pool: named }}\n\
         \x20     - {{ pool: other }}\n\
         pools:\n\
         \x20 named: {{ workers: [\"{}\"] }}\n\
         \x20 other: {{ workers: [\"{}\"] }}\n",
        named.address(),
        other.address()
    ));
    let ask = |host: &str| {
        let mut connection = isobar.open("web");
        connection
            .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes())
            .expect("sends");
        connection.response_to("GET").expect("an answer").text()
    };
    for host in
        ["example.com", "EXAMPLE.com", "example.com.", "example.com:80", "Example.Com.:8080"]
    {
        assert_eq!(ask(host), "named", "{host}");
    }
    for host in ["[::1]:80", "sub.example.com", "example.com.evil", "xn--e1afmkfd.com"] {
        assert_eq!(ask(host), "other", "{host}");
    }
}

/// Id, the target as sent, what the worker may get (empty: refused with 400).
const TARGETS: &[(&str, &str, &[&str])] = &[
    ("PT-01", "/a/../b", &["/b"]),
    ("PT-01", "//b", &["//b", "/b"]),
    ("PT-01", "/./b", &["/b"]),
    ("PT-01", "/x/%2e%2e/b", &["/b"]),
    ("PT-01", "/../../b", &["/b", ""]),
    ("PT-02", "/a%2fb", &["/a%2fb", "/a%2Fb", ""]),
    ("PT-02", "/a%5cb", &["/a%5cb", "/a%5Cb", ""]),
    ("PT-02", "/a\\b", &["/a\\b", "/a%5Cb", ""]),
    ("PT-03", "/a/..;/b", &[""]),
    ("PT-03", "/a;x=1/b", &["/a;x=1/b"]),
    ("PT-04", "/%00", &["/%00", ""]),
    ("PT-04", "/%0d%0aX:%20y", &["/%0d%0aX:%20y", "/%0D%0AX:%20y", ""]),
    ("PT-04", "/%c0%ae%c0%ae/b", &["/%c0%ae%c0%ae/b", "/%C0%AE%C0%AE/b", ""]),
    ("PT-04", "/%252e%252e/b", &["/%252e%252e/b"]),
    ("PT-04", "/%zz", &["/%zz", ""]),
    ("PT-05", "/q?a=/../b&c=%2e%2e", &["/q?a=/../b&c=%2e%2e"]),
];

#[test]
fn what_is_matched_is_what_is_forwarded() {
    let (origin, denied) = (Origin::start(echo), Origin::start(after(Duration::ZERO, "denied")));
    let isobar = Isobar::start(&format!(
        "listeners:\n\
         \x20 web:\n\
         \x20   bind: 127.0.0.1:0\n\
         \x20   routes:\n\
         \x20     - {{ match: {{ path_prefix: /b }}, pool: denied }}\n\
         \x20     - {{ pool: app }}\n\
         pools:\n\
         \x20 app: {{ workers: [\"{}\"] }}\n\
         \x20 denied: {{ workers: [\"{}\"] }}\n",
        origin.address(),
        denied.address()
    ));
    let mut wrong = Vec::new();
    for (id, target, right) in TARGETS {
        let mut connection = isobar.open("web");
        let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
        connection.send(request.as_bytes()).expect("sends");
        let answer = connection.response_to("GET").expect("an answer");
        let at_denied = denied.log().last().map(|record| record.request.target.clone());
        let got = match (answer.status, answer.text().as_str()) {
            (200, "denied") => at_denied.unwrap_or_default(),
            (200, seen) => {
                let target = seen.split(' ').nth(1).unwrap_or_default().to_owned();
                if target == "/b" || target.starts_with("/b/") {
                    wrong.push(format!("{id} {target}: the rule for /b was bypassed"));
                }
                target
            }
            _ => String::new(),
        };
        if !right.contains(&got.as_str()) {
            wrong.push(format!("{id} {target}: {got:?} ({}) instead of {right:?}", answer.status));
        }
    }
    println!("paths: {} cases, {} wrong", TARGETS.len(), wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// RFC 9112 §9.3: what becomes of the connection is said with every answer, whoever made it.
#[test]
fn a_client_is_told_what_becomes_of_its_connection() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let listener = |keep_alive: &str| {
        Isobar::start(&format!(
            "listeners:\n  web:\n    bind: \"127.0.0.1:0\"\n    timeouts: {{ keep_alive: {keep_alive} }}\n    \
             routes: [ {{ match: {{ path: / }}, pool: app }} ]\n\
             pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
            origin.address()
        ))
    };
    let closing = listener("0s");
    for (path, status) in [("/", 200), ("/nowhere", 404)] {
        let mut client = closing.open("web");
        let answer = client.get(path).expect("an answer");
        assert_eq!((answer.status, answer.header("connection")), (status, Some("close")));
        assert!(client.read_to_end().expect("a clean end").is_empty());
    }
    let keeping = listener("10s");
    for (path, status) in [("/", 200), ("/nowhere", 404)] {
        let mut client = keeping.open("web");
        for _ in 0..2 {
            let ask = format!("GET {path} HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
            client.send(ask.as_bytes()).expect("sends");
            let answer = client.response_to("GET").expect("an answer");
            assert_eq!((answer.status, answer.header("connection")), (status, Some("keep-alive")));
        }
    }
}

fn start(origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app, limits: {{ headers: 100 }} }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
