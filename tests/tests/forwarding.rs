//! What a worker is told of the client and what it is not, and what becomes of the bytes behind a
//! request that we refuse, end to end.

use std::time::Duration;

use isobar_tests::http::Response;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, echo, raw};

fn start(origin: &Origin, top: &str, listener: &str, pool: &str) -> Isobar {
    Isobar::start(&format!(
        "{top}listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app{listener} }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"]{pool} }} }}\n",
        origin.address()
    ))
}

/// The request as the worker saw it, in lower case.
fn seen(isobar: &Isobar, request: &str) -> String {
    let mut connection = isobar.open("web");
    connection.send(request.as_bytes()).expect("sends");
    let answer: Response = connection.response_to("GET").expect("an answer");
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().to_lowercase()
}

const TRUSTED: &str = "trusted_proxies: private\n";

#[test]
fn forwarded_is_off_and_both_families_are_understood() {
    let origin = Origin::start(echo);
    let terminator = "GET / HTTP/1.1\r\nHost: in\r\nForwarded: for=\"[2001:db8::1]:9\";proto=https;host=shop\r\n\r\n";
    let off = seen(&start(&origin, TRUSTED, "", ""), terminator);
    assert!(off.contains("x-forwarded-for: 2001:db8::1, 127.0.0.1\r\n"), "{off}");
    assert!(off.contains("x-forwarded-proto: https\r\n"), "{off}");
    assert!(off.contains("x-forwarded-host: shop\r\n"), "{off}");
    assert!(!off.contains("\r\nforwarded:"), "{off}");
    for (top, listener, on) in [
        ("trusted_proxies: private\nforwarded: on\n", "", true),
        ("trusted_proxies: private\nforwarded: on\n", ", forwarded: off", false),
        (TRUSTED, ", forwarded: on", true),
        ("", "", false),
    ] {
        let told = seen(
            &start(&origin, top, listener, ""),
            "GET / HTTP/1.1\r\nHost: in\r\nX-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\n\r\n",
        );
        let expected = "\r\nforwarded: for=1.1.1.1;host=in;proto=https, \
                        for=127.0.0.1;host=in;proto=https\r\n";
        assert_eq!(told.contains(expected), on, "{top}{listener}: {told}");
        assert_eq!(told.contains("\r\nforwarded:"), on, "{top}{listener}: {told}");
    }
    // Nobody believes an outsider, nor passes on what it says.
    let outsider = seen(&start(&origin, "", "", ""), terminator);
    assert!(!outsider.contains("2001:") && !outsider.contains("\r\nforwarded:"), "{outsider}");
}

#[test]
fn a_header_may_name_the_client() {
    let origin = Origin::start(echo);
    let deny = ", filters: [{ deny: 192.0.2.0/24 }]";
    let ask = |top: &str, fields: &str| {
        let isobar = start(&origin, top, deny, "");
        let mut connection = isobar.open("web");
        let request = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
        connection.send(request.as_bytes()).expect("sends");
        let answer = connection.response_to("GET").expect("an answer");
        (answer.status, answer.text().to_lowercase())
    };
    let top = "trusted_proxies: [private]\nclient_ip_header: CF-Connecting-IP\n";
    assert_eq!(ask(top, "CF-Connecting-IP: 192.0.2.1").0, 403);
    assert_eq!(ask(top, "X-Forwarded-For: 192.0.2.1").0, 200);
    let believed = ask(top, "CF-Connecting-IP: 198.51.100.1").1;
    assert!(believed.contains("x-forwarded-for: 198.51.100.1, 127.0.0.1\r\n"), "{believed}");
    let (status, told) = ask(
        "trusted_proxies: 10.0.0.0/8\nclient_ip_header: CF-Connecting-IP\n",
        "CF-Connecting-IP: 192.0.2.1",
    );
    assert!(status == 200 && !told.contains("192.0.2.1"), "{told}");
}

