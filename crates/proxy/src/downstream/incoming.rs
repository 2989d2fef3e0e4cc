//! A request's body as it comes from the client: where it ends, and how much came.
//!
//! Decoded once by the one machine that decides where a message ends. What was read ahead of the lease
//! (the shield, in memory and in the spool) stays as it is, so that it can be sent again; what is
//! streamed after it is kept up to a bound, or not sent again.

use std::task::{Context, Poll, ready};

use isobar_http1::{Body, BodyReader, Progress, State};

use super::wire::Wire;
use crate::{exchange::spool::Spool, reason::Reason, scratch, table::ClientFin};

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
    pub(crate) fn is_taken(&self) -> bool {
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
    pub(super) fn decode(&mut self, inbuf: &mut Vec<u8>, to: &mut Vec<u8>) -> Result<(), Reason> {
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
    pub(super) fn poll_more(
        &mut self,
        wire: &mut Wire,
        cx: &mut Context<'_>,
        to: &mut Vec<u8>,
    ) -> Poll<Result<(), Reason>> {
        let before = to.len();
        self.decode(&mut wire.inbuf, to)?;
        while !self.ended && to.len() == before {
            scratch::furnish(&mut wire.inbuf);
            match ready!(wire.stream.poll_recv(cx, &mut wire.inbuf)) {
                Ok(1..) => self.decode(&mut wire.inbuf, to)?,
                Ok(0) => {
                    wire.fin = true;
                    return Poll::Ready(Err(Reason::ClientGone));
                }
                Err(_) => return Poll::Ready(Err(Reason::ClientGone)),
            }
        }
        Poll::Ready(Ok(()))
    }
}
