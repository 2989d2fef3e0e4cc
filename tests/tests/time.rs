//! Whose time it was: what a client takes for its head, its body or its reading is never counted as a
//! worker's, and every time-out is said to be the one that it was.

use std::time::{Duration, Instant};

use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, Request, Visit, after};
use isobar_tests::wait;

const WEB: &str = "bind: \"127.0.0.1:0\", pool: app";

/// A head that takes longer than `first_byte`, three times: nobody has failed, nobody was busy.
#[test]
fn a_slow_head_is_nobodys_slowness() {
    let origin = Origin::start(after(Duration::from_millis(20), "ok"));
    let isobar = start(
        "",
        "slots: 1, strategy: least_time, outlier: { consecutive_failures: 3 }, \
         timeouts: { first_byte: 300ms }, ",
        &origin,
    );
    for _ in 0..3 {
        let mut slow = isobar.open("web");
        slow.send(b"GET /x HTTP/1.1\r\n").expect("half a head");
        std::thread::sleep(Duration::from_millis(500));
        let answer = slow.ask("Host: h\r\n\r\n");
        assert_eq!(answer.status, 200, "{:?}", answer.header("x-isobar-reason"));
    }
    let metrics = isobar.metrics();
    assert_eq!(metrics.sum("isobar_worker_requests_total", &[("outcome", "served")]), 3.0);
    let busy = metrics.sum("isobar_worker_busy_seconds_total", &[]);
    assert!(busy < 0.4, "{busy} s for three requests of 20 ms");
    assert_eq!(metrics.sum("isobar_outlier_ejections_total", &[]), 0.0);
}

/// The wait in the queue begins when the request is there, for the log, the metrics and the worker.
#[test]
fn a_slow_head_has_not_waited_in_the_queue() {
    let origin = Origin::start(after(Duration::from_millis(300), "ok"));
    let isobar = start("", "slots: 1, ", &origin);
    let mut slow = isobar.open("web");
    slow.send(b"GET /second HTTP/1.1\r\n").expect("half a head");
    std::thread::sleep(Duration::from_millis(700));
    let mut first = isobar.open("web");
    first.send(b"GET /first HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
    in_flight(&isobar);
    assert_eq!(slow.ask("Host: h\r\n\r\n").status, 200);
    assert_eq!(first.response_to("GET").expect("an answer").status, 200);
    let waited: u64 = origin.log().iter().map(|one| queue_time(&one.request)).max().expect("two");
    assert!(waited < 600, "{waited} ms in a queue of 300 ms");
}

#[test]
fn a_slow_body_is_nobodys_slowness() {
    let origin = Origin::start(after(Duration::from_millis(20), "ok"));
    let isobar = start("", "slots: 1, timeouts: { first_byte: 300ms }, ", &origin);
    let mut slow = isobar.open("web");
    slow.send(b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nab").expect("half a body");
    std::thread::sleep(Duration::from_millis(500));
    slow.send(b"cd").expect("the rest");
    assert_eq!(slow.response_to("POST").expect("an answer").status, 200);
    let busy = isobar.metrics().sum("isobar_worker_busy_seconds_total", &[]);
    assert!(busy < 0.2, "{busy} s for 20 ms");
}

/// `worker_response_seconds`: from the request sent to the response's head, and no byte of its body.
#[test]
fn response_seconds_end_with_the_head() {
    let origin = Origin::visits(|visit: &mut Visit| {
        while let Ok(Some(request)) = visit.read_request() {
            visit.record(request);
            std::thread::sleep(Duration::from_millis(100));
            let _ = visit.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n");
            std::thread::sleep(Duration::from_millis(600));
            let _ = visit.write(b"late");
        }
    });
    for pool in ["", "slots: 1, "] {
        let isobar = start("", pool, &origin);
        let mut client = isobar.open("web");
        assert_eq!(client.get("/").expect("an answer").text(), "late");
        let mut slow = isobar.open("web");
        slow.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\na").expect("sends");
        std::thread::sleep(Duration::from_millis(500));
        slow.send(b"b").expect("sends");
        assert_eq!(slow.response_to("POST").expect("an answer").text(), "late");
        let metrics = isobar.metrics();
        let seconds = metrics.sum("isobar_worker_response_seconds_sum", &[]);
        assert_eq!(metrics.sum("isobar_worker_response_seconds_count", &[]), 2.0);
        assert!((0.15..0.5).contains(&seconds), "{pool}{seconds} s for twice 100 ms");
    }
}

/// The request's own time ends: while its body comes, streamed or held, and in the queue.
#[test]
fn the_requests_own_time_is_said_to_be_over_wherever_it_ends() {
    let origin = Origin::start(after(Duration::from_millis(1_500), "ok"));
    for pool in ["", "slots: 1, "] {
        let isobar = start("", &format!("{pool}timeouts: {{ request: 400ms }}, "), &origin);
        let mut slow = isobar.open("web");
        slow.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nab").expect("sends");
        let began = Instant::now();
        let answer = slow.response_to("POST").expect("an answer");
        assert_eq!((answer.status, reason(&answer)), (504, Some("request_timeout")), "{pool}");
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        // The client's bytes were waited for: no worker was late.
        let late = isobar.metrics();
        let late = late.sum("isobar_worker_requests_total", &[("outcome", "timeout")]);
        assert_eq!(late, 0.0, "{pool}");
    }
}

#[test]
fn a_time_out_in_the_queue_is_not_a_client_that_left() {
    let origin = Origin::start(after(Duration::from_millis(1_200), "ok"));
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [\n\
           {{ match: {{ path: /holds }}, pool: app }},\n\
           {{ pool: app, timeouts: {{ request: 200ms }} }} ] }} }}\n\
         pools: {{ app: {{ slots: 1, workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    let mut first = isobar.open("web");
    first.send(b"GET /holds HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
    in_flight(&isobar);
    let answer = isobar.open("web").get("/").expect("an answer");
    assert_eq!((answer.status, reason(&answer)), (504, Some("request_timeout")));
    let mut gone = isobar.open("web");
    gone.send(b"GET /holds HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
    wait::until(|| (isobar.metrics().sum("isobar_pool_queue_depth", &[]) == 1.0).then_some(()));
    drop(gone);
    wait::until(|| (drops(&isobar, "client_gone") == 1.0).then_some(()));
    assert_eq!(drops(&isobar, "request_timeout"), 1.0);
}

fn in_flight(isobar: &Isobar) {
    wait::until(|| (isobar.metrics().sum("isobar_worker_in_flight", &[]) == 1.0).then_some(()));
}

fn drops(isobar: &Isobar, reason: &str) -> f64 {
    isobar.metrics().sum("isobar_pool_queue_drops_total", &[("reason", reason)])
}

fn queue_time(request: &Request) -> u64 {
    request.header("x-queue-time").and_then(|text| text.parse().ok()).expect("a number")
}

fn reason(answer: &isobar_tests::http::Response) -> Option<&str> {
    answer.header("x-isobar-reason")
}

fn start(listener: &str, pool: &str, origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ {WEB}{listener} }} }}\n\
         pools: {{ app: {{ {pool}workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}
