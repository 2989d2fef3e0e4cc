use isobar_http1::*;

use crate::kit::*;

#[track_caller]
fn refused_body(status: u16, body: &[u8]) {
    let whole = dechunk([body]);
    let error = whole.expect_err(&body[..body.len().min(80)].escape_ascii().to_string());
    assert_ne!(error, Error::Truncated, "{}", body[..body.len().min(80)].escape_ascii());
    assert_eq!(error.status(), status, "{error}");
    assert_eq!(dechunk(body.chunks(1)).unwrap_err(), error, "cut into bytes");
}

#[test]
fn h1_12_chunk_sizes() {
    for size in [
        "0x3",
        "+3",
        "0_3",
        " 3",
        "",
        "-3",
        "3 ",
        "3\t",
        "g",
        "3 ;x",
        "\u{ff13}",
        "10000000000000000",
        "fffffffffffffffff",
        "00000000000000003",
        "3,3",
        ";x",
        "\0",
        "3\0",
    ] {
        refused_body(400, format!("{size}\r\nabc\r\n0\r\n\r\n").as_bytes());
    }
    let (data, trailers, _) =
        dechunk([&b"0000000000000003\r\nabc\r\n0A\r\n0123456789\r\n000\r\n\r\n"[..]]).unwrap();
    assert_eq!((&data[..], &trailers[..]), (&b"abc0123456789"[..], ""));
    // The largest size there is does not wrap.
    let mut reader = BodyReader::from(Body::Chunked);
    let step = reader.advance(b"ffffffffffffffff\r\nabc").unwrap();
    assert_eq!((step.skip, step.data, step.state), (18, 3, State::More));
}

#[test]
fn h1_13_chunk_extensions_are_checked_and_dropped() {
    let (data, ..) = dechunk([&b"3;a=b;c=\"d;e\";f\r\nabc\r\n0;last\r\n\r\n"[..]]).unwrap();
    assert_eq!(data, b"abc");
    refused_body(400, b"3;a\nabc\r\n0\r\n\r\n");
    refused_body(400, b"3;a\rb\r\nabc\r\n0\r\n\r\n");
    refused_body(400, b"3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n");
    refused_body(400, b"3;a\0b\r\nabc\r\n0\r\n\r\n");
    refused_body(400, b"3\nabc\r\n0\r\n\r\n");
    refused_body(400, b"3\r\r\nabc\r\n0\r\n\r\n");

    refused_body(400, &[b"3;", &[b'a'; 1 << 20][..]].concat());
    let mut flood = Vec::new();
    for _ in 0..20_000 {
        flood.extend_from_slice(b"1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n");
    }
    refused_body(400, &flood);
    // Tiny chunks, and signed large ones, are honest.
    let mut honest = b"1\r\nx\r\n".repeat(20_000);
    for _ in 0..200 {
        honest.extend_from_slice(format!("400;chunk-signature={}\r\n", "a".repeat(64)).as_bytes());
        honest.extend_from_slice(&[b'x'; 1024]);
        honest.extend_from_slice(b"\r\n");
    }
    honest.extend_from_slice(chunked::LAST);
    assert_eq!(dechunk([&honest[..]]).unwrap().0.len(), 20_000 + 200 * 1024);
}

#[test]
fn h1_14_chunk_data_without_its_crlf() {
    for body in [
        "3\r\nabcd\r\n0\r\n\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\r0\r\n\r\n",
        "3\r\nabc0\r\n\r\n",
    ] {
        refused_body(400, body.as_bytes());
    }
}

#[test]
fn h1_31_trailers_that_would_be_headers_are_dropped() {
    let forbidden = [
        "TE",
        "Content-Length",
        "Host",
        "Authorization",
        "Set-Cookie",
        "Transfer-Encoding",
        "Connection",
        "Cookie",
        "Trailer",
        "Content-Type",
        "Content-Encoding",
        "Content-Range",
        "Cache-Control",
        "Expect",
        "Max-Forwards",
        "Range",
        "If-Match",
        "Upgrade",
        "Keep-Alive",
        "Proxy-Connection",
        "Proxy-Foo",
        "X-Forwarded-For",
        "X-Forwarded-Client-Cert",
        "Forwarded",
        "X-Real-IP",
        "X-Request-Id",
        "Location",
        "Age",
        "Expires",
        "Date",
        "Vary",
        "Via",
        "WWW-Authenticate",
        "Retry-After",
        "content_length",
        "Proxy",
    ];
    let mut body = String::from("0\r\nX-Sum:  1 \r\n");
    for name in forbidden {
        body += &format!("{name}: x\r\n{}: x\r\n", name.to_lowercase());
    }
    body += "grpc-status: 0\r\n\r\n";
    let (data, trailers, _) = dechunk([body.as_bytes()]).unwrap();
    assert!(data.is_empty());
    assert_eq!(trailers, "X-Sum:  1 \r\ngrpc-status: 0\r\n");
    let mut out = Vec::new();
    chunked::encode_last(trailers.as_bytes(), &mut out);
    assert_eq!(out, b"0\r\nX-Sum:  1 \r\ngrpc-status: 0\r\n\r\n");

    for line in ["X", ": y", "X : y", " X: y", "X: a\0b", "X: a\rb", "X: y\r\n z", "X\u{e9}: y"] {
        refused_body(400, format!("0\r\n{line}\r\n\r\n").as_bytes());
    }
    refused_body(400, b"0\r\nX: y\n\r\n");
    refused_body(400, b"0\r\n\n");
}

#[test]
fn h1_32_a_trailer_section_is_bounded() {
    refused_body(431, &[b"0\r\nX: ", &[b'a'; 9_000][..]].concat());
    refused_body(431, &[&b"0\r\n"[..], &b"X: y\r\n".repeat(2_000)].concat());
    refused_body(431, &[&b"0\r\n"[..], &b"Host: y\r\n".repeat(2_000)].concat());
}

#[test]
fn chunk_sizes_are_written_as_they_are_read() {
    for size in [1, 9, 10, 15, 16, 255, 256, 4_096, 65_535, 65_536, 1 << 20] {
        let mut out = Vec::new();
        chunked::encode_size(size, &mut out);
        assert_eq!(out, format!("{size:x}\r\n").as_bytes());
    }
    let mut reader = BodyReader::from(Body::Chunked);
    assert_eq!(reader.advance(chunked::LAST).unwrap().state, State::Done);
}
