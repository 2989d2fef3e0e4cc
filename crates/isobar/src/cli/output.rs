//! Writes to the terminal: data to stdout, diagnostics to stderr.
//!
//! Decides whether colour may be used, and that a reader who left (`isobar status | head`) is no
//! reason to panic.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use isobar_config::Colour;

/// What an answer is printed as.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Data for whoever asked.
pub(crate) fn say(data: &dyn Display) {
    let _ = writeln!(std::io::stdout(), "{data}");
}

/// The same for what ends its own lines.
pub(crate) fn say_bytes(data: &[u8]) {
    let _ = std::io::stdout().write_all(data);
}

/// Why it did not work; nothing if that has been told already.
pub(crate) fn complain(message: &str) {
    if !message.is_empty() {
        let _ = writeln!(std::io::stderr(), "{}", message.trim_end());
    }
}

/// Nothing that a name holds may steer the terminal.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

pub(crate) fn stderr_colour() -> Colour {
    colour(&std::io::stderr())
}

pub(crate) fn stdout_colour() -> Colour {
    colour(&std::io::stdout())
}

/// <https://no-color.org>: set and not empty means no.
fn colour(to: &impl IsTerminal) -> Colour {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    match to.is_terminal() && !refused {
        true => Colour::Always,
        false => Colour::Never,
    }
}
