//! An HTTP/1 connection: idle, one request, idle, …
//!
//! The idle connection is this small future; a request's future is boxed only while it lasts
//! (a test pins both sizes).

use std::time::Duration;

use tokio::time::Instant;

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
    let mut until = Instant::now() + FIRST_BYTE;
    loop {
        if client.inbuf.is_empty() {
            scratch::recycle(&mut client.inbuf);
            if client.fin || !client.first_bytes(until).await {
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
        let Some(plan) = client.context.listener(client.listener) else { return };
        if client.context.is_draining() {
            return;
        }
        until = Instant::now() + plan.timeouts.keep_alive;
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
        assert!(idle <= 512, "{idle} bytes");
    }

    #[test]
    fn a_request_under_way_stays_below_a_page() {
        let busy = exchange_size(exchange::run);
        assert!(busy <= 4096, "{busy} bytes");
    }
}
