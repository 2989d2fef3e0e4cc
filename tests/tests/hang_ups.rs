//! Clients that leave do not free a worker that still computes: two `gunicorn -w 1` with one slot
//! each and a 2 s handler, 50 clients that hang up after 100 ms, then 20 that stay. By the
//! workers' own journals nothing sat in a busy worker's backlog.

use std::time::Duration;

use isobar_tests::apps::{App, Kind, Occupied, Python, served};
use isobar_tests::http::{Connection, encode};
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{closed_loop, failures, get};

const LEAVERS: usize = 50;
const STAYERS: usize = 20;

#[test]
fn nothing_sits_in_a_busy_workers_backlog_with_1_shard() {
    hang_ups(1);
}

#[test]
fn nothing_sits_in_a_busy_workers_backlog_with_4_shards() {
    hang_ups(4);
}

fn hang_ups(shards: usize) {
    let Some(python) = Python::find("hang_ups") else { return };
    let apps = [App::start(&python, Kind::Gunicorn), App::start(&python, Kind::Gunicorn)];
    let isobar = Isobar::start(&format!(
        "shards: {shards}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ slots: 1, queue: {{ max: 1000, timeout: 60s }}, workers: [\"{}\", \"{}\"] }} }}\n",
        apps[0].address(),
        apps[1].address()
    ));
    let target = isobar.address("web");

    let mut leavers = Vec::new();
    for id in 0..LEAVERS {
        let mut connection = Connection::open(target).expect("connects");
        connection.send(&encode("GET", &format!("/r/left-{id}?ms=2000"), b"")).expect("sends");
        leavers.push(connection);
    }
    std::thread::sleep(Duration::from_millis(100));
    drop(leavers);

    let shots = closed_loop(target, STAYERS, STAYERS, |id| get(format!("/r/stay-{id}?ms=2000")));
    assert_eq!(failures(&shots, 200), [""; 0]);

    let stayed =
        |served: &[Occupied]| served.iter().filter(|one| one.id.starts_with("stay")).count();
    let mut real = served(&apps, STAYERS);
    if stayed(&real) < STAYERS {
        // Some of these were the leavers' requests.
        real = served(&apps, real.len() + STAYERS - stayed(&real));
    }
    let worst = real.iter().map(|one| one.backlog).fold(0.0, f64::max);
    let left = real.iter().filter(|one| one.id.starts_with("left")).count();
    println!(
        "hang-ups, {shards} shard(s): worst backlog {:.0} ms over {} requests, {left} of {LEAVERS} \
         leavers reached a worker, abandoned now {}",
        worst * 1e3,
        real.len(),
        isobar.metrics().sum("isobar_worker_abandoned", &[])
    );
    assert_eq!(stayed(&real), STAYERS);
    assert!(left <= apps.len(), "{left} requests of clients that had left were executed");
    assert!(worst <= 0.020, "a connection waited {worst} s in a busy worker's backlog");
    // While its client was gone the first request of each worker still held its slot.
    for app in &apps {
        let mut spans: Vec<_> = app.occupied().iter().map(|one| one.span).collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0), "{spans:?}");
    }
}
