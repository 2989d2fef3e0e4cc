//! Copies between two streams, both ways in one task, until both have ended, one is reset, or
//! nothing moved for too long.
//!
//! All relays of a shard read into one buffer; only what the other side does not take at once is
//! kept, so an idle relay holds no memory. A half-close is passed on as a half-close, a reset as a
//! reset. What a side sent before it was reset may be lost with it, as without us.

use std::{
    cell::RefCell,
    io,
    pin::pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use isobar_pool::Stream;
use tokio::time::{Instant, sleep_until};

use super::waiting::LOOK;
use crate::table::ListenerTimeouts;

const SCRATCH: usize = 64 * 1024;
/// Reads of one direction before other tasks get their turn.
const TURNS: u32 = 16;
/// Stands for "never", which `Instant` has no value for.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

thread_local! {
    static BUFFER: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// What was read of either side before the relay began; let go of as soon as it is passed on.
#[derive(Default)]
pub(crate) struct Early {
    pub(crate) from_client: Vec<u8>,
    pub(crate) from_worker: Vec<u8>,
}

/// How long nothing may move.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Silence {
    pub(crate) idle: Duration,
    /// Once one side has closed its direction: it may be gone, and hold on to the other.
    pub(crate) half_close: Duration,
}

impl Silence {
    pub(crate) fn of(timeouts: &ListenerTimeouts) -> Self {
        Self { idle: timeouts.idle, half_close: timeouts.half_close }
    }

    /// Until when, from `now` on.
    fn until(self, now: Instant, half_closed: bool) -> Instant {
        let limit = if half_closed { self.half_close.min(self.idle) } else { self.idle };
        now.checked_add(limit).unwrap_or(now + FAR)
    }
}

/// How a relay ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RelayEnd {
    /// Bytes written to the worker.
    pub(crate) from_client: u64,
    /// Bytes written to the client.
    pub(crate) from_worker: u64,
    /// False after a reset: both sockets are set to be closed by one.
    pub(crate) clean: bool,
    pub(crate) how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Both sides sent all they had.
    Done,
    /// No byte moved for as long as that is allowed.
    Idle,
    ClientReset,
    WorkerReset,
}

/// Relays until the end. The caller closes the streams by dropping them. `count` is told the bytes
/// from client and worker whenever some moved.
pub(crate) async fn relay(
    client: &mut Stream,
    worker: &mut Stream,
    early: Early,
    silence: Silence,
    mut count: impl FnMut(u64, u64),
) -> RelayEnd {
    // The client's socket has it from its listener (L4-03). If it fails, the idle time-out is left.
    let _ = worker.set_keepalive();
    let mut up = Direction { unsure: true, ..Direction::new(early.from_client) };
    let mut down = Direction::new(early.from_worker);
    let mut half_closed = false;
    let mut until = silence.until(Instant::now(), half_closed);
    let mut timer = pin!(sleep_until(until));
    let how = std::future::poll_fn(|cx| {
        let before = (up.written, down.written);
        let moved_before = up.moved + down.moved;
        let one = up.pump(cx, client, worker);
        let other = down.pump(cx, worker, client);
        if (up.written, down.written) != before {
            count(up.written - before.0, down.written - before.1);
        }
        let how = match (one, other) {
            (Poll::Ready(Err(broken)), _) => broken.blame(How::ClientReset, How::WorkerReset),
            (_, Poll::Ready(Err(broken))) => broken.blame(How::WorkerReset, How::ClientReset),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => How::Done,
            _ => {
                let closes = !half_closed && (up.has_ended() || down.has_ended());
                if closes || up.moved + down.moved != moved_before {
                    half_closed |= closes;
                    until = silence.until(Instant::now(), half_closed);
                }
                if closes {
                    timer.as_mut().reset(until.min(Instant::now() + LOOK));
                }
                // The timer stays where it is until it fires; only then does it learn of `until`.
                loop {
                    ready!(timer.as_mut().poll(cx));
                    let now = Instant::now();
                    if now >= until {
                        break How::Idle;
                    }
                    // A reset always means left, and behind a FIN nobody wakes us for it.
                    if up.has_ended() && client.is_broken() {
                        break How::ClientReset;
                    }
                    if down.has_ended() && worker.is_broken() {
                        break How::WorkerReset;
                    }
                    timer.as_mut().reset(if half_closed { until.min(now + LOOK) } else { until });
                }
            }
        };
        Poll::Ready(how)
    })
    .await;
    let clean = matches!(how, How::Done | How::Idle);
    if !clean {
        // A side that is gone already cannot be told; the other one matters.
        let _ = (client.set_linger_zero(), worker.set_linger_zero());
    }
    RelayEnd { from_client: up.written, from_worker: down.written, clean, how }
}