#[test]
fn underscores_are_kept_where_they_are_asked_for() {
    let origin = Origin::start(echo);
    let listener =
        ", underscores: keep, filters: [{ headers: { request: { set: { X-Env: prod } } } }]";
    let told = seen(
        &start(&origin, "", listener, ""),
        "GET / HTTP/1.1\r\nHost: h\r\nX_Tenant: 1\r\nX_Env: evil\r\nX_Forwarded_For: evil\r\n\
         Content_Length: 5\r\nX_Request_Id: evil\r\nSSL_Client_Verify: evil\r\n\r\n",
    );
    assert!(told.contains("x_tenant: 1\r\n") && told.contains("x-env: prod\r\n"), "{told}");
    assert!(!told.contains("evil") && !told.contains("content_length"), "{told}");
}

#[test]
fn via_tells_the_version_or_nothing() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "", "", "");
    let new = seen(&isobar, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 a\r\n\r\n");
    assert!(new.contains("\r\nvia: 1.1 a, 1.1 "), "{new}");
    let old = seen(&isobar, "GET / HTTP/1.0\r\nHost: h\r\n\r\n");
    assert!(old.contains("\r\nvia: 1.0 "), "{old}");
    let off = start(&origin, "", "", ", via: off");
    let none = seen(&off, "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 a\r\n\r\n");
    assert!(!none.contains("\r\nvia:"), "{none}");
}

#[test]
fn who_names_no_host_reaches_the_worker_under_its_own() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "", "", "");
    let told = seen(&isobar, "GET / HTTP/1.0\r\n\r\n");
    assert!(told.contains(&format!("\r\nhost: {}\r\n", origin.address())), "{told}");
    let named = seen(&isobar, "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n");
    assert!(named.contains("\r\nhost: a.example\r\n"), "{named}");
}

#[test]
fn trailers_reach_the_worker() {
    let origin = Origin::visits(|visit| {
        let mut got = Vec::new();
        while !got.ends_with(b"\r\n\r\n") || isobar_tests::http::find(&got, b"\r\n0\r\n").is_none()
        {
            match visit.read_some() {
                Ok(more) if !more.is_empty() => got.extend(more),
                _ => return,
            }
        }
        let body = String::from_utf8_lossy(&got).into_owned();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let _ = visit.write(head.as_bytes());
        let _ = visit.write(body.as_bytes());
    });
    for pool in ["", ", slots: 1"] {
        let told = seen(
            &start(&origin, "", "", pool),
            "POST / HTTP/1.1\r\nHost: h\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
             2\r\nab\r\n0\r\nX-Sum: 7\r\nContent-Length: 9\r\n\r\n",
        );
        assert!(told.contains("\r\ntrailer: x-sum\r\n"), "{told}");
        assert!(told.ends_with("\r\n0\r\nx-sum: 7\r\n\r\n"), "{told}");
        assert!(told.contains("\r\nte: trailers\r\n"), "{told}");
    }
}

