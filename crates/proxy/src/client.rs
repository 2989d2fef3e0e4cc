//! A client's connection: its socket, the bytes that were read and not used yet, and its one timer.
//! Whether it is idle, or asked to end, is its [`standing`].
//!
//! It lives on the shard that serves it. It knows nothing of HTTP but "bytes have come" and "the client
//! has left".

mod standing;

use std::{
    io,
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use isobar_pool::Stream;
use rustix::{buffer::spare_capacity, io::Errno};
use tokio::time::Instant;

use crate::{
    deadline::Deadline,
    h1,
    listener::{Accepted, Terms},
    scratch,
    shard::ProxyContext,
    table::{ClientFin, ListenerId, ListenerPlan, Serve},
    tcp,
};
use standing::{End, Place};
pub(crate) use standing::{ask_to_leave, ask_to_leave_of, evict_idle, longest_idle};

pub(crate) struct Client {
    pub(crate) context: Arc<ProxyContext>,
    pub(crate) stream: Stream,
    /// The other end of the socket; `None` on unix sockets.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) listener: ListenerId,
    /// Read, not yet used. Without memory of its own while the connection is idle.
    pub(crate) inbuf: Vec<u8>,
    pub(crate) deadline: Deadline,
    /// When its last request was over.
    pub(crate) silent_since: Instant,
    /// How long it may be silent before the next one.
    pub(crate) patience: Duration,
    /// The client closed its sending side.
    pub(crate) fin: bool,
    /// The request under way had arrived before the answer to the one before it was sent.
    pub(crate) pipelined: bool,
    place: Place,
}

/// What came of waiting for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum First {
    Bytes,
    Silence,
    Gone,
    /// No request has come, and the connection was asked to end.
    Leave,
}

/// Serves an accepted socket on the calling shard.
pub(crate) fn spawn(context: &Arc<ProxyContext>, shard: usize, accepted: Accepted) {
    let place = Place::take(context, shard, accepted.terms.listener);
    let (stream, ip, Terms { listener, plan, admission }) = match accepted.into_stream() {
        Ok(parts) => parts,
        Err(error) => return tracing::debug!(%error, "an accepted socket could not be registered"),
    };
    let place = place.admitted(admission, Arc::clone(&plan.metrics));
    match &plan.serve {
        Serve::Http(_) => {
            if !context.serves_http(listener) {
                // Its listener was removed meanwhile: one request is served by the last plan.
                *place.standing.last_plan.borrow_mut() = Some(plan);
            }
            let (silent_since, patience) = (Instant::now(), h1::FIRST_BYTE);
            let client = Client {
                context: Arc::clone(context),
                stream,
                ip,
                listener,
                inbuf: Vec::new(),
                deadline: Deadline::new(silent_since + patience),
                silent_since,
                patience,
                fin: false,
                pipelined: false,
                place,
            };
            tokio::task::spawn_local(h1::serve(client));
        }
        Serve::Tcp(pool) => {
            let (context, pool) = (Arc::clone(context), Arc::clone(pool));
            tokio::task::spawn_local(async move {
                let _place = place;
                tcp::serve_tcp(&context, &plan, &pool, stream, ip).await;
            });
        }
    }
}

impl Client {
    /// No request that might still come will be served: the process ends, or its listener is gone
    /// or speaks another protocol now.
    pub(crate) fn is_leaving(&self) -> bool {
        self.context.is_draining() || !self.context.serves_http(self.listener)
    }

    /// What its next request is served by.
    pub(crate) fn plan(&mut self) -> Option<Arc<ListenerPlan>> {
        let serves = |plan: &Arc<ListenerPlan>| matches!(plan.serve, Serve::Http(_));
        let plan = self.context.listener(self.listener).filter(serves);
        plan.or_else(|| self.place.standing.last_plan.take())
    }

    /// Whether another request can come: what arrived ahead of a FIN still counts.
    pub(crate) fn may_ask_again(&self) -> bool {
        !self.fin || !self.inbuf.is_empty()
    }

