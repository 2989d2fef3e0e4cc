//! `isobar status --watch`: the overview on the whole terminal, drawn anew every second.

use std::time::Duration;

use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier, Style};

use super::ErrorText;
use crate::demo::screen::{Look, Screen, Wish};
use crate::demo::stop::Stop;
use crate::overview::text::{self, Line};
use crate::overview::{Overview, Tone};

const EVERY: Duration = Duration::from_secs(1);

pub(super) use crate::demo::screen::is_possible;

/// Asks and draws until `q`, Ctrl-C or a signal. A process that does not answer is said, and asked
/// again: it may be about to be restarted.
pub(super) fn run(ask: impl Fn() -> Result<Overview, ErrorText>) -> Result<(), ErrorText> {
    // What cannot be reached at all is an error, not a picture.
    let mut overview = ask()?;
    let stop = Stop::on_signals()?;
    let failed = |error: std::io::Error| format!("the terminal: {error}");
    let mut screen = Screen::open().map_err(failed)?;
    let mut problem: Option<ErrorText> = None;
    while !stop.is_asked() {
        let lines = text::lines(&overview);
        let look = screen.look();
        screen.paint(|buffer| draw(buffer, &lines, problem.as_deref(), look)).map_err(failed)?;
        if screen.wait_for(EVERY).map_err(failed)? == Wish::Quit {
            break;
        }
        match ask() {
            Ok(now) => (overview, problem) = (now, None),
            Err(told) => problem = Some(told),
        }
    }
    Ok(())
}

/// What does not fit is counted; the last row says what keys there are.
fn draw(buffer: &mut Buffer, lines: &[Line], problem: Option<&str>, look: Look) {
    let area = buffer.area;
    let room = usize::from(area.height.saturating_sub(1));
    for (row, line) in lines.iter().take(room).enumerate() {
        let mut column = area.x;
        for cell in line {
            let left = area.right().saturating_sub(column);
            if left == 0 {
                break;
            }
            let y = area.y + u16::try_from(row).unwrap_or(u16::MAX);
            let style = style(cell.tone, look);
            let (next, _) = buffer.set_stringn(column, y, &cell.text, left.into(), style);
            column = next;
        }
    }
    if area.height == 0 {
        return;
    }
    let hidden = lines.len().saturating_sub(room);
    let (last, tone) = match (problem, hidden) {
        (Some(problem), _) => {
            let first = problem.lines().next().unwrap_or_default();
            (format!("as it was before: {first}"), Tone::Bad)
        }
        (None, 0) => (String::from("q: quit"), Tone::Faint),
        (None, hidden) => {
            let more = format!("q: quit; {hidden} more lines: a larger window, or one POOL");
            (more, Tone::Faint)
        }
    };
    let width = area.width.into();
    buffer.set_stringn(area.x, area.bottom() - 1, last, width, style(tone, look));
}

fn style(tone: Tone, look: Look) -> Style {
    let style = Style::default();
    match (tone, look) {
        (Tone::Plain, _) => style,
        (Tone::Faint, _) => style.add_modifier(Modifier::DIM),
        (_, Look::Plain) => style,
        (Tone::Good, _) => style.fg(Color::Green),
        (Tone::Warning, _) => style.fg(Color::Yellow),
        (Tone::Bad, _) => style.fg(Color::Red),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overview::Cell;
    use ratatui::layout::Rect;

    #[test]
    fn what_does_not_fit_is_counted_and_cut_at_the_edge() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 10, 3));
        let line = |text: &str| vec![Cell { text: text.to_owned(), tone: Tone::Plain }];
        let lines: Vec<Line> =
            ["0123456789abc", "second", "third", "fourth"].iter().map(|text| line(text)).collect();
        draw(&mut buffer, &lines, None, Look::Plain);
        let row = |y: u16| (0..10).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
        assert_eq!((row(0).as_str(), row(1).trim_end()), ("0123456789", "second"));
        assert!(row(2).starts_with("q: quit; 2"), "{}", row(2));
    }

    #[test]
    fn an_old_picture_says_that_it_is_one() {
        let mut buffer = Buffer::empty(Rect::new(0, 0, 40, 2));
        draw(&mut buffer, &[], Some("cannot reach\nmore"), Look::Colour);
        let row: String = (0..40).map(|x| buffer[(x, 1)].symbol().to_owned()).collect();
        assert_eq!(row.trim_end(), "as it was before: cannot reach");
    }
}
