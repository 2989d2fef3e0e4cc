//! What breaks, stalls or ends early while a message is on its way, in either direction: who is told
//! what, whose failure it counts as, and that the worker is let go in time.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use isobar_tests::black_hole::black_hole;
use isobar_tests::http::{self, Connection, Response};
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Visit, raw, respond};
use isobar_tests::wait;

/// The second: without a shield, so that a body is under way to its worker at once.
const SLOTS: [&str; 2] = ["", "slots: 1, buffer: { request: off }, "];
const PATIENCE: Duration = Duration::from_secs(5);
const BEGUN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nearly";
const REST: &[u8] = b"late";

/// H1-43: the worker has begun to answer and waits for the rest of a body whose client resets.
#[test]
fn h1_43_a_reset_behind_an_early_answer_frees_the_worker() {
    for slots in SLOTS {
        let origin = answers_early();
        let isobar = start(slots, "", "", &origin);
        let client = half_an_upload(&isobar);
        assert!(origin.wait_for(1, PATIENCE));
        let began = Instant::now();
        http::reset(client);
        wait_for_outcome(&isobar, "client_gone");
        assert!(began.elapsed() < Duration::from_secs(1), "{slots}: {:?}", began.elapsed());
        assert_eq!(outcome(&isobar, "reset_mid_body"), 0.0, "{slots}");
        assert_eq!(isobar.metrics().sum("isobar_worker_in_flight", &[]), 0.0, "{slots}");
    }
}

/// A body that takes longer than the worker may be silent, behind an early answer.
#[test]
fn a_long_upload_behind_an_early_answer_is_not_cut() {
    for slots in SLOTS {
        let origin = answers_early();
        let isobar = start(slots, "first_byte: 400ms, body_idle: 400ms", "", &origin);
        let mut client = Connection::over(half_an_upload(&isobar)).expect("a connection");
        for _ in 0..12 {
            std::thread::sleep(Duration::from_millis(100));
            client.send(b"x").expect("more of the body");
        }
        client.send(&[b'x'; 88]).expect("the rest of the body");
        let answer = client.response_to("POST").expect(slots);
        assert_eq!(answer.text(), "earlylate", "{slots}");
        assert_eq!(outcome(&isobar, "served"), 1.0, "{slots}");
    }
}

/// The client's stall and the client's fault are not the worker's, answered or not.
#[test]
fn what_a_client_does_to_its_body_is_nobodys_failure() {
    let stalls: (&[u8], _) = (b"", "body_timeout");
    let garbles: (&[u8], _) = (b"xyz\r\n", "bad_request");
    for (more, reason) in [stalls, garbles] {
        for slots in SLOTS {
            let origin = answers_early();
            let isobar = start(slots, "", "timeouts: { body_idle: 300ms }, ", &origin);
            let mut client = isobar.open("web");
            let head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
            client.send(format!("{head}5\r\nbegun\r\n").as_bytes()).expect("sends");
            assert!(origin.wait_for(1, PATIENCE));
            client.send(more).expect("sends");
            let got = client.response_to("POST");
            wait_for_outcome(&isobar, "client_gone");
            // Nothing of a response that is read ahead has been sent.
            let told = |got: &Response| got.header("x-isobar-reason") == Some(reason);
            assert!(got.as_ref().map_or(slots.is_empty(), told), "{slots}{reason}: {got:?}");
            assert_eq!(outcome(&isobar, "reset_mid_body"), 0.0, "{slots}{reason}");
        }
    }
}

/// A worker that stops reading in the middle of a body has failed, not the client.
#[test]
fn a_worker_that_stops_reading_misses_its_deadline() {
    for slots in SLOTS {
        let origin = never_reads();
        let timeouts = "timeouts: { body_idle: 200ms }, ";
        let isobar = start(slots, "first_byte: 500ms", timeouts, &origin);
        let began = Instant::now();
        let client = upload(&isobar, 1_000_000_000, b"");
        let writer = client.try_clone().expect("a twin");
        let writing = std::thread::spawn(move || fill(&writer));
        let mut client = Connection::over(client).expect("a connection");
        let answer = client.response_to("POST").expect("an answer");
        assert_eq!((answer.status, reason(&answer)), (504, "first_byte_timeout"), "{slots}");
        assert!(began.elapsed() < Duration::from_secs(3), "{slots}: {:?}", began.elapsed());
        assert_eq!(outcome(&isobar, "timeout"), 1.0, "{slots}");
        drop(client);
        writing.join().expect("the writer ends");
    }
}

