use isobar_http1::*;

use crate::kit::*;

fn request(lines: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

#[test]
fn hb_01_connection_listed_fields_are_removed_both_ways() {
    let lines = "X-Foo: 1\r\nx-bar: 2\r\nKeep: 3\r\nConnection: X-Foo, ,\tX-BAR\r\nX-FOO: 4";
    assert_eq!(forwarded(request(lines)), request("Keep: 3"));
    let head = parse_response(ok(&format!("Content-Length: 0\r\n{lines}")), "GET").unwrap();
    assert_eq!(
        answered(&head, Connection::KeepAlive, Version::Http11),
        ok("Keep: 3\r\nContent-Length: 0")
    );
    let head = parse(request(lines)).unwrap();
    let hops = head.fields().filter(|f| head.is_hop_by_hop(f)).count();
    assert_eq!(hops, 4, "X-Foo twice, x-bar, Connection");
}

#[test]
fn hb_02_connection_cannot_remove_what_is_ours() {
    let mut head = parse(
        "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nContent-Length: 3\r\n\
         X-Request-Id: 1\r\nConnection: close, X-Forwarded-For, Host, Content-Length\r\n\
         Connection: X-Request-Id, X-Real-IP, X-Forwarded-Proto\r\n\r\n",
    )
    .unwrap();
    assert_eq!(
        encoded(&head),
        "POST / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Request-Id: 1\r\n\
         Content-Length: 3\r\n\r\n"
    );
    head.set("X-Forwarded-For", "10.0.0.1, 192.0.2.1");
    head.set("X-Real-IP", "192.0.2.1");
    head.set("X-Forwarded-Proto", "http");
    assert_eq!(
        encoded(&head),
        "POST / HTTP/1.1\r\nHost: a\r\nX-Request-Id: 1\r\n\
         X-Forwarded-For: 10.0.0.1, 192.0.2.1\r\nX-Real-IP: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n\
         Content-Length: 3\r\n\r\n"
    );
    refused(400, [request("Transfer-Encoding: xchunked\r\nConnection: Transfer-Encoding")]);
    let chunked = request("Transfer-Encoding: chunked\r\nConnection: Transfer-Encoding");
    assert_eq!(parse(chunked).unwrap().body(), Body::Chunked);
}

#[test]
fn hb_03_hop_by_hop_fields_are_not_forwarded() {
    let lines = [
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authenticate: Basic",
        "Proxy-Authorization: Basic eA==",
        "TE: gzip",
        "TE: trailers",
        "Upgrade: websocket",
        "Connection: keep-alive",
        "Connection: close",
        "Connection:",
        "Trailer: X",
    ];
    for line in lines {
        assert_eq!(forwarded(request(line)), "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "{line}");
        let head = parse_response(ok(&format!("{line}\r\nContent-Length: 0")), "GET").unwrap();
        assert_eq!(
            answered(&head, Connection::KeepAlive, Version::Http11),
            ok("Content-Length: 0"),
            "{line}"
        );
    }
    // A trailer announcement goes with the chunked body it announces.
    assert_eq!(
        forwarded(request("Transfer-Encoding: chunked\r\nTrailer: X-Sum")),
        request("Trailer: X-Sum\r\nTransfer-Encoding: chunked")
    );
}

#[test]
fn hb_07_names_with_underscores_are_dropped() {
    let lines =
        "Content_Length: 5\r\nX_Forwarded_For: 1\r\nX-Ok: 1\r\n_: 2\r\nTransfer_Encoding: chunked";
    let head = parse(request(lines)).unwrap();
    assert_eq!(head.body(), Body::None);
    assert_eq!(head.fields().count(), 2);
    assert_eq!(encoded(&head), request("X-Ok: 1"));
    // A worker's are its own business.
    let head = parse_response(ok("X_App: 1\r\nContent-Length: 0"), "GET").unwrap();
    assert!(answered(&head, Connection::KeepAlive, Version::Http11).contains("X_App: 1\r\n"));
}

#[test]
fn hb_08_proxy_header_is_removed() {
    assert_eq!(forwarded(request("Proxy: http://evil/\r\npROXY: x\r\nX: y")), request("X: y"));
}

#[test]
fn hb_11_set_cookie_lines_are_never_merged() {
    let lines =
        "Set-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2\r\nset-cookie: c=3\r\nContent-Length: 0";
    let head = parse_response(ok(lines), "GET").unwrap();
    assert_eq!(head.values(FieldId::SetCookie).count(), 3);
    assert_eq!(answered(&head, Connection::KeepAlive, Version::Http11), ok(lines));
}

#[test]
fn a_worker_may_say_how_long_it_waits() {
    let cases = [
        ("timeout=5", Some(5)),
        ("max=100, Timeout=72", Some(72)),
        ("timeout=0", Some(0)),
        ("timeout=", None),
        ("timeout=-1", None),
        ("timeout=5s", None),
        ("timeout=99999999999", None),
        ("max=5", None),
        ("\u{fc}timeout=5", None),
    ];
    for (value, seconds) in cases {
        let text = ok(&format!("Keep-Alive: {value}\r\nContent-Length: 0"));
        assert_eq!(parse_response(text, "GET").unwrap().idle_timeout(), seconds, "{value}");
    }
    let head = parse_response(ok("Content-Length: 0"), "GET").unwrap();
    assert_eq!(head.idle_timeout(), None);
}

/// RFC 9110 15.5.22: a 426 that names no protocol is of no use.
#[test]
fn a_426_keeps_its_upgrade() {
    let text =
        "HTTP/1.1 426 \r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n";
    let told = answered(&parse_response(text, "GET").unwrap(), Connection::Close, Version::Http11);
    assert!(told.contains("\r\nUpgrade: websocket\r\n"), "{told}");
    assert!(told.contains("\r\nConnection: upgrade\r\n"), "{told}");
    let other = text.replace("426", "400");
    let told = answered(&parse_response(other, "GET").unwrap(), Connection::Close, Version::Http11);
    assert!(!told.contains("pgrade"), "{told}");
}

fn kept(lines: &str, edit: impl FnOnce(&mut RequestHead)) -> String {
    let mut head = RequestHead::new();
    head.set_underscores(Underscores::Keep);
    let text = request(lines);
    assert_eq!(head.parse(text.as_bytes(), &LIMITS), Ok(Parsed::Complete(text.len())));
    edit(&mut head);
    encoded(&head)
}

#[test]
fn hb_07_underscores_are_kept_but_for_what_a_proxy_sets_or_strips() {
    let lines = "X_Tenant: 1\r\n_: 2\r\nContent_Length: 5\r\nTransfer_Encoding: chunked\r\n\
        X_Forwarded_For: 3\r\nX-Real_IP: 4\r\nProxy_Connection: x\r\nx_ssl_client_verify: 5\r\n\
        Keep_Alive: 6\r\nX_Request_Id: 7\r\nMax_Forwards: 8\r\nhttp2_settings: 9\r\nUser_Agent: u";
    let left = "X_Tenant: 1\r\n_: 2\r\nUser_Agent: u";
    assert_eq!(kept(lines, |_| {}), request(left));
}

#[test]
fn hb_07_an_edit_takes_its_lookalikes_along() {
    let lines = "X_Env: 1\r\nX-Env: 2\r\nX_Other: 3\r\nUser_Agent: u";
    let set = kept(lines, |head| head.set("x-env", "ours"));
    assert_eq!(set, request("X_Other: 3\r\nUser_Agent: u\r\nx-env: ours"));
    let removed = kept(lines, |head| head.remove_named("X-ENV"));
    assert_eq!(removed, request("X_Other: 3\r\nUser_Agent: u"));
    let added = kept(lines, |head| head.append("X-Env", "ours"));
    assert_eq!(added, request("X-Env: 2\r\nX_Other: 3\r\nUser_Agent: u\r\nX-Env: ours"));
    let agent = kept(lines, |head| head.remove(FieldId::UserAgent));
    assert_eq!(agent, request("X_Env: 1\r\nX-Env: 2\r\nX_Other: 3"));
    let received = kept(lines, |head| head.remove_received("x-env"));
    assert_eq!(received, request("X_Other: 3\r\nUser_Agent: u"));
}

/// HTTP/1.0 knows requests without a host; what goes to a worker names one.
#[test]
fn who_names_no_host_gets_the_workers() {
    let mut head = parse("GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(head.lacks_host());
    head.set_default_host("10.0.0.1:80");
    assert_eq!(encoded(&head), "GET / HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n");
    let named = parse("GET http://a/ HTTP/1.0\r\n\r\n").unwrap();
    assert!(!named.lacks_host());
}
