//! A client's HTTP/1 connection: its socket, and the bytes that were read and not used yet.
//!
//! It knows nothing of HTTP but "bytes have come" and "the client has left".

use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use isobar_pool::Stream;
use tokio::time::Instant;

use super::deadline::Deadline;
use crate::{scratch, table::ClientFin};

pub(crate) struct Wire {
    pub(crate) stream: Stream,
    /// Read, not yet used. Without memory of its own while the connection is idle.
    pub(super) inbuf: Vec<u8>,
    /// When its last request was over.
    pub(super) silent_since: Instant,
    /// How long it may be silent before the next one.
    pub(super) patience: Duration,
    /// The client closed its sending side.
    pub(super) fin: bool,
    /// The request under way had arrived before the answer to the one before it was sent.
    pub(super) pipelined: bool,
}

impl Wire {
    /// Of a client that may be silent for `patience` before its first byte.
    pub(crate) fn new(stream: Stream, patience: Duration) -> Self {
        Self {
            stream,
            inbuf: Vec::new(),
            silent_since: Instant::now(),
            patience,
            fin: false,
            pipelined: false,
        }
    }

    /// Whether another request can come: what arrived ahead of a FIN still counts.
    pub(super) fn may_ask_again(&self) -> bool {
        !self.fin || !self.inbuf.is_empty()
    }

    /// Reads whatever arrives behind the current request, to learn whether the client is still
    /// there. Ready only when it has left: by a reset, or by closing its sending side where that
    /// means so.
    pub(super) fn poll_left(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Deadline,
        on_fin: ClientFin,
    ) -> Poll<()> {
        /// A reset must be noticed within a second (H1-43), and behind a full buffer or a FIN
        /// nobody wakes us for it.
        const LOOK: Duration = Duration::from_millis(500);
        loop {
            if self.fin && on_fin == ClientFin::Abort {
                return Poll::Ready(());
            }
            if self.fin || self.inbuf.len() >= scratch::BUFFER {
                if self.stream.is_broken() {
                    return Poll::Ready(());
                }
                if self.inbuf.is_empty() {
                    scratch::recycle(&mut self.inbuf);
                }
                // Only to be woken: the caller's own deadline is later.
                let _ = timer.poll_at(cx, Instant::now() + LOOK);
                return Poll::Pending;
            }
            if self.stream.poll_read_ready(cx).is_pending() {
                // A long wait for an answer holds no memory for what nobody sends.
                if self.inbuf.is_empty() {
                    scratch::recycle(&mut self.inbuf);
                }
                return Poll::Pending;
            }
            scratch::furnish(&mut self.inbuf);
            match ready!(self.stream.poll_recv(cx, &mut self.inbuf)) {
                Ok(0) => self.fin = true,
                Ok(_) => {}
                Err(_) => return Poll::Ready(()),
            }
        }
    }

    /// Writes all of `bytes`, or fails when the client does not read for `stall`. What its socket has
    /// taken is added to `sent`.
    pub(super) async fn write(
        &mut self,
        timer: &mut Deadline,
        bytes: &[u8],
        stall: Duration,
        sent: &mut u64,
        input: Meanwhile,
    ) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            // The clock is read only if the first attempt did not succeed.
            let mut until = None;
            let wrote = std::future::poll_fn(|cx| {
                if let Poll::Ready(wrote) = self.stream.poll_send(cx, &bytes[written..]) {
                    return Poll::Ready(wrote);
                }
                if input == Meanwhile::Discard {
                    self.discard(cx)?;
                }
                let until = *until.get_or_insert_with(|| Instant::now() + stall);
                timer.poll_at(cx, until).map(|()| Err(io::ErrorKind::TimedOut.into()))
            });
            let wrote = wrote.await?;
            written += wrote;
            *sent += wrote as u64;
        }
        Ok(())
    }

    /// Reads and throws away what is there of the client's input. `Err`: it was reset.
    pub(super) fn discard(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        self.inbuf.clear();
        while !self.fin && self.stream.poll_read_ready(cx).is_ready() {
            let mut memory = scratch::buffer();
            let read = self.stream.poll_recv(cx, &mut memory);
            scratch::recycle(&mut memory);
            match read {
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0)) => self.fin = true,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Tells the client that no more comes and lets it read what was sent: closing a socket with
    /// unread input would reset it and destroy the answer on its way (RFC 9112 §9.6).
    pub(crate) async fn linger(&mut self, timer: &mut Deadline, patience: Patience) {
        let (silence, most) = match patience {
            Patience::Body => (Duration::from_secs(5), Duration::from_secs(30)),
            Patience::Request => (Duration::from_secs(1), Duration::from_secs(1)),
        };
        self.end(timer).await;
        if self.stream.shutdown_write().is_err() {
            return;
        }
        scratch::recycle(&mut self.inbuf);
        let end = Instant::now() + most;
        loop {
            let until = end.min(Instant::now() + silence);
            let over = std::future::poll_fn(|cx| {
                if self.stream.poll_read_ready(cx).is_pending() {
                    return timer.poll_at(cx, until).map(|()| true);
                }
                Poll::Ready(self.discard(cx).is_err() || self.fin)
            });
            if over.await || Instant::now() >= end {
                return;
            }
        }
    }

    /// Tells a client that speaks TLS that this is the end, and no accident (RFC 8446 §6.1).
    pub(super) async fn end(&mut self, timer: &mut Deadline) {
        const PATIENCE: Duration = Duration::from_secs(1);
        let until = Instant::now() + PATIENCE;
        // Who takes nothing for a second is not told.
        let _ = timer.within(until, |cx| self.stream.poll_close(cx)).await;
    }

    /// Whether there is something to read, as far as that is known without a look.
    pub(super) fn has_unread(&self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        !self.inbuf.is_empty() || (!self.fin && self.stream.poll_read_ready(&mut cx).is_ready())
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.stream.close();
    }
}

/// What is done with the input while something is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    Keep,
    /// These are the connection's last bytes: a client that still sends may only read once it has sent
    /// all, so that what comes is thrown away.
    Discard,
}

/// How long a client that is no longer listened to may go on sending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// A body that nobody wants: for as long as it comes, half a minute at most.
    Body,
    /// A request that crossed our last answer on its way.
    Request,
}
