use isobar_http1::*;

use crate::kit::*;

const REQUEST: &str =
    "GET /a?b HTTP/1.1\r\nhOsT: a\r\nX-One:1\r\nX-Two:  2 \r\nEmpty:\r\nX-One: 3\r\n\r\n";

#[test]
fn fields_keep_order_and_spelling() {
    let head = parse(REQUEST).unwrap();
    let seen: Vec<_> = head.fields().map(|f| (f.id, f.name, f.value)).collect();
    assert_eq!(
        seen,
        [
            (FieldId::Host, &b"hOsT"[..], &b"a"[..]),
            (FieldId::Other, b"X-One", b"1"),
            (FieldId::Other, b"X-Two", b"2"),
            (FieldId::Other, b"Empty", b""),
            (FieldId::Other, b"X-One", b"3"),
        ]
    );
    let one: Vec<_> = head.values_named(b"x-one").collect();
    assert_eq!(one, [b"1", b"3"]);
    assert_eq!(
        encoded(&head),
        "GET /a?b HTTP/1.1\r\nhOsT: a\r\nX-One: 1\r\nX-Two: 2\r\nEmpty: \r\nX-One: 3\r\n\r\n"
    );
}

#[test]
fn one_empty_line_before_a_request_is_forgiven() {
    let mut head = RequestHead::new();
    let request = format!("\r\n{REQUEST}rest");
    assert_eq!(head.parse(request.as_bytes(), &LIMITS), Ok(Parsed::Complete(REQUEST.len() + 2)));
    assert_eq!(head.target(), b"/a?b");
    refused(400, [format!("\r\n\r\n{REQUEST}")]);
    refused_response(["\r\nHTTP/1.1 200 OK\r\n\r\n"]);
}

#[test]
fn h1_33_pipelined_requests_come_one_by_one() {
    let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let two = "POST /2 HTTP/1.1\r\nHost: b\r\nContent-Length: 3\r\n\r\n";
    let input = format!("{one}{two}abc");
    let mut head = RequestHead::new();
    assert_eq!(head.parse(input.as_bytes(), &LIMITS), Ok(Parsed::Complete(one.len())));
    assert_eq!((head.target(), head.body()), (&b"/1"[..], Body::None));
    let rest = &input.as_bytes()[one.len()..];
    assert_eq!(head.parse(rest, &LIMITS), Ok(Parsed::Complete(two.len())));
    assert_eq!((head.target(), head.body()), (&b"/2"[..], Body::Length(3)));
    assert_eq!(head.authority(), b"b");
}

#[test]
fn a_reused_head_remembers_nothing() {
    let mut head = parse(
        "POST http://x/y HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\
         Connection: close\r\n\r\n",
    )
    .unwrap();
    head.set("X", "y");
    head.set_path(b"/z");
    let request = "GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    head.parse(request.as_bytes(), &LIMITS).unwrap();
    assert_eq!((head.body(), head.expect_continue(), head.keep_alive()), (Body::None, false, true));
    assert_eq!(encoded(&head), request);

    // An abandoned head leaves nothing behind once reset.
    assert_eq!(head.parse(b"GET / HT", &LIMITS), Ok(Parsed::Partial));
    head.reset();
    assert_eq!(head.parse(request.as_bytes(), &LIMITS), Ok(Parsed::Complete(request.len())));
}

#[test]
fn persistence_follows_version_and_options() {
    let table = [
        ("1.1", "X: y", true),
        ("1.1", "Connection: close", false),
        ("1.1", "Connection: X-Foo, CLOSE", false),
        ("1.1", "Connection: keep-alive\r\nConnection: close", false),
        ("1.0", "X: y", false),
        ("1.0", "Connection: Keep-Alive", true),
        ("1.0", "Connection: keep-alive, close", false),
        ("1.0", "Proxy-Connection: keep-alive", false),
    ];
    for (version, lines, expected) in table {
        let request = format!("GET / HTTP/{version}\r\nHost: a\r\n{lines}\r\n\r\n");
        assert_eq!(parse(&request).unwrap().keep_alive(), expected, "{request}");
        let response = format!("HTTP/{version} 200 OK\r\nContent-Length: 0\r\n{lines}\r\n\r\n");
        assert_eq!(parse_response(&response, "GET").unwrap().keep_alive(), expected, "{response}");
    }
}

#[test]
fn http_10_without_host_is_forwarded_with_an_empty_one() {
    assert_eq!(forwarded("GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.1\r\nHost: \r\n\r\n");
    let head = parse("GET / HTTP/1.0\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!((head.version(), head.authority()), (Version::Http10, &b"a"[..]));
}

#[test]
fn errors_say_what_was_found_and_which_answer_it_is() {
    let table = [
        (post("Content-Length: +3"), 400, "bad_request", "Content-Length: found `+3`"),
        (post("Expect: x"), 417, "expectation_failed", "found `x`, expected `100-continue`"),
        (post("Transfer-Encoding: gzip, chunked"), 501, "not_implemented", "`gzip, chunked`"),
        (post("X: a\r\n b"), 400, "bad_request", "field line: found ` …`"),
        ("GET / HTTP/9.1\r\n\r\n".into(), 505, "bad_request", "`HTTP/9.1`"),
        (post(&"a: b\r\n".repeat(200)), 431, "header_too_large", "more than 100 fields"),
        (format!("GET /{}", "a".repeat(9_000)), 414, "uri_too_long", "more than 8192 bytes"),
    ];
    for (request, status, reason, text) in table {
        let error = parse(request).err().unwrap();
        assert_eq!((error.status(), error.reason()), (status, reason));
        assert!(error.to_string().contains(text), "{error}");
    }
    // What is shown is short and printable whatever was sent.
    let error =
        parse(format!("GET / \x1b[2J{} HTTP/1.1\r\n\r\n", "x".repeat(5_000))).err().unwrap();
    assert!(error.to_string().len() < 200 && !error.to_string().contains('\x1b'), "{error}");
}
