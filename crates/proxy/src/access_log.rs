//! One line per request, written by a thread of its own.
//!
//! A shard formats its line into a buffer in memory and goes on; it never waits for the file, the
//! pipe or the disk behind it. What the writer cannot get rid of is kept up to a bound, then
//! dropped and counted. The records come from `record` and `tcp`; what stands in a line is decided
//! there; how it is spelled and where it goes, here.

mod buffers;
mod clock;
mod combined;
mod json;
mod sink;
mod text;
mod writer;

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(crate) use clock::imf_date;
pub use sink::Sink;
use writer::{Shared, Writer};

/// How a line is spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object per line.
    Json,
    /// What nginx and Apache call `combined`.
    Combined,
}

/// One request, or one TCP connection. `None` is written as null.
pub struct Entry<'a> {
    /// When it began.
    pub at: SystemTime,
    pub request_id: &'a [u8],
    pub client_ip: Option<IpAddr>,
    pub listener: &'a str,
    pub proto: Option<&'a str>,
    pub method: Option<&'a [u8]>,
    pub host: Option<&'a [u8]>,
    /// As sent, with the query.
    pub target: Option<&'a [u8]>,
    /// Without the query.
    pub path: Option<&'a [u8]>,
    pub status: Option<u16>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Of them, those of the body.
    pub body_out: u64,
    pub duration: Duration,
    pub queue: Duration,
    pub connect: Duration,
    pub first_byte: Option<Duration>,
    pub route: Option<&'a str>,
    pub pool: Option<&'a str>,
    pub worker: Option<&'a str>,
    pub attempts: u32,
    pub reason: Option<&'a str>,
    pub user_agent: Option<&'a [u8]>,
    pub referrer: Option<&'a [u8]>,
    /// Credentials: only the name in them may be written.
    pub authorization: Option<&'a [u8]>,
}

impl<'a> Entry<'a> {
    /// Of which no more is known.
    pub(crate) fn of(at: SystemTime, listener: &'a str, request_id: &'a [u8]) -> Self {
        Self {
            at,
            request_id,
            client_ip: None,
            listener,
            proto: None,
            method: None,
            host: None,
            target: None,
            path: None,
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            body_out: 0,
            duration: Duration::ZERO,
            queue: Duration::ZERO,
            connect: Duration::ZERO,
            first_byte: None,
            route: None,
            pool: None,
            worker: None,
            attempts: 0,
            reason: None,
            user_agent: None,
            referrer: None,
            authorization: None,
        }
    }
}

/// The log's handle: clones write to the same place. The writer ends with the last of them.
#[derive(Clone, Default)]
pub struct AccessLog(Option<Arc<Writer>>);

impl AccessLog {
    /// Keeps no log.
    pub fn off() -> Self {
        Self(None)
    }

    /// Opens the sink and starts the writer. Fails if the file cannot be opened now; a pipe that
    /// nobody reads yet is waited for later.
    pub fn start(format: Format, sink: Sink) -> io::Result<Self> {
        Writer::start(format, sink).map(|writer| Self(Some(Arc::new(writer))))
    }

    /// False spares the caller the trouble of gathering an entry.
    pub(crate) fn enabled(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn write(&self, entry: &Entry<'_>) {
        let Some(shared) = self.shared() else { return };
        shared.write(|line| match shared.format {
            Format::Json => json::write(entry, line),
            Format::Combined => combined::write(entry, line),
        });
    }

    /// Opens the file anew, after it was moved away (USR1).
    pub fn reopen(&self) {
        self.shared().into_iter().for_each(Shared::reopen);
    }

    /// Lines that were lost because the sink did not take them.
    pub fn dropped(&self) -> u64 {
        self.shared().map_or(0, Shared::dropped)
    }

    /// Waits, but not longer than `bound`, until all lines written so far are in the sink.
    pub fn flush(&self, bound: Duration) -> Flushed {
        self.shared().map_or(Flushed::Whole, |shared| shared.flush(bound))
    }

    fn shared(&self) -> Option<&Shared> {
        self.0.as_deref().map(Writer::shared)
    }
}

/// What a [`AccessLog::flush`] achieved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flushed {
    Whole,
    /// The sink did not take everything in time.
    Partly,
}

#[cfg(test)]
mod tests;
