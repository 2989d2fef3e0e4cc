//! What a request survives, and what that may cost: retries and their budget, time-outs per try,
//! connections that a worker closes, slow uploads.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isobar_tests::apps::{App, Kind, Python};
use isobar_tests::http::{Connection, Response};
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{closed_loop, failures, get, open_loop, poisson};
use isobar_tests::origin::{Next, Origin, Request, Visit, after, raw, respond};
use isobar_tests::queueing::quantile;

/// Three tries that all fail: the pool sees at most a fifth more than was asked of it.
#[test]
fn retries_add_at_most_a_fifth_with_1_shard() {
    a_fifth(1);
}

#[test]
fn retries_add_at_most_a_fifth_with_4_shards() {
    a_fifth(4);
}

fn a_fifth(shards: usize) {
    const REQUESTS: usize = 4_000;
    let retry = "{ attempts: 3, when: [connect, reset, 503] }";
    for (what, answer, status) in [
        ("resets", String::new(), 502),
        ("503s", String::from("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno"), 503),
    ] {
        let next = if answer.is_empty() { Next::Close } else { Next::Keep };
        let origins: Vec<Origin> =
            (0..4).map(|_| Origin::start(raw(answer.clone(), next))).collect();
        let isobar = Isobar::start(&config(shards, "", retry, &origins));

        let shots = closed_loop(isobar.address("web"), 16, REQUESTS, |id| get(format!("/{id}")));

        let served: usize = origins.iter().map(Origin::served).sum();
        let extra = served as f64 / REQUESTS as f64 - 1.0;
        let retries = isobar.metrics().sum("isobar_retries_total", &[("pool", "app")]);
        let denied = isobar.pool("app")["retries_denied"].as_u64().unwrap_or_default();
        println!(
            "3 tries, all {what}, {shards} shard(s): {served} attempts for {REQUESTS} requests, \
             {:.1} % more; {denied} retries denied",
            extra * 1e2
        );
        // Whoever got no retry is told what the last attempt said.
        assert!(shots.iter().all(|shot| shot.result == Ok(status)), "{what}");
        assert!(extra <= 0.2, "{extra}");
        assert!(extra > 0.1, "retries were made: {extra}");
        assert_eq!(retries as usize, served - REQUESTS);
        assert!(denied > 0);
        let said = isobar.wait_to_hear("retry budget used up", Duration::from_secs(3));
        assert!(said, "the log says that the budget is used up");
    }
}

/// `retry_budget: off` leaves only the number of attempts.
#[test]
fn without_a_budget_every_attempt_is_made() {
    let origins = [Origin::start(raw("", Next::Close)), Origin::start(raw("", Next::Close))];
    let isobar = Isobar::start(&config(1, "retry_budget: off, ", "{ attempts: 3 }", &origins));
    closed_loop(isobar.address("web"), 4, 100, |id| get(format!("/{id}")));
    assert!(until(|| origins.iter().map(Origin::served).sum::<usize>() == 300));
}

/// A response nobody wants is dropped and another worker asked, with and without slots, and its
/// connection goes on to be used.
#[test]
fn an_unwanted_status_is_tried_elsewhere() {
    for slots in ["", "slots: 1, "] {
        for shards in [1, 4] {
            let bad = Origin::start(status(503, "Content-Length: 5", "sorry"));
            let good = Origin::start(after(Duration::ZERO, "good"));
            let origins = [bad, good];
            let isobar = Isobar::start(&config(shards, slots, "{ when: [502, 503] }", &origins));
            let mut connection = isobar.open("web");
            for id in 0..20 {
                let answer = connection.get(&format!("/{id}")).expect("an answer");
                assert_eq!((answer.status, answer.text().as_str()), (200, "good"), "{slots}");
            }
            let bad = &origins[0];
            assert!(bad.served() > 0);
            assert_eq!(bad.connections(), 1, "a dropped answer leaves its connection usable");
            // Not asked for is not done: a POST's answer is passed on as it is.
            let statuses = (0..4).map(|_| connection.request("POST", "/", b"x"));
            let statuses: Vec<u16> = statuses.map(|a| a.expect("an answer").status).collect();
            assert!(statuses.contains(&503) && statuses.contains(&200), "{statuses:?}");
            assert_eq!(isobar.metrics().sum("isobar_worker_in_flight", &[]), 0.0);
        }
    }
}

