//! `isobar status`, its `--watch`, the page that shows the same, and the manual on a terminal.

use std::process::{Command, Stdio};

use isobar_tests::http::Connection;
use isobar_tests::isobar::{Isobar, binary};
use isobar_tests::origin::{Next, Origin, respond};
use isobar_tests::terminal::Terminal;
use isobar_tests::wait::until;
use rustix::process::Signal;

/// 500 on `/bad`, nothing for as long as the client stays on `/hang`.
fn origin() -> Origin {
    Origin::start(|request, visit| {
        let status = if request.target == "/bad" { 500 } else { 200 };
        if request.target == "/hang" {
            let _ = visit.read_some();
            return Next::Close;
        }
        match visit.write(&respond(status, b"ok")) {
            Ok(()) => Next::Keep,
            Err(_) => Next::Close,
        }
    })
}

fn start(origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "listeners:\n  web: {{ bind: \"127.0.0.1:0\", client_fin: abort, pool: app }}\n  db: {{ bind: \"127.0.0.1:0\", protocol: tcp, pool: db }}\n\
         pools:\n  app: {{ slots: 4, workers: [{{ name: w1, address: \"{0}\" }}] }}\n  db: {{ workers: [{{ name: d1, address: \"{0}\" }}] }}\n",
        origin.address()
    ))
}

