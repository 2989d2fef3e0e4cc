//! A process lives: signals, drain, exit codes, inherited sockets, logs that cannot be written.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use isobar_tests::http::{Connection, encode};
use isobar_tests::isobar::{Isobar, binary};
use isobar_tests::load::{closed_loop, failures, get};
use isobar_tests::origin::{Origin, after};
use isobar_tests::proxy::Proxy;
use isobar_tests::scratch::Scratch;
use isobar_tests::sockets::Inherited;
use isobar_tests::wait;
use rustix::process::Signal;

#[test]
fn term_stops_gracefully() {
    graceful(Signal::TERM);
}

#[test]
fn int_stops_gracefully() {
    graceful(Signal::INT);
}

#[test]
fn quit_stops_gracefully() {
    graceful(Signal::QUIT);
}

/// Not ready at once, still accepting for `drain_delay`, then nothing new; what runs is finished.
fn graceful(signal: Signal) {
    let origin = Origin::start(after(Duration::from_millis(1_200), "done"));
    let mut isobar = start(&origin, "drain_delay: 400ms\n");
    let target = isobar.address("web");
    let mut running = isobar.open("web");
    running.send(&encode("GET", "/", b"")).expect("sends");
    wait_for_the_origin(&isobar);
    isobar.signal(signal);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(isobar.admin("GET", "/ready", "").status, 503);
    assert_eq!(isobar.admin("GET", "/live", "").status, 200);
    assert!(Connection::open(target).is_ok(), "it accepts during drain_delay");
    let answer = running.response_to("GET").expect("what runs is finished");
    assert_eq!((answer.status, answer.text().as_str()), (200, "done"));
    assert_eq!(answer.header("connection"), Some("close"));
    let status = isobar.wait(Duration::from_secs(3)).expect("it ends when all is done");
    assert_eq!(status.code(), Some(0));
    assert!(Connection::open(target).is_err());
}

#[test]
fn a_second_term_stops_at_once() {
    let origin = Origin::start(after(Duration::from_secs(10), "late"));
    let mut isobar = start(&origin, "");
    let mut running = isobar.open("web");
    running.send(&encode("GET", "/", b"")).expect("sends");
    wait_for_the_origin(&isobar);
    isobar.signal(Signal::TERM);
    assert_eq!(isobar.wait(Duration::from_millis(500)), None, "it finishes what runs");
    isobar.signal(Signal::TERM);
    let status = isobar.wait(Duration::from_secs(2)).expect("at once");
    println!("after a second TERM: {status}");
}

#[test]
fn the_grace_period_is_the_end() {
    let origin = Origin::start(after(Duration::from_secs(10), "late"));
    let mut isobar = start(&origin, "grace_period: 500ms\n");
    let mut running = isobar.open("web");
    running.send(&encode("GET", "/", b"")).expect("sends");
    wait_for_the_origin(&isobar);
    isobar.signal(Signal::TERM);
    let began = Instant::now();
    isobar.wait(Duration::from_secs(3)).expect("ends after the grace period");
    assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
}

/// A request that still waits in a queue when the grace period ends is told so, and not just cut off;
/// also where its pool is no longer in the configuration.
#[test]
fn who_is_queued_when_the_grace_period_ends_is_told() {
    let origin = Origin::start(after(Duration::from_secs(10), "late"));
    for removed in [false, true] {
        let config = |pool: &str| {
            format!(
                "grace_period: 500ms\n\
                 listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: {pool} }} }}\n\
                 pools: {{ {pool}: {{ slots: 1, workers: [\"{}\"] }} }}\n",
                origin.address()
            )
        };
        let mut isobar = Isobar::start(&config("app"));
        let mut running = isobar.open("web");
        running.send(&encode("GET", "/", b"")).expect("sends");
        wait_for_the_origin(&isobar);
        let mut queued = isobar.open("web");
        queued.send(&encode("GET", "/", b"")).expect("sends");
        wait::until(|| (isobar.metrics().sum("isobar_pool_queue_depth", &[]) == 1.0).then_some(()));
        if removed {
            isobar.rewrite(&config("other"));
            assert!(isobar.command(&["reload"]).status.success());
        }
        isobar.signal(Signal::TERM);
        let answer = queued.response_to("GET").expect("an answer");
        assert_eq!((answer.status, answer.header("x-isobar-reason")), (503, Some("draining")));
        assert_eq!(answer.header("connection"), Some("close"));
        isobar.wait(Duration::from_secs(3)).expect("ends after the grace period");
    }
}

