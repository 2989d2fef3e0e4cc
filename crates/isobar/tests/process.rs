//! The built binary, from its start to its end: commands, reload, signals, admin API. The workers
//! are threads of the test; every port is the system's choice; every wait is for an event.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

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
fn usage_errors_are_2_and_what_is_not_built_is_1() {
    assert_eq!(isobar(&["nonsense"]).status.code(), Some(2));
    assert_eq!(isobar(&["proxy", "--from", "127.0.0.1:0"]).status.code(), Some(2));
    let output = isobar(&["top", "--x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("not built yet"));
    assert!(output.stdout.is_empty());
    let output = isobar(&["version", "--json"]);
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
    let json = running.command(&["status", "--json"]).stdout;
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

/// One listener `web` on a free port, one pool with the worker `w1`, an admin socket.
fn config(dir: &Dir, pool: &str, worker: &str) -> String {
    format!(
        "admin: {{ bind: \"unix:{}\", mode: \"0600\" }}\n\
         shards: 1\n\
         listeners:\n  web: {{ bind: \"127.0.0.1:0\", pool: {pool} }}\n\
         pools:\n  {pool}: {{ workers: [{{ name: w1, address: \"{worker}\" }}] }}\n",
        dir.path("admin.sock").display()
    )
}

fn isobar(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobar"));
    let command = command.args(args).env("NO_COLOR", "1").env_remove("ISOBAR_ADMIN");
    command.stdin(Stdio::null()).output().unwrap()
}

/// The binary at work; killed when it goes out of scope.
struct Running {
    child: Child,
    dir: Dir,
    lines: Receiver<String>,
    heard: std::cell::RefCell<String>,
}

impl Running {
    fn start(config: impl FnOnce(&Dir) -> String) -> Running {
        let dir = Dir::new();
        let path = dir.write("isobar.yaml", &config(&dir));
        Running::spawn(dir, &["run", "-c", &path])
    }

    fn spawn(dir: Dir, args: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isobar"));
        command.args(args).env("NO_COLOR", "1").stdin(Stdio::null());
        // A default admin socket must not be one that other processes know.
        command.env("XDG_RUNTIME_DIR", dir.path("run"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, lines) = channel();
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(say.send(line)));
        });
        Running { child, dir, lines, heard: Default::default() }
    }

    fn said(&self) -> String {
        self.heard.borrow().clone()
    }

    /// Reads on until `find` finds something in what was said.
    fn hear<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&self.heard.borrow()) {
                return found;
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => *self.heard.borrow_mut() += &(line + "\n"),
                Err(_) => panic!("it never said {what}:\n{}", self.said()),
            }
        }
    }

    fn wait_for(&self, text: &str) {
        self.hear(text, |said| said.contains(text).then_some(()));
    }

    fn address(&self, name: &str) -> SocketAddr {
        let of_name = |(address, of): (&str, &str)| (of == name).then(|| address.parse().ok());
        let find = |said: &str| said.lines().filter_map(listening).find_map(of_name).flatten();
        self.hear(&format!("listening on … ({name})"), find)
    }

    fn config(&self) -> String {
        fs::read_to_string(self.dir.path("isobar.yaml")).unwrap()
    }

    fn rewrite(&self, config: &str) {
        self.dir.write("isobar.yaml", config);
    }

    fn command(&self, args: &[&str]) -> Output {
        let admin = self.dir.path("admin.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_isobar"));
        command.args(args).env("NO_COLOR", "1").env("ISOBAR_ADMIN", admin).output().unwrap()
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "")
    }

    fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.dir.path("admin.sock")).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // An answer that comes early closes the door on the rest of the body.
        let _ = stream.write_all(body.as_bytes());
        answer(&mut stream)
    }

    fn worker(&self) -> serde_json::Value {
        let pool: serde_json::Value = serde_json::from_str(&self.get("/v1/pools/app").1).unwrap();
        pool["workers"][0].clone()
    }

    /// The supervisor applies a change on its own time; each look is a request.
    fn wait_until_worker(&self, key: &str, value: impl Into<serde_json::Value>) {
        let (value, until) = (value.into(), std::time::Instant::now() + PATIENCE);
        while self.worker()[key] != value {
            assert!(std::time::Instant::now() < until, "{key} is {}", self.worker()[key]);
        }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    fn wait(&mut self) -> ExitStatus {
        // Its end closes stderr: wait for that, bounded, then for the status.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => *self.heard.borrow_mut() += &(line + "\n"),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("it does not end:\n{}", self.said()),
            }
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// "listening on ADDRESS (NAME)".
fn listening(line: &str) -> Option<(&str, &str)> {
    let (address, name) = line.split_once("listening on ")?.1.split_once(" (")?;
    Some((address, name.strip_suffix(')')?))
}

/// An HTTP/1.1 server that answers with its name; `/slow` waits to be released.
struct Worker {
    address: SocketAddr,
    arrived: Receiver<()>,
    go: Sender<()>,
}

impl Worker {
    fn start(name: &'static str) -> Worker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, arrived) = channel();
        let (go, release) = channel::<()>();
        let release = std::sync::Arc::new(std::sync::Mutex::new(release));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (tell, release) = (tell.clone(), release.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(path) = request(&mut reader) {
                        if path == "/slow" {
                            let _ = tell.send(());
                            let _ = release.lock().unwrap().recv();
                        }
                        let length = name.len();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
                        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Worker { address, arrived, go }
    }

    fn arrived(&self) {
        self.arrived.recv_timeout(PATIENCE).unwrap();
    }

    fn release(&self) {
        self.go.send(()).unwrap();
    }
}

/// Reads one head; the path it asks for.
fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    first.split(' ').nth(1).map(str::to_owned)
}

fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn get(address: SocketAddr, path: &str) -> (u16, String) {
    answer(&mut ask(address, path))
}

/// Status and body of an answer that ends with its connection.
fn answer(stream: &mut impl Read) -> (u16, String) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = text(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {text:?}")), body.to_owned())
}

/// A listener that was closed refuses; while its shard is at it, it may still reset.
fn refused(address: SocketAddr) {
    let until = std::time::Instant::now() + PATIENCE;
    while let Ok(stream) = TcpStream::connect(address) {
        let _ = stream.shutdown(Shutdown::Both);
        assert!(std::time::Instant::now() < until, "{address} still listens");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory of its own, gone with its owner.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("isobar-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(Path::new(name))
    }

    /// Writes a file; its path as an argument.
    fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
