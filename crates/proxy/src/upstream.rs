//! The worker's side of an exchange: one attempt, what is written for it, and what becomes of a lease
//! that nobody waits for any more.
//!
//! An exchange speaks to [`Upstream`], which has one arm for each version of HTTP. What follows an
//! attempt is not decided here.

pub(crate) mod abandon;
pub(crate) mod attempt;
pub(crate) mod finish;
pub(crate) mod unconnected;
pub(crate) mod upload;

use std::{
    io,
    task::{Context, Poll, ready},
    time::Duration,
};

use isobar_http1::{Error, Limits, Parsed, ResponseHead};
use isobar_pool::{Connection, Lease};

use crate::scratch;
use upload::Upload;

/// A worker's head may be this large.
const RESPONSE_LIMITS: Limits = Limits { head_bytes: 64 * 1024, headers: 256, uri: 0 };

/// What one request and its answer go through.
pub(crate) enum Upstream {
    /// A connection that is this request's alone.
    Http1(Connection),
}

/// A worker's response head, and what is needed to forward what follows it.
pub(crate) struct Answered {
    pub(crate) lease: Lease,
    pub(crate) worker: Upstream,
    pub(crate) upload: Upload,
}

/// What came of waiting for a response head.
pub(crate) enum Came {
    /// It is whole: so many bytes of what was read.
    Head(usize),
    /// An interim response, which is whole; another head follows.
    Interim,
    /// The connection ended or broke first: a head that breaks off is no head.
    Broke(Option<io::Error>),
    Bad(Error),
}

impl Upstream {
    /// For how long the connection rested before this exchange, if it did: the worker may have closed
    /// it unseen.
    pub(crate) fn rested(&self) -> Option<Duration> {
        let Self::Http1(connection) = self;
        connection.rested()
    }

    /// Writes what the worker's socket takes of `bytes`, of which there must be some.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self::Http1(connection) = self;
        connection.stream_mut().poll_send(cx, bytes)
    }

    /// Reads until the head of the answer to a request of this method is whole. `down`: what was read
    /// and not used yet; an interim response is taken out of it.
    pub(crate) fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        down: &mut Vec<u8>,
        response: &mut ResponseHead,
        method: &[u8],
    ) -> Poll<Came> {
        loop {
            if !down.is_empty() {
                match response.parse(down, &RESPONSE_LIMITS, method) {
                    Ok(Parsed::Complete(used)) if response.is_interim() => {
                        down.drain(..used);
                        return Poll::Ready(Came::Interim);
                    }
                    Ok(Parsed::Complete(used)) => return Poll::Ready(Came::Head(used)),
                    Ok(Parsed::Partial) => {}
                    Err(error) => return Poll::Ready(Came::Bad(error)),
                }
            }
            match ready!(self.poll_read(cx, down)) {
                Ok(1..) => {}
                ended => return Poll::Ready(Came::Broke(ended.err())),
            }
        }
    }

    /// Reads behind what is in `down`; 0: the worker has closed its side.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        down: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let Self::Http1(connection) = self;
        let stream = connection.stream_mut();
        if stream.poll_read_ready(cx).is_pending() {
            // A long wait holds no memory for what may come.
            if down.is_empty() {
                scratch::recycle(down);
            }
            return Poll::Pending;
        }
        scratch::furnish(down);
        stream.poll_recv(cx, down)
    }

    /// For bytes that are only copied from here on.
    pub(crate) fn into_connection(self) -> Connection {
        let Self::Http1(connection) = self;
        connection
    }
}