#[test]
fn idle_connections_do_not_hold_a_drain_up() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let mut isobar = start(&origin, "");
    let mut idle: Vec<Connection> = (0..20).map(|_| isobar.open("web")).collect();
    for connection in &mut idle[..10] {
        assert_eq!(connection.get("/").expect("served").status, 200);
    }
    isobar.signal(Signal::TERM);
    let status = isobar.wait(Duration::from_secs(2)).expect("soon");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn hup_reloads_and_survives_a_broken_file() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start(&origin, "");
    let reloads =
        |result: &str| isobar.metrics().sum("isobar_config_reloads_total", &[("result", result)]);
    let wait_for = |read: &dyn Fn() -> bool| {
        let until = Instant::now() + Duration::from_secs(5);
        while !read() {
            assert!(Instant::now() < until, "no reload");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    let total = || isobar.metrics().sum("isobar_config_reloads_total", &[]);
    let before = total();
    isobar.signal(Signal::HUP);
    wait_for(&|| total() > before);
    assert_eq!(isobar.metrics().sum("isobar_config_last_reload_successful", &[]), 1.0);
    isobar.rewrite("listeners: { web: { nonsense: 1 } }");
    isobar.signal(Signal::HUP);
    wait_for(&|| isobar.metrics().sum("isobar_config_last_reload_successful", &[]) == 0.0);
    assert_eq!(isobar.open("web").get("/").expect("serves on").status, 200);
    let kinds = ["success", "ok", "applied", "failure", "failed", "error", "refused"];
    println!("reloads by result: {:?}", kinds.map(|kind| (kind, reloads(kind))));
}

#[test]
fn exit_codes_and_diagnostics() {
    let scratch = Scratch::new();
    let good = scratch.file("good.yaml");
    let text = "listeners: { web: { bind: \"127.0.0.1:0\", pool: a } }\n\
                pools: { a: { workers: [\"127.0.0.1:1\"] } }\n";
    std::fs::write(&good, text).expect("writes");
    let bad = scratch.file("bad.yaml");
    std::fs::write(&bad, text.replace("pool: a", "pool: b")).expect("writes");
    let (good, bad) = (good.to_str().expect("utf-8"), bad.to_str().expect("utf-8"));
    let cases: [(&[&str], i32, &str); 10] = [
        (&["version"], 0, "isobar"),
        (&["check", "-c", good], 0, ""),
        (&["-t", "-c", good], 0, ""),
        (&["check", "-c", bad], 1, "bad.yaml:1:"),
        (&["check", "-c", bad, "--format", "json"], 1, "{"),
        (&["run", "-c", bad], 1, "bad.yaml:1:"),
        (&["run", "-c", "/nonexistent.yaml"], 1, "/nonexistent.yaml"),
        (&["frobnicate"], 2, ""),
        (&["drain"], 2, ""),
        (&["healthcheck", "--admin", "unix:/nonexistent/admin.sock"], 1, ""),
    ];
    let mut wrong = Vec::new();
    for (arguments, code, says) in cases {
        let run = Command::new(binary()).args(arguments).env("NO_COLOR", "1").output();
        let run = run.expect("runs");
        let said = [run.stdout.as_slice(), &run.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        if run.status.code() != Some(code) || !said.contains(says) || said.contains('\x1b') {
            wrong.push(format!("{arguments:?}: {:?}, {said}", run.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_taken_port_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("address").to_string();
    let config = format!(
        "listeners: {{ web: {{ bind: \"{address}\", pool: a }} }}\n\
         pools: {{ a: {{ workers: [\"127.0.0.1:1\"] }} }}\n"
    );
    let mut isobar = Isobar::spawn(&config, |command| command);
    let status = isobar.wait(Duration::from_secs(5)).expect("it does not start");
    assert_eq!(status.code(), Some(1));
    assert!(isobar.wait_to_hear(&address, Duration::from_secs(1)), "{}", isobar.stderr());
}

#[test]
fn a_socket_may_be_inherited() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let socket = Inherited::listen();
    let address = socket.address();
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"{}\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        socket.bind(),
        origin.address()
    ));
    drop(socket);
    let mut connection = Connection::open(address).expect("connects");
    assert_eq!(connection.get("/").expect("served").status, 200);
    drop(isobar);
}

#[test]
fn unix_sockets_on_both_sides() {
    let scratch = Scratch::new();
    let path = scratch.file("web.sock");
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let _isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"unix:{0}\", mode: \"0660\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{1}\"] }} }}\n",
        path.display(),
        origin.address()
    ));
    let mode = std::fs::metadata(&path).expect("the socket").permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    let second = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"unix:{}\"] }} }}\n",
        path.display()
    ));
    assert_eq!(second.open("web").get("/").expect("through both").status, 200);
}

