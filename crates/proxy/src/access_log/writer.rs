//! The thread behind the log: collects what the shards wrote, puts it into the sink, and outlives
//! whatever the sink does.
//!
//! While lines come it collects them every 50 ms; when none came it sleeps until a shard calls. A
//! sink that fails is opened anew, again and again with growing pauses.

use std::{
    fs::File,
    io::{self, Write},
    os::unix::fs::MetadataExt,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::channel,
    },
    thread::{self, Thread},
    time::Duration,
};

use super::{
    Flushed, Format, Sink,
    buffers::{Buffers, Written},
};

const INTERVAL: Duration = Duration::from_millis(50);
/// Pause before a full pipe is tried again.
const BLOCKED: Duration = Duration::from_millis(10);
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How long the start of the process waits for the sink to be opened.
const OPENS_WITHIN: Duration = Duration::from_secs(10);

/// What the log's handles hold; the thread ends with it.
pub(super) struct Writer(Arc<Shared>);

impl Writer {
    pub(super) fn start(format: Format, sink: Sink) -> io::Result<Self> {
        let open = {
            let sink = sink.clone();
            move || sink.open()
        };
        Self::start_within(OPENS_WITHIN, format, sink, open)
    }

    /// Opens the sink on the writer's thread: on a disk that hangs that would stop the caller for good.
    pub(super) fn start_within(
        bound: Duration,
        format: Format,
        sink: Sink,
        open: impl FnOnce() -> io::Result<Option<File>> + Send + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(format));
        let own = Arc::clone(&shared);
        let (tell, opened) = channel();
        let run = move || {
            let opened = open().map(|file| Run {
                shared: own,
                sink,
                file,
                batch: Vec::new(),
                written: 0,
                retry: FIRST_RETRY,
            });
            match opened {
                // Nobody waits for it any more if it took too long.
                Ok(mut run) if tell.send(Ok(())).is_ok() => run.run(),
                Ok(_) => {}
                Err(error) => drop(tell.send(Err(error))),
            }
        };
        let thread = thread::Builder::new().name("access-log".to_owned()).spawn(run)?;
        // It cannot have been set: nobody else has seen `shared`.
        let _ = shared.thread.set(thread.thread().clone());
        match opened.recv_timeout(bound) {
            Ok(opened) => opened.map(|()| Self(shared)),
            Err(_) => {
                let text = format!("it could not be opened within {bound:?}");
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Release);
        self.0.wake();
    }
}

/// What shards and writer share.
pub(super) struct Shared {
    pub(super) format: Format,
    buffers: Buffers,
    lost: AtomicU64,
    /// The writer waits to be called.
    asleep: AtomicBool,
    reopen: AtomicBool,
    stop: AtomicBool,
    thread: OnceLock<Thread>,
    flushes: Mutex<Flushes>,
    flushed: Condvar,
}

#[derive(Default)]
struct Flushes {
    asked: u64,
    done: u64,
}

impl Shared {
    fn new(format: Format) -> Self {
        Self {
            format,
            buffers: Buffers::new(),
            lost: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
            reopen: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            thread: OnceLock::new(),
            flushes: Mutex::default(),
            flushed: Condvar::new(),
        }
    }

    pub(super) fn write(&self, line: impl FnOnce(&mut Vec<u8>)) {
        match self.buffers.write(line) {
            // The buffer's lock orders this with the writer's last look: either it saw the line,
            // or we see that it sleeps.
            Written::Waiting if !self.asleep.load(Ordering::Relaxed) => {}
            Written::Waiting if !self.asleep.swap(false, Ordering::AcqRel) => {}
            Written::Waiting | Written::Full => self.wake(),
            Written::Lost => self.lose(),
        }
    }

    fn lose(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        self.wake();
    }

