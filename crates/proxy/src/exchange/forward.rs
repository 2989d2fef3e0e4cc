//! A worker's response on its way to the client.
//!
//! Two things decide everything here. The lease ends when the *worker* is done, so where slots
//! are limited up to `buffer.response` is read ahead of a slow client. And a message that breaks
//! is passed on as broken: a client never takes a truncated body for a whole one.

mod download;
mod encoding;
mod head;
mod kind;
mod tunnel;

use super::{Exchange, next::Next};
use crate::{reason::Reason, upstream::Answered};
use download::Download;
pub(crate) use kind::{is_event_stream, is_grpc};
pub(crate) use tunnel::Tunnel;

/// Forwards the response whose head is in `scratch.response`. `Err`: it has not begun to go out, and
/// the lease has ended.
pub(crate) async fn run(exchange: &mut Exchange<'_>, answered: Answered) -> Result<Next, Reason> {
    let Answered { lease, worker, upload } = answered;
    exchange.record.status = exchange.scratch.response.status();
    if exchange.record.status == 101 {
        let opened = tunnel::open(exchange, lease, worker).await?;
        return Ok(opened.map_or(Next::Close, Next::Tunnel));
    }
    let mut download = Download::start(exchange, lease, worker, upload);
    match download.run(exchange).await {
        Ok(()) => Ok(download.next(exchange)),
        Err(reason) if download.has_begun() => {
            exchange.record.reason = Some(reason);
            if !exchange.record.forwarding {
                // Not one byte of it was taken.
                exchange.record.status = reason.status();
            }
            Ok(if reason == Reason::ClientGone { Next::Close } else { Next::Reset })
        }
        Err(reason) => {
            exchange.record.status = 0;
            Err(reason)
        }
    }
}
