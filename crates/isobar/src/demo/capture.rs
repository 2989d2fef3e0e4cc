//! A picture of the view as an SVG file: what a terminal of that size would show, cell by cell, in
//! colours that a light and a dark page can bear.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::str::FromStr;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier};

use super::draw::{Look, draw};
use super::view::View;

/// Pixels of a cell.
const CELL: (f32, f32) = (8.4, 18.0);
const MARGIN: f32 = 14.0;
/// Between two rows of blocks.
const APART: f32 = 2.0;

/// Columns and rows, `100x30`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    columns: u16,
    rows: u16,
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Size, String> {
        let number = |text: &str| text.parse().ok().filter(|n| (10..=400).contains(n));
        let size = text.split_once(['x', '×']).and_then(|(columns, rows)| {
            Some(Size { columns: number(columns)?, rows: number(rows)? })
        });
        size.ok_or_else(|| String::from("columns and rows, like 100x30"))
    }
}

pub(super) fn write(path: &Path, size: Size, view: &View) -> io::Result<()> {
    let mut buffer = Buffer::empty(Rect::new(0, 0, size.columns, size.rows));
    draw(&mut buffer, view, Look::Colour);
    std::fs::write(path, svg(&buffer))
}

fn svg(buffer: &Buffer) -> String {
    let area = buffer.area;
    let width = f32::from(area.width) * CELL.0 + 2.0 * MARGIN;
    let height = f32::from(area.height) * CELL.1 + 2.0 * MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\" \
         font-size=\"14\" xml:space=\"preserve\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#15191f\"/>\n"
    );
    for y in 0..area.height {
        for run in runs(buffer, y) {
            run.write(&mut out, y);
        }
    }
    out + "</svg>\n"
}

/// Neighbouring cells of one style.
struct Run {
    x: u16,
    text: String,
    colour: &'static str,
    bold: bool,
}

fn runs(buffer: &Buffer, y: u16) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for x in 0..buffer.area.width {
        let cell = &buffer[(x, y)];
        let (colour, bold) = (colour(cell.fg), cell.modifier.contains(Modifier::BOLD));
        let blank = cell.symbol() == " ";
        match runs.last_mut() {
            Some(run) if blank || (run.colour, run.bold) == (colour, bold) => {
                run.text.push_str(cell.symbol());
            }
            _ if blank => {}
            _ => runs.push(Run { x, text: cell.symbol().to_owned(), colour, bold }),
        }
    }
    runs
}

impl Run {
    /// Block characters become rectangles, since fonts disagree about them; the rest is text.
    fn write(&self, out: &mut String, y: u16) {
        let top = MARGIN + f32::from(y) * CELL.1;
        let text = self.text.trim_end();
        let mut start = None;
        let mut words: Vec<(usize, String)> = Vec::new();
        for (place, glyph) in text.chars().enumerate() {
            if let Some(block) = Block::of(glyph) {
                start = None;
                block.write(out, self.left(place), top, self.colour);
            } else if glyph == ' ' && text.chars().nth(place + 1) == Some(' ') {
                start = None;
            } else if start.is_some() {
                if let Some((_, word)) = words.last_mut() {
                    word.push(glyph);
                }
            } else if glyph != ' ' {
                start = Some(place);
                words.push((place, glyph.to_string()));
            }
        }
        let weight = if self.bold { " font-weight=\"bold\"" } else { "" };
        for (place, word) in words {
            let word = word.trim_end();
            let length = word.chars().count() as f32 * CELL.0;
            let word = word.replace('&', "&amp;").replace('<', "&lt;");
            let (x, y) = (self.left(place), top + CELL.1 * 0.75);
            let _ = writeln!(
                out,
                "<text x=\"{x:.1}\" y=\"{y:.1}\" textLength=\"{length:.1}\" fill=\"{}\"{weight}>{word}</text>",
                self.colour
            );
        }
    }

    fn left(&self, place: usize) -> f32 {
        MARGIN + (f32::from(self.x) + place as f32) * CELL.0
    }
}

/// The part of a cell that a character fills.
struct Block {
    width: f32,
    height: f32,
    opacity: f32,
}

impl Block {
    fn of(glyph: char) -> Option<Block> {
        let block = |width, height, opacity| Some(Block { width, height, opacity });
        match glyph {
            '█' => block(1.0, 1.0, 1.0),
            '▒' => block(1.0, 1.0, 0.6),
            '░' => block(1.0, 1.0, 0.35),
            '▁'..='▇' => block(1.0, (glyph as u32 - '▁' as u32 + 1) as f32 / 8.0, 1.0),
            '▉'..='▏' => block((7 - (glyph as u32 - '▉' as u32)) as f32 / 8.0, 1.0, 1.0),
            _ => None,
        }
    }

    fn write(&self, out: &mut String, x: f32, top: f32, colour: &str) {
        // Cells stay apart, so that they can be counted.
        let height = (CELL.1 - APART) * self.height;
        let y = top + CELL.1 - height - APART / 2.0;
        let width = CELL.0 * self.width - 0.6;
        let _ = writeln!(
            out,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" \
             fill=\"{colour}\" fill-opacity=\"{}\"/>",
            self.opacity
        );
    }
}

fn colour(of: Color) -> &'static str {
    match of {
        Color::Cyan => "#6cc5d9",
        Color::Green => "#7fc97f",
        Color::Blue => "#79a8f0",
        Color::Yellow => "#e3b74f",
        Color::Red => "#ef7171",
        Color::DarkGray => "#8b95a3",
        _ => "#dde3ea",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed_and_bounded() {
        assert_eq!("100x30".parse(), Ok(Size { columns: 100, rows: 30 }));
        for wrong in ["100", "x", "0x30", "5000x30", "100x30x2"] {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn text_and_blocks_are_drawn_and_escaped() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 20, 1));
        buffer.set_string(0, 0, "a<b&  █▌", ratatui::style::Style::new());
        let svg = svg(&buffer);
        assert!(svg.contains(">a&lt;b&amp;</text>"), "{svg}");
        assert_eq!(svg.matches("<rect x=").count(), 2, "{svg}");
    }
}
