//! A request on its way to the worker: its head, then its body, framed anew.

use std::task::{Context, Poll, ready};

use isobar_http1::{Body, chunked};

use super::Upstream;
use crate::{
    downstream::{Downstream, incoming::Incoming},
    reason::Reason,
    scratch,
};

/// Whose move it is while a request stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Awaited {
    /// The client's next bytes.
    Body,
    /// The worker, to take what is there for it.
    Room,
    /// The worker has it all, or takes no more.
    Answer,
}

/// Why a body stopped before its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The client's fault, or ours to refuse.
    Client(Reason),
    Worker,
}

/// One attempt's writing: the head and what is held, then the rest as it comes.
pub(crate) struct Upload {
    /// Bytes of `scratch.up` that the worker's socket has taken.
    sent: usize,
    total: u64,
    framing: Body,
    /// So much of what is streamed is kept for another attempt; up to one read more.
    keep: usize,
    given_up: bool,
}

impl Upload {
    /// `up` already holds the head; appends the body that is held.
    pub(crate) fn start(
        framing: Body,
        held: &[u8],
        incoming: &mut Incoming,
        keep: usize,
        up: &mut Vec<u8>,
    ) -> Self {
        let upload = Self { sent: 0, total: 0, framing, keep, given_up: false };
        if let Some(spool) = &mut incoming.spool {
            spool.rewind();
        }
        upload.frame(held, up);
        if incoming.is_taken() {
            upload.frame_end(incoming.trailers(), up);
        }
        upload
    }

    /// Bytes written so far to this worker's connection.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn finished(&self, incoming: &Incoming, up: &[u8]) -> bool {
        self.given_up || (incoming.is_taken() && self.sent == up.len())
    }

    /// After a `poll` that is pending. The disk, too, gives what it has at once.
    pub(crate) fn awaits(&self, incoming: &Incoming, up: &[u8]) -> Awaited {
        let spooled = || incoming.spool.as_ref().is_some_and(|spool| !spool.is_drained());
        match self.finished(incoming, up) {
            true => Awaited::Answer,
            false if self.sent < up.len() || spooled() => Awaited::Room,
            false => Awaited::Body,
        }
    }

    /// All is written: its memory goes back.
    pub(crate) fn rest(&mut self, up: &mut Vec<u8>) {
        self.sent = 0;
        scratch::recycle(up);
    }

    /// The worker does not take more; its answer may still come (RFC 9112 §9.5).
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    pub(crate) fn gave_up(&self) -> bool {
        self.given_up
    }

    /// Ready once all is written. `held` is the body as far as it is kept in memory.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        downstream: &mut Downstream<'_>,
        incoming: &mut Incoming,
        worker: &mut Upstream,
        up: &mut Vec<u8>,
        held: &mut Vec<u8>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            while self.sent < up.len() {
                let wrote = ready!(worker.poll_write(cx, &up[self.sent..]));
                let wrote = wrote.map_err(|_| Broken::Worker)?;
                self.sent += wrote;
                self.total += wrote as u64;
            }
            if incoming.is_taken() {
                return Poll::Ready(Ok(()));
            }
            up.clear();
            self.sent = 0;
            match incoming.spool.as_mut().filter(|spool| !spool.is_drained()) {
                Some(spool) => {
                    let piece = ready!(spool.poll_next(cx));
                    let piece = piece.map_err(|_| Broken::Client(Reason::Internal))?;
                    self.frame(&piece, up);
                }
                None => {
                    if held.len() > self.keep || incoming.spool.is_some() {
                        held.clear();
                        incoming.drop_rest();
                    }
                    let kept = held.len();
                    ready!(downstream.poll_body(cx, incoming, held)).map_err(Broken::Client)?;
                    self.frame(&held[kept..], up);
                }
            }
            if incoming.is_taken() {
                self.frame_end(incoming.trailers(), up);
            }
        }
    }

    fn frame(&self, data: &[u8], up: &mut Vec<u8>) {
        if data.is_empty() {
            return;
        }
        if self.framing == Body::Chunked {
            chunked::encode_size(data.len(), up);
            up.extend_from_slice(data);
            up.extend_from_slice(b"\r\n");
        } else {
            up.extend_from_slice(data);
        }
    }

    fn frame_end(&self, trailers: &[u8], up: &mut Vec<u8>) {
        if self.framing == Body::Chunked {
            chunked::encode_last(trailers, up);
        }
    }
}
