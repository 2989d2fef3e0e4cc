//! A worker's response on its way to the client.
//!
//! Two things decide everything here. The lease ends when the *worker* is done, so where slots
//! are limited up to `buffer.response` is read ahead of a slow client. And a message that breaks
//! is passed on as broken: a client never takes a truncated body for a whole one.

mod download;
mod encoding;
mod kind;
mod tunnel;

use std::time::SystemTime;

use isobar_http1::{FieldId, ResponseHead};
use isobar_pool::Lease;

use crate::{
    access_log, affinity,
    attempt::Answered,
    exchange::Exchange,
    filter::{Encoder, Maker},
    h1::Next,
    reason::Reason,
};
use download::Download;
pub(crate) use kind::{is_event_stream, is_grpc};
pub(crate) use tunnel::Tunnel;

/// Forwards the response whose head is in `scratch.response`. `Err`: not one byte of it has been
/// sent, and the lease has ended.
pub(crate) async fn run(exchange: &mut Exchange<'_>, answered: Answered) -> Result<Next, Reason> {
    let Answered { lease, worker, upload } = answered;
    exchange.record.status = exchange.scratch.response.status();
    if exchange.record.status == 101 {
        return tunnel::open(exchange, lease, worker).await;
    }
    let mut download = Download::start(exchange, lease, worker, upload);
    match download.run(exchange).await {
        Ok(()) => Ok(download.next(exchange)),
        Err(reason) if exchange.record.forwarding => {
            exchange.record.reason = Some(reason);
            Ok(if reason == Reason::ClientGone { Next::Close } else { Next::Reset })
        }
        Err(reason) => {
            exchange.record.status = 0;
            Err(reason)
        }
    }
}

/// Makes the worker's head the one that its client gets.
fn show(exchange: &mut Exchange<'_>, lease: &Lease) -> Option<Box<dyn Encoder>> {
    date(&mut exchange.scratch.response);
    let encoder = match &exchange.filters {
        Some(_) => exchange.show(Maker::Worker),
        None => None,
    };
    if lease.policy().sticky {
        affinity::tell(exchange, lease);
    }
    encoder
}

/// RFC 9110 §6.6.1: who passes on a response without a date says when it came.
fn date(response: &mut ResponseHead) {
    if response.value(FieldId::Date).is_none() && response.status() != 101 {
        response.append("Date", access_log::imf_date(SystemTime::now()));
    }
}
