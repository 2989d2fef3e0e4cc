//! A request's body on its way to the worker.
//!
//! Decoded once by the one machine that decides where a message ends, re-framed for the worker.
//! What was read ahead of the lease (the shield) stays untouched in the scratch, so that it can
//! be sent again; what is streamed after it cannot, and is not.

use std::task::{Context, Poll, ready};

use isobar_http1::{Body, BodyReader, Progress, State, chunked};
use isobar_pool::Connection;

use crate::{
    client::{Client, poll_read, poll_write},
    reason::Reason,
    scratch,
};

/// The client's side of a body: where it ends, and how much came.
pub(crate) struct Incoming {
    reader: BodyReader,
    ended: bool,
    received: u64,
    limit: u64,
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
        Self { reader: BodyReader::from(body), ended, received: 0, limit }
    }

    /// Lowers the limit; 0 = no body at all.
    pub(crate) fn limit(&mut self, most: u64) {
        self.limit = self.limit.min(most);
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Moves what `inbuf` holds of the body, decoded, behind `to`.
    pub(crate) fn decode(&mut self, inbuf: &mut Vec<u8>, to: &mut Vec<u8>) -> Result<(), Reason> {
        let mut used = 0;
        while !self.ended && used < inbuf.len() {
            let Progress { skip, data, state } =
                self.reader.advance(&inbuf[used..]).map_err(|_| Reason::BadRequest)?;
            let start = used + skip;
            to.extend_from_slice(&inbuf[start..start + data]);
            used = start + data;
            self.received += data as u64;
            self.ended = state == State::Done;
            if self.received > self.limit {
                return Err(Reason::BodyTooLarge);
            }
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
            match ready!(poll_read(&mut client.stream, cx, &mut client.inbuf)) {
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
    given_up: bool,
}

impl Upload {
    /// `up` already holds the head; appends the body that is held.
    pub(crate) fn start(framing: Body, held: &[u8], ended: bool, up: &mut Vec<u8>) -> Self {
        let upload = Self { sent: 0, total: 0, framing, given_up: false };
        upload.frame(held, up);
        if ended {
            upload.frame_end(up);
        }
        upload
    }

    /// Bytes written so far to this worker's connection.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    pub(crate) fn finished(&self, incoming: &Incoming, up: &[u8]) -> bool {
        self.given_up || (incoming.ended() && self.sent == up.len())
    }

    /// The worker does not take more; its answer may still come (RFC 9112 §9.5).
    pub(crate) fn give_up(&mut self) {
        self.given_up = true;
    }

    pub(crate) fn gave_up(&self) -> bool {
        self.given_up
    }

    /// Ready once all is written.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Client,
        incoming: &mut Incoming,
        worker: &mut Connection,
        up: &mut Vec<u8>,
        decoded: &mut Vec<u8>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            while self.sent < up.len() {
                let wrote = ready!(poll_write(worker, cx, &up[self.sent..]));
                let wrote = wrote.map_err(|_| Broken::Worker)?;
                self.sent += wrote;
                self.total += wrote as u64;
            }
            if incoming.ended() {
                return Poll::Ready(Ok(()));
            }
            up.clear();
            self.sent = 0;
            decoded.clear();
            ready!(incoming.poll_more(client, cx, decoded)).map_err(Broken::Client)?;
            self.frame(decoded, up);
            if incoming.ended() {
                self.frame_end(up);
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

    fn frame_end(&self, up: &mut Vec<u8>) {
        if self.framing == Body::Chunked {
            up.extend_from_slice(chunked::LAST);
        }
    }
}
