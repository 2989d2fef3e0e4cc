use isobar_http1::*;

use crate::kit::*;

fn keep_alive(head: &ResponseHead) -> String {
    answered(head, Connection::KeepAlive, Version::Http11)
}

#[test]
fn up_03_garbage_versions_and_statuses() {
    refused_response(
        [
            "garbage",
            "GET / HTTP/1.1",
            "<html>",
            "HTTP/0.9 200 OK",
            "HTTP/2.0 200 OK",
            "HTTP/1.2 200 OK",
            "HTTP/1.12 200 OK",
            "http/1.1 200 OK",
            "HTTP/1.1 20 OK",
            "HTTP/1.1 2000 OK",
            "HTTP/1.1 099 OK",
            "HTTP/1.1 000 OK",
            "HTTP/1.1 -20 OK",
            "HTTP/1.1 2x0 OK",
            "HTTP/1.1  200 OK",
            "HTTP/1.1\t200 OK",
            "HTTP/1.1",
            "HTTP/1.1 ",
            "ICY 200 OK",
            " HTTP/1.1 200 OK",
            "HTTP/1.1 200\tOK",
            "HTTP/1.1 200 O\0K",
            "HTTP/1.1 200 O\rK",
        ]
        .map(|line| format!("{line}\r\nContent-Length: 0\r\n\r\n")),
    );
    // Known from the first bytes.
    let mut head = ResponseHead::new();
    assert!(head.parse(b"HTTX", &LIMITS, b"GET").is_err());
    assert_eq!(head.parse(b"HTTP/1", &LIMITS, b"GET"), Ok(Parsed::Partial));
    for (line, reason) in [
        ("HTTP/1.1 200 OK", &b"OK"[..]),
        ("HTTP/1.1 200 ", b""),
        ("HTTP/1.1 200", b""),
        // RFC 9110 15: passed on, and read as a 5xx.
        ("HTTP/1.1 600 Odd", b"Odd"),
        ("HTTP/1.1 999 Denied", b"Denied"),
        ("HTTP/1.1 599 Caf\u{e9} x", "Caf\u{e9} x".as_bytes()),
    ] {
        let head = parse_response(format!("{line}\r\nContent-Length: 0\r\n\r\n"), "GET").unwrap();
        assert_eq!(head.reason(), reason);
        let status = format!("HTTP/1.1 {} {}\r\n", head.status(), str::from_utf8(reason).unwrap());
        assert!(keep_alive(&head).starts_with(&status));
    }
}

#[test]
fn up_05_bytes_that_do_not_belong_in_a_head() {
    refused_response(
        [
            "X: a\0b",
            "X: a\rb",
            "X: a\r\r",
            "X: a\r\n b",
            "X: a\r\n\tb",
            "X : a",
            "X\t: a",
            " X: a",
            "X",
            ": a",
            "X: a\nY: b",
            "X: a\x01",
            "X: \x7f",
            "X y: z",
        ]
        .map(|line| ok(&format!("Content-Length: 0\r\n{line}"))),
    );
    refused_response(["HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nX: y\n\r\n"]);
}

#[test]
fn up_06_ambiguous_lengths() {
    refused_response(
        [
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3, 4",
            "Content-Length: -1",
            "Content-Length: +3",
            "Content-Length: abc",
            "Content-Length:",
            "Content-Length: 18446744073709551618",
            "Content-Length: 3\r\nContent-Length:",
        ]
        .map(ok),
    );
    let head = parse_response(ok("Content-Length: 3\r\nContent-Length: 3"), "GET").unwrap();
    assert_eq!(keep_alive(&head), ok("Content-Length: 3"));
    // However little the status lets follow.
    for status in [101, 103, 204, 304] {
        refused_response([format!("HTTP/1.1 {status} X\r\nContent-Length: 1, 2\r\n\r\n")]);
    }
}

