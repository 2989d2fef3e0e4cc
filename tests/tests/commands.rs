//! The commands that speak to a running process: what they print, what they refuse, and that they
//! say whom they reached.

use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use isobar_tests::isobar::{Isobar, binary};
use isobar_tests::origin::{self, Next, Origin, respond};
use isobar_tests::scratch::Scratch;
use isobar_tests::skip;
use isobar_tests::wait::until;
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn isobar_alone_and_help_print_the_help() {
    for arguments in [&[][..], &["help"], &["--help"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(text(&output.stdout).contains("Commands:"), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    let output = run(&["help", "drain"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).contains("Usage: isobar drain"), "{output:?}");
    assert_eq!(run(&["help", "nonsense"]).status.code(), Some(2));
}

#[test]
fn what_is_not_built_is_a_usage_error_and_hidden() {
    let help = text(&run(&["--help"]).stdout);
    let list = help.split("Commands:").nth(1).expect("commands");
    let completions = text(&run(&["completions", "bash"]).stdout);
    for command in
        ["spawn", "restart", "scale", "logs", "top", "dashboard", "diagnose", "simulate", "config"]
    {
        for arguments in [&[command][..], &[command, "--help"], &[command, "app", "-f"]] {
            let output = run(arguments);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
            assert!(text(&output.stderr).contains("not built yet"), "{output:?}");
            assert!(output.stdout.is_empty(), "{output:?}");
        }
        let listed = |line: &str| line.split_whitespace().next() == Some(command);
        assert!(!list.lines().any(listed), "{command} is not hidden:\n{list}");
        assert!(!completions.contains(&format!("isobar,{command})")), "bash offers {command}");
    }
}

#[test]
fn check_takes_its_file_with_and_without_c() {
    let scratch = Scratch::new();
    let file = scratch.file("a.yaml");
    std::fs::write(&file, "listeners: { web: { bind: 127.0.0.1:0, pool: a } }\npools: { a: { workers: [127.0.0.1:1] } }\n").expect("writes");
    let file = file.display().to_string();
    for arguments in [
        &["check", &file][..],
        &["check", "-c", &file],
        &["-t", &file],
        &["-t", "-c", &file],
        &["-c", &file, "-t"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(text(&output.stdout).contains("1 worker"), "{output:?}");
    }
    assert_eq!(run(&["check", &file, "-c", &file]).status.code(), Some(2));
}

#[test]
fn a_number_that_cannot_be_says_what_is_meant() {
    for (arguments, hint) in [
        (&["slots", "app", "w1", "0"][..], "isobar drain POOL WORKER"),
        (&["slots", "app", "w1", "-1"], "from 1 to 1000000, or `reset`"),
        (&["slots", "app", "w1", "unlimited"], "from 1 to 1000000, or `reset`"),
        (&["weight", "app", "w1", "0"], "isobar drain POOL WORKER"),
        (&["weight", "app", "w1", "10001"], "from 1 to 10000, or `reset`"),
        (&["drain", "app", "w1", "--wait", "--timeout", "30"], "did you mean `30s`?"),
        (&["proxy", "--from", "127.0.0.1:0", "--to", "127.0.0.1:1", "--slots", "0"], "no limit"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(hint), "{arguments:?}: {output:?}");
    }
}

#[test]
fn an_address_without_its_half_says_what_may_be_meant() {
    for (arguments, hints) in [
        (
            &["proxy", "--from", "8080", "--to", "127.0.0.1:1"][..],
            ["127.0.0.1:8080", "0.0.0.0:8080"],
        ),
        (&["proxy", "--from", ":8080", "--to", "127.0.0.1:1"], ["127.0.0.1:8080", "0.0.0.0:8080"]),
        (&["proxy", "--from", "127.0.0.1:0", "--to", "8001"], ["--to", "127.0.0.1:8001"]),
        (&["proxy", "--from", "127.0.0.1:0", "--to", ":8001"], ["--to", "127.0.0.1:8001"]),
        (&["status", "--admin", "9000"], ["HOST:PORT", "127.0.0.1:9000"]),
        (&["status", "--admin", ":9000"], ["HOST:PORT", "127.0.0.1:9000"]),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        for hint in hints {
            assert!(text(&output.stderr).contains(hint), "{arguments:?}: {output:?}");
        }
    }
}

#[test]
fn a_change_says_what_is_true_now_and_how_to_take_it_back() {
    let origin = quick();
    let isobar = start(&origin);
    let said = ok(&isobar, &["weight", "app", "w1", "5"]);
    assert!(said.contains("app w1: up, 0 in flight, slots 4, weight 5"), "{said}");
    assert!(said.contains("weight: set at run time, the file says nothing"), "{said}");
    assert!(said.contains("isobar weight app w1 reset"), "{said}");
    let said = ok(&isobar, &["slots", "app", "w1", "9"]);
    assert!(said.contains("slots 9") && said.contains("the file says 4"), "{said}");
    assert!(said.contains("isobar slots app w1 reset"), "{said}");
    let said = ok(&isobar, &["slots", "app", "w1", "reset"]);
    assert!(said.contains("slots 4") && !said.contains("slots: set"), "{said}");
    assert!(said.contains("weight: set at run time"), "{said}");
    assert_eq!(worker(&isobar, "w1")["slots"], 4);
    ok(&isobar, &["weight", "app", "w1", "reset"]);
    assert_eq!(worker(&isobar, "w1")["overrides"], serde_json::json!({}));
    let said = ok(&isobar, &["maintenance", "app", "w2"]);
    assert!(said.contains("app w2: maintenance"), "{said}");
    assert!(said.contains("isobar undrain app w2"), "{said}");

    // What the file may not say may not be said here either.
    for body in ["{\"weight\":4000000000}", "{\"slots\":0}", "{\"slots\":1000001}"] {
        let answer = isobar.admin("POST", "/v1/pools/app/workers/w1", body);
        assert_eq!(answer.status, 400, "{body}");
        assert!(answer.text().contains("a whole number from 1 to"), "{}", answer.text());
    }
}

#[test]
fn a_whole_pool_is_drained_and_given_back() {
    let origin = quick();
    let isobar = start(&origin);
    let said = ok(&isobar, &["drain", "app", "--wait"]);
    assert!(said.contains("app w1: draining") && said.contains("app w2: draining"), "{said}");
    assert!(said.contains("isobar undrain app\n") && said.contains("503"), "{said}");
    assert_eq!(isobar.open("web").get("/").expect("an answer").status, 503);
    let said = ok(&isobar, &["undrain", "app"]);
    assert!(said.contains("app w1: up") && said.contains("app w2: up"), "{said}");
    assert!(!said.contains("undrain"), "{said}");
    assert_eq!(isobar.open("web").get("/").expect("an answer").status, 200);
    let output = isobar.command(&["drain", "nothing"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("no pool nothing"), "{output:?}");
}

#[test]
fn drain_waits_for_the_last_lease_and_says_what_holds_when_it_does_not() {
    let (origin, arrived, release) = held();
    let isobar = start(&origin);
    ok(&isobar, &["drain", "app", "w2"]);
    let mut client = isobar.open("web");
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sends");
    arrived.recv_timeout(PATIENCE).expect("it arrives");

    let output = isobar.command(&["drain", "app", "w1", "--wait", "--timeout", "150ms"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = text(&output.stderr);
    assert!(said.contains("out of time: app w1 still holds 1 (one lease)"), "{said}");
    assert!(said.contains("stays in force; back with: isobar undrain app w1"), "{said}");
    assert_eq!(isobar.worker_health("app", "w1"), "draining");

    let mut waiting = Waiting::start(&isobar, &["drain", "app", "--wait"]);
    waiting.wait_to_hear("waiting for pool app: 1 in flight");
    kill_process(waiting.pid(), Signal::INT).expect("it is there");
    let (code, said) = waiting.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("interrupted: pool app still holds 1"), "{said}");
    assert_eq!(isobar.worker_health("app", "w1"), "draining");

    // Somebody takes the drain back: waiting on would be for ever.
    let mut waiting = Waiting::start(&isobar, &["drain", "app", "w1", "--wait"]);
    waiting.wait_to_hear("waiting for app w1: 1 in flight");
    ok(&isobar, &["undrain", "app", "w1"]);
    let (code, said) = waiting.end();
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("somebody has given app w1 requests again"), "{said}");

    let mut waiting = Waiting::start(&isobar, &["drain", "app", "w1", "--wait"]);
    waiting.wait_to_hear("waiting for app w1: 1 in flight");
    release.send(()).expect("waits");
    assert_eq!(client.response_to("GET").expect("an answer").status, 200);
    let (code, said) = waiting.end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("app w1: draining, 0 in flight"), "{said}");
}

#[test]
fn every_command_has_machine_output() {
    let origin = quick();
    let isobar = start(&origin);
    let file = isobar.file("isobar.yaml").display().to_string();
    let json = |arguments: &[&str]| -> serde_json::Value {
        let said = ok(&isobar, &[arguments, &["--format", "json"]].concat());
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said}"))
    };
    assert_eq!(json(&["version"])["name"], "isobar");
    assert_eq!(json(&["status"])["pools"][0]["name"], "app");
    assert!(json(&["check", &file]).is_object() || json(&["check", &file]).is_array());
    assert_eq!(json(&["healthcheck"]), serde_json::json!({ "ready": true, "state": "ready" }));
    assert_eq!(json(&["explain", "GET", "http://a/", "-c", &file])["pools"][0]["state"], "running");
    assert_eq!(json(&["weight", "app", "w1", "3"])["overrides"]["weight"], 3);
    assert_eq!(json(&["slots", "app", "w1", "reset"])["slots"], 4);
    assert_eq!(json(&["drain", "app", "w1", "--wait"])["health"], "draining");
    assert_eq!(json(&["undrain", "app"])["workers"][0]["health"], "up");
    assert_eq!(json(&["maintenance", "app", "w1"])["pool"], "app");
    assert_eq!(json(&["reload"])["result"], "reloaded");
    std::fs::write(&file, "listeners: 1\n").expect("writes");
    let output = isobar.command(&["reload", "--format", "json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let refused: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(refused["diagnostics"].as_str().is_some_and(|text| text.contains(":1:")), "{refused}");
}

#[test]
fn a_process_with_another_file_is_not_taken_for_the_one_that_is_meant() {
    let origin = quick();
    let isobar = start(&origin);
    let own = isobar.file("isobar.yaml").display().to_string();
    let (pid, other) = (isobar.pid(), isobar.file("other.yaml"));
    // Its admin address is the same, as the default is everybody's.
    std::fs::copy(isobar.file("isobar.yaml"), &other).expect("copies");
    let other = other.display().to_string();
    for arguments in [
        &["reload"][..],
        &["status"],
        &["drain", "app", "w1"],
        &["weight", "app", "w1", "3"],
        &["healthcheck"],
    ] {
        let named = [arguments, &["-c", &other]].concat();
        for output in [isobar.command(&named), run(&named)] {
            assert_eq!(output.status.code(), Some(1), "{named:?}: {output:?}");
            let said = text(&output.stderr);
            let whose = format!("process {pid}, which runs with {own}, not {other}");
            assert!(said.contains(&whose), "{named:?}: {said}");
            assert!(output.stdout.is_empty(), "{named:?}: {output:?}");
        }
        let named = [arguments, &["-c", &own]].concat();
        assert_eq!(run(&named).status.code(), Some(0), "{named:?}");
    }
    assert_eq!(worker(&isobar, "w1")["weight"], 3);

    // By another name it is the same file.
    let link = isobar.file("link.yaml");
    std::os::unix::fs::symlink(isobar.file("isobar.yaml"), &link).expect("links");
    ok(&isobar, &["reload", "-c", &link.display().to_string()]);

    // Found, not named: a reload would read another file than the one that was edited; the others
    // say whom they asked.
    let lying_there = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        command.args(arguments).env("ISOBAR_CONFIG", &other).env_remove("ISOBAR_ADMIN");
        command.output().expect("runs")
    };
    let output = lying_there(&["reload"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains(&format!("-c {own}")), "{output:?}");
    let output = lying_there(&["status"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output.stderr).contains("is not its configuration"), "{output:?}");

    // Its pools are others, even where their names are not.
    let said = ok(&isobar, &["explain", "GET", "http://a/", "-c", &other]);
    assert!(said.contains("as in the file"), "{said}");
}

#[test]
fn a_reload_says_which_file_it_was_and_a_process_without_one_has_none() {
    let origin = quick();
    let isobar = start(&origin);
    let own = isobar.file("isobar.yaml").display().to_string();
    assert!(ok(&isobar, &["reload"]).contains(&format!("reloaded {own}: 1 listener")));
    let about = isobar.admin("GET", "/v1/process", "").text();
    let about: serde_json::Value = serde_json::from_str(&about).expect("JSON");
    assert_eq!(about["pid"], isobar.pid());
    assert_eq!(about["file"], own);
    assert_eq!(about["listeners"][0]["addresses"][0], isobar.address("web").to_string());
}

#[test]
fn what_is_found_instead_of_a_process_is_said() {
    let origin = quick();
    let isobar = Isobar::start(
        &config(&origin).replace("listeners:", "metrics: { bind: 127.0.0.1:0 }\nlisteners:"),
    );
    let dead = isobar.file("dead.sock");
    drop(UnixListener::bind(&dead).expect("binds"));
    let dead = dead.display().to_string();
    let (web, metrics) = (isobar.address("web").to_string(), isobar.address("metrics").to_string());
    let banner = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let banner_at = banner.local_addr().expect("its address").to_string();
    std::thread::spawn(move || {
        for stream in banner.incoming().map_while(Result::ok) {
            let _ = (&stream).write_all(b"SSH-2.0-OpenSSH_9\r\n");
            let _ = (&stream).read(&mut [0; 512]);
        }
    });
    for (address, expected) in [
        ("/no/such/socket", "there is no such socket"),
        (&*dead, "the socket is there, but no process listens on it"),
        (&*web, "not an isobar's admin API"),
        (&*banner_at, "not an isobar's admin API"),
        (&*metrics, "the rest is at the `admin` address"),
        ("127.0.0.1:1", "nothing listens there"),
    ] {
        for arguments in [&["status"][..], &["reload"], &["drain", "app", "w1"]] {
            let output = run(&[arguments, &["--admin", address]].concat());
            assert_eq!(output.status.code(), Some(1), "{arguments:?} {address}: {output:?}");
            assert!(text(&output.stderr).contains(expected), "{arguments:?} {address}: {output:?}");
        }
    }
    assert_eq!(run(&["healthcheck", "--admin", &metrics]).status.code(), Some(0));
}

#[test]
fn a_socket_that_may_not_be_opened_says_so() {
    if !rustix::process::geteuid().is_root() {
        return skip::note("commands", "only root can be somebody else");
    }
    let origin = quick();
    let isobar = start(&origin);
    let socket = isobar.file("admin.sock").display().to_string();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(isobar.path(), mode).expect("its folder may be entered");
    let mut command = Command::new(binary());
    let output = command.args(["status", "--admin", &socket]).uid(65534).gid(65534).output();
    match output {
        Ok(output) => {
            assert_eq!(output.status.code(), Some(1), "{output:?}");
            assert!(text(&output.stderr).contains("permission denied"), "{output:?}");
            assert!(text(&output.stderr).contains("`mode`"), "{output:?}");
        }
        Err(error) => skip::note("commands", &format!("nobody may not run the binary: {error}")),
    }
}

#[test]
fn a_process_that_does_not_answer_is_not_waited_for_for_ever() {
    let scratch = Scratch::new();
    let socket = scratch.file("s");
    let _silent = UnixListener::bind(&socket).expect("binds");
    let began = Instant::now();
    let output = run(&["status", "--admin", &socket.display().to_string()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("no answer within 5s"), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
}

fn quick() -> Origin {
    Origin::start(origin::raw(respond(200, b"ok"), Next::Keep))
}

/// Two workers of four slots each: this origin, and one that is not there.
fn config(origin: &Origin) -> String {
    let address = origin.address();
    format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ slots: 4, workers: [{{ name: w1, address: \"{address}\" }}, \
         {{ name: w2, address: \"127.0.0.1:1\" }}] }} }}\n"
    )
}

fn start(origin: &Origin) -> Isobar {
    Isobar::start(&config(origin))
}

/// An origin that says when a request has arrived and answers when it is told to.
fn held() -> (Origin, Receiver<()>, Sender<()>) {
    let (tell, arrived) = channel();
    let (release, released) = channel();
    let both = Arc::new(Mutex::new((tell, released)));
    let origin = Origin::start(move |_, visit| {
        let both = both.lock().expect("one request");
        let _ = both.0.send(());
        let _ = both.1.recv_timeout(PATIENCE);
        let _ = visit.write(&respond(200, b"ok"));
        Next::Keep
    });
    (origin, arrived, release)
}

fn worker(isobar: &Isobar, name: &str) -> serde_json::Value {
    let pool = isobar.pool("app");
    let found = pool["workers"].as_array().expect("workers").iter().find(|w| w["name"] == name);
    found.expect("that worker").clone()
}

/// What a command that must succeed prints.
#[track_caller]
fn ok(isobar: &Isobar, arguments: &[&str]) -> String {
    let output = isobar.command(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
    text(&output.stdout)
}

/// Without any process in mind.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env("NO_COLOR", "1").env_remove("ISOBAR_ADMIN").stdin(Stdio::null());
    command.env_remove("ISOBAR_CONFIG").output().expect("runs the binary")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A command that has not ended yet; its two outputs are one file.
struct Waiting {
    child: Child,
    output: std::path::PathBuf,
    _scratch: Scratch,
}

impl Waiting {
    fn start(isobar: &Isobar, arguments: &[&str]) -> Waiting {
        let scratch = Scratch::new();
        let output = scratch.file("output");
        let file = std::fs::File::create(&output).expect("creates");
        let mut command = Command::new(binary());
        command.args(arguments).env("ISOBAR_ADMIN", isobar.file("admin.sock"));
        command.stdin(Stdio::null()).stderr(file.try_clone().expect("a copy")).stdout(file);
        Waiting { child: command.spawn().expect("starts"), output, _scratch: scratch }
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.output).unwrap_or_default()
    }

    fn wait_to_hear(&mut self, text: &str) {
        until(|| self.said().contains(text).then_some(()));
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn end(&mut self) -> (Option<i32>, String) {
        let status = until(|| self.child.try_wait().expect("waits"));
        (status.code(), self.said())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
