//! One side's columns: a worker's slot and what waits inside it, then its figures. The wider the
//! side, the more of them.

use super::Place;
use super::look::{Align, Pen};
use crate::demo::view::{Kind, Side, Worker, count, percent, time, time_or_dash};
use crate::demo::worker::Mood;

/// Which columns there is room for. Requests and p99 always are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// Cells of the bar.
    pub(super) bar: u16,
    busy: bool,
    p50: bool,
    in_flight: bool,
    health: bool,
}

const REQUESTS: u16 = 9;
const BUSY: u16 = 6;
const TIME: u16 = 8;
const IN_FLIGHT: u16 = 11;
const HEALTH: u16 = 10;
/// A shorter bar says nothing.
const SHORTEST_BAR: u16 = 6;
/// A longer one only pulls the columns apart.
const LONGEST_BAR: u16 = 32;

impl Columns {
    pub(super) fn of(width: u16) -> Columns {
        let mut left = width.saturating_sub(REQUESTS + TIME);
        let mut room = |column: u16| {
            let fits = left >= column + SHORTEST_BAR;
            if fits {
                left -= column;
            }
            fits
        };
        let (busy, p50, in_flight, health) =
            (room(BUSY), room(TIME), room(IN_FLIGHT), room(HEALTH));
        Columns { bar: left.min(LONGEST_BAR), busy, p50, in_flight, health }
    }

    /// Right-aligned texts in the columns' order, from the end of the bar on.
    fn texts<'t>(&self, texts: Texts<'t>) -> impl Iterator<Item = (u16, &'t str)> {
        let all = [
            (true, REQUESTS, texts.requests),
            (self.busy, BUSY, texts.busy),
            (self.in_flight, IN_FLIGHT, texts.in_flight),
            (self.p50, TIME, texts.p50),
            (true, TIME, texts.p99),
        ];
        all.into_iter().filter(|(shown, ..)| *shown).map(|(_, width, text)| (width, text))
    }
}

struct Texts<'t> {
    requests: &'t str,
    busy: &'t str,
    in_flight: &'t str,
    p50: &'t str,
    p99: &'t str,
}

pub(super) fn heads(pen: &mut Pen<'_>, place: Place, y: u16, columns: &Columns) {
    let dim = pen.look.dim();
    pen.put(place.x, y, columns.bar, Align::Left, "now", dim);
    let heads = Texts {
        requests: "requests",
        busy: "busy",
        in_flight: "in flight",
        p50: "p50",
        p99: "p99",
    };
    let mut x = place.x + columns.bar;
    for (width, text) in columns.texts(heads) {
        pen.put(x, y, width, Align::Right, text, dim);
        x += width;
    }
    if columns.health {
        pen.put(x + 2, y, HEALTH - 2, Align::Left, "health", dim);
    }
}

pub(super) fn name(pen: &mut Pen<'_>, y: u16, worker: &Worker) {
    pen.put(1, y, 9, Align::Left, worker.name, pen.look.strong());
    pen.put(10, y, 6, Align::Right, &time(worker.pace), pen.look.dim());
}

pub(super) fn worker(pen: &mut Pen<'_>, place: Place, y: u16, worker: &Worker, cell: u16) {
    let columns = Columns::of(place.width);
    now(pen, place.x, y, columns.bar, worker, cell);
    let texts = Texts {
        requests: &count(worker.requests),
        busy: &percent(worker.busy),
        in_flight: &worker.in_flight.to_string(),
        p50: &time_or_dash(worker.p50),
        p99: &time_or_dash(worker.p99),
    };
    let mut x = place.x + columns.bar;
    for (width, text) in columns.texts(texts) {
        pen.put(x, y, width, Align::Right, text, pen.look.plain());
        x += width;
    }
    if columns.health {
        let style = match worker.health {
            "up" => pen.look.serving(),
            _ => pen.look.bad(),
        };
        pen.put(x + 2, y, HEALTH - 2, Align::Left, worker.health, style);
    }
}

/// A cell for every lease: the first is being served, the others wait inside the worker. Free
/// slots are cells, too.
fn now(pen: &mut Pen<'_>, x: u16, y: u16, width: u16, worker: &Worker, cell: u16) {
    if worker.mood == Mood::Restarting || worker.health == "down" {
        let text = if width > 10 { "restarting" } else { "down" };
        pen.put(x, y, width, Align::Left, text, pen.look.bad());
        return;
    }
    let look = pen.look;
    let serving = worker.in_flight.min(worker.slots.unwrap_or(1));
    let style = if worker.mood == Mood::Cold { look.cold() } else { look.serving() };
    let mut used = pen.put(x, y, width, Align::Left, &cells("█", serving, cell), style);
    let free = worker.slots.unwrap_or(1).saturating_sub(serving);
    let free = cells("░", free, cell);
    used += pen.put(x + used, y, width - used, Align::Left, &free, look.dim());
    let inside = worker.in_flight - serving;
    let (tail, more) = tail(inside, width - used, cell);
    used += pen.put(x + used, y, width - used, Align::Left, &cells("▒", tail, cell), look.bad());
    used += pen.put(x + used, y, width - used, Align::Left, &more, look.bad());
    if worker.mood == Mood::Cold && used + 5 < width {
        pen.put(x + used + 1, y, width - used - 1, Align::Left, "cold", look.cold());
    }
}

/// How many of them are drawn, and the number of those that do not fit.
fn tail(inside: u32, width: u16, cell: u16) -> (u32, String) {
    if inside * u32::from(cell) <= u32::from(width) {
        return (inside, String::new());
    }
    let number = |shown: u32| format!("+{}", inside - shown);
    let fits =
        |shown: &u32| *shown as usize * usize::from(cell) + number(*shown).len() <= width.into();
    let shown = (0..inside).rev().find(fits).unwrap_or(0);
    (shown, number(shown))
}

/// The queue beside the pool, or the sum of those inside the workers.
pub(super) fn queue(pen: &mut Pen<'_>, place: Place, y: u16, side: &Side, cell: u16) {
    let look = pen.look;
    let (style, word) = match side.kind {
        Kind::OneQueue { .. } => (look.waiting(), "in one queue"),
        Kind::PrivateQueues => (look.bad(), "inside workers"),
    };
    let text = format!("{} {word}", count(side.waiting as u64));
    let room = place.width.saturating_sub(text.len() as u16 + 1) / cell;
    let shown = (side.waiting as u32).min(room.into());
    let line = cells("▒", shown, cell);
    let used = pen.put(place.x, y, place.width, Align::Left, &line, style);
    let x = place.x + if used > 0 { used + 1 } else { 0 };
    pen.put(x, y, place.width, Align::Left, &text, look.plain());
}

fn cells(glyph: &str, number: u32, cell: u16) -> String {
    glyph.repeat(number as usize * usize::from(cell))
}
