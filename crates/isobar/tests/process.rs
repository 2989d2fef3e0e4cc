//! The built binary, from its start to its end: commands, reload, signals, admin API. The workers
//! are threads of the test; every port is the system's choice; every wait is for an event.

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;

use kit::{Dir, Running, Worker, answer, ask, config, get, isobar, listening, refused, text};

mod kit;

#[test]
fn check_accepts_and_refuses() {
    let dir = Dir::new();
    let good = dir.write("good.yaml", &config(&dir, "app", "127.0.0.1:1"));
    let output = isobar(&["check", "-c", &good]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("1 listener, 1 route, 1 pool, 1 worker"));
    assert_eq!(isobar(&["-t", "-c", &good]).status.code(), Some(0));

    let bad = dir.write("bad.yaml", "listeners: { web: { bnd: 127.0.0.1:0, pool: app } }\n");
    let output = isobar(&["check", "-c", &bad]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("bad.yaml:1:"), "{said}");
    let output = isobar(&["check", "--format", "json", "-c", &bad]);
    assert_eq!(output.status.code(), Some(1));
    assert!(serde_json::from_slice::<serde_json::Value>(&output.stdout).is_ok());
    assert_eq!(isobar(&["check", "-c", "no-such-file"]).status.code(), Some(1));
}

