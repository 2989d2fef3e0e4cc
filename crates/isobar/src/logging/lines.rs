//! Lines for stderr. They are kept in memory, and a thread of its own writes them.
//!
//! A thread that logs never waits, even if the terminal is stopped, nobody reads the pipe, or the disk
//! hangs. Up to 1 MiB is kept; further lines are dropped and counted.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// What waits for stderr at most.
const MOST: usize = 1024 * 1024;
/// Memory that is kept between two batches.
const KEPT: usize = 64 * 1024;
/// Pause before a pipe that somebody made non-blocking is tried again.
const BLOCKED: Duration = Duration::from_millis(10);

/// The way to stderr; clones lead to the same place.
#[derive(Clone)]
pub(crate) struct Lines(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// There is something to write.
    more: Condvar,
    /// Something was written.
    written: Condvar,
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// Bytes that were taken in, and bytes that are off our hands, since the start.
    taken: u64,
    done: u64,
}

impl Lines {
    /// Starts the thread that writes into `sink`, which may block for as long as it likes.
    pub(super) fn start(sink: File) -> io::Result<Lines> {
        let lines = Lines(Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            written: Condvar::new(),
            lost: AtomicU64::new(0),
        }));
        let shared = lines.0.clone();
        let thread = thread::Builder::new().name(String::from("log"));
        thread.spawn(move || shared.run(sink))?;
        Ok(lines)
    }

    /// Into stderr. Of a copy of it: who writes into `io::stderr()` holds a lock meanwhile, and
    /// whoever else uses it would wait.
    pub(super) fn to_stderr() -> io::Result<Lines> {
        Lines::start(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }

    /// Takes whole lines, or drops them all.
    pub(crate) fn push(&self, lines: &[u8]) {
        let mut state = self.0.lock();
        if state.waiting.len() + lines.len() > MOST {
            drop(state);
            self.0.lose(lines);
            return;
        }
        state.waiting.extend_from_slice(lines);
        state.taken += lines.len() as u64;
        self.0.more.notify_one();
    }

    /// Lines that were lost because stderr did not take them in time.
    pub(crate) fn dropped(&self) -> u64 {
        self.0.lost.load(Ordering::Relaxed)
    }

    /// Waits, but not longer than `bound`, until what was pushed so far is written.
    pub(crate) fn flush(&self, bound: Duration) {
        let state = self.0.lock();
        let wanted = state.taken;
        let waited = self.0.written.wait_timeout_while(state, bound, |now| now.done < wanted);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lose(&self, lines: &[u8]) {
        let lines = lines.iter().filter(|&&byte| byte == b'\n').count();
        self.lost.fetch_add(lines as u64, Ordering::Relaxed);
    }

    /// Lives as long as the process.
    fn run(&self, mut sink: File) {
        let mut batch = Vec::new();
        let mut said = 0;
        loop {
            let empty = |state: &mut State| state.waiting.is_empty();
            let waited = self.more.wait_while(self.lock(), empty);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            std::mem::swap(&mut batch, &mut state.waiting);
            drop(state);
            let written = write_all(&mut sink, &batch);
            self.lose(&batch[written..]);
            self.lock().done += batch.len() as u64;
            self.written.notify_all();
            let whole = written == batch.len();
            batch.clear();
            batch.shrink_to(KEPT);
            let lost = self.lost.load(Ordering::Relaxed);
            if whole && lost > said {
                said = lost;
                tracing::warn!(lost, "lines of this log were dropped: stderr did not take them");
            }
        }
    }
}

/// How many of the bytes were written before an error, if there was one.
fn write_all(sink: &mut File, bytes: &[u8]) -> usize {
    let mut written = 0;
    while written < bytes.len() {
        match sink.write(&bytes[written..]) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(BLOCKED),
            Err(_) => break,
        }
    }
    written
}

/// One line of `tracing`'s, which comes in one piece.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::fd::OwnedFd;
    use std::time::Instant;

    use super::*;

    const BOUND: Duration = Duration::from_secs(10);

    fn pipe() -> (io::PipeReader, Lines) {
        let (reader, writer) = io::pipe().unwrap();
        (reader, Lines::start(File::from(OwnedFd::from(writer))).unwrap())
    }

    #[test]
    fn a_pipe_that_nobody_reads_makes_nobody_wait() {
        let (mut reader, lines) = pipe();
        let long = [vec![b'x'; 9_999], vec![b'\n']].concat();
        let began = Instant::now();
        for _ in 0..1_000 {
            lines.push(&long);
        }
        lines.flush(Duration::from_millis(50));
        assert!(began.elapsed() < Duration::from_secs(5));
        let lost = lines.dropped();
        assert!((1..1_000).contains(&lost), "{lost}");
        // What was kept comes, whole lines only, and what comes then comes as well.
        let reader = thread::spawn(move || {
            let mut read = vec![0; usize::try_from(1_000 - lost).unwrap() * 10_000];
            reader.read_exact(&mut read).map(|()| (read, reader))
        });
        let (read, mut reader) = reader.join().unwrap().unwrap();
        assert!(read.chunks(10_000).all(|line| line == long));
        lines.push(b"again\n");
        lines.flush(BOUND);
        let mut again = [0; 6];
        reader.read_exact(&mut again).unwrap();
        assert_eq!(&again, b"again\n");
    }

    #[test]
    fn what_cannot_be_written_is_counted() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let lines = Lines::start(full).unwrap();
        lines.push(b"one\ntwo\n");
        lines.flush(BOUND);
        assert_eq!(lines.dropped(), 2);
    }
}
