//! An HTTP/1 connection: idle, one request, idle, …
//!
//! The idle connection is this small future; a request's future is boxed only while it lasts
//! (a test pins both sizes).

use std::time::Duration;

use crate::{client::Client, exchange, scratch};

/// An accepted connection may be silent this long before its first byte.
pub(crate) const FIRST_BYTE: Duration = Duration::from_secs(10);

/// What a request leaves of its connection.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Ready for another request.
    Request,
    Close,
    /// The client may still be sending: shut down, discard, close.
    Linger,
    /// The message under way is to be seen as broken: reset.
    Reset,
}

pub(crate) async fn serve(mut client: Client) {
    loop {
        if client.inbuf.is_empty() {
            scratch::recycle(&mut client.inbuf);
            if client.fin || !client.first_bytes().await {
                return;
            }
        }
        match Box::pin(exchange::run(&mut client)).await {
            Next::Request => {}
            Next::Close => return,
            Next::Linger => return client.linger().await,
            Next::Reset => {
                // It is closed on return; with or without a reset, it is cut short.
                let _ = client.stream.set_linger_zero();
                return;
            }
        }
        if client.is_leaving() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn future_size<A, F>(_: impl FnOnce(A) -> F) -> usize {
        size_of::<F>()
    }

    fn exchange_size<F>(_: impl FnOnce(&'static mut Client) -> F) -> usize {
        size_of::<F>()
    }

    /// An idle connection costs this much, times however many there are.
    #[test]
    fn the_idle_connection_is_small() {
        let idle = future_size(serve);
        assert!(idle <= 592, "{idle} bytes");
    }

    #[test]
    fn a_request_under_way_stays_below_a_page() {
        let busy = exchange_size(exchange::run);
        assert!(busy <= 4096, "{busy} bytes");
    }
}