fn status(isobar: &Isobar, arguments: &[&str]) -> String {
    let output = isobar.command(&[&["status"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn json(isobar: &Isobar) -> serde_json::Value {
    serde_json::from_str(&status(isobar, &["--format", "json"])).expect("JSON")
}

#[test]
fn the_process_and_its_listeners_are_shown() {
    let origin = origin();
    let isobar = start(&origin);
    let _client = isobar.open("web");
    let said = until(|| {
        let said = status(&isobar, &[]);
        let of_web = said.lines().find(|line| line.trim_start().starts_with("web "))?;
        of_web.trim_end().ends_with(" 1").then(|| said.clone())
    });
    let file = isobar.file("isobar.yaml").display().to_string();
    let pid = format!("pid {}", isobar.pid());
    for word in [&*pid, &file, "ready", &isobar.address("web").to_string(), "admin.sock"] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains('\u{1b}'), "{said:?}");
    let one = status(&isobar, &["db"]);
    assert!(one.contains("d1") && !one.contains("w1"), "{one}");
    let output = isobar.command(&["status", "none"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(isobar.command(&["status", "--watch", "--format", "json"]).status.code(), Some(2));
}

#[test]
fn the_last_minute_and_why_slots_are_held_are_shown() {
    let origin = origin();
    let isobar = start(&origin);
    let mut client = isobar.open("web");
    for path in ["/", "/", "/", "/bad"] {
        client.get(path).expect("an answer");
    }
    let minute = until(|| {
        let minute = json(&isobar)["pools"][0]["last_minute"].clone();
        (minute["requests"] == 4).then_some(minute)
    });
    assert_eq!(minute["errors"], 1, "{minute}");
    assert_eq!(minute["codes"]["500"], 1, "{minute}");
    assert!(minute["p50_ms"].is_f64() && minute["p99_ms"].is_f64(), "{minute}");
    let worker = json(&isobar)["pools"][0]["workers"][0].clone();
    assert_eq!(worker["last_minute"]["requests"], 4, "{worker}");
    assert_eq!(worker["last_minute"]["errors"], 1, "{worker}");
    assert!(worker["last_minute"]["mean_ms"].is_f64(), "{worker}");
    let said = status(&isobar, &["app"]);
    assert!(said.contains(" 1 errors (500: 1)") && said.contains("p99 "), "{said}");

    let mut waiting = isobar.open("web");
    waiting.send(b"GET /hang HTTP/1.1\r\nHost: a\r\n\r\n").expect("sends");
    let tcp = isobar.open("db");
    until(|| status(&isobar, &["app"]).contains(" 1 request").then_some(()));
    until(|| status(&isobar, &["db"]).contains(" 1 connection").then_some(()));
    drop(tcp);
    isobar.command(&["drain", "app"]);
    assert!(status(&isobar, &["app"]).contains("1 request, not ended yet"));
    assert!(status(&isobar, &["app"]).contains("draining*"));
    // The client leaves; the worker does not notice.
    drop(waiting);
    until(|| status(&isobar, &["app"]).contains("1 abandoned").then_some(()));
}

#[test]
fn the_page_shows_the_same_and_draws_itself_anew() {
    let origin = origin();
    let isobar = start(&origin);
    let answer = isobar.admin("GET", "/", "");
    let page = answer.text();
    let policy = answer.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'"), "{policy}");
    let file = isobar.file("isobar.yaml").display().to_string();
    for word in ["http-equiv=refresh", &file, "requests/s", "<td>w1", "<td>d1", "slots held by"] {
        assert!(page.contains(word), "{word}: {page}");
    }
    assert!(page.contains(&isobar.address("web").to_string()), "{page}");
    for outside in ["<script", "src=", "href=", "url("] {
        assert!(!page.contains(outside), "{outside}: {page}");
    }
}

#[test]
fn colour_is_for_terminals_and_not_for_who_refuses_it() {
    let origin = origin();
    let isobar = start(&origin);
    let admin = isobar.file("admin.sock").display().to_string();
    let shown = |refuse: &str| {
        let arguments = ["status", "--admin", &admin];
        let mut terminal =
            Terminal::start_with(&arguments, |command| command.env("NO_COLOR", refuse));
        assert_eq!(terminal.wait().code(), Some(0));
        terminal.shown.clone()
    };
    assert!(shown("").contains("\u{1b}[32m"), "no colour");
    let plain = shown("1");
    assert!(plain.contains("w1") && !plain.contains('\u{1b}'), "{plain:?}");
}

#[test]
fn watch_draws_until_told_and_gives_the_terminal_back() {
    let origin = origin();
    let mut isobar = start(&origin);
    let admin = isobar.file("admin.sock").display().to_string();
    for end in ["q", "\x03"] {
        let mut terminal = Terminal::start(&["status", "--watch", "--admin", &admin]);
        terminal.wait_for("q: quit");
        assert!(terminal.shown.contains("\u{1b}[?1049h"), "no alternate screen");
        terminal.type_in(end);
        assert_eq!(terminal.wait().code(), Some(0));
        assert!(terminal.is_cooked(), "left in raw mode");
    }
    // A process that goes away is said; the picture stays.
    let mut terminal = Terminal::start(&["status", "--watch", "--admin", &admin]);
    terminal.wait_for("q: quit");
    isobar.signal(Signal::TERM);
    isobar.wait(std::time::Duration::from_secs(20)).expect("it ends");
    terminal.wait_for("as it was");
    terminal.type_in("q");
    assert_eq!(terminal.wait().code(), Some(0));
}

#[test]
fn watch_without_a_terminal_shows_it_once() {
    let origin = origin();
    let isobar = start(&origin);
    let output = isobar.command(&["status", "--watch"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.matches("w1").count(), 1, "{said}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("needs a terminal"), "{output:?}");
}

#[test]
fn the_manual_is_formatted_on_a_terminal_only() {
    let piped = Command::new(binary()).args(["man", "drain"]).stdin(Stdio::null()).output();
    let piped = piped.expect("runs");
    assert!(String::from_utf8_lossy(&piped.stdout).contains(".TH"), "{piped:?}");
    let shown = |path: Option<&str>| {
        let mut terminal = Terminal::start_with(&["man", "drain"], |command| {
            match path {
                Some(path) => command.env("PATH", path),
                None => command,
            };
            command.env("MANPAGER", "cat").env("PAGER", "/bin/cat")
        });
        assert_eq!(terminal.wait().code(), Some(0), "{}", terminal.shown);
        // Bold, for a printer: each letter twice.
        terminal.shown.chars().fold(String::new(), |mut shown, c| {
            if c == '\u{8}' {
                shown.pop();
            } else {
                shown.push(c)
            }
            shown
        })
    };
    for shown in [shown(None), shown(Some("/no/man/here:/bin"))] {
        assert!(shown.contains("--wait") && !shown.contains(".TH"), "{shown}");
    }
}

/// Somebody's name for a worker does not steer the terminal.
#[test]
fn nothing_that_a_name_holds_reaches_the_terminal() {
    let origin = origin();
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [{{ name: ab, address: \"{}\" }}] }} }}\n",
        origin.address()
    ));
    let mut connection = Connection::open_unix(&isobar.file("admin.sock")).expect("connects");
    assert_eq!(connection.get("/v1/process").expect("an answer").status, 200);
    let output = isobar.command(&["drain", "app", "a\u{1b}[2Jb"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!output.stderr.contains(&0x1b), "{output:?}");
}
