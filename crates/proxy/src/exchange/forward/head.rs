//! A worker's head becomes the one that the client gets.

use std::time::SystemTime;

use isobar_http1::{FieldId, ResponseHead};
use isobar_pool::Lease;

use crate::{
    access_log, asker,
    exchange::{Exchange, affinity, headers},
    filter::{Encoder, Maker},
    scratch::Scratch,
};

/// Adds what we have to say, and shows it to the filters: it is about to be sent.
pub(super) fn show(exchange: &mut Exchange<'_>, lease: &Lease) -> Option<Box<dyn Encoder>> {
    date(&mut exchange.scratch.response);
    let encoder = exchange.show(Maker::Worker);
    if lease.policy().sticky {
        let Exchange { scratch, listener, peer, client_ip, .. } = exchange;
        let Scratch { request, response, .. } = &mut **scratch;
        let forwarding = &listener.forwarding;
        let trusted = forwarding.trusts(peer.ip);
        let scheme = || headers::scheme(request, forwarding, trusted, peer.scheme());
        let asker = asker::Request { client_ip: *client_ip, head: request };
        affinity::tell(&asker, scheme, response, lease);
    }
    encoder
}

/// RFC 9110 §6.6.1: who passes on a response without a date says when it came.
fn date(response: &mut ResponseHead) {
    if response.value(FieldId::Date).is_none() && response.status() != 101 {
        response.append("Date", access_log::imf_date(SystemTime::now()));
    }
}
