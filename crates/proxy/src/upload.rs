//! A request's body on its way to the worker.
//!
//! Decoded once by the one machine that decides where a message ends, re-framed for the worker.
//! What was read ahead of the lease (the shield, in memory and in the spool) stays as it is, so
//! that it can be sent again; what is streamed after it is kept up to a bound, or not sent again.

use std::task::{Context, Poll, ready};

use isobar_http1::{Body, BodyReader, Progress, State, chunked};
use isobar_pool::Connection;

use crate::{client::Client, reason::Reason, scratch, spool::Spool, table::ClientFin};

/// The client's side of a body: where it ends, and how much came.
pub(crate) struct Incoming {
    reader: BodyReader,
    ended: bool,
    received: u64,
    limit: u64,
    /// What came ahead of the lease and did not fit into memory.
    pub(crate) spool: Option<Box<Spool>>,
    /// Part of it was sent on without being kept: it cannot be sent again.
    dropped: bool,
    /// What is wrong with it, in the parser's words.
    pub(crate) wrong: Option<Box<str>>,
}

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

impl Incoming {
    /// `limit` in bytes; 0 = none.
    pub(crate) fn new(body: Body, limit: u64) -> Self {
        let ended = matches!(body, Body::None | Body::Length(0));
        let limit = if limit == 0 { u64::MAX } else { limit };
        let reader = BodyReader::from(body);
        Self { reader, ended, received: 0, limit, spool: None, dropped: false, wrong: None }
    }

    /// Lowers the limit; 0 = no body at all.
    pub(crate) fn limit(&mut self, most: u64) {
        self.limit = self.limit.min(most);
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    /// All of it, from the first byte on, can be sent again.
    pub(crate) fn is_kept(&self) -> bool {
        !self.dropped
    }

    /// Its length if it is whole, of which `held` bytes are in memory.
    pub(crate) fn length(&self, held: &[u8]) -> Option<u64> {
        let spooled = self.spool.as_ref().map_or(0, |spool| spool.len());
        self.ended.then_some(held.len() as u64 + spooled)
    }

    /// What it means that the client closes its sending side. Behind a part of a body that is said by
    /// whoever reads the rest.
    pub(crate) fn on_fin(&self, behind_whole: ClientFin) -> ClientFin {
        if self.ended { behind_whole } else { ClientFin::Answer }
    }

    /// What is still to come is read past: no attempt gets it.
    pub(crate) fn drop_rest(&mut self) {
        self.dropped = true;
    }

    /// The lines behind its last chunk that may be passed on.
    pub(crate) fn trailers(&self) -> &[u8] {
        self.reader.trailers()
    }

    /// This attempt has taken all there is and will be.
    fn is_taken(&self) -> bool {
        self.ended && self.spool.as_ref().is_none_or(|spool| spool.is_drained())
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// What of it is in memory goes back, if there is any: it cannot be sent again.
    pub(crate) fn let_go(&mut self, held: &mut Vec<u8>) {
        if held.capacity() > 0 {
            self.dropped |= !held.is_empty();
            scratch::recycle(held);
        }
    }

    /// Moves what `inbuf` holds of the body, decoded, behind `to`.
    pub(crate) fn decode(&mut self, inbuf: &mut Vec<u8>, to: &mut Vec<u8>) -> Result<(), Reason> {
        let mut used = 0;
        while !self.ended && used < inbuf.len() {
            let Progress { skip, data, state } =
                self.reader.advance(&inbuf[used..]).map_err(|error| {
                    self.wrong = Some(error.to_string().into());
                    Reason::BadRequest
                })?;
            let start = used + skip;
            to.extend_from_slice(&inbuf[start..start + data]);
            used = start + data;
            self.received += data as u64;
            if self.received > self.limit {
                return Err(Reason::BodyTooLarge);
            }
            self.ended = state == State::Done;
            if skip + data == 0 {
                break;
            }
        }
        if used == inbuf.len() {
            inbuf.clear();
        } else {
            inbuf.drain(..used);
        }
        Ok(())
    }

    /// Waits for more of the body and decodes it behind `to`.
    pub(crate) fn poll_more(
        &mut self,
        client: &mut Client,
        cx: &mut Context<'_>,
        to: &mut Vec<u8>,
    ) -> Poll<Result<(), Reason>> {
        let before = to.len();
        self.decode(&mut client.inbuf, to)?;
        while !self.ended && to.len() == before {
            scratch::furnish(&mut client.inbuf);
            match ready!(client.stream.poll_recv(cx, &mut client.inbuf)) {
                Ok(1..) => self.decode(&mut client.inbuf, to)?,
                Ok(0) => {
                    client.fin = true;
                    return Poll::Ready(Err(Reason::ClientGone));
                }
                Err(_) => return Poll::Ready(Err(Reason::ClientGone)),
            }
        }
        Poll::Ready(Ok(()))
    }
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
        client: &mut Client,
        incoming: &mut Incoming,
        worker: &mut Connection,
        up: &mut Vec<u8>,
        held: &mut Vec<u8>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            while self.sent < up.len() {
                let wrote = ready!(worker.stream().poll_send(cx, &up[self.sent..]));
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
                        incoming.dropped = true;
                    }
                    let kept = held.len();
                    ready!(incoming.poll_more(client, cx, held)).map_err(Broken::Client)?;
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
