//! What every filter of the table must hold to, whatever it does: any head goes through it, what
//! comes out is one message with the framing that went in, and an answer is whole.

use std::{net::IpAddr, sync::Arc, time::Instant};

use isobar_http1::{
    Connection, Limits, Parsed, RequestHead, ResponseBody, ResponseFraming, ResponseHead, Version,
};

use super::{Answer, Chain, Filter, Maker, Passed, PathCx, RequestCx, ResponseCx, Step, TABLE};
use crate::{
    answer::{self, Refusal},
    metrics::RouteMetrics,
    reason::Reason,
};

const LIMITS: Limits = Limits { head_bytes: 1 << 20, headers: 1000, uri: 1 << 16 };

fn samples() -> impl Iterator<Item = (&'static str, Arc<dyn Filter>)> {
    let of = |entry: &'static super::Entry| {
        (entry.samples)().into_iter().map(|filter| (entry.name, Arc::from(filter)))
    };
    TABLE.iter().flat_map(of)
}

fn request(text: &[u8]) -> RequestHead {
    let mut head = RequestHead::new();
    let parsed = head.parse(text, &LIMITS);
    assert_eq!(parsed, Ok(Parsed::Complete(text.len())), "{}", text.escape_ascii());
    head
}

fn response(text: &[u8], method: &[u8]) -> ResponseHead {
    let mut head = ResponseHead::new();
    let parsed = head.parse(text, &LIMITS, method);
    assert_eq!(parsed, Ok(Parsed::Complete(text.len())), "{}", text.escape_ascii());
    head
}

/// Runs a filter's half of the request to its end.
async fn decide(filter: &dyn Filter, head: &mut RequestHead, ip: Option<IpAddr>) -> Option<Answer> {
    let mut step = filter.request(&mut RequestCx {
        head,
        client_ip: ip,
        now: Instant::now(),
        most_body: u64::MAX,
        path: PathCx::default(),
    });
    loop {
        match step {
            Step::Next => return None,
            Step::Answer(answer) => return Some(answer),
            Step::Wait(waiting) => step = waiting.await,
        }
    }
}

/// Values that have been somebody's trouble once.
const ODD: &[&[u8]] = &[
    b"",
    b"\xff\xfe",
    b"a, b, , c",
    b"\"unterminated",
    b"q=,;==",
    b"gzip;q=9999999999999999999",
    b"*;q=0",
    b"identity;q=0, *;q=0",
    b"Basic ",
    b"Basic !!!!",
    b"Basic OjpOOg==",
    b"basic YQ==",
    b"Bearer x",
    b"-1",
    b"99999999999999999999",
    b"W/\"x\"",
    b"no-transform",
    b"text/html",
    b"text/html; charset=utf-8",
    b"text/event-stream",
    b"br",
];

const NAMES: &[&str] = &[
    "Accept-Encoding",
    "Authorization",
    "Cache-Control",
    "Content-Encoding",
    "Content-Range",
    "Content-Type",
    "Cookie",
    "ETag",
    "Range",
    "Vary",
    "X-Forwarded-For",
    "X-One",
    "x-two",
];

fn odd_fields(random: &mut fastrand::Rng) -> Vec<u8> {
    let mut fields = Vec::new();
    for _ in 0..random.usize(0..12) {
        fields.extend_from_slice(NAMES[random.usize(..NAMES.len())].as_bytes());
        fields.extend_from_slice(b": ");
        match random.u8(..4) {
            0 => fields.extend((0..random.usize(0..300)).map(|_| random.u8(b' '..0x7f))),
            1 => fields.extend(std::iter::repeat_n(b"ab,;= "[random.usize(..6)], 4000)),
            _ => fields.extend_from_slice(ODD[random.usize(..ODD.len())]),
        }
        fields.extend_from_slice(b"\r\n");
    }
    fields
}

fn odd_request(random: &mut fastrand::Rng) -> Vec<u8> {
    let lines: &[&str] = &[
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "HEAD /a%2Fb/../c?x=%zz HTTP/1.1\r\nHost: a:1\r\n",
        "POST /v1 HTTP/1.1\r\nHost: [::1]\r\nContent-Length: 5\r\n",
        "PUT /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n",
        "GET http://b/v1?q HTTP/1.1\r\nHost: a\r\n",
        "GET /v1 HTTP/1.0\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n",
    ];
    [lines[random.usize(..lines.len())].as_bytes(), &odd_fields(random), b"\r\n"].concat()
}

fn odd_response(random: &mut fastrand::Rng) -> Vec<u8> {
    let lines: &[&str] = &[
        "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.0 200 OK\r\n",
        "HTTP/1.1 204 No Content\r\n",
        "HTTP/1.1 206 Partial Content\r\nContent-Length: 9\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n",
        "HTTP/1.1 503 \r\nContent-Length: 0\r\n",
    ];
    [lines[random.usize(..lines.len())].as_bytes(), &odd_fields(random), b"\r\n"].concat()
}

fn encoded(head: &RequestHead) -> Vec<u8> {
    let mut out = Vec::new();
    head.encode(&mut out, head.body());
    out
}

#[tokio::test]
async fn any_request_stays_one_request_with_its_framing() {
    let mut random = fastrand::Rng::with_seed(1);
    for (name, filter) in samples() {
        for round in 0..300 {
            let text = odd_request(&mut random);
            let mut head = request(&text);
            let ip = [None, "192.0.2.1".parse().ok(), "2001:db8::1".parse().ok()][round % 3];
            if decide(&*filter, &mut head, ip).await.is_some() {
                continue;
            }
            let out = encoded(&head);
            let again = request(&out);
            assert_eq!(again.method(), head.method(), "{name}");
            assert_eq!(again.body(), head.body(), "{name}: {}", text.escape_ascii());
            assert!(!again.authority().is_empty() || head.authority().is_empty(), "{name}");
        }
    }
}

