//! Whoever should read what Isobar says does not: a pipe that nobody empties, a service manager
//! that does not listen. Serving, the admin API, reloads and the end wait for none of them.

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::{Isobar, binary};
use isobar_tests::origin::{Origin, after};
use isobar_tests::scratch::Scratch;
use isobar_tests::terminal::Terminal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};

/// Not one byte more goes into it.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let has_room = |writer: &PipeWriter| {
        let mut fds = [PollFd::new(writer, PollFlags::OUT)];
        poll(&mut fds, Some(&Timespec::default())).expect("polls") > 0
    };
    while has_room(&writer) {
        writer.write_all(&[b'.'; 4096]).expect("a page fits");
    }
    (reader, writer)
}

fn config(origin: &Origin, level: &str, more: &str) -> String {
    format!(
        "log: {{ level: {level} }}\n\
         listeners: {{ web: {{ bind: \"unix:./web.sock\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n{more}",
        origin.address()
    )
}

fn serves(isobar: &Isobar) {
    let mut web = Connection::open_unix(&isobar.file("web.sock")).expect("connects");
    web.set_patience(Duration::from_secs(5)).expect("sets it");
    assert_eq!(web.get("/").expect("served").status, 200);
}

fn ends(mut isobar: Isobar) {
    isobar.signal(Signal::TERM);
    let status = isobar.wait(Duration::from_secs(8)).expect("it ends although nobody listens");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn a_stderr_that_nobody_reads_stops_nothing() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let (_reader, writer) = full_pipe();
    let good = config(&origin, "debug", "");
    let isobar = Isobar::spawn(&good, |command| command.stderr(writer));
    isobar.wait_until_ready();
    for _ in 0..20 {
        assert_eq!(isobar.admin("POST", "/v1/reload", "{}").status, 200);
        serves(&isobar);
    }
    // A refused reload has much to say.
    let nonsense: String = (0..500).map(|n| format!("nonsense_{n}: {n}\n")).collect();
    isobar.rewrite(&config(&origin, "debug", &nonsense));
    let until = Instant::now() + Duration::from_secs(60);
    while isobar.metrics().sum("isobar_log_lines_dropped_total", &[]) == 0.0 {
        assert!(Instant::now() < until, "nothing is dropped, and nothing is read either");
        assert_eq!(isobar.admin("POST", "/v1/reload", "{}").status, 422);
    }
    serves(&isobar);
    ends(isobar);
}

#[test]
fn what_was_said_last_is_read_at_the_end() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let mut isobar = Isobar::start(&config(&origin, "info", ""));
    isobar.signal(Signal::TERM);
    isobar.wait(Duration::from_secs(5)).expect("ends");
    assert!(isobar.wait_to_hear("drained", Duration::from_secs(1)), "{}", isobar.stderr());
}

#[test]
fn why_it_did_not_start_keeps_nobody_waiting() {
    let (_reader, writer) = full_pipe();
    let mut isobar = Isobar::spawn("nonsense: 1\n", |command| command.stderr(writer));
    let status = isobar.wait(Duration::from_secs(8)).expect("it ends although nobody reads why");
    assert_eq!(status.code(), Some(1));
}

/// It has a terminal, or a pipe, that takes no more. One signal ends it in a few seconds, two at once.
#[test]
fn a_demo_that_nobody_reads_ends() {
    let mut terminal = Terminal::start(&["demo"]);
    terminal.wait_for("requests");
    terminal.fill();
    // The next picture is under way: the first signal alone cannot end it.
    std::thread::sleep(Duration::from_millis(500));
    terminal.signal(Signal::TERM);
    terminal.signal(Signal::INT);
    assert!(terminal.ends_unread(Duration::from_secs(4)).is_some(), "after two signals");

    let (_reader, writer) = full_pipe();
    let mut demo = Command::new(binary());
    demo.arg("demo").stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped());
    let mut demo = demo.spawn().expect("starts");
    let mut said = BufReader::new(demo.stderr.take().expect("its stderr")).lines();
    assert!(said.next().is_some_and(|line| line.is_ok()), "it has begun");
    kill_process(Pid::from_child(&demo), Signal::TERM).expect("the process is there");
    let began = Instant::now();
    let ended = loop {
        match demo.try_wait().expect("waits") {
            None if began.elapsed() < Duration::from_secs(10) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            status => break status,
        }
    };
    let _ = demo.kill();
    let _ = demo.wait();
    assert!(ended.is_some(), "after one signal");
}

#[test]
fn a_service_manager_that_does_not_listen_stops_nothing() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let scratch = Scratch::new();
    let path = scratch.file("notify.sock");
    let manager = UnixDatagram::bind(&path).expect("binds");
    let filler = UnixDatagram::unbound().expect("a socket");
    filler.set_nonblocking(true).expect("does not block");
    while filler.send_to(b"X=1", &path).is_ok() {}
    let isobar = Isobar::spawn(&config(&origin, "info", ""), |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "20000")
    });
    isobar.wait_until_ready();
    for _ in 0..20 {
        assert_eq!(isobar.admin("POST", "/v1/reload", "{}").status, 200);
    }
    serves(&isobar);
    ends(isobar);
    drop(manager);
}
