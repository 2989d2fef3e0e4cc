//! `isobar demo`: the balancer at work, with nothing to install. Embedded workers that are unequal,
//! the real proxy before them, a load, and a live table of who did what; `--compare` sends the same
//! load to a second pool without slots at the same time.
//!
//! Decides how long it runs and where it is shown: drawn in a terminal, else written down once at
//! the end. What is shown is measured, by the pool, by the load, or by the workers' own journals.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cli::failed::ErrorText;
use crate::cli::output::say;
use crate::descriptors;

mod capture;
mod draw;
mod front;
mod journal;
mod latencies;
mod load;
mod pulse;
mod scene;
pub(crate) mod screen;
pub(crate) mod stop;
mod summary;
mod tally;
mod view;
mod worker;

pub(crate) use capture::Size;
use scene::Scene;
use screen::Screen;
use stop::Stop;

/// How long it runs where nobody can press a key.
const UNATTENDED: Duration = Duration::from_secs(10);

/// Is there a second pool?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Yes,
    No,
}

pub(crate) struct Options {
    pub(crate) compare: Compare,
    /// `None`: until told to end; unattended ten seconds.
    pub(crate) time: Option<Duration>,
    /// Requests per second; `None`: what the workers can do when they are balanced well.
    pub(crate) rate: Option<f64>,
    pub(crate) capture: Option<(PathBuf, Size)>,
}

pub(crate) fn run(options: Options) -> Result<(), ErrorText> {
    descriptors::raise_limit();
    let stop = Stop::on_signals()?;
    let attended = options.capture.is_none() && screen::is_possible();
    let mut scene = Scene::set(options.compare, options.rate.unwrap_or(scene::RATE))?;
    if attended {
        show(&mut scene, options.time, &stop)?;
    } else {
        summary::announce(&scene.view());
        pass(&mut scene, options.time.unwrap_or(UNATTENDED), &stop);
    }
    if let Some((path, size)) = &options.capture {
        capture::write(path, *size, &scene.view()).map_err(|error| refused(path, &error))?;
    }
    scene.end_load();
    say(&summary::Summary(&scene.view()));
    Ok(())
}

/// Draws until the time is over or the user has seen enough.
fn show(scene: &mut Scene, time: Option<Duration>, stop: &Stop) -> Result<(), ErrorText> {
    let start = Instant::now();
    let over = || time.is_some_and(|time| start.elapsed() >= time) || stop.is_asked();
    let mut screen = Screen::open().map_err(|error| format!("the terminal: {error}"))?;
    let seen = loop {
        if let Err(error) = screen.draw(&scene.view()) {
            break Err(format!("the terminal: {error}"));
        }
        match screen.wait() {
            Ok(screen::Wish::Quit) => break Ok(()),
            Ok(screen::Wish::None) if over() => break Ok(()),
            Ok(screen::Wish::None) => {}
            Err(error) => break Err(format!("the terminal: {error}")),
        }
        if screen::has_panicked() {
            break Err(String::from("isobar demo: a thread has died; see above"));
        }
    };
    drop(screen);
    seen
}

/// Lets time pass; looks now and then, as a screen would.
fn pass(scene: &mut Scene, time: Duration, stop: &Stop) {
    let end = Instant::now() + time;
    while let Some(left) = end.checked_duration_since(Instant::now()) {
        scene.view();
        if stop.wait(left.min(screen::FRAME)) {
            return;
        }
    }
}

fn refused(path: &Path, error: &std::io::Error) -> ErrorText {
    format!("{}: {error}", path.display())
}