#[tokio::test]
async fn any_response_stays_one_response() {
    let mut random = fastrand::Rng::with_seed(2);
    for (name, filter) in samples() {
        for _ in 0..300 {
            let asked = request(&odd_request(&mut random));
            let text = odd_response(&mut random);
            let show = || {
                let mut head = response(&text, asked.method());
                let plain = match head.body() {
                    ResponseBody::None => ResponseFraming::None,
                    ResponseBody::Length(length) => ResponseFraming::Length(length),
                    _ => ResponseFraming::Chunked,
                };
                let before = (head.status(), head.body());
                let mut cx = ResponseCx::new(&asked, &mut head, Maker::Worker);
                filter.response(&mut cx);
                let framing = cx.into_encoder().map_or(plain, |_| ResponseFraming::Chunked);
                let mut out = Vec::new();
                head.encode(&mut out, framing, Connection::KeepAlive, Version::Http11);
                (before, framing, out)
            };
            let (before, framing, out) = show();
            // Nothing that a filter has seen before changes what it makes of an answer.
            assert_eq!(show(), (before, framing, out.clone()), "{name}");
            let again = response(&out, asked.method());
            assert_eq!(again.status(), before.0, "{name}");
            match before.1 {
                _ if framing == ResponseFraming::Chunked => {
                    assert_eq!(again.body(), ResponseBody::Chunked, "{name}");
                }
                same => assert_eq!(again.body(), same, "{name}: {}", text.escape_ascii()),
            }
        }
    }
}

/// Every reason, so every answer a filter can give, goes through every filter.
#[tokio::test]
async fn an_answer_of_our_own_is_whole_also_for_head() {
    for (name, filter) in samples() {
        for method in ["GET", "HEAD"] {
            for keep in [Connection::KeepAlive, Connection::Close] {
                let text =
                    format!("{method} / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n");
                let mut asked = request(text.as_bytes());
                let answer = decide(&*filter, &mut asked, None).await;
                let (reason, fields) =
                    answer.map_or((Reason::NoWorker, vec![]), |a| (a.reason, a.fields));
                let refusal =
                    Refusal { status: reason.status(), reason, words: None, fields: &fields };
                let mut head = ResponseHead::new();
                let body = refusal.build(&mut head, b"id", method.as_bytes());
                let mut passed = Passed::none_of(chain(std::slice::from_ref(&filter)));
                assert!(passed.next().is_some());
                assert!(passed.respond(&asked, &mut head, Maker::Proxy).is_none(), "{name}");
                let mut out = Vec::new();
                head.encode(&mut out, answer::framing(&head), keep, asked.version());

                let seen = response(&out, method.as_bytes());
                assert_eq!(seen.status(), reason.status(), "{name}");
                assert_eq!(seen.keep_alive(), keep == Connection::KeepAlive, "{name}");
                let length = body.len() as u64;
                assert_eq!(seen.content_length(), Some(length), "{name}");
                match method {
                    "HEAD" => assert_eq!(seen.body(), ResponseBody::None, "{name}"),
                    _ => assert_eq!(seen.body(), ResponseBody::Length(length), "{name}"),
                }
            }
        }
    }
}

#[tokio::test]
async fn without_an_answer_the_next_one_is_asked_in_order() {
    /// Appends its name on the way there and back.
    struct Named(&'static str);
    impl Filter for Named {
        fn request(&self, cx: &mut RequestCx<'_>) -> Step {
            cx.edit().append("X-Seen", self.0);
            Step::Next
        }
        fn response(&self, cx: &mut ResponseCx<'_>) {
            cx.edit().append("X-Seen", self.0);
        }
    }
    let chain = chain(&[Arc::new(Named("a")), Arc::new(Named("b")), Arc::new(Named("c"))]);
    let mut passed = Passed::none_of(chain);
    let mut asked = request(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..2 {
        let filter = passed.next().expect("there are three");
        assert!(decide(&*filter, &mut asked, None).await.is_none());
    }
    let out = encoded(&asked);
    assert!(out.ends_with(b"X-Seen: a\r\nX-Seen: b\r\n\r\n"), "{}", out.escape_ascii());

    // The third has not seen the request: it does not see the response.
    let mut head = response(b"HTTP/1.1 204 No Content\r\n\r\n", b"GET");
    passed.respond(&asked, &mut head, Maker::Proxy);
    let mut out = Vec::new();
    head.encode(&mut out, ResponseFraming::None, Connection::KeepAlive, Version::Http11);
    assert!(out.ends_with(b"X-Seen: b\r\nX-Seen: a\r\n\r\n"), "{}", out.escape_ascii());
}

#[test]
fn names_are_unique_and_say_what_they_do() {
    for (at, entry) in TABLE.iter().enumerate() {
        assert!(!(entry.samples)().is_empty() && entry.about.len() > 10, "{}", entry.name);
        assert!(TABLE[..at].iter().all(|other| other.name != entry.name), "{}", entry.name);
    }
}

fn chain(filters: &[Arc<dyn Filter>]) -> Arc<Chain> {
    Chain::new(filters.to_vec(), Arc::new(RouteMetrics::new(1))).expect("it has filters")
}