/// SL-10: a pipe nobody reads.
#[test]
fn sl_10_a_stuck_log_pipe_never_stops_serving() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let config = config(&origin, "access_log: { format: json, path: stdout }\n");
    let mut isobar = Isobar::spawn(&config, |command| command.stdout(Stdio::piped()));
    isobar.wait_until_ready();
    serves_and_drops(&mut isobar);
}

/// SL-10: a disk that is full.
#[test]
fn sl_10_a_full_disk_never_stops_serving() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let mut isobar = start(&origin, "access_log: { format: combined, path: /dev/full }\n");
    serves_and_drops(&mut isobar);
}

fn serves_and_drops(isobar: &mut Isobar) {
    // Long lines, so that they fill what memory is set aside for them.
    let long = "x".repeat(2_000);
    let shots = closed_loop(isobar.address("web"), 8, 20_000, |_| get(format!("/{long}")));
    assert_eq!(failures(&shots, 200), [""; 0]);
    let slowest = shots.iter().map(|shot| shot.ended - shot.sent).fold(0.0, f64::max);
    let dropped = isobar.metrics().sum("isobar_log_lines_dropped_total", &[]);
    println!(
        "log that cannot be written: {dropped} lines dropped, slowest {:.1} ms",
        slowest * 1e3
    );
    assert!(dropped > 0.0);
    assert!(slowest < 0.5, "{slowest} s");
    isobar.signal(Signal::TERM);
    assert!(isobar.wait(Duration::from_secs(10)).is_some(), "it ends although the log is stuck");
}

/// One request, one log line, whatever the client put into it (AD-07).
#[test]
fn ad_07_one_line_per_request_whatever_it_contains() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start(&origin, "access_log: { format: json, path: ./access.log }\n");
    let mut connection = isobar.open("web");
    connection
        .send(b"GET /a%0d%0ab\"c HTTP/1.1\r\nHost: h\r\nUser-Agent: \x80\"\\x\tz\r\n\r\n")
        .expect("sends");
    let status = connection.response_to("GET").map(|answer| answer.status).unwrap_or(0);
    for id in 0..20 {
        assert_eq!(isobar.open("web").get(&format!("/{id}")).expect("served").status, 200);
    }
    let path = isobar.file("access.log");
    let until = Instant::now() + Duration::from_secs(5);
    while std::fs::read_to_string(&path).unwrap_or_default().lines().count() < 21 {
        assert!(Instant::now() < until, "{status}: {:?}", std::fs::read_to_string(&path));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(isobar_tests::access_log::read(&path).len(), 21);
}