    pub(super) fn flush(&self, bound: Duration) -> Flushed {
        let mut flushes = self.flushes();
        flushes.asked += 1;
        let wanted = flushes.asked;
        self.wake();
        let waited = self.flushed.wait_timeout_while(flushes, bound, |now| now.done < wanted);
        let (flushes, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if flushes.done < wanted { Flushed::Partly } else { Flushed::Whole }
    }

    fn flushes(&self) -> MutexGuard<'_, Flushes> {
        self.flushes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        self.thread.get().into_iter().for_each(Thread::unpark);
    }
}

struct Run {
    shared: Arc<Shared>,
    sink: Sink,
    file: Option<File>,
    /// Collected, and in the sink up to `written`.
    batch: Vec<u8>,
    written: usize,
    retry: Duration,
}

enum Push {
    Done,
    Blocked,
    Failed,
}

impl Run {
    fn run(&mut self) {
        loop {
            if self.shared.reopen.swap(false, Ordering::AcqRel) {
                self.open();
            }
            let stop = self.shared.stop.load(Ordering::Acquire);
            let asked = self.shared.flushes().asked;
            if self.batch.is_empty() {
                self.shared.buffers.collect(&mut self.batch);
            }
            let nothing = self.batch.is_empty();
            match self.push() {
                Push::Done if nothing => {
                    self.done(asked);
                    if stop {
                        return;
                    }
                    self.sleep();
                }
                // What was collected before the question may not have been all.
                Push::Done if stop || asked > self.shared.flushes().done => {}
                Push::Done => thread::park_timeout(INTERVAL),
                Push::Blocked | Push::Failed if stop => return,
                Push::Blocked => thread::park_timeout(BLOCKED),
                Push::Failed => {
                    thread::park_timeout(self.retry);
                    self.retry = (self.retry * 2).min(LAST_RETRY);
                    self.open();
                }
            }
        }
    }

    /// Until a shard, a flush or the end calls.
    fn sleep(&mut self) {
        self.shared.asleep.store(true, Ordering::Release);
        // A line may have come before the shard could see that we sleep.
        if !self.shared.buffers.collect(&mut self.batch) {
            thread::park();
        }
        self.shared.asleep.store(false, Ordering::Release);
    }

    fn done(&self, asked: u64) {
        let mut flushes = self.shared.flushes();
        if flushes.done < asked {
            flushes.done = asked;
            self.shared.flushed.notify_all();
        }
    }

    fn push(&mut self) -> Push {
        while self.written < self.batch.len() {
            let Some(file) = &mut self.file else { return Push::Failed };
            match file.write(&self.batch[self.written..]) {
                Ok(0) => return Push::Failed,
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Push::Blocked,
                Err(error) => {
                    if self.retry == FIRST_RETRY {
                        tracing::warn!(%error, sink = ?self.sink, "the access log cannot be written");
                    }
                    return Push::Failed;
                }
            }
        }
        if self.written > 0 && self.retry > FIRST_RETRY {
            tracing::info!(lost = self.shared.dropped(), "the access log is written again");
            self.retry = FIRST_RETRY;
        }
        self.batch.clear();
        self.written = 0;
        Push::Done
    }

    fn open(&mut self) {
        match self.sink.open() {
            Ok(Some(file)) => {
                let same = self.file.as_ref().is_some_and(|old| is_same(old, &file));
                self.file = Some(file);
                if !same {
                    self.skip_torn_line();
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, sink = ?self.sink, "the access log cannot be opened");
            }
        }
    }

    /// The rest of a line whose beginning went elsewhere is no line.
    fn skip_torn_line(&mut self) {
        let torn = self.written.checked_sub(1).is_some_and(|last| self.batch[last] != b'\n');
        if torn {
            let rest = &self.batch[self.written..];
            self.written += memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            self.shared.lose();
        }
    }
}

fn is_same(one: &File, other: &File) -> bool {
    let identity = |file: &File| file.metadata().map(|data| (data.dev(), data.ino())).ok();
    identity(one).is_some() && identity(one) == identity(other)
}
