//! The request as the worker gets it: end-to-end fields, ours on top, the framing.
//!
//! What a client says about where it comes from is believed only if its socket's other end is
//! trusted; otherwise it is overwritten (design: "headers from untrusted peers overwritten").

use std::{net::IpAddr, time::Duration};

use isobar_http1::{Body, FieldId, FieldSet, RequestHead, Version};
use isobar_pool::{Address, Lease, Via};

use crate::{
    forwarded::{self, Forwarding, Hop},
    route::redirect::Scheme,
    scratch::Scratch,
};

/// Fields that only we may write towards a worker.
const OURS: FieldSet = FieldSet::of(&[
    FieldId::XForwardedFor,
    FieldId::XForwardedProto,
    FieldId::XForwardedHost,
    FieldId::XForwardedPort,
    FieldId::XForwardedPrefix,
    FieldId::XRealIp,
    FieldId::Forwarded,
    FieldId::XRequestId,
    FieldId::XRequestStart,
    FieldId::XQueueTime,
    FieldId::Via,
]);

/// Where a request comes from, as far as a worker is told of it.
pub(crate) struct Source<'a> {
    /// The other end of the client's socket; `None` on unix sockets.
    pub(crate) peer: Option<IpAddr>,
    /// It may say who the client is.
    pub(crate) trusted: bool,
    /// Who the client is, past the proxies that are trusted.
    pub(crate) client: Option<IpAddr>,
    /// How the client's socket is spoken on.
    pub(crate) scheme: Scheme,
    pub(crate) forwarding: &'a Forwarding,
    /// Our name in `Via`.
    pub(crate) pseudonym: &'a str,
}

/// Appends the request's head, as this lease's worker gets it, to `scratch.up`.
pub(crate) fn compose(scratch: &mut Scratch, source: &Source<'_>, framing: Body, lease: &Lease) {
    if scratch.lines.is_empty() {
        write_lines(scratch, source, lease.policy().via);
    }
    if scratch.request.lacks_host() {
        // HTTP/1.0 knows requests without one, HTTP/1.1 does not.
        match lease.target().address() {
            Address::Tcp(address) => scratch.request.set_default_host(&address.to_string()),
            Address::Unix(_) => scratch.request.set_default_host("localhost"),
        }
    }
    let queued = lease.queued();
    if scratch.request.upgrade().is_some() {
        scratch.request.encode_upgrade(&mut scratch.up);
    } else {
        scratch.request.encode(&mut scratch.up, framing);
    }
    // Our lines go before the empty line that ends the head.
    scratch.up.truncate(scratch.up.len() - b"\r\n".len());
    scratch.up.extend_from_slice(&scratch.lines);
    let mut digits = itoa::Buffer::new();
    scratch.up.extend_from_slice(b"X-Queue-Time: ");
    scratch.up.extend_from_slice(digits.format(queued.as_millis()).as_bytes());
    scratch.up.extend_from_slice(b"\r\n\r\n");
}

