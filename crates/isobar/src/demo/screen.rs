//! The terminal: taken, drawn on, listened to, given back as it was, also when a thread panics.

use std::io::{self, IsTerminal, Stdout, stdout};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::cursor::{Hide, Show};
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::draw::draw;
use super::view::View;

/// Between two pictures: calm, and still alive.
pub(super) const FRAME: Duration = Duration::from_millis(200);

pub(crate) use super::draw::Look;

static TAKEN: AtomicBool = AtomicBool::new(false);
static PANICKED: AtomicBool = AtomicBool::new(false);

pub(crate) struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    look: Look,
}

/// What the user wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    None,
    Quit,
}

/// Somebody looks, can press a key, and the terminal can move its cursor.
pub(crate) fn is_possible() -> bool {
    let named = std::env::var("TERM").is_ok_and(|term| !term.is_empty() && term != "dumb");
    named && stdout().is_terminal() && io::stdin().is_terminal()
}

pub(super) fn has_panicked() -> bool {
    PANICKED.load(SeqCst)
}

impl Screen {
    pub(crate) fn open() -> io::Result<Screen> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.store(true, SeqCst);
            restore();
            before(panic);
        }));
        TAKEN.store(true, SeqCst);
        let open = || {
            enable_raw_mode()?;
            execute!(stdout(), EnterAlternateScreen, Hide)?;
            Terminal::new(CrosstermBackend::new(stdout()))
        };
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let look = if refused { Look::Plain } else { Look::Colour };
        match open() {
            Ok(terminal) => Ok(Screen { terminal, look }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    pub(super) fn draw(&mut self, view: &View) -> io::Result<()> {
        let look = self.look;
        self.paint(|buffer| draw(buffer, view, look))
    }

    /// Shows what `paint` leaves in an empty picture.
    pub(crate) fn paint(&mut self, paint: impl FnOnce(&mut Buffer)) -> io::Result<()> {
        self.terminal.draw(|frame| paint(frame.buffer_mut())).map(drop)
    }

    pub(crate) fn look(&self) -> Look {
        self.look
    }

    /// Until the next picture is due, or a key says something. A new size shows in that picture.
    pub(super) fn wait(&mut self) -> io::Result<Wish> {
        self.wait_for(FRAME)
    }

    /// So long, or until a key says something.
    pub(crate) fn wait_for(&mut self, time: Duration) -> io::Result<Wish> {
        let due = Instant::now() + time;
        while let Some(left) = due.checked_duration_since(Instant::now()) {
            match typed(left)? {
                Typed::Nothing => {}
                // Its reader would wait for a closed terminal for ever, at full speed.
                Typed::Gone => return Ok(Wish::Quit),
                Typed::Something => {
                    while event::poll(Duration::ZERO)? {
                        if matches!(event::read()?, Event::Key(key) if quits(key)) {
                            return Ok(Wish::Quit);
                        }
                    }
                }
            }
        }
        Ok(Wish::None)
    }
}

enum Typed {
    Nothing,
    Something,
    Gone,
}

/// Waits for the keyboard, so long.
fn typed(time: Duration) -> io::Result<Typed> {
    let stdin = io::stdin();
    let mut keyboard = [PollFd::new(&stdin, PollFlags::IN)];
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let time = Timespec { tv_sec: seconds, tv_nsec: time.subsec_nanos().into() };
    match poll(&mut keyboard, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let seen = keyboard[0].revents();
    Ok(match () {
        () if seen.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => Typed::Gone,
        () if seen.contains(PollFlags::IN) => Typed::Something,
        () => Typed::Nothing,
    })
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

fn quits(key: KeyEvent) -> bool {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind != KeyEventKind::Release
        && match key.code {
            KeyCode::Char('c' | 'd') if control => true,
            KeyCode::Char('q' | 'Q') | KeyCode::Esc => true,
            _ => false,
        }
}

/// Gives the terminal back if it is taken.
pub(super) fn restore() {
    if TAKEN.swap(false, SeqCst) {
        // If this fails there is nobody left to show it to.
        let _ = disable_raw_mode();
        let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn q_escape_and_control_c_quit() {
        let key = |code, modifiers| quits(KeyEvent::new(code, modifiers));
        assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
        assert!(key(KeyCode::Esc, KeyModifiers::NONE));
        assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
        assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    }
}