/// RFC 9931: what stands behind a request for another protocol may be that protocol's.
#[test]
fn nothing_behind_a_refused_switch_is_a_request() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [\n\
           {{ match: {{ path: /respond }}, respond: 200 }},\n\
           {{ match: {{ path: /moved }}, redirect: /new }},\n\
           {{ match: {{ path: /denied }}, pool: app, filters: [ {{ deny: 127.0.0.0/8 }} ] }},\n\
           {{ match: {{ path: /small }}, pool: app, filters: [ {{ max_body: 1 }} ] }},\n\
           {{ match: {{ path: / }}, pool: app }} ] }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n";
    let cases = [
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n".to_owned(), 405),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\nConnection: keep-alive\r\n\r\n".to_owned(), 405),
        (format!("GET /respond HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n"), 200),
        (format!("GET /moved HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n"), 302),
        (format!("GET /denied HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n"), 403),
        (format!("GET /nowhere HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n"), 404),
        (format!("GET / HTTP/1.1\r\nHost: h\r\n{upgrade}\r\n"), 200),
        (format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n{upgrade}\r\na"), 200),
        ("GET /respond HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n".to_owned(), 200),
        ("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(), 200),
        ("POST / HTTP/1.1\r\nHost: h\r\nExpect: 200-ok\r\nContent-Length: 60\r\n\r\n".to_owned(), 417),
        ("POST /denied HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 60\r\n\r\n".to_owned(), 403),
        ("POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n".to_owned(), 413),
        ("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 501),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n".to_owned(), 505),
    ];
    for (request, status) in cases {
        let mut connection = isobar.open("web");
        connection.set_patience(Duration::from_secs(3)).expect("set");
        let all = format!("{request}GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n");
        let _ = connection.send(all.as_bytes());
        let answer = connection.response_to("GET").expect("an answer");
        assert_eq!(answer.status, status, "{request}");
        assert!(connection.read_to_end().is_ok_and(|rest| rest.is_empty()), "{request}");
    }
    let smuggled =
        |record: &isobar_tests::origin::Record| record.request.target.contains("smuggled");
    assert!(!origin.log().iter().any(smuggled));
}

#[test]
fn a_status_that_http_does_not_know_is_passed_on() {
    let origin =
        Origin::start(raw("HTTP/1.1 999 Denied\r\nContent-Length: 2\r\n\r\nno", Next::Keep));
    let isobar = start(&origin, "", "", "");
    let mut connection = isobar.open("web");
    for _ in 0..2 {
        let answer = connection.get("/").expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (999, "no"));
    }
}

#[test]
fn a_426_says_what_would_do() {
    let origin = Origin::start(raw(
        "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n",
        Next::Keep,
    ));
    let answer = start(&origin, "", "", "").open("web").get("/").expect("an answer");
    assert_eq!(answer.header("upgrade"), Some("websocket"));
    assert!(answer.all("connection").contains(&"upgrade"), "{:?}", answer.all("connection"));
}

/// RFC 9110 §10.1.1: where the body is not read ahead, the worker says whether it wants it.
#[test]
fn a_worker_says_whether_it_wants_the_body() {
    let origin = Origin::visits(|visit| {
        while let Ok(Some(mut request)) = visit.read_head() {
            let expects = request.header("expect").is_some();
            let written = match &*request.target {
                "/refused" => visit.write(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n"),
                "/wanted" if expects => visit.write(b"HTTP/1.1 100 Continue\r\n\r\n"),
                _ => Ok(()),
            };
            if written.is_err() || request.target == "/refused" {
                return;
            }
            let Ok(body) = visit.read_body(&request) else { return };
            request.body = body;
            let told = if expects { "2" } else { "0" };
            let answer =
                format!("HTTP/1.1 200 OK\r\nX-Expected: {told}\r\nContent-Length: 0\r\n\r\n");
            if visit.write(answer.as_bytes()).is_err() {
                return;
            }
        }
    });
    // Pool, path, whether the worker was asked, and what the client hears before its body.
    for (pool, path, asked, first) in [
        ("", "/wanted", "2", 100),
        ("", "/silent", "2", 100),
        ("", "/refused", "", 401),
        (", slots: 1", "/wanted", "0", 100),
    ] {
        let isobar = start(&origin, "", "", pool);
        let mut connection = isobar.open("web");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        );
        connection.send(head.as_bytes()).expect("sends");
        if first != 100 {
            assert_eq!(connection.response_to("POST").expect("an answer").status, first, "{path}");
            continue;
        }
        let heard = connection.read_exactly(25).expect("a 100");
        assert_eq!(heard, b"HTTP/1.1 100 Continue\r\n\r\n", "{pool} {path}");
        connection.send(b"ab").expect("sends");
        let answer = connection.response_to("POST").expect("an answer");
        assert_eq!(
            (answer.status, answer.header("x-expected")),
            (200, Some(asked)),
            "{pool} {path}"
        );
    }
}