/// If the last attempt has it, too, the client gets the worker's own answer.
#[test]
fn the_last_unwanted_answer_is_passed_on() {
    for slots in ["", "slots: 1, "] {
        let origins: Vec<Origin> = (0..2)
            .map(|_| Origin::start(status(503, "x-mine: 1\r\nContent-Length: 5", "sorry")))
            .collect();
        let isobar = Isobar::start(&config(1, slots, "{ attempts: 3, when: [503] }", &origins));
        let answer = isobar.open("web").get("/").expect("an answer");
        assert_eq!((answer.status, answer.text().as_str()), (503, "sorry"));
        assert_eq!((answer.header("x-mine"), answer.header("x-isobar-reason")), (Some("1"), None));
        // One of the two was asked again: everybody had been tried.
        assert!(until(|| origins.iter().map(Origin::served).sum::<usize>() == 3));
    }
}

/// A worker that does not answer in time is given up and another one asked; where slots are
/// limited its slot stays taken until it is done.
#[test]
fn a_slow_try_is_given_up_and_made_elsewhere() {
    for slots in ["", "slots: 1, "] {
        for shards in [1, 4] {
            let slow = Origin::start(after(Duration::from_millis(900), "slow"));
            let fast = Origin::start(after(Duration::ZERO, "fast"));
            let origins = [slow, fast];
            let retry = "{ attempts: 2, per_try: 200ms }";
            let isobar = Isobar::start(&config(shards, slots, retry, &origins));
            let worker = origins[0].address().to_string();
            let labels = [("pool", "app"), ("worker", worker.as_str())];
            let mut connection = isobar.open("web");
            let mut slowest = Duration::ZERO;
            for id in 0..6 {
                let began = Instant::now();
                let answer = connection.get(&format!("/{id}")).expect("an answer");
                assert_eq!((answer.status, answer.text().as_str()), (200, "fast"));
                slowest = slowest.max(began.elapsed());
            }
            assert!(isobar.metrics().sum("isobar_retries_total", &[]) >= 1.0);
            assert!(slowest >= Duration::from_millis(200), "the slow one was tried");
            assert!(slowest < Duration::from_millis(600), "{slowest:?}");
            if !slots.is_empty() {
                assert_eq!(isobar.metrics().sum("isobar_worker_abandoned", &labels), 1.0);
                assert!(until(|| isobar.metrics().sum("isobar_worker_in_flight", &labels) == 0.0));
                let outcome = [&labels[..], &[("outcome", "timeout")]].concat();
                assert_eq!(isobar.metrics().sum("isobar_worker_requests_total", &outcome), 1.0);
                assert_eq!(isobar.metrics().sum("isobar_worker_abandoned", &labels), 0.0);
            }
            // A POST may have been executed: the client is told.
            let answers = (0..2).map(|_| connection.request("POST", "/", b"x"));
            let answers: Vec<_> = answers.map(|answer| answer.expect("an answer")).collect();
            let late = answers.iter().find(|answer| answer.status == 504);
            let late = late.expect("the slow one was asked");
            assert_eq!(late.header("x-isobar-reason"), Some("first_byte_timeout"));
        }
    }
}

