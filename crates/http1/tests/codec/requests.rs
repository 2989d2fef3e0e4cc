use isobar_http1::*;

use crate::kit::*;

fn posts<'a>(lines: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = String> {
    lines.into_iter().map(post)
}

#[test]
fn h1_01_differing_content_lengths() {
    refused(
        400,
        posts([
            "Content-Length: 3\r\nContent-Length: 4",
            "Content-Length: 3, 4",
            "Content-Length: 3\r\nX: y\r\ncontent-length: 30",
        ]),
    );
}

#[test]
fn h1_02_identical_content_lengths_become_one() {
    for lines in ["Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3, 3"] {
        let head = parse(post(lines)).unwrap();
        assert_eq!(head.body(), Body::Length(3));
        assert_eq!(
            encoded(&head),
            "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n",
            "{lines}"
        );
    }
}

#[test]
fn h1_03_content_length_that_is_no_number() {
    let values =
        ["+3", "-1", "0x3", "1_0", "", "3 4", "3,", ",3", ", ,", "1.0", "\"3\"", "3;x", "3\t3"];
    refused(400, values.map(|value| post(&format!("Content-Length: {value}"))));
}

#[test]
fn h1_04_content_length_beyond_64_bits() {
    refused(
        400,
        posts([
            "Content-Length: 18446744073709551617",
            "Content-Length: 18446744073709551616",
            "Content-Length: 99999999999999999999999999999999",
        ]),
    );
    assert_eq!(
        parse(post("Content-Length: 18446744073709551615")).unwrap().body(),
        Body::Length(u64::MAX)
    );
}

#[test]
fn h1_05_content_length_and_transfer_encoding() {
    refused(
        400,
        posts([
            "Content-Length: 3\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Transfer-Encoding: chunked\r\nContent-Length: 0",
            "Transfer-Encoding: gzip, chunked\r\nContent-Length: 3",
        ]),
    );
}

#[test]
fn h1_06_last_coding_is_not_chunked() {
    refused(
        400,
        posts([
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip",
            "Transfer-Encoding: identity",
            "Transfer-Encoding:",
        ]),
    );
}

