//! What may happen to a process before it serves.

use std::time::{Duration, Instant};

use isobar_tests::isobar::Isobar;
use rustix::process::Signal;

/// Signals that ask for something must not end a process that is still reading its configuration.
#[test]
fn signals_that_ask_for_something_do_not_end_a_starting_process() {
    let routes: String =
        (0..3_000).map(|n| format!("      - {{ match: {{ path: /{n} }}, pool: app }}\n")).collect();
    let config = format!(
        "pools: {{ app: {{ workers: [\"127.0.0.1:1\"] }} }}\n\
         listeners:\n  web:\n    bind: \"127.0.0.1:0\"\n    routes:\n{routes}"
    );
    let mut isobar = Isobar::spawn(&config, |command| command);
    let io = format!("/proc/{}/io", isobar.pid());
    let has_read_it = || {
        let figures = std::fs::read_to_string(&io).unwrap_or_default();
        let read = figures.lines().find_map(|line| line.strip_prefix("rchar: "));
        read.and_then(|read| read.parse().ok()).is_some_and(|read: usize| read >= config.len())
    };
    let until = Instant::now() + Duration::from_secs(10);
    while !has_read_it() {
        assert!(Instant::now() < until, "it reads its configuration");
    }
    let answers = isobar.try_admin("GET", "/live", b"").is_ok();
    assert!(!answers, "it is too quick for this test");
    for signal in [Signal::HUP, Signal::USR1, Signal::USR2] {
        isobar.signal(signal);
    }
    isobar.wait_until_ready();
    // What was asked for is done.
    for said in ["reloaded", "reopening the logs", "USR2"] {
        assert!(isobar.wait_to_hear(said, Duration::from_secs(10)), "{said}: {}", isobar.stderr());
    }
    isobar.signal(Signal::TERM);
    assert_eq!(isobar.wait(Duration::from_secs(5)).and_then(|status| status.code()), Some(0));
}
