//! What holds for any input.

use isobar_http1::*;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::kit::*;

/// Bytes that look enough like HTTP to get far, with the odd ones in between.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "GET ",
        "POST ",
        "CONNECT ",
        "OPTIONS ",
        "/",
        "/a?b",
        "*",
        "http://b",
        "a:80",
        "#",
        " ",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        " HTTP/2.0\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 101 S\r\n",
        "HTTP/1.1 204\r\n",
        "HTTP/1.0 302 F\r\n",
        "Host: a\r\n",
        "Host: a, b\r\n",
        "Content-Length: 5\r\n",
        "Content-Length: 6\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Connection: close\r\n",
        "Connection: X, upgrade\r\n",
        "Upgrade: websocket\r\n",
        "X: y\r\n",
        "X_y: z\r\n",
        "X:\r\n",
        "X:  y \r\n",
        "Proxy: p\r\n",
        "Trailer: t\r\n",
        "Expect: 100-continue\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "\0",
        "\t",
        ":",
        "\u{e9}",
        "5\r\n",
        "hello",
        "0\r\n",
        ";ext",
        "\r\n\r\n",
    ]);
    let text = vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![4 => text, 1 => vec(any::<u8>(), 0..200)]
}

/// A request that is likely to be taken.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "X: y",
        "X:y",
        "X:  y ",
        "Empty:",
        "Cookie: a=b",
        "X_y: z",
        "Proxy: p",
        "Connection: X, close",
        "Connection: keep-alive",
        "Content-Length: 5",
        "Content-Length: 5, 5",
        "Keep-Alive: 3",
        "Transfer-Encoding: chunked",
        "TE: trailers",
        "Expect: 100-continue",
        "Upgrade: websocket",
        "Trailer: t",
        "X-Forwarded-For: 1",
        "Accept: */*",
    ]);
    let start = prop::sample::select(vec![
        "GET / HTTP/1.1",
        "POST /a?b HTTP/1.1",
        "GET http://b/c HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET http://b?q HTTP/1.1",
        "PUT / HTTP/1.0",
    ]);
    (start, vec(line, 0..8)).prop_map(|(start, lines)| {
        format!("{start}\r\nHost: a\r\n{}\r\n\r\n", lines.join("\r\n"))
            .replace("\r\n\r\n\r\n", "\r\n\r\n")
            .into_bytes()
    })
}

/// All that a head tells, to compare two of them.
fn told(head: &RequestHead) -> String {
    let mut upgrade = Vec::new();
    head.encode_upgrade(&mut upgrade);
    format!(
        "{:?} {:?} {:?} {:?} {} {} {:?} {}",
        head.target().escape_ascii().to_string(),
        head.authority().escape_ascii().to_string(),
        head.version(),
        head.body(),
        head.keep_alive(),
        head.expect_continue(),
        head.upgrade(),
        upgrade.escape_ascii()
    )
}

