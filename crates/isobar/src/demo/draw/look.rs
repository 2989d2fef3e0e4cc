//! Colours, and a pen that writes text into cells and never beyond its width. Only the terminal's
//! own sixteen colours: it knows its background, we do not.

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use crate::demo::view::{Kind, Side};

/// How it may look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Colour,
    /// `NO_COLOR` or a terminal without.
    Plain,
}

impl Look {
    fn with(self, colour: Color) -> Style {
        match self {
            Look::Colour => Style::new().fg(colour),
            Look::Plain => Style::new(),
        }
    }

    pub(super) fn plain(self) -> Style {
        Style::new()
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn title(self) -> Style {
        self.with(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    pub(super) fn dim(self) -> Style {
        self.with(Color::DarkGray)
    }

    pub(super) fn serving(self) -> Style {
        self.with(Color::Green)
    }

    pub(super) fn cold(self) -> Style {
        self.with(Color::Blue)
    }

    pub(super) fn waiting(self) -> Style {
        self.with(Color::Yellow)
    }

    pub(super) fn bad(self) -> Style {
        self.with(Color::Red)
    }

    pub(super) fn of(self, kind: Kind) -> Style {
        match kind {
            Kind::OneQueue { .. } => self.serving(),
            Kind::PrivateQueues => self.bad(),
        }
    }

    /// Of the figure the demo is about.
    pub(super) fn verdict(self, side: &Side) -> Style {
        let style = if side.waited_while_free == 0 { self.serving() } else { self.bad() };
        style.add_modifier(Modifier::BOLD)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

pub(super) struct Pen<'b> {
    buffer: &'b mut Buffer,
    pub(super) look: Look,
}

impl<'b> Pen<'b> {
    pub(super) fn new(buffer: &'b mut Buffer, look: Look) -> Pen<'b> {
        Pen { buffer, look }
    }

    /// Writes what fits into `width` cells; returns how many it took.
    pub(super) fn put(
        &mut self,
        x: u16,
        y: u16,
        width: u16,
        align: Align,
        text: &str,
        style: Style,
    ) -> u16 {
        let area = self.buffer.area;
        if y >= area.height || x >= area.width {
            return 0;
        }
        let width = width.min(area.width - x);
        // One cell a character: nothing wider is ever written here.
        let length = (text.chars().count() as u16).min(width);
        let from = match align {
            Align::Left => x,
            Align::Right => x + width - length,
        };
        self.buffer.set_stringn(from, y, text, length.into(), style);
        length
    }

    /// A horizontal bar of this share of `width`, to an eighth of a cell; nothing is never drawn as
    /// something.
    pub(super) fn bar(&self, width: u16, share: f64) -> String {
        const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
        let eighths = (f64::from(width) * 8.0 * share.clamp(0.0, 1.0)).round() as usize;
        "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
    }
}
