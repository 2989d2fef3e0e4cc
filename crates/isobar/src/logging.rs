//! The process's own log: lines on stderr, as text or JSON, at one level that a reload may change.
//!
//! The level comes from the configuration alone. Clients' bytes never get here unescaped: they
//! are fields, and fields are written with `Debug` or as JSON. Nothing here waits for stderr: see
//! `lines`.

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use isobar_config::model::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use self::lines::Lines;

mod lines;

/// How long the last lines may take to be written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Changes the level of the running process.
#[derive(Clone)]
pub(crate) struct Level(Option<reload::Handle<LevelFilter, Registry>>);

impl Level {
    pub(crate) fn set(&self, level: LogLevel) {
        if let Some(handle) = &self.0 {
            let _ = handle.modify(|filter| *filter = filter_of(level));
        }
    }
}

/// Starts logging. A second start in one process changes nothing.
pub(crate) fn start(log: &Log) -> Level {
    let (filter, handle) = reload::Layer::new(filter_of(log.level));
    let lines = fmt::layer().with_writer(writer).with_target(false).log_internal_errors(false);
    let lines = match log.format {
        LogFormat::Text => {
            let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            lines.with_ansi(std::io::stderr().is_terminal() && !no_colour).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // The resolver's library warns of every forged datagram: whoever sends them would fill the log.
    let lines = lines.with_filter(filter_fn(|line| !line.target().starts_with("hickory")));
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    Level(started.is_ok().then_some(handle))
}

/// Lines that stderr did not take in time.
pub(crate) fn dropped() -> u64 {
    stderr().map_or(0, Lines::dropped)
}

/// Says why the process ends, as a command says it, and waits a moment for whoever reads that and
/// all that was said before.
pub(crate) fn last_words(message: &str) {
    let message = format!("{}\n", message.trim_end());
    match stderr() {
        Some(lines) => lines.push(message.as_bytes()),
        None => drop(std::io::stderr().write_all(message.as_bytes())),
    }
    flush();
}

/// Waits, within reason, until all that was said is written.
pub(crate) fn flush() {
    stderr().into_iter().for_each(|lines| lines.flush(LAST_LINES));
}

fn writer() -> Box<dyn Write> {
    match stderr() {
        Some(lines) => Box::new(lines.clone()),
        None => Box::new(std::io::stderr()),
    }
}

/// The one way to stderr. `None`: there can be no thread for it, so what is said is said at once.
fn stderr() -> Option<&'static Lines> {
    static STDERR: OnceLock<Option<Lines>> = OnceLock::new();
    STDERR.get_or_init(|| Lines::to_stderr().ok()).as_ref()
}

/// Panics become log lines and are counted; what panicked is ended by its runtime, the process
/// lives.
pub(crate) fn count_panics() -> Arc<AtomicU64> {
    let panics = Arc::new(AtomicU64::new(0));
    let counter = panics.clone();
    std::panic::set_hook(Box::new(move |panic| {
        counter.fetch_add(1, Ordering::Relaxed);
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let said = panic.payload_as_str().unwrap_or("no message");
        let thread = std::thread::current();
        let thread = thread.name().unwrap_or("?");
        tracing::error!(place, thread, ?said, "panic");
    }));
    panics
}

fn filter_of(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