#[test]
fn up_07_transfer_codings() {
    refused_response(
        [
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding:",
        ]
        .map(ok),
    );
    refused_response(["HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]);
    let head = parse_response(ok("Transfer-Encoding: Chunked\r\nX: y"), "GET").unwrap();
    assert_eq!(head.body(), ResponseBody::Chunked);
    assert_eq!(keep_alive(&head), ok("X: y\r\nTransfer-Encoding: chunked"));
}

#[test]
fn up_08_a_cut_body_is_never_a_whole_one() {
    let mut reader = BodyReader::from(ResponseBody::Length(5));
    let step = reader.advance(b"hell").unwrap();
    assert_eq!((step.skip, step.data, step.state), (0, 4, State::More));
    assert_eq!(reader.eof(), Err(Error::Truncated));
    let step = reader.advance(b"o!").unwrap();
    assert_eq!((step.skip, step.data, step.state), (0, 1, State::Done));
    assert_eq!(reader.eof(), Ok(()));

    for cut in [&b""[..], b"5", b"5\r\n", b"5\r\nhello", b"5\r\nhello\r\n", b"0\r\n", b"0\r\n\r"] {
        assert_eq!(dechunk([cut]), Err(Error::Truncated), "{}", cut.escape_ascii());
    }
}

#[test]
fn up_09_close_delimited() {
    for version in ["1.0", "1.1"] {
        let head = parse_response(format!("HTTP/{version} 200 OK\r\nX: y\r\n\r\n"), "GET").unwrap();
        assert_eq!(head.body(), ResponseBody::UntilClose);
        assert!(!head.keep_alive());
        assert_eq!(keep_alive(&head), ok("X: y\r\nConnection: close"));
    }
    let mut reader = BodyReader::from(ResponseBody::UntilClose);
    let step = reader.advance(b"hello").unwrap();
    assert_eq!((step.skip, step.data, step.state), (0, 5, State::More));
    assert!(!reader.is_done());
    assert_eq!(reader.eof(), Ok(()));
}

#[test]
fn up_10_bytes_behind_the_end_are_left_alone() {
    let mut reader = BodyReader::from(ResponseBody::Length(2));
    assert_eq!(reader.advance(b"okHTTP/1.1 200").unwrap().data, 2);
    let step = reader.advance(b"HTTP/1.1 200").unwrap();
    assert_eq!((step.skip, step.data, step.state), (0, 0, State::Done));
    let (data, _, behind) = dechunk([&b"2\r\nok\r\n0\r\n\r\nHTTP/1.1 408"[..]]).unwrap();
    assert_eq!((&data[..], &behind[..]), (&b"ok"[..], &b"HTTP/1.1 408"[..]));
}

#[test]
fn up_11_answers_without_a_body() {
    let length = "Content-Length: 5";
    let table = [
        // status, method, line, reusable, what is kept of the framing
        (204, "GET", length, false, ""),
        (204, "GET", "Content-Length: 0", true, ""),
        (204, "GET", "Transfer-Encoding: chunked", false, ""),
        (304, "GET", length, true, "Content-Length: 5\r\n"),
        (200, "HEAD", length, true, "Content-Length: 5\r\n"),
        (200, "HEAD", "Transfer-Encoding: chunked", true, ""),
        (200, "HEAD", "X: y", true, "X: y\r\n"),
    ];
    for (status, method, line, reusable, kept) in table {
        let response = format!("HTTP/1.1 {status} X\r\n{line}\r\n\r\n");
        let head = parse_response(&response, method).unwrap();
        assert_eq!(head.body(), ResponseBody::None, "{response}");
        assert!(BodyReader::from(head.body()).is_done());
        assert_eq!(head.keep_alive(), reusable, "{response}");
        assert_eq!(keep_alive(&head), format!("HTTP/1.1 {status} X\r\n{kept}\r\n"));
    }
    let head = parse_response(ok(length), "GET").unwrap();
    assert_eq!(head.body(), ResponseBody::Length(5));
}

#[test]
fn up_12_interim_responses() {
    for status in [100, 102, 103, 199] {
        let response = format!(
            "HTTP/1.1 {status} X\r\nLink: </a>; rel=preload\r\nContent-Length: 5\r\nKeep-Alive: x\r\n\r\n"
        );
        let head = parse_response(&response, "GET").unwrap();
        assert!(head.is_interim());
        assert_eq!(head.body(), ResponseBody::None);
        let mut out = Vec::new();
        head.encode_interim(&mut out);
        let expected = format!("HTTP/1.1 {status} X\r\nLink: </a>; rel=preload\r\n\r\n");
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
    for status in [101, 200, 404] {
        let response = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
        assert!(!parse_response(response, "GET").unwrap().is_interim());
    }
}

#[test]
fn up_13_a_switch_names_its_protocol() {
    let switch = |lines: &str| {
        parse_response(format!("HTTP/1.1 101 Switching\r\n{lines}\r\n\r\n"), "GET").unwrap()
    };
    let head = switch("Upgrade: WebSocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x");
    assert_eq!(head.upgrade(), Some(&b"WebSocket"[..]));
    assert!(!head.keep_alive());
    assert_eq!(
        answered(&head, Connection::Upgrade, Version::Http11),
        "HTTP/1.1 101 Switching\r\nSec-WebSocket-Accept: x\r\nConnection: upgrade\r\n\
         Upgrade: WebSocket\r\n\r\n"
    );
    assert_eq!(switch("Upgrade: websocket").upgrade(), None);
    assert_eq!(switch("Connection: upgrade").upgrade(), None);
    assert_eq!(switch("Connection: upgrade\r\nUpgrade: h2c").upgrade(), None);
    let refused = ok("Upgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0");
    assert_eq!(parse_response(refused, "GET").unwrap().upgrade(), None);
}

#[test]
fn the_connection_line_fits_the_client() {
    let head = parse_response(ok("Content-Length: 0\r\nConnection: close"), "GET").unwrap();
    let table = [
        (Connection::KeepAlive, Version::Http11, ""),
        (Connection::KeepAlive, Version::Http10, "Connection: keep-alive\r\n"),
        (Connection::Close, Version::Http11, "Connection: close\r\n"),
        (Connection::Close, Version::Http10, "Connection: close\r\n"),
    ];
    for (connection, client, line) in table {
        assert_eq!(
            answered(&head, connection, client),
            format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{line}\r\n")
        );
    }
}
