//! TLS at the door: the client's first words, the certificate that goes with them, the handshake.

use std::{future::poll_fn, io, rc::Rc, task::Poll};

use isobar_pool::Stream;
use isobar_tls::{Facts, Heard, Hello, Refused, Server};
use tokio::{sync::Semaphore, task::yield_now, time::Instant};

use crate::downstream::{deadline::Deadline, standing::Place};

/// Why there is no session.
pub(super) enum Unsecured {
    /// The client was not answered as it wished; it may be told why.
    Refused(Refused),
    /// The handshake broke off.
    Failed(io::Error),
    Timeout,
    /// The client left, or was asked to, before it had said anything that can be answered.
    Gone,
}

thread_local! {
    /// An answer to a client's first words takes longer to compute than a hundred requests to forward.
    /// A shard computes one of them, and then lets everybody else have a turn.
    static TURN: Rc<Semaphore> = Rc::new(Semaphore::new(1));
}

/// Makes TLS of the stream. While the client has said nothing it is idle like one between two requests.
pub(super) async fn secure(
    stream: &mut Stream,
    server: &Server,
    place: &Place,
    timer: &mut Deadline,
    until: Instant,
) -> Result<Facts, Unsecured> {
    let mut hello = Hello::default();
    let heard = loop {
        let heard = place.idle_while(timer, until, |cx| stream.poll_hello(cx, &mut hello)).await;
        match heard {
            None => return Err(Unsecured::Timeout),
            Some(Poll::Pending | Poll::Ready(Ok(None))) => return Err(Unsecured::Gone),
            Some(Poll::Ready(Ok(Some(Heard::Again)))) => {}
            Some(Poll::Ready(Ok(Some(heard)))) => break heard,
            Some(Poll::Ready(Err(refused))) => return Err(Unsecured::Refused(refused)),
        }
    };
    answer(stream, server, heard, timer, until).await?;
    match timer.within(until, |cx| stream.poll_handshake(cx)).await {
        None => Err(Unsecured::Timeout),
        Some(Err(error)) => Err(Unsecured::Failed(error)),
        Some(Ok(())) => stream.facts().ok_or(Unsecured::Gone),
    }
}

async fn answer(
    stream: &mut Stream,
    server: &Server,
    heard: Heard,
    timer: &mut Deadline,
    until: Instant,
) -> Result<(), Unsecured> {
    let turn = TURN.with(Rc::clone);
    let mut waiting = std::pin::pin!(turn.acquire());
    let _turn =
        timer.within(until, |cx| waiting.as_mut().poll(cx)).await.ok_or(Unsecured::Timeout)?;
    let session = server.answer(heard).map_err(Unsecured::Refused)?.ok_or(Unsecured::Gone)?;
    stream.secure(session);
    // The first part goes out now; the others have their turn before the next one is computed.
    let sent = poll_fn(|cx| Poll::Ready(stream.poll_handshake(cx))).await;
    yield_now().await;
    match sent {
        Poll::Ready(Err(error)) => Err(Unsecured::Failed(error)),
        Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
    }
}
