//! Answers that no worker should give (UP rows), and what a client is told instead. A client never sees
//! a part of a message as a whole one.

use std::io::ErrorKind;
use std::time::Duration;

use isobar_tests::http::Response;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, raw};

/// Id, what the worker writes, and what comes of it.
type Answer = (&'static str, &'static str, Vec<u8>, Next, Becomes);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Becomes {
    BadGateway,
    /// A whole message with this body.
    Whole(&'static str),
    /// Begun, then visibly broken off.
    Aborted,
    /// Either refused or passed on in a form of one meaning.
    BadGatewayOrWhole(&'static str),
}

#[test]
fn each_bad_answer_becomes_what_it_should() {
    use Becomes::{Aborted, BadGateway, BadGatewayOrWhole, Whole};
    let ok = |fields: &str, body: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n{body}");
    let cases: Vec<(&str, String, Next, Becomes)> = vec![
        ("UP-02 nothing, FIN", String::new(), Next::Close, BadGateway),
        ("UP-02 nothing, RST", String::new(), Next::Reset, BadGateway),
        ("UP-02 half a head", "HTTP/1.1 200 OK\r\nConte".into(), Next::Close, BadGateway),
        ("UP-02 half a head, RST", "HTTP/1.1 200 OK\r\nConte".into(), Next::Reset, BadGateway),
        ("UP-03 garbage", "hello\r\n\r\n".into(), Next::Close, BadGateway),
        ("UP-03 0.9", "<html>".into(), Next::Close, BadGateway),
        (
            "UP-03 version",
            "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n".into(),
            Next::Close,
            BadGateway,
        ),
        ("UP-03 20", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n".into(), Next::Close, BadGateway),
        (
            "UP-03 2000",
            "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n".into(),
            Next::Close,
            BadGateway,
        ),
        (
            "UP-03 099",
            "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n".into(),
            Next::Close,
            BadGateway,
        ),
        (
            "UP-04 a mebibyte",
            ok(&format!("a: {}", "b".repeat(1 << 20)), ""),
            Next::Close,
            BadGateway,
        ),
        ("UP-04 20,000 fields", ok(&"a: b\r\n".repeat(20_000), ""), Next::Close, BadGateway),
        ("UP-05 NUL", ok("a: b\0c\r\nContent-Length: 2", "ok"), Next::Close, BadGateway),
        ("UP-05 bare CR", ok("a: b\rc\r\nContent-Length: 2", "ok"), Next::Close, BadGateway),
        (
            "UP-05 fold",
            ok("a: b\r\n c\r\nContent-Length: 2", "ok"),
            Next::Close,
            BadGatewayOrWhole("ok"),
        ),
        (
            "UP-05 space before the colon",
            ok("a : b\r\nContent-Length: 2", "ok"),
            Next::Close,
            BadGatewayOrWhole("ok"),
        ),
        (
            "UP-06 both",
            ok("Content-Length: 3\r\nTransfer-Encoding: chunked", "2\r\nok\r\n0\r\n\r\n"),
            Next::Keep,
            BadGatewayOrWhole("ok"),
        ),
        (
            "UP-06 two lengths",
            ok("Content-Length: 2\r\nContent-Length: 3", "ok"),
            Next::Close,
            BadGateway,
        ),
        ("UP-06 negative", ok("Content-Length: -2", "ok"), Next::Close, BadGateway),
        ("UP-06 junk", ok("Content-Length: 2x", "ok"), Next::Close, BadGateway),
        ("UP-06 2^64+2", ok("Content-Length: 18446744073709551618", "ok"), Next::Close, BadGateway),
        ("UP-07 gzip", ok("Transfer-Encoding: gzip", "ok"), Next::Close, BadGateway),
        (
            "UP-07 TE on 1.0",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into(),
            Next::Close,
            BadGateway,
        ),
        ("UP-08 cut, FIN", ok("Content-Length: 100000", "some"), Next::Close, Aborted),
        ("UP-08 cut, RST", ok("Content-Length: 100000", "some"), Next::Reset, Aborted),
        (
            "UP-08 chunked cut",
            ok("Transfer-Encoding: chunked", "4\r\nsome\r\n"),
            Next::Close,
            Aborted,
        ),
        (
            "UP-08 bad chunk",
            ok("Transfer-Encoding: chunked", "4\r\nsome\r\nxyz\r\n"),
            Next::Close,
            Aborted,
        ),
        ("UP-09 until close", ok("a: b", "whole"), Next::Close, Whole("whole")),
        (
            "UP-09 until close, 1.0",
            "HTTP/1.0 200 OK\r\n\r\nwhole".into(),
            Next::Close,
            Whole("whole"),
        ),
        (
            "UP-12 100",
            format!("HTTP/1.1 100 Continue\r\n\r\n{}", ok("Content-Length: 2", "ok")),
            Next::Keep,
            Whole("ok"),
        ),
        (
            "UP-12 103",
            format!(
                "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n{}",
                ok("Content-Length: 2", "ok")
            ),
            Next::Keep,
            Whole("ok"),
        ),
        (
            "UP-12 5,000 × 102",
            "HTTP/1.1 102 Processing\r\n\r\n".repeat(5_000),
            Next::Close,
            BadGateway,
        ),
        (
            "UP-13 101 unasked",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nraw"
                .into(),
            Next::Close,
            BadGateway,
        ),
    ];
    let cases = cases.into_iter().map(|(name, text, next, becomes)| {
        let (id, what) = name.split_once(' ').unwrap_or((name, ""));
        (id, what, text.into_bytes(), next, becomes) as Answer
    });
    let mut wrong = Vec::new();
    let mut count = 0;
    for (id, what, bytes, next, becomes) in cases {
        for slots in ["", "slots: 1, "] {
            count += 1;
            let origin = Origin::start(raw(bytes.clone(), next));
            let isobar = one_worker(slots, &origin);
            let mut connection = isobar.open("web");
            connection.set_patience(Duration::from_secs(5)).expect("set");
            // POST: never retried, so one worker's answer decides.
            let got = connection.request("POST", "/", b"x");
            if !becomes.is(&got) {
                wrong.push(format!("{id} {what} ({slots}): {got:?} instead of {becomes:?}"));
            }
        }
    }
    println!("bad answers: {count} cases, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

impl Becomes {
    fn is(self, got: &std::io::Result<Response>) -> bool {
        let whole = |body: &str| {
            got.as_ref().is_ok_and(|answer| answer.status == 200 && answer.text() == body)
        };
        let bad_gateway = got
            .as_ref()
            .is_ok_and(|answer| answer.status == 502 && answer.header("x-isobar-reason").is_some());
        match self {
            Becomes::BadGateway => bad_gateway,
            Becomes::Whole(body) => whole(body),
            Becomes::BadGatewayOrWhole(body) => bad_gateway || whole(body),
            // Where the response is read ahead the client may still be told.
            Becomes::Aborted => bad_gateway || aborted(got),
        }
    }
}

fn aborted(got: &std::io::Result<Response>) -> bool {
    let kinds = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
    got.as_ref().is_err_and(|error| kinds.contains(&error.kind()))
}

fn one_worker(more: &str, origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ {more}workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
