//! Reloads under load lose nothing, and a broken file changes nothing.

use std::process::Command;
use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{failures, get, open_loop};
use isobar_tests::origin::{Next, Origin, Request, Visit, after, websocket};
use isobar_tests::skip;
use isobar_tests::wait;
use rustix::process::Signal;

const RELOADS: u32 = 20;
const DOWNLOAD: Duration = Duration::from_secs(20);
const WEBSOCKETS: usize = 20;

#[test]
fn twenty_reloads_in_ten_seconds_lose_nothing_with_1_shard() {
    reloads(1);
}

#[test]
fn twenty_reloads_in_ten_seconds_lose_nothing_with_4_shards() {
    reloads(4);
}

/// LC-04: what a removed listener is answering is answered; its idle connections are closed at once,
/// so that nobody sends a request on one that nobody will answer. The pool's counters stay.
#[test]
fn lc_04_a_removed_listener_is_drained() {
    for shards in [1, 4] {
        let origin = Origin::start(|request: &Request, visit: &mut Visit| {
            let service = if request.target == "/slow" { 500 } else { 0 };
            after(Duration::from_millis(service), "ok")(request, visit)
        });
        let file = |extra: &str| {
            format!(
                "shards: {shards}\n\
                 listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }}{extra} }}\n\
                 pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
                origin.address()
            )
        };
        let isobar = Isobar::start(&file(", extra: { bind: \"127.0.0.1:0\", pool: app }"));
        let mut idle = isobar.open("extra");
        assert_eq!(idle.get("/").expect("an answer").status, 200);
        let mut busy = isobar.open("extra");
        busy.send(b"GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
        std::thread::sleep(Duration::from_millis(100));
        isobar.rewrite(&file(""));
        assert!(isobar.command(&["reload"]).status.success());
        let began = Instant::now();
        assert!(idle.read_to_end().expect("a clean end").is_empty());
        assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
        assert_eq!(busy.response_to("GET").expect("it was being answered").status, 200);
        assert!(busy.read_to_end().expect("then it is closed, too").is_empty());
        let served = isobar.metrics().sum("isobar_worker_requests_total", &[("outcome", "served")]);
        assert_eq!(served, 2.0);
    }
}

/// LC-04: a request whose body is still on its way when its pool is removed gets its answer there.
#[test]
fn lc_04_a_removed_pool_waits_for_the_requests_under_way() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let file = |pool: &str| {
        format!(
            "shards: 2\n\
             listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: {pool} }} }}\n\
             pools: {{ {pool}: {{ slots: 1, workers: [\"{}\"] }} }}\n",
            origin.address()
        )
    };
    let isobar = Isobar::start(&file("before"));
    let mut slow = isobar.open("web");
    slow.send(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 8\r\n\r\nhalf").expect("sends");
    std::thread::sleep(Duration::from_millis(200));
    isobar.rewrite(&file("behind"));
    assert!(isobar.command(&["reload"]).status.success());
    // Longer than it takes to look for pools that nobody uses.
    std::thread::sleep(Duration::from_millis(2500));
    slow.send(b"half").expect("sends");
    let answer = slow.response_to("POST").expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

/// LC-03: signals that come faster than a file is read become one reload; the newest file ends in
/// force, nothing fails, and of all the routing tables one is left.
#[test]
fn lc_03_a_storm_of_reloads_leaves_nothing_behind() {
    const STORM: usize = 200;
    const ROUTES: usize = 500;
    let file = |step: usize| {
        let mut text = String::from("listeners:\n  web:\n    bind: 127.0.0.1:0\n    routes:\n");
        for at in 0..ROUTES {
            text += &format!(
                "      - {{ match: {{ path: /{at} }}, respond: {{ status: 200, body: \"{step}\" }} }}\n"
            );
        }
        text
    };
    let isobar = Isobar::start(&file(0));
    let mut client = isobar.open("web");
    let mut ask = || client.get("/7").expect("an answer").text().parse::<usize>().expect("a step");
    // What an allocator keeps after some reloads is no leak, and it does not give it back at once.
    for step in 1..=10 {
        isobar.rewrite(&file(step));
        assert!(isobar.command(&["reload"]).status.success());
        assert_eq!(ask(), step);
    }
    let before = isobar.resident_kib();
    let (began, mut seen) = (Instant::now(), 10);
    for step in 11..=10 + STORM {
        isobar.rewrite(&file(step));
        // One that waits for its end, then one that does not, and meets it.
        match step % 2 {
            0 => assert!(isobar.command(&["reload"]).status.success()),
            _ => isobar.signal(Signal::HUP),
        }
        let now = ask();
        assert!((seen..=step).contains(&now), "{now} after {seen}");
        seen = now;
    }
    while ask() != 10 + STORM {
        assert!(began.elapsed() < Duration::from_secs(10), "the newest file is not in force");
        std::thread::sleep(Duration::from_millis(5));
    }
    let took = began.elapsed();
    // A tenth, and what a thread or two may keep; each table is 2.5 MiB. The threads have to do
    // something to give back what they keep.
    let after = wait::until(|| {
        ask();
        let after = isobar.resident_kib();
        (after <= before + before / 10 + 4096).then_some(after)
    });
    println!("{STORM} reloads in {took:?}: {before} KiB before, {after} KiB after");
}

fn reloads(shards: usize) {
    let origins: Vec<Origin> =
        (0..4).map(|_| Origin::start(after(Duration::from_millis(1), "ok"))).collect();
    let slow = [Origin::start(long_lived), Origin::start(long_lived)];
    let file = |step: u32| config(shards, &origins, &slow, step);
    let isobar = Isobar::start(&file(0));
    let web = isobar.address("web");

    std::thread::scope(|scope| {
        let download = scope.spawn(|| download(&isobar));
        let sockets: Vec<_> =
            (0..WEBSOCKETS).map(|_| scope.spawn(|| keep_a_websocket_busy(&isobar))).collect();
        let steady = scope.spawn(|| {
            let arrivals: Vec<f64> = (0..1_100).map(|i| f64::from(i) * 0.01).collect();
            open_loop(web, &arrivals, 16, |id| get(format!("/{id}")))
        });
        let wrk = scope.spawn(|| wrk(&format!("http://{web}/"), 12));
        std::thread::sleep(Duration::from_millis(500));
        let began = Instant::now();
        for step in 1..=RELOADS {
            isobar.rewrite(&file(step));
            let done = isobar.command(&["reload"]);
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            let next = began + Duration::from_millis(500) * step;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        let failed = failures(&steady.join().expect("steady load"), 200);
        let wrk = wrk.join().expect("wrk");
        let cut = sockets.into_iter().filter_map(|one| one.join().expect("a client").err()).count();
        let download = download.join().expect("the download");
        println!(
            "{RELOADS} reloads in 10 s, {shards} shard(s): wrk {wrk:?}; steady load {} failed; \
             {cut} of {WEBSOCKETS} WebSockets cut; 20 s download {download:?}",
            failed.len()
        );
        assert_eq!(failed, [""; 0]);
        assert_eq!(cut, 0);
        assert!(download.is_ok());
        if let Some(wrk) = wrk {
            assert_eq!(wrk.failed, 0);
            assert!(wrk.requests > 1_000);
        }
    });
    let metrics = isobar.metrics();
    assert_eq!(metrics.sum("isobar_config_last_reload_successful", &[]), 1.0);

    a_broken_file_is_refused(&isobar, &file(0));
}

fn a_broken_file_is_refused(isobar: &Isobar, good: &str) {
    let before = isobar.metrics().sum("isobar_http_requests_total", &[]);
    isobar.rewrite(&good.replace("slots: 1", "slotss: 1"));
    let refused = isobar.command(&["reload"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("slotss") && said.contains("isobar.yaml:"), "{said}");
    let mut connection = isobar.open("web");
    assert_eq!(connection.get("/").expect("serves on").status, 200);
    // Counters are kept; a request is counted a moment after its answer has gone out.
    let count = || isobar.metrics().sum("isobar_http_requests_total", &[]);
    wait::until(|| (count() > before).then_some(()));
    assert_eq!(isobar.metrics().sum("isobar_config_last_reload_successful", &[]), 0.0);
}

/// Workers come and go by step; the pool of the long-lived requests changes, too.
fn config(shards: usize, origins: &[Origin], slow: &[Origin], step: u32) -> String {
    let count = 2 + step as usize % 3;
    let workers: Vec<String> =
        origins.iter().take(count).map(|origin| origin.address().to_string()).collect();
    let long: Vec<String> =
        slow.iter().take(2 - step as usize % 2).map(|o| o.address().to_string()).collect();
    format!(
        "shards: {shards}\n\
         listeners:\n\
         \x20 web:\n\
         \x20   bind: 127.0.0.1:0\n\
         \x20   routes:\n\
         \x20     - match: {{ path_prefix: /long }}\n\
         \x20       pool: long\n\
         \x20     - pool: app\n\
         pools:\n\
         \x20 app: {{ slots: 1, workers: [{}] }}\n\
         \x20 long: {{ workers: [{}] }}\n",
        workers.join(", "),
        long.join(", ")
    )
}

/// `/long/ws` is a tunnel; anything else drips for 20 s.
fn long_lived(request: &Request, visit: &mut Visit) -> Next {
    if request.header("upgrade").is_some() {
        return websocket(request, visit);
    }
    let pieces = DOWNLOAD.as_millis() as usize / 100;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", pieces * 1_000);
    let mut alive = visit.write(head.as_bytes()).is_ok();
    for _ in 0..pieces {
        std::thread::sleep(Duration::from_millis(100));
        alive = alive && visit.write(&[b'd'; 1_000]).is_ok();
    }
    if alive { Next::Keep } else { Next::Close }
}

fn download(isobar: &Isobar) -> Result<usize, String> {
    let answer = isobar.open("web").get("/long/download").map_err(|error| error.to_string())?;
    match answer.status {
        200 => Ok(answer.body.len()),
        other => Err(format!("status {other}")),
    }
}

fn keep_a_websocket_busy(isobar: &Isobar) -> Result<(), String> {
    let mut connection = isobar.open("web");
    talk(&mut connection).map_err(|error| error.to_string())
}

fn talk(connection: &mut Connection) -> std::io::Result<()> {
    connection.send(
        b"GET /long/ws HTTP/1.1\r\nHost: test.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    )?;
    let answer = connection.response_to("GET")?;
    if answer.status != 101 {
        return Err(std::io::Error::other(format!("status {}", answer.status)));
    }
    for _ in 0..55 {
        connection.send(b"ping")?;
        if connection.read_exactly(4)? != b"ping" {
            return Err(std::io::Error::other("not what was sent"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

#[derive(Debug)]
struct Wrk {
    requests: u64,
    failed: u64,
}

fn wrk(url: &str, seconds: u32) -> Option<Wrk> {
    let run = Command::new("wrk").args(["-t1", "-c16", &format!("-d{seconds}s"), url]).output();
    let Ok(run) = run else {
        skip::note("reload (the part under wrk)", "no wrk");
        return None;
    };
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    let numbers = |line: &str| -> Vec<u64> {
        line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
    };
    let line = |text: &str| said.lines().find(|line| line.contains(text)).map(numbers);
    let requests = line("requests in").and_then(|found| found.first().copied()).unwrap_or(0);
    let sum = |found: Option<Vec<u64>>| found.map_or(0, |found| found.iter().sum());
    let failed = sum(line("Socket errors")) + sum(line("Non-2xx").map(|n| n[2..].to_vec()));
    Some(Wrk { requests, failed })
}