#[test]
fn usage_errors_are_2_and_so_is_what_is_not_built() {
    assert_eq!(isobar(&["nonsense"]).status.code(), Some(2));
    assert_eq!(isobar(&["proxy", "--from", "127.0.0.1:0"]).status.code(), Some(2));
    let output = isobar(&["top", "--x"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("not built yet"));
    assert!(output.stdout.is_empty());
    let output = isobar(&["version", "--format", "json"]);
    let version: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(version["name"], "isobar");
}

#[test]
fn a_request_passes_and_is_counted() {
    let worker = Worker::start("one");
    let running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    let web = running.address("web");
    running.wait_for("ready: ");
    assert_eq!(get(web, "/"), (200, "one".into()));
    let metrics = running.get("/metrics").1;
    let series = "isobar_worker_requests_total{pool=\"app\",worker=\"w1\",outcome=\"served\"} 1";
    assert!(metrics.contains(series), "{metrics}");
    for name in
        ["http_request_duration_seconds_count", "pool_handover_seconds_bucket", "build_info"]
    {
        assert!(metrics.contains(&format!("\nisobar_{name}{{")), "{name} is missing: {metrics}");
    }
    assert_eq!(running.get("/live").0, 200);
    assert_eq!(running.get("/nothing").0, 404);
    assert!(running.get("/").1.contains("<td>w1"));
    let mode = fs::metadata(running.dir.path("admin.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn healthcheck_and_status_speak_to_the_running_process() {
    let worker = Worker::start("one");
    let mut running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    running.wait_for("ready: ");
    assert_eq!(running.command(&["healthcheck"]).status.code(), Some(0));
    let status = text(&running.command(&["status"]).stdout);
    assert!(status.contains("app  least_connections, 0 waiting"), "{status}");
    let line = status.lines().find(|line| line.contains("w1")).unwrap();
    assert!(line.contains(" up "), "{status}");
    let json = running.command(&["status", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!(json["pools"][0]["workers"][0]["health"], "up");

    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(0));
    let output = running.command(&["healthcheck"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot reach"), "{}", text(&output.stderr));
}

#[test]
fn a_worker_is_drained_and_overridden_and_that_survives_a_reload() {
    let worker = Worker::start("one");
    let running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    let web = running.address("web");
    running.wait_for("ready: ");
    assert_eq!(running.command(&["drain", "app", "w1"]).status.code(), Some(0));
    running.wait_until_worker("health", "draining");
    assert_eq!(get(web, "/").0, 503);
    assert_eq!(running.command(&["undrain", "app", "w1"]).status.code(), Some(0));
    running.wait_until_worker("health", "up");
    assert_eq!(get(web, "/").0, 200);

    assert_eq!(running.command(&["slots", "app", "w1", "7"]).status.code(), Some(0));
    running.wait_until_worker("slots", 7);
    let changed = format!("grace_period: 3s\n{}", running.config());
    running.rewrite(&changed);
    let output = running.command(&["reload"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    running.wait_until_worker("slots", 7);
    assert_eq!(running.worker()["overrides"]["slots"], 7);

    let output = running.command(&["drain", "app", "nobody"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no worker nobody"), "{}", text(&output.stderr));
    assert_eq!(running.command(&["weight", "none", "w1", "2"]).status.code(), Some(1));
}

#[test]
fn lc_02_a_refused_reload_changes_nothing() {
    let worker = Worker::start("one");
    let running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    let web = running.address("web");
    running.wait_for("ready: ");
    running.rewrite("listeners: { web: { bnd: 127.0.0.1:0, pool: app } }\n");
    let output = running.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    assert!(said.contains("isobar.yaml:1:") && said.contains("bnd"), "{said}");
    assert_eq!(get(web, "/"), (200, "one".into()));
    let metrics = running.get("/metrics").1;
    assert!(metrics.contains("isobar_config_last_reload_successful 0"), "{metrics}");
    assert!(metrics.contains("isobar_config_reloads_total{result=\"failure\"} 1"), "{metrics}");
}

#[test]
fn lc_11_a_port_in_use_refuses_the_start_and_the_reload() {
    let worker = Worker::start("one");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = TcpListener::bind(taken).unwrap();
    let running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    let web = running.address("web");
    running.wait_for("ready: ");
    let more = format!("listeners:\n  more: {{ bind: {taken}, pool: app }}");
    let wanted = running.config().replacen("listeners:", &more, 1);
    running.rewrite(&wanted);
    let output = running.command(&["reload"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&taken.to_string()), "{}", text(&output.stderr));
    assert_eq!(get(web, "/").0, 200);

    let path = running.dir.path("isobar.yaml");
    let admin = running.dir.path("other.sock");
    let other = wanted.replace("admin.sock", "other.sock");
    fs::write(&path, other).unwrap();
    let output = isobar(&["run", "-c", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&taken.to_string()), "{}", text(&output.stderr));
    assert!(!admin.exists(), "what was bound is gone again");
    drop(held);
}

#[test]
fn a_reload_adds_and_removes_listeners_and_pools_and_keeps_counters() {
    let (one, two) = (Worker::start("one"), Worker::start("two"));
    let running = Running::start(|dir| config(dir, "app", &one.address.to_string()));
    let web = running.address("web");
    running.wait_for("ready: ");
    assert_eq!(get(web, "/"), (200, "one".into()));
    let before = running.config();
    let more = before.replacen(
        "listeners:",
        "listeners:\n  more: { bind: \"127.0.0.1:0\", pool: new }",
        1,
    );
    running.rewrite(&more.replacen(
        "pools:",
        &format!("pools:\n  new: {{ workers: [{}] }}", two.address),
        1,
    ));
    running.signal(Signal::HUP);
    let added = running.address("more");
    assert_eq!(get(added, "/"), (200, "two".into()));
    assert_eq!(get(web, "/"), (200, "one".into()), "the old listener kept its port");
    let served = "isobar_worker_requests_total{pool=\"app\",worker=\"w1\",outcome=\"served\"} 2";
    let metrics = running.get("/metrics").1;
    assert!(metrics.contains(served), "{metrics}");
    assert!(metrics.contains("isobar_worker_requests_total{pool=\"new\""), "{metrics}");

    running.rewrite(&before);
    assert_eq!(running.command(&["reload"]).status.code(), Some(0));
    assert!(!running.get("/metrics").1.contains("pool=\"new\""), "figures die with their owner");
    assert_eq!(get(web, "/"), (200, "one".into()));
    refused(added);
}

#[test]
fn lc_05_term_lets_requests_finish_and_a_second_one_does_not() {
    let worker = Worker::start("one");
    let mut running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    let web = running.address("web");
    running.wait_for("ready: ");
    let mut slow = ask(web, "/slow");
    worker.arrived();
    running.signal(Signal::TERM);
    running.wait_for("draining: ");
    assert_eq!(running.get("/ready"), (503, "draining\n".into()));
    worker.release();
    assert_eq!(answer(&mut slow), (200, "one".into()));
    assert_eq!(running.wait().code(), Some(0));
    assert!(!running.dir.path("admin.sock").exists());

    let mut running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    let web = running.address("web");
    running.wait_for("ready: ");
    let _slow = ask(web, "/slow");
    worker.arrived();
    running.signal(Signal::INT);
    running.wait_for("draining: ");
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), Some(0));
    worker.release();
}

#[test]
fn usr1_and_usr2_do_not_end_the_process() {
    let worker = Worker::start("one");
    let mut running = Running::start(|dir| {
        let log = dir.path("access.log");
        let log = format!("access_log: {{ format: json, path: {} }}\n", log.display());
        log + &config(dir, "app", &worker.address.to_string())
    });
    let web = running.address("web");
    running.wait_for("ready: ");
    running.signal(Signal::USR2);
    running.wait_for("not built yet");
    assert_eq!(get(web, "/first").0, 200);
    fs::rename(running.dir.path("access.log"), running.dir.path("old.log")).unwrap();
    running.signal(Signal::USR1);
    running.wait_for("reopening");
    assert_eq!(get(web, "/second").0, 200);
    running.signal(Signal::QUIT);
    assert_eq!(running.wait().code(), Some(0));
    let lines = fs::read_to_string(running.dir.path("access.log")).unwrap();
    assert!(lines.contains("/second"), "{lines}");
}

#[test]
fn proxy_needs_no_file_and_shutdown_is_an_api() {
    let worker = Worker::start("one");
    let dir = Dir::new();
    let to = worker.address.to_string();
    let mut running = Running::spawn(dir, &["proxy", "--from", "127.0.0.1:0", "--to", &to]);
    running.wait_for("ready: ");
    let said = running.said();
    // The admin socket has a path, the listener an address.
    let found = |(address, _): (&str, &str)| address.parse().ok();
    let listener = said.lines().filter_map(listening).find_map(found).unwrap();
    assert_eq!(get(listener, "/"), (200, "one".into()));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), Some(0));

    let mut running = Running::start(|dir| config(dir, "app", &to));
    running.wait_for("ready: ");
    assert_eq!(running.request("POST", "/v1/shutdown", "{}").0, 202);
    assert_eq!(running.wait().code(), Some(0));
}

#[test]
fn the_metrics_listener_only_reads() {
    let worker = Worker::start("one");
    let running = Running::start(|dir| {
        let rest = config(dir, "app", &worker.address.to_string());
        format!("metrics: {{ bind: \"127.0.0.1:0\" }}\n{rest}")
    });
    let metrics = running.address("metrics");
    running.wait_for("ready: ");
    assert_eq!(get(metrics, "/ready").0, 200);
    assert!(get(metrics, "/metrics").1.contains("isobar_build_info"));
    assert_eq!(get(metrics, "/v1/pools").0, 404);
    let mut post = TcpStream::connect(metrics).unwrap();
    let head = "POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                Content-Length: 2\r\n\r\n{}";
    post.write_all(head.as_bytes()).unwrap();
    assert_eq!(answer(&mut post).0, 405);
}

#[test]
fn too_much_body_is_refused() {
    let worker = Worker::start("one");
    let running = Running::start(|dir| config(dir, "app", &worker.address.to_string()));
    running.wait_for("ready: ");
    let big = format!("{{\"state\":\"{}\"}}", "x".repeat(70_000));
    assert_eq!(running.request("POST", "/v1/pools/app/workers/w1", &big).0, 413);
    assert_eq!(running.request("POST", "/v1/pools/app/workers/w1", "{\"slots\":0}").0, 400);
}
