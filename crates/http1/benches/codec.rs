//! Nanoseconds per head, parsed and encoded: `cargo bench -p isobar-http1`.

use std::hint::black_box;
use std::time::Instant;

use isobar_http1::{
    Body, Connection, FieldId, Limits, RequestHead, ResponseFraming, ResponseHead, Version,
};

const REQUEST: &[u8] = b"GET /api/v1/items?page=2 HTTP/1.1\r\nHost: app.example.com\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101\r\nAccept: text/html,*/*\r\n\
    Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: session=0123456789abcdef\r\n\r\n";
const RESPONSE: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: gunicorn\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\n\
    Connection: keep-alive\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: 1024\r\n\
    Vary: Accept-Encoding\r\n\r\n";

fn main() {
    // `cargo test --all-targets` runs this too, without the flag.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let limits = Limits::default();
    let mut out = Vec::new();

    let mut head = RequestHead::new();
    measure("request, 6 fields: parse", || {
        let _ = black_box(head.parse(black_box(REQUEST), &limits));
    });
    measure("request, 6 fields: parse + encode", || {
        out.clear();
        let _ = black_box(head.parse(black_box(REQUEST), &limits));
        head.encode(&mut out, Body::None);
        black_box(&out);
    });
    measure("request, 6 fields: parse + 4 edits + encode", || {
        out.clear();
        let _ = black_box(head.parse(black_box(REQUEST), &limits));
        black_box(head.value(FieldId::XForwardedFor));
        head.set("X-Forwarded-For", "192.0.2.1");
        head.set("X-Forwarded-Proto", "https");
        head.set("X-Forwarded-Host", "app.example.com");
        head.set("X-Request-Id", "0123456789abcdef0123456789abcdef");
        head.encode(&mut out, Body::None);
        black_box(&out);
    });

    let mut head = ResponseHead::new();
    measure("response, 6 fields: parse", || {
        let _ = black_box(head.parse(black_box(RESPONSE), &limits, b"GET"));
    });
    measure("response, 6 fields: parse + encode", || {
        out.clear();
        let _ = black_box(head.parse(black_box(RESPONSE), &limits, b"GET"));
        let framing = ResponseFraming::Length(1024);
        head.encode(&mut out, framing, Connection::KeepAlive, Version::Http11);
        black_box(&out);
    });
}

/// The best of several rounds: what the code costs, not what else the machine does.
fn measure(what: &str, mut work: impl FnMut()) {
    const ROUNDS: u32 = 20;
    const TIMES: u32 = 50_000;
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..TIMES).for_each(|_| work());
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    println!("{what}: {:.0} ns", best.as_nanos() as f64 / f64::from(TIMES));
}