/// A body up to the bound is sent again whole, however it came; a longer one is never cut short.
#[test]
fn a_body_is_replayed_up_to_its_bound() {
    for slots in ["", "slots: 2, "] {
        for shards in [1, 4] {
            let bad = Origin::start(raw("", Next::Close));
            let good = Origin::start(echo_body);
            let origins = [bad, good];
            // The bad one is to be tried to the end.
            let pool = format!("{slots}outlier: off, ");
            let isobar = Isobar::start(&config(shards, &pool, "{ replay: 64KiB }", &origins));
            for chunked in [false, true] {
                // Before slots it is held whole on disk, and can be sent again however long it is.
                for (length, kept) in [(40_000, true), (600_000, !slots.is_empty())] {
                    let body: Vec<u8> = (0..length).map(|i| b'a' + (i % 23) as u8).collect();
                    let mut seen = [0, 0];
                    for _ in 0..6 {
                        let before = origins[0].served();
                        let answer = put_in_two(&isobar, &body, chunked).expect("an answer");
                        let tried = origins[0].served() > before;
                        seen[usize::from(tried)] += 1;
                        match answer.status {
                            200 => assert!(answer.body == body, "{length} bytes, {slots}"),
                            502 => assert!(tried && !kept, "{length} bytes, {slots}"),
                            other => panic!("{other}"),
                        }
                        assert_eq!(answer.status == 502, tried && !kept);
                    }
                    assert!(seen[1] > 0, "the bad one was tried: {seen:?}");
                }
            }
        }
    }
}

fn put_in_two(isobar: &Isobar, body: &[u8], chunked: bool) -> std::io::Result<Response> {
    let mut connection = isobar.open("web");
    let framing = match chunked {
        true => String::from("Transfer-Encoding: chunked"),
        false => format!("Content-Length: {}", body.len()),
    };
    let head = format!("PUT / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n");
    connection.send(head.as_bytes())?;
    for half in [&body[..body.len() / 2], &body[body.len() / 2..]] {
        std::thread::sleep(Duration::from_millis(5));
        if chunked {
            connection.send(format!("{:x}\r\n", half.len()).as_bytes())?;
        }
        // A refusal may come before all is sent.
        let _ = connection.send(half);
        if chunked {
            let _ = connection.send(b"\r\n");
        }
    }
    if chunked {
        let _ = connection.send(b"0\r\n\r\n");
    }
    connection.response_to("PUT")
}

fn echo_body(request: &Request, visit: &mut Visit) -> Next {
    match visit.write(&respond(200, &request.body)) {
        Ok(()) => Next::Keep,
        Err(_) => Next::Close,
    }
}

/// Bursts just when the worker's keep-alive ends: no request meets a connection that is being
/// closed. 8 s, or `$ISOBAR_KEEP_ALIVE_SECONDS`.
#[test]
fn bursts_at_the_end_of_keep_alive_fail_nothing() {
    const BURST: usize = 16;
    let Some(python) = Python::find("keep-alive") else { return };
    let app = App::start(&python, Kind::GunicornThreads { keep_alive: 2 });
    let worker = [app.address().to_string()];
    let kinds = [(1, ""), (4, ""), (1, "slots: 8, "), (4, "slots: 8, ")];
    let proxies = kinds.map(|(shards, slots)| {
        let yaml = config_of(shards, slots, "{ attempts: 2 }", &worker);
        (shards, slots, Isobar::start(&yaml))
    });
    let seconds = seconds("ISOBAR_KEEP_ALIVE_SECONDS", 8.0);
    let mut rng = fastrand::Rng::with_seed(2);
    let (mut arrivals, mut burst) = (Vec::new(), 0.0);
    while burst < seconds {
        arrivals.extend((0..BURST).map(|i| burst + i as f64 * 2e-4));
        burst += 1.9 + 0.2 * rng.f64();
    }
    let ask = |id: usize| match id % 2 {
        0 => get(format!("/r/{id}")),
        _ => ("POST", format!("/r/{id}"), b"x".to_vec()),
    };
    std::thread::scope(|scope| {
        for (shards, slots, isobar) in &proxies {
            let (arrivals, worker) = (&arrivals, &worker[0]);
            scope.spawn(move || {
                let shots = open_loop(isobar.address("web"), arrivals, BURST, ask);
                let failed = failures(&shots, 200);
                // What is left at rest is closed by the worker, which is seen and learned from.
                let idle = || {
                    let pool = isobar.pool("app");
                    let worker = &pool["workers"][0];
                    let open = worker["connections"].as_u64().unwrap_or(u64::MAX);
                    worker["keep_alive_seconds"].as_f64().filter(|_| open == 0)
                };
                assert!(until(|| idle().is_some()), "{worker} closed what rested");
                let idle = idle().unwrap_or(f64::NAN);
                println!(
                    "gunicorn --keep-alive 2, {shards} shard(s) {slots}: {} requests in bursts, \
                     {} failed; learned: {idle:.2} s",
                    shots.len(),
                    failed.len()
                );
                assert_eq!(failed, [""; 0]);
                assert!(idle < 2.0, "safely below what the worker lets rest: {idle}");
            });
        }
    });
}

