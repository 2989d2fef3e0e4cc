//! A worker's whole process group is SIGKILLed again and again under load: no GET fails, no POST
//! runs twice, the worker is out at once and back when it returns.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use isobar_tests::apps::{App, Kind, Python};
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{Ask, failures, open_loop};

const INTERVAL: Duration = Duration::from_millis(200);
const FALL: u32 = 2;
const KILLS: usize = 10;
const GETS_PER_SECOND: f64 = 300.0;
const POSTS_PER_SECOND: f64 = 30.0;

#[test]
fn sigkill_fails_no_get_and_doubles_no_post_with_1_shard() {
    kill(1);
}

#[test]
fn sigkill_fails_no_get_and_doubles_no_post_with_4_shards() {
    kill(4);
}

fn kill(shards: usize) {
    let Some(python) = Python::find("kill") else { return };
    let mut apps: Vec<App> = (0..3).map(|_| App::start(&python, Kind::Gunicorn)).collect();
    let isobar = Isobar::start(&config(shards, &apps));
    let target = isobar.address("web");
    let cycle = 1.8;
    let seconds = KILLS as f64 * cycle + 1.0;
    let every = |rate: f64| move |i: u64| i as f64 / rate;
    let gets: Vec<f64> =
        (0..(seconds * GETS_PER_SECOND) as u64).map(every(GETS_PER_SECOND)).collect();
    let posts: Vec<f64> =
        (0..(seconds * POSTS_PER_SECOND) as u64).map(every(POSTS_PER_SECOND)).collect();

    let (get_shots, post_shots) = std::thread::scope(|scope| {
        let gets = scope.spawn(|| open_loop(target, &gets, 64, any_size));
        let posts = scope.spawn(|| open_loop(target, &posts, 32, post));
        for round in 0..KILLS {
            kill_and_return(&isobar, &mut apps[round % 3], Duration::from_secs_f64(cycle));
        }
        (gets.join().expect("gets"), posts.join().expect("posts"))
    });

    let mut executions: HashMap<String, usize> = HashMap::new();
    for id in apps.iter().flat_map(App::executed).filter(|id| id.starts_with("post-")) {
        *executions.entry(id).or_default() += 1;
    }
    let twice = executions.values().filter(|&&count| count > 1).count();
    let failed = failures(&get_shots, 200);
    let failed_posts = failures(&post_shots, 200).len();
    println!(
        "{KILLS} × SIGKILL, {shards} shard(s): {} GETs, {} failed; {} POSTs, {failed_posts} failed, \
         {twice} executed twice",
        get_shots.len(),
        failed.len(),
        post_shots.len()
    );
    assert_eq!(failed, [""; 0]);
    assert_eq!(twice, 0);
    // The POSTs were really there, and only a kill may fail one.
    assert!(executions.len() >= post_shots.len() - failed_posts);
    assert!(failed_posts <= 3 * KILLS, "{failed_posts} POSTs failed");
}

fn kill_and_return(isobar: &Isobar, app: &mut App, cycle: Duration) {
    let began = Instant::now();
    let worker = app.address().to_string();
    app.kill();
    let out = wait(isobar, &worker, INTERVAL * FALL, |health| health != "up");
    assert!(out, "{worker} still takes traffic: {}", isobar.pool("app"));
    app.restart();
    let back = wait(isobar, &worker, Duration::from_secs(3), |health| health == "up");
    assert!(back, "{worker} is not back: {}", isobar.pool("app"));
    std::thread::sleep(cycle.saturating_sub(began.elapsed()));
}

fn wait(isobar: &Isobar, worker: &str, patience: Duration, is: impl Fn(&str) -> bool) -> bool {
    let until = Instant::now() + patience;
    while !is(&isobar.worker_health("app", worker)) {
        if Instant::now() > until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// Up to 64 KiB.
fn any_size(id: usize) -> Ask {
    let bytes = 1 + id * 7919 % 65_536;
    ("GET", format!("/r/get-{id}?bytes={bytes}"), Vec::new())
}

fn post(id: usize) -> Ask {
    ("POST", format!("/r/post-{id}"), b"once".to_vec())
}

fn config(shards: usize, apps: &[App]) -> String {
    let workers: Vec<String> = apps.iter().map(|app| app.address().to_string()).collect();
    format!(
        "shards: {shards}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools:\n\
         \x20 app:\n\
         \x20   slots: 1\n\
         \x20   workers: [{}]\n\
         \x20   health: {{ http: {{ path: /r/probe }}, interval: {}ms, timeout: 1s, rise: 1, fall: {FALL} }}\n",
        workers.join(", "),
        INTERVAL.as_millis()
    )
}
