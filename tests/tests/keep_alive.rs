//! A worker that is about to close a connection has nothing to show for it yet, and drops what still
//! comes. How long it lets a connection rest is learned from the first that it closed, and no other
//! is used that long; told to use them longer, the proxy runs into it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, Visit, respond};

/// How long the worker lets a connection rest before it closes it.
const LIFE: Duration = Duration::from_millis(500);

/// From then on it closes it, and what comes meanwhile is lost.
const DROPS: Duration = Duration::from_millis(450);

/// Within the second for which a POST may use a connection that rests.
const REST: Duration = Duration::from_millis(600);

#[test]
fn no_request_meets_a_connection_that_is_being_closed() {
    let kinds = [(1, ""), (4, ""), (1, "slots: 8, "), (4, "slots: 8, ")];
    std::thread::scope(|scope| {
        for (shards, slots) in kinds {
            scope.spawn(move || {
                let learned = run(shards, slots);
                println!("keep-alive learned, {shards} shard(s) {slots}: {learned:?}");
                assert_eq!(learned, Seen { posts_failed: 0, gets_failed: 0, lost: 0 });
            });
            scope.spawn(move || {
                let told = run(shards, &format!("keep_alive: {{ idle: 60s }}, {slots}"));
                println!("keep-alive of 60 s, {shards} shard(s) {slots}: {told:?}");
                // A GET is sent again; for a POST it is too late.
                let shows = told.posts_failed > 0 && told.gets_failed == 0;
                assert!(shows, "this worker would fail no proxy: {told:?}");
            });
        }
    });
}

#[derive(Debug, PartialEq)]
struct Seen {
    posts_failed: usize,
    gets_failed: usize,
    /// Requests that came while the worker was closing.
    lost: usize,
}

fn run(shards: usize, pool: &str) -> Seen {
    let (teaches, lost) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    let origin = {
        let (teaches, lost) = (teaches.clone(), lost.clone());
        Origin::visits(move |visit| serve(visit, &teaches, &lost))
    };
    let isobar = Isobar::start(&format!(
        "shards: {shards}\nlisteners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ {pool}workers: [{}] }} }}\n",
        origin.address()
    ));
    let mut client = isobar.open("web");
    assert_eq!(client.get("/").expect("answers").status, 200);
    let patience = Instant::now() + Duration::from_secs(10);
    loop {
        let worker = &isobar.pool("app")["workers"][0];
        if worker["connections"] == 0 && worker["keep_alive_seconds"].is_number() {
            break;
        }
        assert!(Instant::now() < patience, "nothing was learned: {worker}");
        std::thread::sleep(Duration::from_millis(10));
    }
    teaches.store(false, SeqCst);
    let mut failed = [0, 0];
    for round in 0..8 {
        let kind = round % 2;
        let answer = client.request(["POST", "GET"][kind], "/", b"").expect("answers");
        failed[kind] += usize::from(answer.status != 200);
        std::thread::sleep(REST);
    }
    let [posts_failed, gets_failed] = failed;
    Seen { posts_failed, gets_failed, lost: lost.load(SeqCst) }
}

/// While it teaches the worker closes after its answer's [`LIFE`]; later it only ever begins to.
fn serve(visit: &mut Visit, teaches: &AtomicBool, lost: &AtomicUsize) {
    let mut rests: Option<Instant> = None;
    while let Ok(Some(_)) = visit.read_request() {
        if rests.is_some_and(|since| since.elapsed() >= DROPS) {
            lost.fetch_add(1, SeqCst);
            return visit.reset();
        }
        if visit.write(&respond(200, b"ok")).is_err() {
            return;
        }
        rests = Some(Instant::now());
        if teaches.load(SeqCst) {
            std::thread::sleep(LIFE);
            return visit.close();
        }
    }
}