/// Who is turned away is told when the queue may have passed.
#[test]
fn a_full_queue_says_when_to_come_back() {
    const QUEUED: usize = 20;
    let origin = [Origin::start(after(Duration::from_millis(200), "ok"))];
    let pool = format!("slots: 1, queue: {{ max: {QUEUED}, timeout: 30s }}, ");
    let isobar = Isobar::start(&config(1, &pool, "off", &origin));
    let _done: Vec<_> = (0..5).map(|_| isobar.open("web").get("/").expect("an answer")).collect();
    let mut waiting: Vec<Connection> = (0..=QUEUED).map(|_| isobar.open("web")).collect();
    for connection in &mut waiting {
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    }
    let full = || isobar.metrics().sum("isobar_pool_queue_depth", &[]) >= (QUEUED - 2) as f64;
    assert!(until(full));
    let more = (0..4).map(|_| {
        let mut connection = isobar.open("web");
        connection.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        connection
    });
    let refused = more.collect::<Vec<_>>().into_iter().find_map(|mut connection| {
        connection.set_patience(Duration::from_millis(100)).ok()?;
        connection.response_to("GET").ok().filter(|answer| answer.status == 503)
    });
    let refused = refused.expect("the queue is full");
    assert_eq!(refused.header("x-isobar-reason"), Some("queue_full"));
    let after: u32 = refused.header("retry-after").and_then(|s| s.parse().ok()).unwrap_or(0);
    // Twenty times 200 ms, as far as a rate can be known after a second.
    println!("a queue of 4 s: Retry-After: {after}");
    assert!((2..=12).contains(&after), "{after}");
}

/// Many slow uploads before few slots: what is spilled to disk holds no worker. 4 s each without
/// and with them, or `$ISOBAR_UPLOAD_SECONDS`.
#[test]
fn slow_uploads_hold_no_worker_with_1_shard() {
    slow_uploads(1);
}

#[test]
fn slow_uploads_hold_no_worker_with_4_shards() {
    slow_uploads(4);
}