/// Which end of a direction failed.
enum Broken {
    Source,
    Sink,
}

impl Broken {
    fn blame(self, source: How, sink: How) -> How {
        match self {
            Broken::Source => source,
            Broken::Sink => sink,
        }
    }
}

struct Direction {
    /// Read, but not taken by the sink yet, from `sent` on.
    kept: Vec<u8>,
    sent: usize,
    state: State,
    /// What the runtime says of the source is not to be relied on yet: bytes may have come before
    /// it was asked, or been looked at without being read.
    unsure: bool,
    /// Bytes read and bytes written, together: whether anything happens.
    moved: u64,
    written: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The source has ended; what is kept is still to be written.
    Ended,
    /// The sink knows.
    Closed,
}

impl Direction {
    fn new(early: Vec<u8>) -> Self {
        Self { kept: early, sent: 0, state: State::Open, unsure: false, moved: 0, written: 0 }
    }

    fn has_ended(&self) -> bool {
        self.state != State::Open
    }

    /// Ready when this direction is over; pending with a wake-up in store else.
    fn pump(
        &mut self,
        cx: &mut Context<'_>,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), Broken>> {
        let mut turns = 0;
        loop {
            ready!(self.write_kept(cx, sink))?;
            match self.state {
                State::Closed => return Poll::Ready(Ok(())),
                State::Ended => {
                    self.state = State::Closed;
                    // It fails only if the sink is gone, which its own direction finds out.
                    let _ = sink.shutdown_write();
                    return Poll::Ready(Ok(()));
                }
                State::Open => {}
            }
            if turns == TURNS {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            turns += 1;
            match self.copy(source, sink) {
                Ok(Copied::Some) => {}
                Ok(Copied::End) => self.state = State::Ended,
                Ok(Copied::Nothing) => {
                    ready!(source.poll_read_ready(cx)).map_err(|_| Broken::Source)?;
                }
                Err(broken) => return Poll::Ready(Err(broken)),
            }
        }
    }

    fn write_kept(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<Result<(), Broken>> {
        while self.sent < self.kept.len() {
            match sink.try_send(&self.kept[self.sent..]) {
                Ok(None) => ready!(sink.poll_write_ready(cx)).map_err(|_| Broken::Sink)?,
                Ok(Some(taken)) => {
                    self.sent += taken;
                    self.written += taken as u64;
                    self.moved += taken as u64;
                }
                Err(_) => return Poll::Ready(Err(Broken::Sink)),
            }
        }
        if self.sent > 0 {
            self.kept = Vec::new();
            self.sent = 0;
        }
        Poll::Ready(Ok(()))
    }

    /// One read, and what the sink takes of it at once.
    fn copy(&mut self, source: &mut Stream, sink: &mut Stream) -> Result<Copied, Broken> {
        BUFFER.with_borrow_mut(|buffer| {
            let read = match self.read_into(source, buffer) {
                Ok(Some(0)) => return Ok(Copied::End),
                Ok(Some(read)) => read,
                Ok(None) => return Ok(Copied::Nothing),
                Err(_) => return Err(Broken::Source),
            };
            debug_assert!(self.kept.is_empty(), "at most one buffer is ever kept");
            let mut taken = 0;
            while taken < read {
                match sink.try_send(&buffer[taken..read]) {
                    Ok(None) => break,
                    Ok(Some(more)) => taken += more,
                    Err(_) => return Err(Broken::Sink),
                }
            }
            self.written += taken as u64;
            self.moved += (read + taken) as u64;
            self.kept.extend_from_slice(&buffer[taken..read]);
            Ok(Copied::Some)
        })
    }

    /// `None` = nothing there now.
    fn read_into(&mut self, source: &mut Stream, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        if !self.unsure {
            return source.try_recv(buffer);
        }
        let read = source.recv_now(buffer)?;
        // A full buffer may have left something behind, of which nobody would tell us.
        self.unsure = read == Some(buffer.len());
        Ok(read)
    }
}

enum Copied {
    Some,
    Nothing,
    End,
}

#[cfg(test)]
mod tests;