#[test]
fn h1_07_compression_before_chunked_is_not_implemented() {
    refused(
        501,
        posts([
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: deflate,chunked",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        ]),
    );
}

#[test]
fn h1_08_chunked_twice_or_beside_an_oddity() {
    refused(
        400,
        posts([
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: ,chunked",
            "Transfer-Encoding: chunked,",
            "Transfer-Encoding: identity, chunked",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked, gzip, chunked",
        ]),
    );
}

#[test]
fn h1_09_obfuscated_transfer_encoding() {
    refused(
        400,
        posts([
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: \"chunked\"",
            "Transfer-Encoding: \x0bchunked",
            "Transfer-Encoding: chunked\x0b",
            "Transfer-Encoding: \u{a0}chunked",
            "Transfer-Encoding: chunked\u{85}",
            "Transfer-Encoding\t: chunked",
            "Transfer-Encoding : chunked",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: chunked 1",
            "\0Transfer-Encoding: chunked",
        ]),
    );
    for lines in ["transfer-ENCODING: ChUnKeD", "Transfer-Encoding:\t chunked \t"] {
        let head = parse(post(lines)).unwrap();
        assert_eq!(head.body(), Body::Chunked);
        assert!(encoded(&head).ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n"));
    }
}

#[test]
fn h1_10_transfer_encoding_in_http_10() {
    refused(400, ["POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"]);
}

#[test]
fn h1_11_http_10_post_without_length_has_no_body() {
    let head = parse("POST / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(head.body(), Body::None);
    assert!(BodyReader::from(head.body()).is_done());
    assert!(!head.keep_alive());
}

#[test]
fn h1_15_bare_lf() {
    refused(
        400,
        [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
}

#[test]
fn h1_16_bare_cr() {
    refused(
        400,
        [
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\rX: a\r\n\r\n",
            "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
            "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
}

#[test]
fn h1_17_control_characters_in_a_value() {
    for byte in (0..=0x1fu8).chain([0x7f]).filter(|b| *b != b'\t') {
        for position in ["a\u{0}b", "\u{0}b", "a\u{0}"] {
            let value = position.replace('\0', &char::from(byte).to_string());
            refused(400, [post(&format!("X: {value}"))]);
        }
    }
    assert_eq!(parse(post("X: a\tb")).unwrap().values_named(b"x").next(), Some(&b"a\tb"[..]));
}

#[test]
fn h1_18_white_space_before_the_colon() {
    refused(400, posts(["X : y", "X\t: y", "Content-Length : 3"]));
}

#[test]
fn h1_19_folded_lines() {
    refused(400, posts(["X: y\r\n z", "X: y\r\n\tz", "X: y\r\n \r\nZ: z"]));
}

#[test]
fn h1_20_white_space_before_the_first_field() {
    refused(
        400,
        [
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\tHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n",
        ],
    );
}

#[test]
fn h1_21_no_colon_or_no_name() {
    refused(400, posts(["X", ": y", ":", "X y: z", "X(: y", "X\u{e9}: y"]));
}

#[test]
fn h1_22_host_must_be_one_and_valid() {
    refused(
        400,
        [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        ],
    );
    let values = [
        "a, b",
        "a,b",
        "u@a",
        "u:p@a",
        "a/b",
        "/a",
        "a b",
        "a\tb",
        "a:65536",
        "a:99999",
        "a:b",
        "a:-1",
        "a:+1",
        "a:000080",
        "a:1:2",
        "[::1",
        "::1",
        "[::1]x",
        "[::1]:x",
        "[zz]",
        "[]",
        "a?b",
        "a#b",
        "a\\b",
        "a%2",
        "a%zz",
        "<a>",
        "a\u{e9}",
        "[fe80::1%25eth0]",
    ];
    refused(400, values.map(|host| format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")));
    for host in
        ["a", "A.b-c_d:80", "a:", "a:0", "a:65535", "10.0.0.1:8080", "[::1]", "[::1]:80", ""]
    {
        let head = parse(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).expect(host);
        assert_eq!(head.authority(), host.as_bytes());
    }
}

#[test]
fn h1_23_absolute_form_wins_over_host() {
    for (target, authority, path) in [
        ("http://b.example/x?y", "b.example", "/x?y"),
        ("HTTP://b:81", "b:81", "/"),
        ("https://b?q", "b", "/?q"),
        ("http://[::1]:8080/", "[::1]:8080", "/"),
    ] {
        let head = parse(format!("GET {target} HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")).unwrap();
        assert_eq!(head.target(), target.as_bytes());
        assert_eq!(head.authority(), authority.as_bytes());
        assert_eq!(head.path_and_query(), path.as_bytes());
        assert_eq!(
            encoded(&head),
            format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nX: y\r\n\r\n")
        );
    }
    let head = parse("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.path_and_query(), b"*");
    refused(
        400,
        [
            "GET http://b/ HTTP/1.1\r\n\r\n",
            "GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://:80/x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b:65536/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:/b HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
}

#[test]
fn h1_24_target_forms_that_do_not_fit_the_method() {
    let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(
        400,
        [
            "GET a:80",
            "GET a",
            "GET *",
            "OPTIONS **",
            "OPTIONS *a",
            "GET a/b",
            "GET ?x",
            "CONNECT /",
            "CONNECT http://a:80/",
            "CONNECT a",
            "CONNECT a:",
            "CONNECT *",
            "CONNECT u@a:80",
            "CONNECT a:65536",
            "options *",
            "GET \\a",
        ]
        .map(request),
    );
    assert_eq!(parse(request("OPTIONS *")).unwrap().path_and_query(), b"*");
    assert!(forwarded(request("OPTIONS *")).starts_with("OPTIONS * HTTP/1.1\r\nHost: a\r\n"));
}

#[test]
fn h1_25_fragment_in_the_target() {
    let request = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
    refused(400, ["/a#b", "/#", "#", "http://b/#x", "http://b#x", "/caf\u{e9}"].map(request));
}

#[test]
fn h1_26_request_line() {
    let request = |line: &str| format!("{line}\r\nHost: a\r\n\r\n");
    refused(
        400,
        [
            "GET\t/ HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /\tHTTP/1.1",
            "GET / http/1.1",
            "GET / HTTP/1.12",
            "GET / HTTP/1.2",
            "GET / HTTP/1",
            "GET / HTTP/11.1",
            "GET / HTTP/a.1",
            "GET / HTTP /1.1",
            "GET /a b HTTP/1.1",
            "GET /\u{1} HTTP/1.1",
            "GET /\0 HTTP/1.1",
            " GET / HTTP/1.1",
            "GET / HTTPS/1.1",
            "GET / HTTP/2.00",
            "/ HTTP/1.1",
            "GET",
            "GET  HTTP/1.1",
        ]
        .map(request),
    );
    refused(505, ["GET / HTTP/2.0", "GET / HTTP/3.0", "GET / HTTP/0.9"].map(request));
}

#[test]
fn h1_27_http_09() {
    refused(400, ["GET /\r\n\r\n", "GET / \r\n\r\n"]);
}

#[test]
fn h1_28_other_protocols_are_known_from_their_first_bytes() {
    let mut head = RequestHead::new();
    let hello = b"\x16\x03\x01";
    assert_eq!(head.parse(&hello[..1], &LIMITS).unwrap_err().status(), 400);
    refused(505, ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"]);
}

#[test]
fn h1_34_expectations() {
    for lines in ["Expect: 100-continue", "expect: 100-CONTINUE"] {
        let head = parse(post(&format!("Content-Length: 3\r\n{lines}"))).unwrap();
        assert!(head.expect_continue());
    }
    refused(
        417,
        posts([
            "Content-Length: 3\r\nExpect: 200-ok",
            "Content-Length: 3\r\nExpect: 100-continue, x",
            "Content-Length: 3\r\nExpect: y 100-continue",
            "Content-Length: 3\r\nExpect:",
            "Content-Length: 3\r\nExpect: 100-continue\r\nExpect: z",
        ]),
    );
    // Nothing to wait for: not reported, and not passed on.
    let head = parse(post("Expect: 100-continue")).unwrap();
    assert!(!head.expect_continue());
    assert!(!encoded(&head).contains("Expect"));
}

#[test]
fn h1_35_a_body_on_any_method_keeps_its_framing() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let start = format!("{method} / HTTP/1.1\r\nHost: a\r\n");
        assert!(
            forwarded(format!("{start}Content-Length: 5\r\n\r\nhello"))
                .ends_with("\r\nContent-Length: 5\r\n\r\n")
        );
        assert!(
            forwarded(format!("{start}Transfer-Encoding: chunked\r\n\r\n"))
                .ends_with("\r\nTransfer-Encoding: chunked\r\n\r\n")
        );
    }
}

#[test]
fn h1_37_an_upgrade_needs_its_connection_option_and_no_body() {
    let head = parse(post("Connection: keep-alive, Upgrade\r\nUpgrade: websocket")).unwrap();
    assert_eq!(head.upgrade(), Some(&b"websocket"[..]));
    for lines in [
        "Upgrade: websocket",
        "Connection: upgrade",
        "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 3",
        "Connection: upgrade\r\nUpgrade: a b",
    ] {
        let head = parse(post(lines)).unwrap();
        assert_eq!(head.upgrade(), None, "{lines}");
        let mut out = Vec::new();
        head.encode_upgrade(&mut out);
        assert!(!out.windows(7).any(|w| w.eq_ignore_ascii_case(b"upgrade")), "{lines}");
    }
    let old = "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(parse(old).unwrap().upgrade(), None);
}

#[test]
fn h1_38_h2c_is_never_asked_for() {
    for upgrade in ["h2c", "H2C", "HTTP/2.0", "h2c, h2"] {
        let lines = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk"
        );
        let head = parse(post(&lines)).unwrap();
        assert_eq!(head.upgrade(), None, "{upgrade}");
        assert_eq!(encoded(&head), "POST /a HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let head = parse(post("Connection: upgrade\r\nUpgrade: h2c, websocket")).unwrap();
    let mut out = Vec::new();
    head.encode_upgrade(&mut out);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "POST /a HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    );
    assert!(!forwarded(post("HTTP2-Settings: x")).contains("HTTP2"));
}

#[test]
fn h1_39_connect_is_parsed_and_reported() {
    let head = parse("CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
    assert_eq!(head.method(), b"CONNECT");
    assert_eq!((head.target(), head.authority()), (&b"b:443"[..], &b"b:443"[..]));
}

#[test]
fn h1_40_trace_is_reported() {
    let head = parse("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n").unwrap();
    assert_eq!(head.method(), b"TRACE");
    assert_eq!(head.value(FieldId::MaxForwards), Some(&b"0"[..]));
}

#[test]
fn h1_41_unknown_method_tokens_pass_others_do_not() {
    for method in ["PURGE", "M-SEARCH", "get", "!#$%&'*+-.^_`|~09"] {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(parse(&request).unwrap().method(), method.as_bytes());
        assert_eq!(forwarded(&request), request);
        assert!(!parse(&request).unwrap().is_idempotent());
    }
    refused(
        400,
        ["G(T", "GET,", "G\"T", "G\u{e9}T", "{}", "GE\x7fT"]
            .map(|method| format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n")),
    );
}