#[test]
fn the_admin_socket_is_private_and_checks_host_and_origin() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start(
        &origin,
        "admin: { bind: [\"ADMIN_SOCKET\", \"127.0.0.1:0\"] }\nmetrics: { bind: \"127.0.0.1:0\" }\n",
    );
    let mode = std::fs::metadata(isobar.file("admin.sock")).expect("it").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    for path in ["/live", "/ready", "/metrics", "/v1/pools", "/v1/pools/app", "/"] {
        assert_eq!(isobar.admin("GET", path, "").status, 200, "{path}");
    }
    assert_eq!(isobar.admin("GET", "/v1/pools/none", "").status, 404);

    // Over TCP a browser could be made to ask.
    let ask = |head: &str| {
        let mut connection = isobar.open("admin");
        connection.send(format!("{head}\r\n\r\n").as_bytes()).expect("sends");
        connection.response_to("GET").expect("answers").status
    };
    assert_eq!(ask("GET /v1/pools HTTP/1.1\r\nHost: localhost"), 200);
    assert!(matches!(ask("GET /v1/pools HTTP/1.1\r\nHost: evil.example"), 403 | 421));
    let cross = "POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                 Origin: http://evil.example\r\nContent-Length: 0";
    assert_eq!(ask(cross), 403);

    // The metrics listener only reads.
    let mut metrics = isobar.open("metrics");
    assert_eq!(metrics.get("/metrics").expect("answers").status, 200);
    let mut writes = isobar.open("metrics");
    let refused = writes.request("POST", "/v1/reload", b"").expect("answers").status;
    assert!(matches!(refused, 404 | 405), "{refused}");
}

#[test]
fn commands_change_one_worker_and_overrides_survive_a_reload() {
    let origins =
        [Origin::start(after(Duration::ZERO, "a")), Origin::start(after(Duration::ZERO, "b"))];
    let config = format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ strategy: round_robin, slots: 2, workers: [ {{ name: a, address: \"{}\" }}, {{ name: b, address: \"{}\" }} ] }} }}\n",
        origins[0].address(),
        origins[1].address()
    );
    let isobar = Isobar::start(&config);
    let run = |arguments: &[&str]| {
        let done = isobar.command(arguments);
        assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    run(&["drain", "app", "a"]);
    run(&["slots", "app", "b", "5"]);
    assert_eq!(isobar.worker_health("app", "a"), "draining");
    isobar.rewrite(&config);
    run(&["reload"]);
    assert_eq!(isobar.worker_health("app", "a"), "draining");
    for _ in 0..10 {
        assert_eq!(isobar.open("web").get("/").expect("served").text(), "b");
    }
    let slots = isobar.metrics().sum("isobar_worker_slots", &[("worker", "b")]);
    assert_eq!(slots, 5.0);
    run(&["undrain", "app", "a"]);
    assert_eq!(isobar.worker_health("app", "a"), "up");
    run(&["weight", "app", "a", "3"]);
    let status = run(&["status"]);
    assert!(status.contains("app") && status.contains('a'), "{status}");
    run(&["healthcheck"]);
    let unknown = isobar.command(&["drain", "app", "nobody"]);
    assert_eq!(unknown.status.code(), Some(1));
}

#[test]
fn proxy_needs_no_file() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let proxy = Proxy::start(origin.address(), &["--slots", "1", "--strategy", "round_robin"]);
    assert_eq!(proxy.get("/").status, 200);
}

fn wait_for_the_origin(isobar: &Isobar) {
    wait::until(|| (isobar.metrics().sum("isobar_worker_in_flight", &[]) >= 1.0).then_some(()));
}

fn start(origin: &Origin, more: &str) -> Isobar {
    Isobar::start(&config(origin, more))
}

fn config(origin: &Origin, more: &str) -> String {
    format!(
        "{more}listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    )
}
