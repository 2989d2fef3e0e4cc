//! The overview as lines of text, for a terminal: columns as wide as their widest cell.

use super::{Cell, Overview, PoolView, Table, Tone};

/// Its pieces from left to right.
pub(crate) type Line = Vec<Cell>;

pub(crate) fn lines(overview: &Overview) -> Vec<Line> {
    let mut lines = Vec::new();
    for (word, value) in &overview.head {
        lines.push(match word.is_empty() {
            true => vec![Cell::from(value.clone())],
            false => vec![Cell::of(format!("  {word:8}"), Tone::Faint), Cell::from(value.clone())],
        });
    }
    if !overview.listeners.rows.is_empty() {
        lines.push(Line::new());
        table(&mut lines, &overview.listeners);
    }
    for pool in &overview.pools {
        if !lines.is_empty() {
            lines.push(Line::new());
        }
        self::pool(&mut lines, pool);
    }
    if !overview.notes.is_empty() {
        lines.push(Line::new());
        lines.extend(overview.notes.iter().map(|note| vec![Cell::from((*note).to_owned())]));
    }
    lines
}

fn pool(lines: &mut Vec<Line>, pool: &PoolView) {
    lines.push(vec![Cell::from(format!("{}  {}", pool.name, pool.about))]);
    let indented = |line: &String| vec![Cell::from(format!("  {line}"))];
    lines.extend(pool.recent.iter().map(indented));
    table(lines, &pool.workers);
    lines.extend(pool.discovery.iter().map(indented));
}

fn table(lines: &mut Vec<Line>, table: &Table) {
    let head: Vec<Cell> = table.head.iter().map(|word| Cell::of(*word, Tone::Faint)).collect();
    let all = || std::iter::once(&head).chain(&table.rows);
    let width = |column: usize| {
        let cells = all().filter_map(|row| row.get(column));
        cells.map(|cell| cell.text.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in all() {
        let last = row.iter().rposition(|cell| !cell.text.is_empty()).unwrap_or_default();
        let cells = row.iter().zip(&widths).take(last + 1).enumerate();
        lines.push(
            cells
                .map(|(at, (cell, width))| {
                    let width = if at == last { 0 } else { *width };
                    Cell::of(format!("  {:width$}", cell.text), cell.tone)
                })
                .collect(),
        );
    }
}

/// One line; `colour`: with the escapes that a terminal takes for its tones.
pub(crate) fn written(line: &Line, colour: isobar_config::Colour) -> String {
    let mut out = String::new();
    for cell in line {
        let escape = match (colour, cell.tone) {
            (isobar_config::Colour::Never, _) | (_, Tone::Plain) => None,
            (_, Tone::Faint) => Some("2"),
            (_, Tone::Good) => Some("32"),
            (_, Tone::Warning) => Some("33"),
            (_, Tone::Bad) => Some("31"),
        };
        match escape {
            None => out += &cell.text,
            Some(code) => out += &format!("\u{1b}[{code}m{}\u{1b}[0m", cell.text),
        }
    }
    out
}
