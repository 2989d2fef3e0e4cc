//! Heads around the size of a read buffer and far beyond it, in both directions: within its limit a head
//! passes, beyond it somebody is told, and no size is taken for a client or a worker that left.

use std::time::Duration;

use isobar_tests::http::Response;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Request, Visit, after};

/// What one read takes.
const BUFFER: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

#[test]
fn a_head_passes_up_to_its_limit_whatever_the_size_of_a_buffer() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start("header_bytes: 1MiB, headers: 1000", &origin);
    for size in [BUFFER - 1, BUFFER, BUFFER + 1, 2 * BUFFER, 2 * BUFFER + 1, 256 * 1024, MIB - 1] {
        let mut client = isobar.open("web");
        let answer = client.ask(&head_of(size));
        assert_eq!(answer.status, 200, "{size} bytes: {:?}", reason(&answer));
        // The connection, too, goes on as if nothing had been.
        assert_eq!(client.get("/").expect("a second answer").status, 200, "behind {size} bytes");
        let at_worker = origin.log().iter().map(|one| one.request.head.len()).max();
        assert!(at_worker.is_some_and(|length| length >= size), "{at_worker:?} of {size} bytes");
    }
    let answer = isobar.open("web").ask(&head_of(MIB + 1));
    assert_eq!((answer.status, reason(&answer)), (431, Some("header_too_large")));
    let counted = isobar.metrics().sum("isobar_http_requests_total", &[("code", "431")]);
    assert_eq!(counted, 1.0);
}

/// The same in pieces, of which one fills the buffer exactly.
#[test]
fn a_head_in_pieces_passes_as_well() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start("header_bytes: 256KiB", &origin);
    let head = head_of(BUFFER + 10);
    let mut client = isobar.open("web");
    client.send(&head.as_bytes()[..BUFFER]).expect("a buffer full");
    std::thread::sleep(Duration::from_millis(100));
    client.send(&head.as_bytes()[BUFFER..]).expect("the rest");
    assert_eq!(client.response_to("GET").expect("an answer").status, 200);
}

#[test]
fn a_target_passes_up_to_its_limit() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start("header_bytes: 1MiB, uri: 512KiB", &origin);
    for size in [BUFFER - 1, BUFFER, BUFFER + 1, 512 * 1024] {
        let target = format!("/{}", "t".repeat(size - 1));
        let answer = isobar.open("web").get(&target).expect("an answer");
        assert_eq!(answer.status, 200, "{size} bytes: {:?}", reason(&answer));
    }
    let target = format!("/{}", "t".repeat(512 * 1024 + 100));
    let answer = isobar.open("web").get(&target).expect("an answer");
    assert_eq!((answer.status, reason(&answer)), (414, Some("uri_too_long")));
}

/// A second request of which a buffer full arrived behind the first one, while that was served.
#[test]
fn a_large_head_may_follow_while_the_one_before_it_is_served() {
    let origin = Origin::start(after(Duration::from_millis(300), "ok"));
    let isobar = start("header_bytes: 512KiB", &origin);
    let mut client = isobar.open("web");
    let first = "GET /first HTTP/1.1\r\nHost: h\r\n\r\n".to_owned();
    client.send((first + &head_of(200 * 1024)).as_bytes()).expect("sends");
    for which in ["first", "second"] {
        assert_eq!(client.response_to("GET").expect(which).status, 200, "{which}");
    }
}

/// A worker's head: 64 KiB, and what is larger is its fault, not a connection that broke.
#[test]
fn a_workers_head_passes_up_to_its_limit_and_is_refused_beyond() {
    let origin = Origin::start(|request: &Request, visit: &mut Visit| {
        let size: usize = request.target[1..].parse().expect("a size");
        let (begun, end) = ("HTTP/1.1 200 OK\r\nX-Large: ", "\r\nContent-Length: 2\r\n\r\n");
        let filler = "r".repeat(size - begun.len() - end.len());
        let _ = visit.write(format!("{begun}{filler}{end}ok").as_bytes());
        Next::Keep
    });
    let isobar = start("header_bytes: 256KiB", &origin);
    for size in [BUFFER - 1, BUFFER] {
        let answer = isobar.open("web").get(&format!("/{size}")).expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"), "{size} bytes");
    }
    for size in [BUFFER + 1, 2 * BUFFER, MIB] {
        let answer = isobar.open("web").get(&format!("/{size}")).expect("an answer");
        assert_eq!((answer.status, reason(&answer)), (502, Some("bad_response")), "{size} bytes");
    }
}

/// A GET whose head has exactly this many bytes, in fields of 1,000 at most.
fn head_of(size: usize) -> String {
    let mut head = "GET /large HTTP/1.1\r\nHost: h\r\n".to_owned();
    let mut left = size - head.len() - "\r\n".len();
    while left > 0 {
        let line = if left > 60_000 { 40_000 } else { left };
        head += &format!("X-F: {}\r\n", "f".repeat(line - "X-F: \r\n".len()));
        left -= line;
    }
    head + "\r\n"
}

fn reason(answer: &Response) -> Option<&str> {
    answer.header("x-isobar-reason")
}

fn start(limits: &str, origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app, limits: {{ {limits} }} }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
