//! An HTTP/1 connection: idle, some requests, idle, …
//!
//! The idle connection is this small future. What requests need is boxed, and kept for a moment
//! after each, because a client that sends another request usually does so soon (a test pins both sizes).

use std::{cell::Cell, io, task::Poll, time::Duration};

use isobar_pool::Stream;
use tokio::time::Instant;

use super::{
    Downstream,
    deadline::Deadline,
    peer::Peer,
    standing::End,
    wire::{Patience, Wire},
};
use crate::{
    clock::in_turns,
    exchange::{forward::Tunnel, next::Next, serve},
    scratch,
};

/// An accepted connection may be silent this long before its first byte.
pub(crate) const FIRST_BYTE: Duration = Duration::from_secs(10);

#[expect(clippy::manual_async_fn, reason = "an async fn keeps its arguments twice")]
pub(crate) fn serve(peer: Peer, mut wire: Wire) -> impl Future<Output = ()> {
    async move {
        let mut timer = Deadline::new(wire.silent_since + wire.patience);
        loop {
            if wire.inbuf.is_empty() {
                let until = wire.silent_since + wire.patience;
                match first_bytes(&peer, &mut wire, &mut timer, until).await {
                    First::Bytes => {}
                    First::Leave => {
                        return Box::pin(wire.linger(&mut timer, Patience::Request)).await;
                    }
                    First::Silence | First::Gone => return,
                }
            }
            match in_turns(Box::pin(requests(&peer, &mut wire, &mut timer))).await {
                Then::Idle => {}
                Then::Over => return,
                Then::Tunnel(tunnel) => return Box::pin((*tunnel).run(peer, wire)).await,
            }
        }
    }
}

/// What a row of requests leaves.
enum Then {
    Idle,
    Over,
    Tunnel(Box<Tunnel>),
}

/// Serves requests for as long as one follows soon upon the other.
async fn requests(peer: &Peer, wire: &mut Wire, timer: &mut Deadline) -> Then {
    loop {
        match serve::run(peer, Downstream::Http1(&mut *wire), timer).await {
            Next::Request => {}
            Next::Tunnel(tunnel) => {
                wire.inbuf.clear();
                scratch::recycle(&mut wire.inbuf);
                return Then::Tunnel(tunnel);
            }
            Next::Close => {
                match wire.has_unread() {
                    true => wire.linger(timer, Patience::Request).await,
                    false => wire.end(timer).await,
                }
                return Then::Over;
            }
            Next::Part => {
                wire.linger(timer, Patience::Request).await;
                return Then::Over;
            }
            Next::Linger => {
                wire.linger(timer, Patience::Body).await;
                return Then::Over;
            }
            Next::Reset => {
                // It is closed on return; with or without a reset, it is cut short.
                let _ = wire.stream.set_linger_zero();
                return Then::Over;
            }
        }
        wire.pipelined = !wire.inbuf.is_empty();
        if wire.pipelined {
            continue;
        }
        scratch::recycle(&mut wire.inbuf);
        if wire.fin {
            return Then::Over;
        }
        let Some(_place) = KeptMemory::take() else { return Then::Idle };
        let until = wire.silent_since + KEEP_MEMORY.min(wire.patience);
        match first_bytes(peer, wire, timer, until).await {
            First::Bytes => {}
            First::Silence => return Then::Idle,
            First::Gone => return Then::Over,
            First::Leave => {
                wire.linger(timer, Patience::Request).await;
                return Then::Over;
            }
        }
    }
}

/// What came of waiting for a request.
#[derive(Debug, PartialEq, Eq)]
enum First {
    Bytes,
    Silence,
    Gone,
    /// No request has come, and the connection was asked to end.
    Leave,
}

/// Waits for the first bytes of a request, without holding a buffer.
async fn first_bytes(peer: &Peer, wire: &mut Wire, timer: &mut Deadline, until: Instant) -> First {
    let standing = &peer.place.standing;
    standing.idle_since.set(Some(wire.silent_since));
    let Wire { stream, inbuf, .. } = wire;
    let arrived = timer
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
    standing.idle_since.set(None);
    let end = standing.end.get();
    if end == End::MakeRoom {
        // It has not been idle for as long as others if a request has come.
        standing.end.set(End::No);
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

/// What a connection that is to leave has received, which its runtime may not have heard of yet.
/// `Interrupted`: nothing.
fn last_look(stream: &mut Stream, inbuf: &mut Vec<u8>) -> io::Result<usize> {
    let mut memory = scratch::buffer();
    memory.resize(memory.capacity(), 0);
    match stream.recv_now(&mut memory)? {
        Some(read @ 1..) => {
            memory.truncate(read);
            *inbuf = memory;
            Ok(read)
        }
        Some(_) => Ok(0),
        None => Err(io::ErrorKind::Interrupted.into()),
    }
}

/// After a request its connection keeps the memory for this long, in case another request follows.
const KEEP_MEMORY: Duration = Duration::from_secs(1);

/// So many connections of a shard keep theirs at once: 1 MiB together.
const MOST_KEPT: usize = 256;

thread_local! {
    static FREE: Cell<usize> = const { Cell::new(MOST_KEPT) };
}

struct KeptMemory;

impl KeptMemory {
    fn take() -> Option<Self> {
        FREE.set(FREE.get().checked_sub(1)?);
        Some(Self)
    }
}

impl Drop for KeptMemory {
    fn drop(&mut self) {
        FREE.set(FREE.get() + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn idle_size<F>(_: impl FnOnce(Peer, Wire) -> F) -> usize {
        size_of::<F>()
    }

    fn busy_size<F>(
        _: impl FnOnce(&'static Peer, &'static mut Wire, &'static mut Deadline) -> F,
    ) -> usize {
        size_of::<F>()
    }

    /// An idle connection costs this much, times however many there are.
    #[test]
    fn the_idle_connection_is_small() {
        let idle = idle_size(serve);
        assert!(idle <= 440, "{idle} bytes");
    }

    #[test]
    fn a_request_under_way_stays_below_a_page() {
        let busy = busy_size(requests);
        assert!(busy <= 4096, "{busy} bytes");
    }

    #[test]
    fn few_keep_their_memory() {
        let places: Vec<_> = std::iter::from_fn(KeptMemory::take).collect();
        assert_eq!(places.len(), MOST_KEPT);
        drop(places);
        assert!(KeptMemory::take().is_some());
    }
}