fn told_response(head: &ResponseHead) -> String {
    let mut out = Vec::new();
    let (framing, connection) = (ResponseFraming::None, Connection::KeepAlive);
    head.encode(&mut out, framing, connection, Version::Http10);
    format!("{:?} {} {}", head.body(), head.keep_alive(), out.escape_ascii())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// However the input is cut, the outcome is that of the whole, at the same place.
    #[test]
    fn a_request_may_be_cut_anywhere(input in message(), step in 1usize..9) {
        let limits = Limits { head_bytes: 160, headers: 6, uri: 24 };
        let mut whole = RequestHead::new();
        let expected = whole.parse(&input, &limits);
        let mut cut = RequestHead::new();
        let mut outcome = Ok(Parsed::Partial);
        for end in (0..input.len()).step_by(step).chain([input.len()]) {
            outcome = cut.parse(&input[..end], &limits);
            if outcome != Ok(Parsed::Partial) {
                break;
            }
        }
        match (&expected, &outcome) {
            // What is shown of the bad bytes depends on how many had come.
            (Err(one), Err(other)) => prop_assert_eq!(
                std::mem::discriminant(one), std::mem::discriminant(other), "{} / {}", one, other),
            _ => prop_assert_eq!(&expected, &outcome),
        }
        if expected.is_ok() {
            prop_assert_eq!(told(&whole), told(&cut));
        }
    }

    #[test]
    fn a_response_may_be_cut_anywhere(input in message(), step in 1usize..9) {
        let limits = Limits { head_bytes: 160, headers: 6, uri: 24 };
        let input = [b"HTTP/1.1 200 OK\r\n", &input[..]].concat();
        let mut whole = ResponseHead::new();
        let expected = whole.parse(&input, &limits, b"GET");
        let mut cut = ResponseHead::new();
        let mut outcome = Ok(Parsed::Partial);
        for end in (0..input.len()).step_by(step).chain([input.len()]) {
            outcome = cut.parse(&input[..end], &limits, b"GET");
            if outcome != Ok(Parsed::Partial) {
                break;
            }
        }
        prop_assert_eq!(&expected, &outcome);
        if expected.is_ok() {
            prop_assert_eq!(told_response(&whole), told_response(&cut));
        }
    }

    /// The next hop reads exactly what we read: same framing, nothing hop-by-hop, one host.
    #[test]
    fn what_is_encoded_parses_to_the_same_framing(input in prop_oneof![request(), message()]) {
        let mut head = RequestHead::new();
        let Ok(Parsed::Complete(_)) = head.parse(&input, &LIMITS) else { return Ok(()) };
        let mut out = Vec::new();
        head.encode(&mut out, head.body());
        let mut next = RequestHead::new();
        prop_assert_eq!(next.parse(&out, &LIMITS), Ok(Parsed::Complete(out.len())));
        prop_assert_eq!(next.body(), head.body());
        prop_assert_eq!(next.method(), head.method());
        prop_assert_eq!(next.path_and_query(), head.path_and_query());
        prop_assert_eq!(next.authority(), head.authority());
        prop_assert_eq!(next.version(), Version::Http11);
        prop_assert!(!next.fields().any(|f| f.id != FieldId::TransferEncoding && next.is_hop_by_hop(&f)));
        let mut again = Vec::new();
        next.encode(&mut again, next.body());
        if !out.starts_with(b"CONNECT") {
            prop_assert_eq!(out, again);
        }
    }

    #[test]
    fn an_encoded_response_parses_to_the_same_framing(input in message()) {
        let input = [b"HTTP/1.1 200 OK\r\n", &input[..]].concat();
        let mut head = ResponseHead::new();
        let Ok(Parsed::Complete(_)) = head.parse(&input, &LIMITS, b"GET") else { return Ok(()) };
        let out = answered_bytes(&head);
        let mut next = ResponseHead::new();
        prop_assert_eq!(next.parse(&out, &LIMITS, b"GET"), Ok(Parsed::Complete(out.len())));
        prop_assert_eq!(next.body(), head.body());
        prop_assert_eq!(answered_bytes(&next), out);
    }

    /// An edit adds one field or none, whatever is in it, and never a line end.
    #[test]
    fn an_edit_is_at_most_one_line(
        names in vec(prop_oneof!["[a-zA-Z-]{1,12}", "(?s).{0,8}", "(?i)host|via|content-length"], 1..4),
        value in vec(any::<u8>(), 0..40),
        path in vec(any::<u8>(), 1..40),
    ) {
        let mut head = parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        for name in &names {
            head.set(name, "1");
            head.append(name, &value);
            head.set(name, "a.example");
        }
        head.set_path(&[b"/", &path[..]].concat());
        let mut out = Vec::new();
        head.encode(&mut out, Body::None);
        let mut next = RequestHead::new();
        prop_assert_eq!(next.parse(&out, &LIMITS), Ok(Parsed::Complete(out.len())));
        prop_assert!(next.fields().count() <= 1 + names.len());
        prop_assert_eq!(next.body(), Body::None);
    }

    /// Encode, decode, in any chunks and any cuts.
    #[test]
    fn a_chunked_body_survives(chunks in vec(vec(any::<u8>(), 1..40), 0..6), cut in 1usize..20) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            chunked::encode_size(chunk.len(), &mut wire);
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        chunked::encode_last(b"X-Sum: 1\r\n", &mut wire);
        wire.extend_from_slice(b"next");
        let (data, trailers, behind) = dechunk(wire.chunks(cut)).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert_eq!(trailers, "X-Sum: 1\r\n");
        prop_assert_eq!(behind, b"next");
    }

    /// Against a decoder that is as plain as it gets, on bodies good and bad.
    #[test]
    fn the_decoder_agrees_with_a_plain_one(
        pieces in vec(prop::sample::select(vec![
            "3\r\nabc\r\n", "a\r\n0123456789\r\n", "0\r\n", "\r\n", "X: y\r\n", "Host: z\r\n", "5\r\n", "hello",
            "1;e=f\r\nx\r\n", "\n", " ", "g", "0\r\n\r\n",
        ]), 0..8),
        cut in 1usize..12,
    ) {
        let wire = pieces.concat().into_bytes();
        let ours = dechunk(wire.chunks(cut));
        match plain_dechunk(&wire) {
            Some((data, behind)) => {
                let (our_data, _, our_behind) = ours.unwrap();
                prop_assert_eq!((our_data, our_behind), (data, behind));
            }
            None => prop_assert!(ours.is_err()),
        }
    }

    #[test]
    fn a_body_reader_never_panics(wire in vec(any::<u8>(), 0..300), cut in 1usize..30) {
        let _ = dechunk(wire.chunks(cut));
    }
}

fn answered_bytes(head: &ResponseHead) -> Vec<u8> {
    let framing = match head.body() {
        ResponseBody::None => ResponseFraming::None,
        ResponseBody::Length(n) => ResponseFraming::Length(n),
        ResponseBody::Chunked => ResponseFraming::Chunked,
        ResponseBody::UntilClose => ResponseFraming::UntilClose,
    };
    let mut out = Vec::new();
    head.encode(&mut out, framing, Connection::KeepAlive, Version::Http11);
    out
}

/// The whole body at once: its data and what lies behind it, or nothing if it is bad or cut.
fn plain_dechunk(mut wire: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut data = Vec::new();
    let line = |wire: &mut &[u8]| {
        let at = wire.iter().position(|&b| b == b'\n')?;
        let text = wire[..at].strip_suffix(b"\r")?;
        *wire = &wire[at + 1..];
        Some(text.to_vec())
    };
    loop {
        let size_line = line(&mut wire)?;
        let size = size_line.split(|&b| b == b';').next()?;
        if size.is_empty() || !size.iter().all(u8::is_ascii_hexdigit) || size_line.contains(&b'\r')
        {
            return None;
        }
        let size = usize::from_str_radix(str::from_utf8(size).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        data.extend_from_slice(wire.get(..size)?);
        wire = wire[size..].strip_prefix(b"\r\n")?;
    }
    loop {
        match &line(&mut wire)?[..] {
            [] => return Some((data, wire.to_vec())),
            trailer => {
                let colon = trailer.iter().position(|&b| b == b':')?;
                let name = &trailer[..colon];
                let token = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
                if name.is_empty() || !name.iter().all(token) || trailer.contains(&b'\r') {
                    return None;
                }
            }
        }
    }
}