fn slow_uploads(shards: usize) {
    const UPLOADERS: usize = 200;
    /// Sent at once, more than memory holds; the rest at 1 KB/s.
    const AHEAD: usize = 100_000;
    const LENGTH: usize = 300_000;
    let seconds = seconds("ISOBAR_UPLOAD_SECONDS", 4.0);
    let origin = [Origin::start(after(Duration::from_millis(10), "ok"))];
    let pool = "slots: 2, ";
    let isobar = Isobar::start(&config(shards, pool, "{ attempts: 2 }", &origin));
    let web = isobar.address("web");
    let arrivals = poisson(50.0, seconds, 11);
    let normal = || {
        let shots = open_loop(web, &arrivals, 32, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        let took: Vec<f64> = shots.iter().map(|shot| shot.ended - shot.scheduled).collect();
        quantile(&took, 0.99)
    };
    let alone = normal();

    let body: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
    let mut uploads: Vec<Connection> = (0..UPLOADERS)
        .map(|id| {
            let mut connection = isobar.open("web");
            let head =
                format!("PUT /up/{id} HTTP/1.1\r\nHost: a\r\nContent-Length: {LENGTH}\r\n\r\n");
            connection.send(head.as_bytes()).expect("sent");
            connection.send(&body[..AHEAD]).expect("sent");
            connection
        })
        .collect();
    let done = AtomicBool::new(false);
    let (beside, sent) = std::thread::scope(|scope| {
        let trickle = scope.spawn(|| {
            let mut sent = AHEAD;
            while !done.load(Ordering::Relaxed) && sent + 1000 < LENGTH {
                std::thread::sleep(Duration::from_secs(1));
                for upload in &mut uploads {
                    upload.send(&body[sent..sent + 1000]).expect("an upload goes on");
                }
                sent += 1000;
            }
            sent
        });
        // What else this machine does may make it slower, never faster.
        let mut beside = normal();
        for _ in 0..2 {
            if beside > 2.0 * alone {
                beside = beside.min(normal());
            }
        }
        done.store(true, Ordering::Relaxed);
        (beside, trickle.join().expect("uploads"))
    });
    println!(
        "{UPLOADERS} uploads at 1 KB/s before 2 slots, {shards} shard(s): p99 of 10 ms requests \
         {:.1} ms, alone {:.1} ms",
        beside * 1e3,
        alone * 1e3
    );
    // No upload has reached the worker so far; those that come to their end do so whole.
    let uploaded = || origin[0].log().into_iter().filter(|r| r.request.method == "PUT");
    assert_eq!(uploaded().count(), 0);
    for upload in &mut uploads[..10] {
        upload.send(&body[sent..]).expect("sent");
        assert_eq!(upload.response_to("PUT").expect("an answer").status, 200);
    }
    assert!(until(|| uploaded().count() == 10));
    assert!(uploaded().all(|record| record.request.body == body), "whole and in order");
    drop(uploads);
    if beside > 2.0 * alone {
        // Then the machine had better be slower by itself, too, than it was in the beginning.
        let after = normal();
        assert!(beside <= 2.0 * after, "{beside} instead of {alone} before and {after} after");
    }
    assert!(until(|| isobar.metrics().sum("isobar_worker_in_flight", &[]) == 0.0));
}

/// No room on disk, or no disk: the body is streamed, as if nothing were spilled.
#[test]
fn without_room_on_disk_a_body_is_streamed() {
    let spills = ["{ max: 70KB }", "{ total: 70KB }", "{ dir: /nowhere/at/all }", "true", "off"];
    for spill in spills {
        let origin = [Origin::start(echo_body)];
        let pool = format!("slots: 1, buffer: {{ spill: {spill} }}, ");
        let isobar = Isobar::start(&config(1, &pool, "{ attempts: 2 }", &origin));
        let body: Vec<u8> = (0..500_000).map(|i| b'a' + (i % 23) as u8).collect();
        for chunked in [false, true] {
            let answer = put_in_two(&isobar, &body, chunked).expect("an answer");
            assert_eq!(answer.status, 200, "{spill}");
            assert!(answer.body == body, "{spill}");
        }
        // An origin notes a request after it has answered it.
        assert!(origin[0].wait_for(2, Duration::from_secs(5)));
        let framed = origin[0].log();
        let whole = framed.iter().all(|r| r.request.header("content-length").is_some());
        assert_eq!(whole, spill == "true", "what was held whole goes out with its length");
    }
}

fn seconds(variable: &str, default: f64) -> f64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn status(
    status: u16,
    fields: &str,
    body: &str,
) -> impl Fn(&Request, &mut Visit) -> Next + Send + Sync + 'static {
    raw(format!("HTTP/1.1 {status} Status\r\n{fields}\r\n\r\n{body}"), Next::Keep)
}

fn until(mut holds: impl FnMut() -> bool) -> bool {
    let patience = Instant::now() + Duration::from_secs(5);
    loop {
        if holds() {
            return true;
        }
        if Instant::now() > patience {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn config(shards: usize, pool: &str, retry: &str, origins: &[Origin]) -> String {
    let workers: Vec<String> = origins.iter().map(|origin| origin.address().to_string()).collect();
    config_of(shards, pool, retry, &workers)
}

fn config_of(shards: usize, pool: &str, retry: &str, workers: &[String]) -> String {
    format!(
        "shards: {shards}\n\
         listeners:\n  web:\n    bind: \"127.0.0.1:0\"\n    routes: [{{ pool: app, retry: {retry} }}]\n\
         pools: {{ app: {{ {pool}workers: [{}] }} }}\n",
        workers.join(", ")
    )
}
