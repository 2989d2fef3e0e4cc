//! Slots are never exceeded, and never cost more than they must.

use std::time::{Duration, Instant};

use isobar_tests::apps::{App, Kind, Python};
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{closed_loop, failures, get};
use isobar_tests::origin::{Origin, after};
use isobar_tests::queueing::quantile;

#[test]
fn an_origin_never_sees_two_at_once_at_slots_1_with_1_shard() {
    never_more_than(1, 1);
}

#[test]
fn an_origin_never_sees_two_at_once_at_slots_1_with_4_shards() {
    never_more_than(1, 4);
}

#[test]
fn an_origin_never_sees_three_at_once_at_slots_2_with_1_shard() {
    never_more_than(2, 1);
}

#[test]
fn an_origin_never_sees_three_at_once_at_slots_2_with_4_shards() {
    never_more_than(2, 4);
}

/// 10,000 requests of 10 ms by 200 clients over eight recording origins.
fn never_more_than(slots: usize, shards: usize) {
    const REQUESTS: usize = 10_000;
    let service = Duration::from_millis(10);
    let origins: Vec<Origin> = (0..8).map(|_| Origin::start(after(service, "ok"))).collect();
    let isobar = Isobar::start(&config(shards, slots, &addresses(&origins)));

    let shots = closed_loop(isobar.address("web"), 200, REQUESTS, |id| get(format!("/r/{id}")));

    assert_eq!(failures(&shots, 200), [""; 0]);
    // An origin notes a request after it has answered it.
    let served = || origins.iter().map(Origin::served).sum::<usize>();
    let until = Instant::now() + Duration::from_secs(5);
    while served() < REQUESTS && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(served(), REQUESTS);
    let most: Vec<usize> = origins.iter().map(Origin::most_at_once).collect();
    let connections: u64 = origins.iter().map(Origin::connections).sum();
    let took = shots.iter().map(|shot| shot.ended).fold(0.0, f64::max) - shots[0].sent;
    let least = REQUESTS as f64 * service.as_secs_f64() / (origins.len() * slots) as f64;
    println!(
        "slots {slots}, {shards} shard(s): most at once {most:?}, {connections} connections, \
         {took:.2} s (no faster than {least:.2} s)"
    );
    assert!(most.iter().all(|&most| most <= slots), "{most:?}");
    assert!(connections as usize <= origins.len() * slots, "{connections} connections");
    let in_flight = isobar.metrics().sum("isobar_worker_in_flight", &[]);
    assert_eq!(in_flight, 0.0, "in-flight returns to zero when traffic stops");
}

/// A server that serves one kept connection at a time: a second connection would wait for ever.
#[test]
fn a_server_of_one_connection_never_makes_anyone_wait() {
    let service = Duration::from_millis(2);
    let origins: Vec<Origin> =
        (0..4).map(|_| Origin::one_at_a_time(after(service, "ok"))).collect();
    let isobar = Isobar::start(&config(4, 1, &addresses(&origins)));
    let clients = 16;

    let shots = closed_loop(isobar.address("web"), clients, 2_000, |id| get(format!("/r/{id}")));

    assert_eq!(failures(&shots, 200), [""; 0]);
    let waits: Vec<f64> = shots.iter().map(|shot| shot.ended - shot.sent).collect();
    // Sixteen clients on four workers: a request is at most fifth in line for its worker.
    let line = (clients / origins.len()) as f64;
    let served: Vec<f64> = origins
        .iter()
        .flat_map(|origin| origin.log().into_iter().map(|r| r.written_at - r.read_at))
        .collect();
    let fair = line * quantile(&served, 1.0);
    let worst = quantile(&waits, 1.0) - fair;
    println!(
        "one connection at a time: p50 {:.2} ms, worst {:.2} ms beyond its turn and service; \
         connections {:?}",
        quantile(&waits, 0.5) * 1e3,
        worst * 1e3,
        origins.iter().map(Origin::connections).collect::<Vec<_>>()
    );
    assert!(worst <= 0.020, "a request waited {worst} s beyond service");
}

/// uvicorn answers 503 to whoever comes when three connections are open.
#[test]
fn uvicorn_with_a_low_limit_never_refuses_with_1_shard() {
    uvicorn(1);
}

#[test]
fn uvicorn_with_a_low_limit_never_refuses_with_4_shards() {
    uvicorn(4);
}

fn uvicorn(shards: usize) {
    let Some(python) = Python::find("uvicorn") else { return };
    let app = App::start(&python, Kind::Uvicorn(3));
    let isobar = Isobar::start(&config(shards, 1, &[app.address().to_string()]));
    let shots = closed_loop(isobar.address("web"), 20, 600, |id| get(format!("/r/{id}?ms=5")));
    let refused = shots.iter().filter(|shot| shot.result == Ok(503)).count();
    println!("uvicorn --limit-concurrency 3, slots 1, {shards} shard(s): {refused} × 503");
    assert_eq!(failures(&shots, 200), [""; 0]);
}

fn addresses(origins: &[Origin]) -> Vec<String> {
    origins.iter().map(|origin| origin.address().to_string()).collect()
}

fn config(shards: usize, slots: usize, workers: &[String]) -> String {
    format!(
        "shards: {shards}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ slots: {slots}, queue: {{ max: 1000, timeout: 30s }}, workers: [{}] }} }}\n",
        workers.join(", ")
    )
}