/// H1-43, where the worker takes nothing at the moment the client resets.
#[test]
fn h1_43_a_reset_is_seen_while_the_worker_does_not_read() {
    for slots in SLOTS {
        let origin = never_reads();
        let isobar = start(slots, "", "", &origin);
        let client = upload(&isobar, 1_000_000_000, b"");
        client.set_write_timeout(Some(Duration::from_millis(300))).expect("set");
        fill(&client);
        let began = Instant::now();
        http::reset(client);
        wait_for_outcome(&isobar, "client_gone");
        assert!(began.elapsed() < Duration::from_secs(1), "{slots}: {:?}", began.elapsed());
    }
}

/// Neither the request's own time nor its client waits for a connect that does not come about.
#[test]
fn a_connect_ends_with_its_request() {
    let (_hole, address) = black_hole();
    let timed = on(address, "connect_timeout: 8s, ", "request: 300ms", "");
    let began = Instant::now();
    let answer = timed.open("web").get("/").expect("an answer");
    assert_eq!((answer.status, reason(&answer)), (504, "request_timeout"));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(outcome(&timed, "not_sent"), 1.0);

    let over_http = on(address, "connect_timeout: 8s, ", "", "");
    let over_tcp = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db }} }}\n\
         pools: {{ db: {{ connect_timeout: 8s, workers: [\"{address}\"] }} }}\n"
    ));
    for isobar in [over_http, over_tcp] {
        let mut client = isobar.open("web");
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
        wait::until(|| (isobar.metrics().sum("isobar_worker_in_flight", &[]) == 1.0).then_some(()));
        let began = Instant::now();
        client.reset();
        wait_for_outcome(&isobar, "client_gone");
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
}

/// The limit for the first byte is not one for the pauses of a body, which has its own.
#[test]
fn a_body_may_pause_for_longer_than_its_head() {
    let pausing = || {
        Origin::visits(|visit: &mut Visit| {
            let Ok(Some(_)) = visit.read_request() else { return };
            let _ = visit.write(BEGUN);
            std::thread::sleep(Duration::from_millis(700));
            let _ = visit.write(REST);
        })
    };
    for slots in SLOTS {
        let origin = pausing();
        let isobar = start(slots, "first_byte: 200ms", "", &origin);
        let answer = isobar.open("web").get("/").expect(slots);
        assert_eq!(answer.text(), "earlylate", "{slots}");

        let isobar = start(slots, "body_idle: 200ms", "", &origin);
        let got = isobar.open("web").request("POST", "/", b"");
        let told = |answer: &Response| (answer.status, reason(answer)) == (504, "reset_mid_body");
        assert!(got.as_ref().map_or(slots.is_empty(), told), "{slots}: {got:?}");
        wait_for_outcome(&isobar, "timeout");
        assert_eq!(outcome(&isobar, "reset_mid_body"), 0.0, "{slots}");
    }
}

/// A large body is counted while it is under way, in both directions.
#[test]
fn a_large_body_is_counted_as_it_goes() {
    const LARGE: usize = 4 << 20;
    let origin = Origin::visits(|visit| {
        let Ok(Some(request)) = visit.read_head() else { return };
        if request.method == "PUT" {
            let _ = visit.read_exactly(LARGE);
        } else {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", 2 * LARGE);
            let _ = visit.write(head.as_bytes());
            let _ = visit.write(&vec![b'x'; LARGE]);
        }
        // The rest never comes.
        let _ = visit.read_some();
    });
    for slots in SLOTS {
        let isobar = start(slots, "", "", &origin);
        let counted = |direction: &str| {
            let bytes = isobar.metrics().sum("isobar_bytes_total", &[("direction", direction)]);
            (bytes >= (LARGE - (1 << 20)) as f64).then_some(())
        };
        let mut client = isobar.open("web");
        client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
        assert_eq!(client.read_exactly(LARGE).expect("half of it").len(), LARGE);
        wait::until(|| counted("out"));
        // It holds the only slot.
        client.reset();
        let mut client = isobar.open("web");
        let head = format!("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n", 2 * LARGE);
        client.send(head.as_bytes()).expect("sends");
        client.send(&vec![b'x'; LARGE]).expect("sends");
        wait::until(|| counted("in"));
    }
}

/// SL-11: without a descriptor left for a connection the worker is not to blame, and all is well
/// again once there are some.
#[test]
fn sl_11_running_out_of_descriptors_is_no_workers_failure() {
    let origin = Origin::start(raw(respond(200, b"ok"), Next::Close));
    let isobar = start("", "", "", &origin);
    assert_eq!(isobar.open("web").get("/").expect("an answer").status, 200);
    let mut clients = [isobar.open("web"), isobar.open("web")];
    for client in &mut clients {
        assert_eq!(client.get("/").expect("an answer").status, 200);
    }
    // From here on a connection to the worker would need one too many.
    let before = limit_descriptors(&isobar, 0);
    let answer = clients[0].get("/").expect("an answer");
    limit_descriptors(&isobar, before);
    assert_eq!((answer.status, reason(&answer)), (503, "internal"));
    assert!(outcome(&isobar, "not_sent") >= 1.0);
    assert_eq!(outcome(&isobar, "connect_error"), 0.0);
    assert_eq!(clients[1].get("/").expect("an answer").status, 200);
}

/// Sets the soft limit of the process's open files; gives the one before.
fn limit_descriptors(isobar: &Isobar, most: u64) -> u64 {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    // Inherited from here.
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let pid = Pid::from_raw(isobar.pid().cast_signed());
    prlimit(pid, Resource::Nofile, Rlimit { current: Some(most), maximum }).expect("sets it");
    current.unwrap_or(u64::MAX)
}

fn reason(answer: &Response) -> &str {
    answer.header("x-isobar-reason").unwrap_or_default()
}

/// Answers in part once the head is there, and to the end once the body is.
fn answers_early() -> Origin {
    Origin::visits(|visit: &mut Visit| {
        let Ok(Some(request)) = visit.read_head() else { return };
        let _ = visit.write(BEGUN);
        visit.record(request.clone());
        if visit.read_body(&request).is_ok() {
            let _ = visit.write(REST);
        }
    })
}

/// Keeps the connection open and reads the head alone.
fn never_reads() -> Origin {
    Origin::visits(|visit: &mut Visit| {
        let Ok(Some(request)) = visit.read_head() else { return };
        visit.record(request);
        std::thread::sleep(Duration::from_secs(8));
    })
}

/// 100 of 200 bytes, behind which the worker begins to answer.
fn half_an_upload(isobar: &Isobar) -> TcpStream {
    upload(isobar, 200, &[b'x'; 100])
}

/// The beginning of a request with a body of that length.
fn upload(isobar: &Isobar, length: u64, begun: &[u8]) -> TcpStream {
    let client = TcpStream::connect(isobar.address("web")).expect("connects");
    client.set_nodelay(true).expect("set");
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n");
    (&client).write_all(&[head.as_bytes(), begun].concat()).expect("sends");
    client
}

/// Writes until the other side takes no more.
fn fill(mut client: &TcpStream) {
    while client.write(&[b'x'; 65536]).is_ok() {}
}

fn outcome(isobar: &Isobar, outcome: &str) -> f64 {
    isobar.metrics().sum("isobar_worker_requests_total", &[("outcome", outcome)])
}

fn wait_for_outcome(isobar: &Isobar, label: &str) {
    wait::until(|| (outcome(isobar, label) >= 1.0).then_some(()));
}

/// `pool`: its keys, `route`: the route's time-outs, `listener`: its keys.
fn start(pool: &str, route: &str, listener: &str, origin: &Origin) -> Isobar {
    on(origin.address(), pool, route, listener)
}

fn on(worker: SocketAddr, pool: &str, route: &str, listener: &str) -> Isobar {
    Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", {listener}\
           routes: [ {{ pool: app, timeouts: {{ {route} }} }} ] }} }}\n\
         pools: {{ app: {{ {pool}workers: [\"{worker}\"] }} }}\n"
    ))
}
