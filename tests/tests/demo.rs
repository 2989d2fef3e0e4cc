//! `isobar demo`: without a terminal its figures add up; in one it draws, and gives the terminal
//! back as it was.

use std::process::{Command, Stdio};

use isobar_tests::isobar::binary;
use isobar_tests::scratch::Scratch;
use isobar_tests::terminal::Terminal;

const HEADLINE: &str = "requests that waited while a worker was free";

#[test]
fn without_a_terminal_it_ends_with_a_summary_whose_figures_add_up() {
    let picture = Scratch::new();
    let picture = picture.file("demo.svg");
    let mut command = Command::new(binary());
    command.args(["demo", "--compare", "--seconds", "4", "--capture"]).arg(&picture);
    let output = command.stdin(Stdio::null()).output().expect("runs the binary");
    let (text, told) = (said(&output.stdout), said(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{text}{told}");
    assert!(told.contains("Isobar: slots 1, one queue on http://127.0.0.1:"), "{told}");

    let sides: Vec<&str> = text.split("\n\n").skip(1).collect();
    assert_eq!(sides.len(), 2, "{text}");
    for side in &sides {
        let answered = figure(side, "requests answered");
        // 100 a second for 4 seconds; far from it would be another load.
        assert!((250..600).contains(&answered), "{side}");
        assert_eq!(figure(side, "requests sent"), answered, "{side}");
        assert_eq!(figure(side, "requests failed"), 0, "{side}");
        // The load counts answers, the pool leases: two books, one sum.
        let workers = ["quick", "steady", "slow", "restarts"].map(|name| served(side, name));
        assert_eq!(workers.iter().sum::<u64>(), answered, "{side}");
        assert!(workers.iter().all(|&served| served > 0), "{side}");
        assert!(figure(side, "requests that waited") >= figure(side, HEADLINE), "{side}");
    }
    // The workers are the same, so is the work; where it waits is the difference.
    let [isobar, private] = [sides[0], sides[1]].map(|side| figure(side, HEADLINE));
    println!("waited while a worker was free: isobar {isobar}, round robin {private}");
    assert!(private > 20, "{text}");
    assert!(isobar * 10 < private, "{text}");
    let svg = std::fs::read_to_string(picture).expect("the picture");
    assert!(svg.starts_with("<svg") && svg.contains(HEADLINE));
}

#[test]
fn in_a_terminal_it_draws_until_q_and_gives_the_terminal_back() {
    let mut terminal = Terminal::start(&["demo", "--compare"]);
    terminal.wait_for(HEADLINE);
    assert!(terminal.shown.contains("\u{1b}[?1049h"), "no alternate screen");
    assert!(!terminal.is_cooked());
    terminal.type_in("q");
    assert_eq!(terminal.wait().code(), Some(0));
    assert!(terminal.is_cooked(), "left in raw mode");
    let summary = terminal.shown.rsplit("\u{1b}[?1049l").next().unwrap_or_default();
    assert!(summary.contains("requests answered: "), "{summary}");
    assert!(summary.contains(HEADLINE), "{summary}");
}

#[test]
fn control_c_ends_it_too() {
    let mut terminal = Terminal::start(&["demo"]);
    terminal.wait_for(HEADLINE);
    terminal.type_in("\x03");
    assert_eq!(terminal.wait().code(), Some(0));
    assert!(terminal.is_cooked(), "left in raw mode");
}

#[test]
fn a_closed_terminal_ends_it() {
    let mut terminal = Terminal::start(&["demo"]);
    terminal.wait_for(HEADLINE);
    terminal.close();
    terminal.wait();
}

/// `1,204` after `name: `.
fn figure(side: &str, name: &str) -> u64 {
    let line = side.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(": "));
    let line = line.unwrap_or_else(|| panic!("no {name:?} in {side}"));
    number(line.split([' ', ';']).next().unwrap_or_default())
}

/// The third column of a worker's line.
fn served(side: &str, worker: &str) -> u64 {
    let line = side.lines().find(|line| line.trim_start().starts_with(worker));
    let line = line.unwrap_or_else(|| panic!("no {worker} in {side}"));
    // Name, pace and its unit, requests.
    number(line.split_whitespace().nth(3).unwrap_or_default())
}

fn number(text: &str) -> u64 {
    text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text:?} is no number"))
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
