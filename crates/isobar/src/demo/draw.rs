//! Draws a view: names on the left, beside them one column group per side, below them the queue,
//! the times, the line the demo is about, and what happened each second.
//!
//! It only reads the view and writes cells; what does not fit is left out, least important first.
//! Colour adds nothing that the shapes do not say.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

mod look;
mod side;
mod timeline;

pub(crate) use look::Look;
use look::{Align, Pen};
use side::Columns;

use super::journal::GRACE;
use super::view::{Kind, Side, View, clock, count, percent, time, time_or_dash};

/// The names and the paces.
const NAMES: u16 = 18;
/// Between two sides.
const GAP: u16 = 2;
/// Below this there is no table.
const LEAST: (u16, u16) = (60, 13);
/// The sentence of the demo.
pub(super) const HEADLINE: &str = "requests that waited while a worker was free";

pub(super) fn draw(buffer: &mut Buffer, view: &View, look: Look) {
    let area = buffer.area;
    let mut pen = Pen::new(buffer, look);
    match (area.width, area.height) {
        (width, height) if width < LEAST.0 || height < LEAST.1 => tiny(&mut pen, area, view),
        _ => table(&mut pen, area, view),
    }
}

/// Where a side is.
#[derive(Clone, Copy, Debug)]
struct Place {
    x: u16,
    width: u16,
}

fn table(pen: &mut Pen<'_>, area: Rect, view: &View) {
    let places = places(area.width, view.sides.len());
    let sides = || view.sides.iter().zip(places.iter().copied());
    let compared = view.sides.len() > 1;
    // What is left after the lines that must be there goes to air, then to the time line.
    let workers = view.sides.first().map_or(0, |side| side.workers.len()) as u16;
    let needed = 1 + u16::from(compared) + 1 + workers + 1 + if compared { 5 } else { 2 };
    let spare = area.height.saturating_sub(needed + 1);
    let air = u16::from(spare >= 4);
    let mut y = 0;

    header(pen, area.width, view);
    y += 1 + air;
    if compared {
        for (side, place) in sides() {
            pen.put(place.x, y, place.width, Align::Left, side.title, pen.look.title());
        }
        y += 1;
    }
    for (place, columns) in places.iter().map(|place| (*place, Columns::of(place.width))) {
        side::heads(pen, place, y, &columns);
    }
    pen.put(1, y, NAMES - 1, Align::Left, "worker     pace", pen.look.dim());
    y += 1;
    for row in 0..usize::from(workers) {
        side::name(pen, y, &view.sides[0].workers[row]);
        for (side, place) in sides() {
            side::worker(pen, place, y, &side.workers[row], wide_cells(compared));
        }
        y += 1;
    }
    y += air;
    pen.put(1, y, NAMES - 1, Align::Left, "waiting", pen.look.dim());
    for (side, place) in sides() {
        side::queue(pen, place, y, side, wide_cells(compared));
    }
    y += 1 + air;
    y = if compared { times(pen, &view.sides, &places, y) } else { totals(pen, area, view, y) };
    y += air;
    y = headline(pen, area, view, &places, y);
    let rest = Rect { y, height: area.height.saturating_sub(y + 1), ..area };
    if rest.height >= 3 {
        let below = Rect { y: y + air, height: rest.height - air, ..rest };
        timeline::draw(pen, below, view, &places);
    }
    if area.height > y {
        footer(pen, area, view);
    }
}

/// A single pool has room for cells that are easy to see.
fn wide_cells(compared: bool) -> u16 {
    if compared { 1 } else { 2 }
}

fn places(width: u16, sides: usize) -> Vec<Place> {
    let sides = sides.max(1) as u16;
    let each = width.saturating_sub(NAMES + 1 + GAP * (sides - 1)) / sides;
    (0..sides).map(|side| Place { x: NAMES + side * (each + GAP), width: each }).collect()
}

fn header(pen: &mut Pen<'_>, width: u16, view: &View) {
    let address = view.sides.first().map_or("", |side| side.address.as_str());
    let mut x = 3 + pen.put(1, 0, width, Align::Left, "isobar demo", pen.look.title());
    x += 2 + pen.put(x, 0, width.saturating_sub(x), Align::Left, address, pen.look.plain());
    let load =
        format!("{} requests/s, load {}", view.rate.round(), percent(view.rate / view.capacity));
    let end = format!("{}   q quits", clock(view.elapsed));
    let taken = end.chars().count() as u16 + 2;
    let room = width.saturating_sub(x + taken);
    if usize::from(room) >= load.len() {
        pen.put(x, 0, room, Align::Left, &load, pen.look.dim());
    }
    pen.put(0, 0, width - 1, Align::Right, &end, pen.look.dim());
}

/// One pool: answers and times in a line.
fn totals(pen: &mut Pen<'_>, area: Rect, view: &View, y: u16) -> u16 {
    let Some(side) = view.sides.first() else { return y };
    pen.put(1, y, NAMES - 1, Align::Left, "answered", pen.look.dim());
    let mut text = format!("{}, p50 ", count(side.answered));
    text += &format!("{}, p99 {}", time_or_dash(side.p50), time_or_dash(side.p99));
    let x = NAMES + pen.put(NAMES, y, area.width - NAMES, Align::Left, &text, pen.look.plain());
    losses(pen, x, y, area.width.saturating_sub(x), side);
    y + 1
}

