//! The filter `compression`: what it encodes, what it leaves alone, and that it keeps nothing back.

use std::io::Read as _;
use std::time::Duration;

use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin};
use isobar_tests::wait::until;

/// One listener `web` with the filter before a pool of that origin.
fn start(origin: &Origin, pool: &str) -> Isobar {
    Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [ {{ pool: app, filters: [ {{ compression: {{}} }} ] }} ] }} }}\n\
         pools: {{ app: {{ {pool}workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}

fn decoded(coding: &str, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match coding {
        "gzip" => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut out)),
        "br" => drop(brotli::Decompressor::new(body, 4096).read_to_end(&mut out)),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::new(body).expect("a decoder");
            drop(decoder.read_to_end(&mut out));
        }
        _ => out.extend_from_slice(body),
    }
    out
}

/// 200 with this body, its length known or not.
fn page(fields: &'static str, body: Vec<u8>) -> Origin {
    Origin::start(move |request, visit| {
        let chunked = request.target == "/chunked";
        let mut out = format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
        if chunked {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in body.chunks(7_000) {
                out.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                out.extend_from_slice(piece);
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(b"0\r\n\r\n");
        } else {
            out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
            if request.method != "HEAD" {
                out.extend_from_slice(&body);
            }
        }
        visit.write(&out).map_or(Next::Close, |()| Next::Keep)
    })
}

#[test]
fn compression_encodes_what_the_client_accepts() {
    encodes_what_the_client_accepts("");
    // The whole body is there before the first byte goes out.
    encodes_what_the_client_accepts("slots: 4, buffer: { response: 4MiB }, ");
}

fn encodes_what_the_client_accepts(pool: &str) {
    let body: Vec<u8> =
        (0..200_000u32).flat_map(|n| format!("line {}\n", n % 977).into_bytes()).collect();
    let origin = page(
        "Content-Type: text/html; charset=utf-8\r\nETag: \"v1\"\r\nAccept-Ranges: bytes",
        body.clone(),
    );
    let isobar = start(&origin, pool);
    let mut connection = isobar.open("web");
    for target in ["/", "/chunked"] {
        for (accepted, coding) in [
            ("gzip", "gzip"),
            ("br;q=1, gzip;q=0.5", "br"),
            ("gzip, br, zstd", "zstd"),
            ("*", "zstd"),
        ] {
            let request =
                format!("GET {target} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {accepted}\r\n\r\n");
            let answer = connection.ask(&request);
            assert_eq!(answer.header("content-encoding"), Some(coding), "{accepted}");
            assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
            assert_eq!(answer.header("content-length"), None);
            assert_eq!(
                (answer.header("vary"), answer.header("etag")),
                (Some("Accept-Encoding"), Some("W/\"v1\""))
            );
            assert_eq!(answer.header("accept-ranges"), None);
            assert!(answer.body.len() < body.len() / 5, "{} of {}", answer.body.len(), body.len());
            assert!(decoded(coding, &answer.body) == body, "{coding} {target}");
        }
        let plain = connection
            .ask(&format!("GET {target} HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip;q=0\r\n\r\n"));
        assert_eq!(
            (plain.header("content-encoding"), plain.header("vary")),
            (None, Some("Accept-Encoding"))
        );
        assert_eq!(plain.header("etag"), Some("\"v1\""));
        assert!(plain.body == body);
    }
    let head = connection.ask("HEAD / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_eq!(
        (head.header("content-encoding"), head.header("vary")),
        (Some("gzip"), Some("Accept-Encoding"))
    );
    let mut old = isobar.open("web");
    old.send(b"GET /chunked HTTP/1.0\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n").expect("sends");
    let whole = old.read_to_end().expect("until it closes");
    assert!(whole.ends_with(&body[body.len() - 1000..]), "HTTP/1.0 clients get it as it is");
    assert_eq!(connection.get("/").expect("still open").status, 200);
}

#[test]
fn compression_leaves_alone_what_it_should() {
    let text = "Content-Type: text/plain";
    let large = vec![b'a'; 10_000];
    for (fields, body) in [
        ("Content-Type: text/plain\r\nContent-Encoding: br", large.clone()),
        ("Content-Type: image/png", large.clone()),
        ("Content-Type: text/plain\r\nCache-Control: private, No-Transform", large.clone()),
        ("Content-Type: text/plain\r\nContent-Range: bytes 0-9999/20000", large.clone()),
        ("Content-Type: text/plain\r\nContent-Digest: sha-256=:x:", large.clone()),
        ("X-Type: none", large.clone()),
        (text, vec![b'a'; 1023]),
        (text, Vec::new()),
    ] {
        let origin = page(fields, body.clone());
        let isobar = start(&origin, "");
        let answer =
            isobar.open("web").ask("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
        assert!(answer.header("content-encoding").is_none_or(|coding| coding == "br"), "{fields}");
        assert_eq!((answer.header("vary"), answer.body == body), (None, true), "{fields}");
        assert_eq!(answer.header("content-length"), Some(body.len().to_string().as_str()));
    }
}

#[test]
fn every_event_of_a_compressed_stream_is_flushed() {
    for pool in ["", "slots: 1, "] {
        let (next, gate) = std::sync::mpsc::channel::<()>();
        let gate = std::sync::Mutex::new(gate);
        let origin = Origin::start(move |_, visit| {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
            visit.write(head.as_bytes()).expect("a head");
            for number in 0..5 {
                let event = format!("data: {number}\n\n");
                let chunk = format!("{:x}\r\n{event}\r\n", event.len());
                visit.write(chunk.as_bytes()).expect("an event");
                // The next one only once this one has arrived.
                gate.lock()
                    .expect("the gate")
                    .recv_timeout(Duration::from_secs(10))
                    .expect("it arrived");
            }
            visit.write(b"0\r\n\r\n").expect("the end");
            Next::Keep
        });
        for coding in ["gzip", "br", "zstd"] {
            let isobar = start(&origin, pool);
            let mut connection = isobar.open("web");
            let request = format!("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: {coding}\r\n\r\n");
            connection.send(request.as_bytes()).expect("sends");
            let (mut raw, mut body) = (Vec::new(), Vec::new());
            let mut in_head = true;
            for number in 0..5 {
                let event = format!("data: {number}\n\n");
                until(|| {
                    raw.extend(connection.read_exactly(1).expect("more"));
                    if in_head && raw.ends_with(b"\r\n\r\n") {
                        assert!(
                            String::from_utf8_lossy(&raw)
                                .contains(&format!("Content-Encoding: {coding}\r\n"))
                        );
                        in_head = false;
                        raw.clear();
                    }
                    while !in_head && let Some(line) = isobar_tests::http::find(&raw, b"\r\n") {
                        let size =
                            usize::from_str_radix(&String::from_utf8_lossy(&raw[..line]), 16)
                                .expect("a size");
                        if raw.len() < line + 2 + size + 2 {
                            break;
                        }
                        body.extend_from_slice(&raw[line + 2..line + 2 + size]);
                        raw.drain(..line + 2 + size + 2);
                    }
                    decoded(coding, &body).ends_with(event.as_bytes()).then_some(())
                });
                next.send(()).expect("the worker waits");
            }
        }
    }
}

/// RFC 9110 §9.3.2: a HEAD is told what a GET would be, and neither a length nor a strong validator of
/// other bytes.
#[test]
fn a_head_is_told_what_a_get_would_be() {
    let fields = "Content-Type: text/plain\r\nETag: \"v1\"\r\nAccept-Ranges: bytes";
    let origin = page(fields, vec![b'x'; 5_000]);
    let isobar = start(&origin, "");
    let ask = |method: &str, fields: &str| {
        let mut connection = isobar.open("web");
        let request = format!("{method} / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        connection.send(request.as_bytes()).expect("sends");
        connection.response_to(method).expect("an answer")
    };
    for fields in ["Accept-Encoding: gzip\r\n", ""] {
        let (get, head) = (ask("GET", fields), ask("HEAD", fields));
        for name in ["etag", "content-encoding", "vary", "accept-ranges"] {
            assert_eq!(head.header(name), get.header(name), "{name} with {fields:?}");
        }
        let length = if fields.is_empty() { Some("5000") } else { None };
        assert_eq!(head.header("content-length"), length, "{fields:?}");
    }
}

#[test]
fn what_is_no_validator_is_left_as_it_is() {
    for (sent, told) in [
        ("\"a\"", "W/\"a\""),
        ("W/\"a\"", "W/\"a\""),
        ("abc", "abc"),
        ("\"a", "\"a"),
        ("w/\"a\"", "w/\"a\""),
    ] {
        let fields: &'static str =
            Box::leak(format!("Content-Type: text/plain\r\nETag: {sent}").into());
        let origin = page(fields, vec![b'x'; 5_000]);
        let isobar = start(&origin, "");
        let mut connection = isobar.open("web");
        connection
            .send(b"GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
            .expect("sends");
        let answer = connection.response_to("GET").expect("an answer");
        assert_eq!(answer.header("etag"), Some(told), "{sent}");
    }
}