/// Our own fields, the same for every attempt, into `scratch.lines`.
fn write_lines(scratch: &mut Scratch, source: &Source<'_>, via: Via) {
    let now = forwarded::since_epoch();
    let Scratch { request, lines, id, .. } = scratch;
    let &Source { peer, trusted, client, scheme, forwarding, pseudonym } = source;
    name(request, id, trusted, now);
    let header = forwarding.client_ip_header.as_deref();
    let named = client.filter(|_| trusted && header.is_some());
    let proto = match scheme {
        Scheme::Http => &b"http"[..],
        Scheme::Https => b"https",
    };
    let hop = Hop { ip: peer, trusted, proto, named };
    forwarded::write(request, &hop, forwarding, lines);
    if let Some(name) = header {
        match trusted {
            true => request.remove_lookalikes(name),
            false => request.remove_received(name),
        }
    }
    if trusted {
        // What a trusted proxy added is kept; the rest of the family is never ours to vouch for.
        let kept = [FieldId::XForwardedPort, FieldId::XForwardedPrefix, FieldId::XRealIp];
        for (id, name) in
            kept.into_iter().zip(["X-Forwarded-Port", "X-Forwarded-Prefix", "X-Real-IP"])
        {
            if let Some(value) = request.value(id) {
                line(lines, name.as_bytes(), value);
            }
        }
    } else {
        request.remove_claims();
    }
    line(lines, b"X-Request-Id", id);
    match request.value(FieldId::XRequestStart).filter(|_| trusted) {
        Some(start) => line(lines, b"X-Request-Start", start),
        None => {
            lines.extend_from_slice(b"X-Request-Start: t=");
            lines.extend_from_slice(itoa::Buffer::new().format(now.as_secs()).as_bytes());
            // The leading 1 keeps the zeros of the three digits behind the point.
            let mut digits = itoa::Buffer::new();
            let millis = digits.format(1000 + now.subsec_millis()).as_bytes();
            lines.push(b'.');
            lines.extend_from_slice(&millis[1..]);
            lines.extend_from_slice(b"\r\n");
        }
    }
    if let Some(hops) = hops_left(request).filter(|_| request.method() == b"OPTIONS") {
        let hops = hops.saturating_sub(1);
        line(lines, b"Max-Forwards", itoa::Buffer::new().format(hops).as_bytes());
        request.remove(FieldId::MaxForwards);
    }
    if takes_trailers(request) {
        // RFC 9110 §10.1.4: it speaks of one connection, and ours to the worker passes trailers, too.
        lines.extend_from_slice(b"TE: trailers\r\nConnection: TE\r\n");
    }
    if via == Via::On {
        lines.extend_from_slice(b"Via: ");
        for via in request.values(FieldId::Via) {
            lines.extend_from_slice(via);
            lines.extend_from_slice(b", ");
        }
        // In which version it came to us.
        lines.extend_from_slice(match request.version() {
            Version::Http10 => b"1.0 ",
            Version::Http11 => b"1.1 ",
        });
        lines.extend_from_slice(pseudonym.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    request.remove_all(OURS);
}

/// Whether the client takes trailers, and may be sent some: not while it asks for another protocol.
fn takes_trailers(request: &RequestHead) -> bool {
    let named = |te: &[u8]| {
        let coding = te.split(|&byte| byte == b';').next().unwrap_or_default();
        coding.trim_ascii().eq_ignore_ascii_case(b"trailers")
    };
    let listed = |value: &[u8]| value.split(|&byte| byte == b',').any(named);
    request.version() == Version::Http11
        && request.upgrade().is_none()
        && request.values(FieldId::Te).any(listed)
}

/// Settles the request's id: a trusted, valid one is kept, else it gets a new one.
pub(crate) fn name(request: &RequestHead, id: &mut Vec<u8>, trusted: bool, now: Duration) {
    if !id.is_empty() {
        return;
    }
    let given = request.value(FieldId::XRequestId).filter(|_| trusted);
    match given.filter(|given| forwarded::is_valid_request_id(given)) {
        Some(given) => id.extend_from_slice(given),
        None => id.extend_from_slice(&forwarded::new_request_id(now)),
    }
}

/// How the client came: to us, or to a proxy that is trusted to say so.
pub(crate) fn scheme(
    request: &RequestHead,
    forwarding: &Forwarding,
    trusted: bool,
    ours: Scheme,
) -> Scheme {
    let request = trusted.then_some(request);
    let said = request.and_then(|request| forwarded::proto_of(request, &forwarding.trusted));
    match said.map(|proto| proto.trim_ascii().eq_ignore_ascii_case(b"https")) {
        Some(true) => Scheme::Https,
        Some(false) => Scheme::Http,
        None => ours,
    }
}

/// No worker gets a request like this: its method is refused, or it asks about this proxy alone.
pub(crate) fn ends_here(request: &RequestHead) -> bool {
    match request.method() {
        b"CONNECT" | b"TRACE" => true,
        // RFC 9110 §7.6.2: it asks us, and there is nothing to tell.
        b"OPTIONS" => hops_left(request) == Some(0),
        _ => false,
    }
}

/// RFC 9110 §7.6.2: past how many more of us a request may go that asks about the way itself.
pub(crate) fn hops_left(request: &RequestHead) -> Option<u64> {
    let number = |value: &[u8]| str::from_utf8(value).ok()?.parse().ok();
    request.values(FieldId::MaxForwards).filter_map(number).min()
}

/// RFC 9110 §7.6.3: our pseudonym in `Via` is a loop.
pub(crate) fn passed_here_before(request: &RequestHead, pseudonym: &str) -> bool {
    request
        .values(FieldId::Via)
        .any(|via| memchr::memmem::find(via, pseudonym.as_bytes()).is_some())
}

fn line(lines: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    lines.extend_from_slice(name);
    lines.extend_from_slice(b": ");
    lines.extend_from_slice(value);
    lines.extend_from_slice(b"\r\n");
}
