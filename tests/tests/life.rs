//! A worker's life from outside: busy or hung, cold or warm, new or back, ill by its own traffic.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use isobar_tests::clock;
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{closed_loop, failures, get, open_loop};
use isobar_tests::origin::{self, Next, Origin, Request, Visit};

/// One server, one connection at a time, one slot: while it works it cannot answer a probe. That is
/// no illness; to answer nothing for longer than `busy_limit` is.
#[test]
fn a_busy_worker_stays_and_a_hung_one_goes() {
    let seconds = std::env::var("ISOBAR_BUSY_SECONDS").ok().and_then(|s| s.parse().ok());
    let (busy, probe) = match seconds {
        Some(seconds) => (Duration::from_secs(seconds), Duration::from_secs(1)),
        None => (Duration::from_secs(3), Duration::from_millis(300)),
    };
    let worker = || {
        Origin::one_at_a_time(move |request, visit| {
            match request.target.as_str() {
                "/busy" => std::thread::sleep(busy),
                "/hang" => std::thread::sleep(busy * 4),
                _ => {}
            }
            respond(visit, 200, "done")
        })
    };
    let (steady, hung) = (worker(), worker());
    let health = |limit: &str| {
        format!(
            "{{ http: {{ path: /healthz }}, interval: 200ms, timeout: {}ms, rise: 1, fall: 2{limit} }}",
            probe.as_millis()
        )
    };
    let isobar = Isobar::start(&format!(
        "listeners:\n\
         \x20 steady: {{ bind: \"127.0.0.1:0\", pool: steady }}\n\
         \x20 hung: {{ bind: \"127.0.0.1:0\", pool: hung }}\n\
         pools:\n\
         \x20 steady: {{ slots: 1, workers: [{{ name: w, address: \"{}\" }}], health: {} }}\n\
         \x20 hung: {{ slots: 1, workers: [{{ name: w, address: \"{}\" }}], health: {} }}\n",
        steady.address(),
        health(""),
        hung.address(),
        health(", busy_limit: 1s"),
    ));
    let mut waiting = isobar.open("hung");
    let began = Instant::now();
    waiting.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| isobar.open("steady").get("/busy").expect("an answer"));
        let mut gone_after = None;
        while !answer.is_finished() {
            assert_eq!(isobar.worker_health("steady", "w"), "up", "busy is not ill");
            if gone_after.is_none() && isobar.worker_health("hung", "w") == "down" {
                gone_after = Some(began.elapsed());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(answer.join().expect("joined").status, 200);
        assert!(began.elapsed() >= busy);
        let gone_after = gone_after.expect("the hung one is down");
        println!("busy for {busy:?} with probes of {probe:?}: up; hung: down after {gone_after:?}");
        assert!(gone_after >= Duration::from_secs(1), "{gone_after:?}");
    });
    let said = isobar.stderr();
    let ill = said.lines().any(|line| line.contains("\"steady\"") && line.contains("-> down"));
    assert!(!ill, "{said}");
}

#[test]
fn no_user_meets_a_cold_worker_with_1_shard() {
    warm_up(1);
}

#[test]
fn no_user_meets_a_cold_worker_with_4_shards() {
    warm_up(4);
}

/// Takes a second from its first request to be warm; whoever asks meanwhile waits.
#[derive(Default)]
struct SlowStarter {
    begun: Mutex<Option<Instant>>,
    ill: AtomicBool,
    cold_users: AtomicUsize,
    users: AtomicUsize,
    warm_ups: AtomicUsize,
}

const WARMING: Duration = Duration::from_secs(1);

impl SlowStarter {
    fn answer(&self, request: &Request, visit: &mut Visit) -> Next {
        if request.target == "/healthz" {
            let status = if self.ill.load(Ordering::SeqCst) { 503 } else { 200 };
            return respond(visit, status, "");
        }
        let warm_at = *self.begun.lock().expect("begun").get_or_insert(Instant::now()) + WARMING;
        let left = warm_at.saturating_duration_since(Instant::now());
        let (users, cold) = (&self.users, &self.cold_users);
        match request.target.as_str() {
            "/warm" => drop(self.warm_ups.fetch_add(1, Ordering::SeqCst)),
            _ => {
                users.fetch_add(1, Ordering::SeqCst);
                cold.fetch_add(usize::from(!left.is_zero()), Ordering::SeqCst);
            }
        }
        std::thread::sleep(left);
        respond(visit, 200, "warm")
    }

    fn restart(&self) {
        *self.begun.lock().expect("begun") = None;
        self.ill.store(false, Ordering::SeqCst);
    }
}

