//! Whether a client that waits for a slot is still there, without reading what it has sent.
//!
//! A client that said nothing and closed has left; one that sent its bytes and closed its side
//! may wait for the answer to them. A reset is always a good-bye.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use isobar_pool::{Seen, Stream};
use tokio::time::{Instant, Sleep, sleep};

/// How often a reset is looked for that nobody would wake us for, because it came behind a FIN.
pub(super) const LOOK: Duration = Duration::from_millis(500);

pub(super) struct Watch {
    /// The client closed its side behind bytes that are not read yet: nobody wakes us for a reset
    /// behind that, which is looked for now and then.
    blind: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    pub(super) fn new() -> Self {
        Self { blind: None }
    }

    /// Ready once the client has left.
    pub(super) fn poll_left(&mut self, stream: &mut Stream, cx: &mut Context<'_>) -> Poll<()> {
        let mut seen = false;
        while self.blind.is_none() {
            if ready!(stream.poll_read_ready(cx)).is_err() || stream.is_broken() {
                return Poll::Ready(());
            }
            match stream.peek() {
                Seen::End => return Poll::Ready(()),
                // The runtime forgot that there are bytes; if it says so again at once, it is for
                // the end behind them, which it never forgets.
                Seen::Bytes if seen => self.blind = Some(Box::pin(sleep(LOOK))),
                Seen::Bytes => seen = true,
                Seen::Nothing => {}
            }
        }
        while let Some(look) = &mut self.blind {
            if stream.is_broken() {
                return Poll::Ready(());
            }
            ready!(look.as_mut().poll(cx));
            look.as_mut().reset(Instant::now() + LOOK);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::AsyncWriteExt,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
        (client.unwrap(), accepted.unwrap().0.into())
    }

    async fn left(watch: &mut Watch, stream: &mut Stream) {
        std::future::poll_fn(|cx| watch.poll_left(stream, cx)).await;
    }

    async fn stays(watch: &mut Watch, stream: &mut Stream) {
        // The runtime's clock only moves on when everything else is idle.
        tokio::time::pause();
        let limit = std::time::Duration::from_secs(1);
        assert!(tokio::time::timeout(limit, left(watch, stream)).await.is_err());
        tokio::time::resume();
    }

    #[tokio::test]
    async fn a_client_that_said_nothing_leaves_by_closing() {
        let (client, mut stream) = pair().await;
        let mut watch = Watch::new();
        stays(&mut watch, &mut stream).await;
        drop(client);
        left(&mut watch, &mut stream).await;
    }

    #[tokio::test]
    async fn a_reset_is_seen_behind_bytes() {
        let (mut client, mut stream) = pair().await;
        let mut watch = Watch::new();
        client.write_all(b"hello").await.unwrap();
        stream.readable().await.unwrap();
        stays(&mut watch, &mut stream).await;
        client.set_zero_linger().unwrap();
        drop(client);
        left(&mut watch, &mut stream).await;
    }

    #[tokio::test]
    async fn a_reset_is_seen_behind_bytes_and_a_fin() {
        let (mut client, mut stream) = pair().await;
        let mut watch = Watch::new();
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        stream.readable().await.unwrap();
        stays(&mut watch, &mut stream).await;
        client.set_zero_linger().unwrap();
        drop(client);
        let began = Instant::now();
        left(&mut watch, &mut stream).await;
        assert!(began.elapsed() < LOOK * 2);
    }

    #[tokio::test]
    async fn a_client_that_sent_and_closed_its_side_waits_and_nothing_is_consumed() {
        let (mut client, mut stream) = pair().await;
        let mut watch = Watch::new();
        client.write_all(b"hello").await.unwrap();
        client.shutdown().await.unwrap();
        stream.readable().await.unwrap();
        stays(&mut watch, &mut stream).await;
        let mut received = Vec::new();
        while stream.recv(&mut received).await.unwrap() > 0 {}
        assert_eq!(received, b"hello");
    }
}
