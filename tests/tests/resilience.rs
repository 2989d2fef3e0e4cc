//! What a request survives, and what that may cost: retries and their budget, time-outs per try,
//! connections that a worker closes, slow uploads.

use std::time::{Duration, Instant};

use isobar_tests::isobar::Isobar;
use isobar_tests::load::{closed_loop, get};
use isobar_tests::origin::{Next, Origin, Request, Visit, after, raw};

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
    assert_eq!(origins.iter().map(Origin::served).sum::<usize>(), 300);
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
        assert_eq!(origins.iter().map(Origin::served).sum::<usize>(), 3);
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
                let outcome = [&labels[..], &[("outcome", "abandoned")]].concat();
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
    format!(
        "shards: {shards}\n\
         listeners:\n  web:\n    bind: \"127.0.0.1:0\"\n    routes: [{{ pool: app, retry: {retry} }}]\n\
         pools: {{ app: {{ {pool}workers: [{}] }} }}\n",
        workers.join(", ")
    )
}
