//! An HTTP/1 connection: idle, some requests, idle, …
//!
//! The idle connection is this small future. What requests need is boxed, and kept for a moment
//! after each, because a client that sends another request usually does so soon (a test pins both sizes).

use std::{cell::Cell, time::Duration};

use crate::{
    client::{Client, First, Patience},
    clock::in_turns,
    exchange,
    forward::Tunnel,
    scratch,
};

/// An accepted connection may be silent this long before its first byte.
pub(crate) const FIRST_BYTE: Duration = Duration::from_secs(10);

/// What a request leaves of its connection.
pub(crate) enum Next {
    /// Ready for another request.
    Request,
    /// The client sends nothing more: it said so, or it has left.
    Close,
    /// We end the connection, and another request may already be on its way.
    Part,
    /// A body, or unknown bytes, are still to come: shut down our side, discard them, close.
    Linger,
    /// The client must see that the answer is not whole: reset the connection.
    Reset,
    /// Its bytes are copied from here on.
    Tunnel(Box<Tunnel>),
}

pub(crate) async fn serve(mut client: Client) {
    loop {
        if client.inbuf.is_empty() {
            match client.first_bytes(client.patience).await {
                First::Bytes => {}
                First::Leave => return client.linger(Patience::Request).await,
                First::Silence | First::Gone => return,
            }
        }
        match in_turns(Box::pin(requests(&mut client))).await {
            Then::Idle => {}
            Then::Over => return,
            Then::Tunnel(tunnel) => return Box::pin((*tunnel).run(client)).await,
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
async fn requests(client: &mut Client) -> Then {
    loop {
        match exchange::run(client).await {
            Next::Request => {}
            Next::Tunnel(tunnel) => {
                client.inbuf.clear();
                scratch::recycle(&mut client.inbuf);
                return Then::Tunnel(tunnel);
            }
            Next::Close => {
                if client.has_unread() {
                    client.linger(Patience::Request).await;
                }
                return Then::Over;
            }
            Next::Part => {
                client.linger(Patience::Request).await;
                return Then::Over;
            }
            Next::Linger => {
                client.linger(Patience::Body).await;
                return Then::Over;
            }
            Next::Reset => {
                // It is closed on return; with or without a reset, it is cut short.
                let _ = client.stream.set_linger_zero();
                return Then::Over;
            }
        }
        client.pipelined = !client.inbuf.is_empty();
        if client.pipelined {
            continue;
        }
        scratch::recycle(&mut client.inbuf);
        if client.fin {
            return Then::Over;
        }
        let Some(_place) = KeptMemory::take() else { return Then::Idle };
        match client.first_bytes(KEEP_MEMORY.min(client.patience)).await {
            First::Bytes => {}
            First::Silence => return Then::Idle,
            First::Gone => return Then::Over,
            First::Leave => {
                client.linger(Patience::Request).await;
                return Then::Over;
            }
        }
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

    fn future_size<A, F>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    fn busy_size<F>(_: impl FnOnce(&'static mut Client) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle connection costs this much, times however many there are.
    #[test]
    fn the_idle_connection_is_small() {
        let idle = future_size(serve);
        assert!(idle <= 632, "{idle} bytes");
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