fn warm_up(shards: usize) {
    let apps = [Arc::new(SlowStarter::default()), Arc::new(SlowStarter::default())];
    let origins = apps.clone().map(|app| Origin::start(move |rq, visit| app.answer(rq, visit)));
    let isobar = Isobar::start(&config(
        shards,
        &named(&origins),
        "health: { http: { path: /healthz }, interval: 100ms, rise: 1, fall: 1 }\n    \
         warm_up: { requests: [/warm], count: 2, timeout: 5s }",
    ));
    let target = isobar.address("web");
    let arrivals: Vec<f64> = (0..600).map(|i| f64::from(i) / 150.0).collect();
    let shots = std::thread::scope(|scope| {
        let load = scope.spawn(|| open_loop(target, &arrivals, 16, |_| get("/user")));
        apps[0].ill.store(true, Ordering::SeqCst);
        until(&isobar, "w0", "down");
        // Whoever was on the way has arrived.
        std::thread::sleep(Duration::from_millis(50));
        apps[0].restart();
        until(&isobar, "w0", "warming");
        until(&isobar, "w0", "up");
        load.join().expect("the load")
    });
    let before = apps[0].users.load(Ordering::SeqCst);
    let more = closed_loop(target, 4, 100, |_| get("/user"));
    for app in &apps {
        let count = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        println!(
            "{shards} shard(s): {} users, {} of them cold; {} warm-ups",
            count(&app.users),
            count(&app.cold_users),
            count(&app.warm_ups)
        );
        assert_eq!(count(&app.cold_users), 0);
    }
    assert_eq!(failures(&shots, 200), [""; 0]);
    assert_eq!(failures(&more, 200), [""; 0]);
    assert!(apps[0].users.load(Ordering::SeqCst) > before, "it is back");
    assert_eq!([0, 1].map(|i: usize| apps[i].warm_ups.load(Ordering::SeqCst)), [4, 2]);
}

#[test]
fn a_newcomer_gets_no_burst_with_1_shard() {
    slow_start(1, "least_connections");
}

#[test]
fn a_newcomer_gets_no_burst_with_4_shards() {
    slow_start(4, "least_connections");
}

#[test]
fn a_newcomer_gets_no_burst_by_turns_with_4_shards() {
    slow_start(4, "round_robin");
}

const SLOW_START: f64 = 1.6;

fn slow_start(shards: usize, strategy: &str) {
    let ill = Arc::new(AtomicBool::new(false));
    let origins: Vec<Origin> = (0..4)
        .map(|i| {
            let ill = ill.clone();
            Origin::start(move |request, visit| {
                if request.target == "/healthz" {
                    let down = i == 3 && ill.load(Ordering::SeqCst);
                    return respond(visit, if down { 503 } else { 200 }, "");
                }
                std::thread::sleep(Duration::from_millis(4));
                respond(visit, 200, "")
            })
        })
        .collect();
    let pool = format!(
        "strategy: {strategy}\n    slow_start: {SLOW_START}s\n    \
         health: {{ http: {{ path: /healthz }}, interval: 50ms, rise: 1, fall: 1 }}"
    );
    let workers = named(&origins);
    let isobar = Isobar::start(&config(shards, &workers[..3], &pool));
    let target = isobar.address("web");
    let seconds = 3.0 * (SLOW_START + 1.0) + 1.0;
    let arrivals: Vec<f64> = (0..(seconds * 500.0) as u32).map(|i| f64::from(i) / 500.0).collect();
    let (shots, came) = std::thread::scope(|scope| {
        let load = scope.spawn(|| open_loop(target, &arrivals, 16, |_| get("/user")));
        // The others' own slow start must be over: a share is one beside theirs.
        std::thread::sleep(Duration::from_secs_f64(SLOW_START * 1.1));
        isobar.rewrite(&config(shards, &workers, &pool));
        assert!(isobar.command(&["reload"]).status.success());
        until(&isobar, "w3", "up");
        let fresh = clock::monotonic();
        std::thread::sleep(Duration::from_secs_f64(SLOW_START + 1.0));
        ill.store(true, Ordering::SeqCst);
        until(&isobar, "w3", "down");
        ill.store(false, Ordering::SeqCst);
        until(&isobar, "w3", "up");
        let recovered = clock::monotonic();
        (load.join().expect("the load"), [("fresh", fresh), ("recovered", recovered)])
    });
    assert_eq!(failures(&shots, 200), [""; 0]);
    // Of its fair share, a quarter of all requests, in a part of the time since it came.
    let users = |origin: &Origin| -> Vec<f64> {
        let log = origin.log();
        let users = log.iter().filter(|record| record.request.target == "/user");
        users.map(|record| record.read_at).collect()
    };
    let seen: Vec<Vec<f64>> = origins.iter().map(users).collect();
    for (how, came) in came {
        let share = |from: f64, to: f64| {
            let within = |at: &&f64| (came + from..came + to).contains(*at);
            let counts = seen.iter().map(|times| times.iter().filter(within).count());
            let counts: Vec<usize> = counts.collect();
            4.0 * counts[3] as f64 / counts.iter().sum::<usize>() as f64
        };
        let quarter = SLOW_START / 4.0;
        let shares: Vec<f64> =
            (0..5).map(|i| share(f64::from(i) * quarter, f64::from(i + 1) * quarter)).collect();
        println!("{strategy}, {shards} shard(s), {how}: by quarters {shares:.2?} of its share");
        assert!(shares[0] < 0.45, "a burst: {shares:?}");
        assert!(shares[1] < 0.75 && shares[2] < 1.0, "too fast: {shares:?}");
        assert!(shares[0] < shares[2] && shares[1] < shares[3], "no ramp: {shares:?}");
        assert!(shares[4] > 0.6 && shares[4] < 1.3, "its whole share in the end: {shares:?}");
    }
}