/// Two pools: their times below each other, as bars of one scale.
fn times(pen: &mut Pen<'_>, sides: &[Side], places: &[Place], mut y: u16) -> u16 {
    let longest = sides.iter().filter_map(|side| side.p99).max().unwrap_or_default();
    for (label, quantile) in
        [("p50", (|side| side.p50) as fn(&Side) -> _), ("p99", |side| side.p99)]
    {
        pen.put(1, y, NAMES - 1, Align::Left, label, pen.look.dim());
        for (side, place) in sides.iter().zip(places) {
            let took = quantile(side);
            pen.put(place.x, y, 7, Align::Right, &time_or_dash(took), pen.look.strong());
            let share = took.unwrap_or_default().as_secs_f64() / longest.as_secs_f64().max(1e-9);
            let bar = pen.bar(place.width.saturating_sub(9), share);
            pen.put(place.x + 8, y, place.width - 8, Align::Left, &bar, pen.look.of(side.kind));
        }
        y += 1;
    }
    pen.put(1, y, NAMES - 1, Align::Left, "answered", pen.look.dim());
    for (side, place) in sides.iter().zip(places) {
        let text = count(side.answered);
        let used = pen.put(place.x, y, 7, Align::Right, &text, pen.look.plain());
        losses(pen, place.x + used.max(7), y, place.width.saturating_sub(8), side);
    }
    y + 1
}

fn losses(pen: &mut Pen<'_>, x: u16, y: u16, width: u16, side: &Side) {
    let mut text = match side.failed() {
        0 => String::from(", 0 failed"),
        failed => format!(", {} FAILED", count(failed)),
    };
    if side.unsent > 0 {
        text += &format!(", {} held back", count(side.unsent));
    }
    let style = if side.failed() > 0 { pen.look.bad() } else { pen.look.plain() };
    pen.put(x, y, width, Align::Left, &text, style);
}

fn headline(pen: &mut Pen<'_>, area: Rect, view: &View, places: &[Place], y: u16) -> u16 {
    let mut x = 2 + pen.put(1, y, area.width, Align::Left, HEADLINE, pen.look.strong());
    let mut below = y + 1;
    if let [side] = &view.sides[..] {
        x += pen.put(x - 1, y, area.width, Align::Left, ":", pen.look.strong());
        x += 1 + pen.put(x, y, area.width, Align::Left, &waited(side), pen.look.verdict(side));
    } else {
        for (side, place) in view.sides.iter().zip(places) {
            let text = waited(side);
            pen.put(place.x, below, place.width, Align::Left, &text, pen.look.verdict(side));
        }
        below += 1;
    }
    let source = source(view).into_iter().find(|text| x as usize + text.len() < area.width.into());
    pen.put(x, y, area.width, Align::Left, &source.unwrap_or_default(), pen.look.dim());
    below
}

/// Who says so, at length or in short.
fn source(view: &View) -> [String; 2] {
    let journals = String::from("(the workers' own journals)");
    let long = format!("(for over {}, by the workers' own journals", time(GRACE));
    match view.sides.first().map(|side| side.kind) {
        Some(Kind::OneQueue { idle_while_waiting }) => {
            let seconds = idle_while_waiting.as_secs_f64();
            [format!("{long}; by the pool's own clock in {seconds:.3} s of the time)"), journals]
        }
        _ => [format!("{long})"), journals],
    }
}

/// `0`, or how many of how many.
fn waited(side: &Side) -> String {
    let n = side.waited_while_free;
    match side.answered {
        all if n > 0 && all > 0 => {
            format!("{} of {} ({})", count(n), count(all), percent(n as f64 / all as f64))
        }
        _ => count(n),
    }
}

fn footer(pen: &mut Pen<'_>, area: Rect, view: &View) {
    let y = area.height - 1;
    let keys = "█ serving  ▒ waiting  ░ free slot";
    let used = pen.put(1, y, area.width - 1, Align::Left, keys, pen.look.dim());
    let address = view.sides.first().map_or("", |side| side.address.as_str());
    let more = format!("take part: curl {address}");
    if usize::from(used) + more.len() + 4 <= area.width.into() {
        pen.put(0, y, area.width - 1, Align::Right, &more, pen.look.dim());
    }
}

/// No room for a table: the sentence, and how to see more.
fn tiny(pen: &mut Pen<'_>, area: Rect, view: &View) {
    let mut lines = vec![format!("isobar demo  {}  q quits", clock(view.elapsed))];
    for side in &view.sides {
        lines.push(format!("{}: p99 {}", side.title, time_or_dash(side.p99)));
        lines.push(format!("waited while free: {}", waited(side)));
    }
    lines.push(format!("(the table needs {} × {})", LEAST.0, LEAST.1));
    for (y, line) in (0..area.height).zip(lines) {
        pen.put(0, y, area.width, Align::Left, &line, pen.look.plain());
    }
}

#[cfg(test)]
mod tests;
