use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::demo::view::Worker;
use crate::demo::worker::Mood;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn worker(name: &'static str, pace: u64, in_flight: u32, slots: Option<u32>) -> Worker {
    Worker {
        name,
        pace: MS(pace),
        mood: Mood::Warm,
        health: "up",
        slots,
        in_flight,
        requests: 1_204,
        busy: 0.67,
        busy_always: 0.6,
        p50: Some(MS(21)),
        p99: Some(MS(140)),
    }
}

fn side(kind: Kind) -> Side {
    let one_queue = kind != Kind::PrivateQueues;
    let slots = one_queue.then_some(1);
    let mut workers = vec![
        worker("quick", 15, u32::from(one_queue), slots),
        worker("steady", 20, 1, slots),
        worker("slow", 30, if one_queue { 1 } else { 300 }, slots),
        worker("restarts", 20, 0, slots),
    ];
    workers[3].mood = Mood::Restarting;
    workers[3].health = "down";
    Side {
        title: if one_queue { "Isobar: slots 1, one queue" } else { "round robin, private queues" },
        address: String::from("http://127.0.0.1:8080"),
        workers,
        waiting: if one_queue { 3 } else { 299 },
        kind,
        sent: 4_900,
        answered: 4_816,
        failures: Vec::new(),
        unsent: 0,
        unanswered: 84,
        p50: Some(MS(33)),
        p99: Some(MS(if one_queue { 171 } else { 1_450 })),
        slowest: (1..200).map(|second| MS(second * 7)).collect(),
        most_waiting: (1..200).collect(),
        waited: 2_000,
        waited_while_free: if one_queue { 0 } else { 2_311 },
        strangers: 0,
        stalled: Duration::ZERO,
    }
}

fn alone() -> View {
    let sides = vec![side(Kind::OneQueue { idle_while_waiting: Duration::ZERO })];
    View { elapsed: MS(48_200), rate: 100.0, capacity: 167.0, sides }
}

fn compared() -> View {
    let mut view = alone();
    view.sides.push(side(Kind::PrivateQueues));
    view
}

/// Through a terminal, as the user sees it; lines without their trailing blanks.
fn screen(view: &View, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame.buffer_mut(), view, Look::Colour)).unwrap();
    let buffer = terminal.backend().buffer();
    let cells = |y| (0..width).map(move |x| buffer[(x, y)].symbol());
    (0..height).map(|y| cells(y).collect::<String>().trim_end().to_owned()).collect()
}

fn line<'l>(lines: &'l [String], with: &str) -> &'l str {
    lines.iter().find(|line| line.contains(with)).unwrap_or_else(|| panic!("{with}: {lines:#?}"))
}

#[test]
fn a_small_terminal_shows_one_pool() {
    let lines = screen(&alone(), 80, 24);
    let expected = [
        " isobar demo  http://127.0.0.1:8080  100 requests/s, load 60 %   0:48   q quits",
        "",
        " worker     pace  now       requests  busy  in flight     p50     p99  health",
        " quick     15 ms  ██           1,204  67 %          1   21 ms  140 ms  up",
        " steady    20 ms  ██           1,204  67 %          1   21 ms  140 ms  up",
        " slow      30 ms  ██           1,204  67 %          1   21 ms  140 ms  up",
        " restarts  20 ms  down         1,204  67 %          0   21 ms  140 ms  down",
        "",
        " waiting          ▒▒▒▒▒▒ 3 in one queue",
        "",
        " answered         4,816, p50 33 ms, p99 171 ms, 0 failed",
        "",
        " requests that waited while a worker was free: 0 (the workers' own journals)",
        "",
        " slowest answer of each second",
    ];
    assert_eq!(lines[..expected.len()], expected);
    assert!(lines[15].starts_with("          1.39 s  "), "{lines:#?}");
    assert!(lines[23].ends_with("take part: curl http://127.0.0.1:8080"), "{lines:#?}");
}

#[test]
fn a_small_terminal_shows_two_pools_on_the_same_rows() {
    let lines = screen(&compared(), 80, 24);
    let expected = [
        "                  Isobar: slots 1, one queue     round robin, private queues",
        " worker     pace  now    requests  busy     p99  now    requests  busy     p99",
        " quick     15 ms  █         1,204  67 %  140 ms  ░         1,204  67 %  140 ms",
        " steady    20 ms  █         1,204  67 %  140 ms  █         1,204  67 %  140 ms",
        " slow      30 ms  █         1,204  67 %  140 ms  █▒+298    1,204  67 %  140 ms",
        " restarts  20 ms  down      1,204  67 %  140 ms  down      1,204  67 %  140 ms",
    ];
    assert_eq!(lines[2..8], expected);
    assert!(line(&lines, " waiting ").ends_with("▒ 299 inside workers"));
    let verdict = line(&lines, "2,311 of 4,816 (48 %)");
    assert_eq!(verdict.trim_start().split("  ").next(), Some("0"));
    assert!(line(&lines, HEADLINE).starts_with(' '));
}

#[test]
fn a_large_terminal_shows_every_column_twice_and_both_time_lines() {
    let lines = screen(&compared(), 160, 50);
    for head in ["now", "requests", "busy", "in flight", "p50", "p99", "health"] {
        assert_eq!(lines[3].matches(head).count(), 2, "{head}: {}", lines[3]);
    }
    assert!(line(&lines, "slow ").contains("█▒▒▒▒▒▒▒"));
    line(&lines, "slowest answer of each second");
    line(&lines, "most requests waiting in each second");
    assert!(line(&lines, HEADLINE).contains("by the pool's own clock in 0.000 s of the time"));
}

#[test]
fn what_went_wrong_is_said() {
    let mut view = alone();
    view.sides[0].failures = vec![("queue_timeout".into(), 7)];
    view.sides[0].unsent = 2;
    let lines = screen(&view, 80, 24);
    assert!(line(&lines, "answered").ends_with(", 7 FAILED, 2 held back"));
}

#[test]
fn every_size_can_be_drawn_and_the_sentence_is_always_there() {
    for view in [alone(), compared()] {
        for (width, height) in
            (1..170).step_by(13).flat_map(|w| (1..60).step_by(3).map(move |h| (w, h)))
        {
            let lines = screen(&view, width, height);
            if width >= 60 && height >= 13 {
                line(&lines, HEADLINE);
            }
        }
        line(&screen(&view, 40, 8), "waited while free: 0");
    }
}

#[test]
fn without_colour_the_cells_are_the_same() {
    let view = compared();
    let draw = |look| {
        let mut buffer = ratatui::buffer::Buffer::empty(Rect::new(0, 0, 80, 24));
        super::draw(&mut buffer, &view, look);
        buffer
    };
    let (colour, plain) = (draw(Look::Colour), draw(Look::Plain));
    let glyphs = |buffer: &ratatui::buffer::Buffer| -> String {
        buffer.content.iter().map(|cell| cell.symbol()).collect()
    };
    assert_eq!(glyphs(&colour), glyphs(&plain));
    assert!(plain.content.iter().all(|cell| cell.fg == ratatui::style::Color::Reset));
}
