//! The client's side of an exchange: who it is, how its requests come and its answers go.
//!
//! An exchange speaks to [`Downstream`], which has one arm for each version of HTTP. What a request is
//! served with is `exchange`'s.

pub(crate) mod deadline;
mod head;
pub(crate) mod http1;
pub(crate) mod incoming;
pub(crate) mod peer;
pub(crate) mod standing;
pub(crate) mod wire;

use std::{
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use isobar_http1::{
    Connection as Keep, RequestHead, ResponseBody, ResponseFraming, ResponseHead, Version, chunked,
};

use crate::{
    reason::Reason,
    table::{ClientFin, ListenerPlan},
};
use deadline::Deadline;
pub(crate) use head::Unread;
use incoming::Incoming;
pub(crate) use wire::Meanwhile;
use wire::Wire;

/// Where one request comes from, and its answer goes to.
pub(crate) enum Downstream<'c> {
    /// All of a connection, for as long as this request lasts.
    Http1(&'c mut Wire),
}

impl Downstream<'_> {
    /// Reads the head whose first bytes are here, within the listener's time for it.
    pub(crate) async fn read_head(
        &mut self,
        timer: &mut Deadline,
        request: &mut RequestHead,
        listener: &ListenerPlan,
    ) -> Result<(), Unread> {
        let Self::Http1(wire) = self;
        head::read(wire, timer, request, listener).await
    }

    /// Moves what has already come of the body, decoded, behind `to`.
    pub(crate) fn take_body(
        &mut self,
        incoming: &mut Incoming,
        to: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        let Self::Http1(wire) = self;
        incoming.decode(&mut wire.inbuf, to)
    }

    /// Waits for more of the body and decodes it behind `to`.
    pub(crate) fn poll_body(
        &mut self,
        cx: &mut Context<'_>,
        incoming: &mut Incoming,
        to: &mut Vec<u8>,
    ) -> Poll<Result<(), Reason>> {
        let Self::Http1(wire) = self;
        incoming.poll_more(wire, cx, to)
    }

    /// Ready only when the client has left: by a reset, or by closing its sending side where that
    /// means so. What arrives meanwhile is kept.
    pub(crate) fn poll_left(
        &mut self,
        cx: &mut Context<'_>,
        timer: &mut Deadline,
        on_fin: ClientFin,
    ) -> Poll<()> {
        let Self::Http1(wire) = self;
        wire.poll_left(cx, timer, on_fin)
    }

    /// Reads and throws away what is there of its input. `Err`: it was reset.
    pub(crate) fn discard(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Self::Http1(wire) = self;
        wire.discard(cx)
    }

    /// The client closed its sending side.
    pub(crate) fn has_ended(&self) -> bool {
        let Self::Http1(wire) = self;
        wire.fin
    }

    /// The request had arrived before the answer to the one before it was sent.
    pub(crate) fn came_ahead(&self) -> bool {
        let Self::Http1(wire) = self;
        wire.pipelined
    }

    /// Something has come behind the request.
    pub(crate) fn has_more(&self) -> bool {
        let Self::Http1(wire) = self;
        !wire.inbuf.is_empty()
    }

    /// Another request can come this way.
    pub(crate) fn may_stay(&self) -> bool {
        let Self::Http1(wire) = self;
        wire.may_ask_again()
    }

    /// How a body is laid out for a client of this version. `known`: its length is still the one that
    /// its maker told.
    pub(crate) fn framing(
        &self,
        client: Version,
        body: ResponseBody,
        known: bool,
    ) -> ResponseFraming {
        let Self::Http1(_) = self;
        match body {
            ResponseBody::None => ResponseFraming::None,
            ResponseBody::Length(length) if known => ResponseFraming::Length(length),
            _ if client == Version::Http10 => ResponseFraming::UntilClose,
            _ => ResponseFraming::Chunked,
        }
    }

    /// Lays a head out behind what is in `out`.
    pub(crate) fn begin(
        &self,
        client: Version,
        head: &ResponseHead,
        framing: ResponseFraming,
        keep: Keep,
        out: &mut Vec<u8>,
    ) {
        let Self::Http1(_) = self;
        head.encode(out, framing, keep, client);
    }

    /// Lays a piece of the body out; it is not empty.
    pub(crate) fn lay_out(&self, framing: ResponseFraming, data: &[u8], out: &mut Vec<u8>) {
        let Self::Http1(_) = self;
        if framing == ResponseFraming::Chunked {
            chunked::encode_size(data.len(), out);
            out.extend_from_slice(data);
            out.extend_from_slice(b"\r\n");
        } else {
            out.extend_from_slice(data);
        }
    }

    /// Lays out the end of the body, with the trailers that may be passed on.
    pub(crate) fn end(&self, framing: ResponseFraming, trailers: &[u8], out: &mut Vec<u8>) {
        let Self::Http1(_) = self;
        if framing == ResponseFraming::Chunked {
            chunked::encode_last(trailers, out);
        }
    }

    /// Lets the client send its body.
    pub(crate) async fn go_on(&mut self, timer: &mut Deadline, stall: Duration) -> io::Result<()> {
        /// Written before the first read of a body that waits for it.
        const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
        let Self::Http1(wire) = self;
        wire.write(timer, CONTINUE, stall, &mut 0, Meanwhile::Keep).await
    }

    /// Lays out an interim response.
    pub(crate) fn interim(&self, head: &ResponseHead, out: &mut Vec<u8>) {
        let Self::Http1(_) = self;
        head.encode_interim(out);
    }

    pub(crate) fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self::Http1(wire) = self;
        wire.stream.poll_send(cx, bytes)
    }

    /// Sends all of `bytes`, or fails when the client takes none for `stall`. What it has taken is
    /// added to `sent`.
    pub(crate) async fn send(
        &mut self,
        timer: &mut Deadline,
        bytes: &[u8],
        stall: Duration,
        sent: &mut u64,
        input: Meanwhile,
    ) -> io::Result<()> {
        let Self::Http1(wire) = self;
        wire.write(timer, bytes, stall, sent, input).await
    }

    /// The request is over; another one may follow within `patience`.
    pub(crate) fn over(&mut self, at: Instant, patience: Duration) {
        let Self::Http1(wire) = self;
        wire.silent_since = at.into();
        wire.patience = patience;
    }

    /// The client must see that the answer is not whole.
    pub(crate) fn break_off(&mut self) {
        let Self::Http1(wire) = self;
        let _ = wire.stream.set_linger_zero();
    }

    /// What came behind a request that switched to another protocol.
    pub(crate) fn early(&self) -> Vec<u8> {
        let Self::Http1(wire) = self;
        wire.inbuf.to_vec()
    }
}