/// Ten workers, five of them ill. 404 is an answer like any other.
#[test]
fn ejections_stop_at_the_ceiling_with_1_shard() {
    let (apps, isobar) = ill_half(1, "30%");
    let statuses = burst(&isobar);
    assert_eq!(ejected(&isobar).len(), 3);
    assert!(statuses.contains(&500), "the others of them still serve");
    let all: f64 = isobar.metrics().sum("isobar_outlier_ejections_total", &[("pool", "app")]);
    assert_eq!(all, 3.0);
    let told = isobar.stderr().matches("-> ejected (").count();
    assert_eq!(told, 3, "each once: {}", isobar.stderr());
    drop(apps);
}

#[test]
fn ill_workers_go_and_come_back_by_themselves_with_4_shards() {
    let (apps, isobar) = ill_half(4, "50%");
    burst(&isobar);
    let out = ejected(&isobar);
    assert_eq!(out, ["w0", "w1", "w2", "w3", "w4"]);
    let status = isobar.command(&["status"]);
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.contains("ejected (") && status.contains(" failures in a row, for "),
        "{status}"
    );
    assert!(burst(&isobar).iter().all(|status| *status == 404), "nobody meets the ill ones");
    apps.ill.store(false, Ordering::SeqCst);
    for worker in &out {
        until(&isobar, worker, "up");
    }
    assert!(burst(&isobar).iter().all(|status| *status == 404));
    let served = apps.origins.iter().map(|origin| {
        origin.log().iter().filter(|record| record.request.target == "/last").count()
    });
    closed_loop(isobar.address("web"), 10, 300, |_| get("/last"));
    assert!(served.into_iter().all(|count| count > 0), "everybody serves again");
}

struct Apps {
    ill: Arc<AtomicBool>,
    origins: Vec<Origin>,
}

fn ill_half(shards: usize, max_ejected: &str) -> (Apps, Isobar) {
    let ill = Arc::new(AtomicBool::new(true));
    let origin = |i: usize| {
        let ill = ill.clone();
        Origin::start(move |_, visit| {
            if i < 5 && ill.load(Ordering::SeqCst) {
                return respond(visit, 500, "at once");
            }
            std::thread::sleep(Duration::from_millis(2));
            respond(visit, 404, "")
        })
    };
    let origins: Vec<Origin> = (0..10).map(origin).collect();
    let outlier = format!(
        "outlier: {{ consecutive_failures: 5, base_ejection: 3s, max_ejected: {max_ejected} }}"
    );
    let isobar = Isobar::start(&config(shards, &named(&origins), &outlier));
    (Apps { ill, origins }, isobar)
}

fn burst(isobar: &Isobar) -> Vec<u16> {
    let shots = closed_loop(isobar.address("web"), 8, 600, |_| get("/"));
    shots.into_iter().map(|shot| shot.result.expect("an answer")).collect()
}

fn ejected(isobar: &Isobar) -> Vec<String> {
    let names = (0..10).map(|i| format!("w{i}"));
    names.filter(|name| isobar.worker_health("app", name) == "ejected").collect()
}

fn named(origins: &[Origin]) -> Vec<String> {
    let name = |(i, origin): (usize, &Origin)| {
        format!("{{ name: w{i}, address: \"{}\" }}", origin.address())
    };
    origins.iter().enumerate().map(name).collect()
}

fn config(shards: usize, workers: &[String], pool: &str) -> String {
    format!(
        "shards: {shards}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools:\n\
         \x20 app:\n\
         \x20   workers: [{}]\n\
         \x20   {pool}\n",
        workers.join(", "),
    )
}

fn until(isobar: &Isobar, worker: &str, health: &str) {
    let patience = Instant::now() + Duration::from_secs(10);
    while isobar.worker_health("app", worker) != health {
        assert!(Instant::now() < patience, "{worker} is not {health}: {}", isobar.pool("app"));
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn respond(visit: &mut Visit, status: u16, body: &str) -> Next {
    match visit.write(&origin::respond(status, body.as_bytes())) {
        Ok(()) => Next::Keep,
        Err(_) => Next::Close,
    }
}