    /// Waits for the first bytes of a request, at most so long behind the last one, without holding a
    /// buffer.
    pub(crate) async fn first_bytes(&mut self, at_most: Duration) -> First {
        self.place.standing.idle_since.set(Some(self.silent_since));
        let until = self.silent_since + at_most;
        let Self { stream, inbuf, deadline, place, .. } = self;
        let standing = &place.standing;
        let arrived = deadline
            .within(until, |cx| {
                // Only a client that has sent something is given memory.
                if stream.poll_read_ready(cx).is_ready() {
                    let mut memory = scratch::buffer();
                    let read = stream.poll_recv(cx, &mut memory);
                    if let Poll::Ready(Ok(1..)) = read {
                        *inbuf = memory;
                        return read;
                    }
                    scratch::recycle(&mut memory);
                    if read.is_ready() {
                        return read;
                    }
                }
                if standing.end.get() != End::No {
                    return Poll::Ready(last_look(stream, inbuf));
                }
                standing.waker.get_or_init(|| cx.waker().clone());
                Poll::Pending
            })
            .await;
        self.place.standing.idle_since.set(None);
        let end = self.place.standing.end.get();
        if end == End::MakeRoom {
            // It has not been idle for as long as others if a request has come.
            self.place.standing.end.set(End::No);
        }
        match arrived {
            Some(Ok(1..)) => First::Bytes,
            Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => match end {
                // Nobody waits for its descriptor to be closed a second later.
                End::MakeRoom => First::Gone,
                End::No | End::Leave => First::Leave,
            },
            Some(_) => First::Gone,
            None => First::Silence,
        }
    }

    /// Reads whatever arrives behind the current request, to learn whether the client is still
    /// there. Ready only when it has left: by a reset, or by closing its sending side where that
    /// means so.
    pub(crate) fn poll_left(&mut self, cx: &mut Context<'_>, on_fin: ClientFin) -> Poll<()> {
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
                let _ = self.deadline.poll_at(cx, Instant::now() + LOOK);
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
    pub(crate) async fn write_all(
        &mut self,
        bytes: &[u8],
        stall: Duration,
        sent: &mut u64,
    ) -> io::Result<()> {
        self.write(bytes, stall, sent, Meanwhile::Keep).await
    }

    /// As `write_all`, the connection's last bytes: a client that still sends may only read once it
    /// has sent all, so that what comes meanwhile is thrown away.
    pub(crate) async fn write_last(
        &mut self,
        bytes: &[u8],
        stall: Duration,
        sent: &mut u64,
    ) -> io::Result<()> {
        self.write(bytes, stall, sent, Meanwhile::Discard).await
    }

    async fn write(
        &mut self,
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
                self.deadline.poll_at(cx, until).map(|()| Err(io::ErrorKind::TimedOut.into()))
            });
            let wrote = wrote.await?;
            written += wrote;
            *sent += wrote as u64;
        }
        Ok(())
    }

    /// Reads and throws away what is there of the client's input. `Err`: it was reset.
    pub(crate) fn discard(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
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
    pub(crate) async fn linger(&mut self, patience: Patience) {
        let (silence, most) = match patience {
            Patience::Body => (Duration::from_secs(5), Duration::from_secs(30)),
            Patience::Request => (Duration::from_secs(1), Duration::from_secs(1)),
        };
        if self.stream.shutdown_write().is_err() {
            return;
        }
        scratch::recycle(&mut self.inbuf);
        let end = Instant::now() + most;
        loop {
            let until = end.min(Instant::now() + silence);
            let over = std::future::poll_fn(|cx| {
                if self.stream.poll_read_ready(cx).is_pending() {
                    return self.deadline.poll_at(cx, until).map(|()| true);
                }
                Poll::Ready(self.discard(cx).is_err() || self.fin)
            });
            if over.await || Instant::now() >= end {
                return;
            }
        }
    }

    /// Whether there is something to read, as far as that is known without a look.
    pub(crate) fn has_unread(&self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        !self.inbuf.is_empty() || (!self.fin && self.stream.poll_read_ready(&mut cx).is_ready())
    }
}

/// What a connection that is to leave has received, which its runtime may not have heard of yet.
/// `Interrupted`: nothing.
fn last_look(stream: &Stream, inbuf: &mut Vec<u8>) -> io::Result<usize> {
    let mut memory = scratch::buffer();
    match stream.recv(spare_capacity(&mut memory)) {
        Ok(read @ 1..) => {
            *inbuf = memory;
            Ok(read)
        }
        Err(Errno::WOULDBLOCK) => Err(io::ErrorKind::Interrupted.into()),
        ended => Ok(ended?),
    }
}

/// What is done with the input while an answer is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Keep,
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
