//! Who the client is behind the proxies in front of us, and what we tell the worker about it.
//!
//! Only what a trusted socket sent is believed; from anybody else it is overwritten. Called by
//! `exchange` (the client's address) and `headers` (the fields). All functions write into the
//! caller's buffer and allocate nothing of their own.

mod request_id;
mod trusted;

use std::{
    io::Write,
    net::{IpAddr, Ipv6Addr},
    ops::Range,
};

use isobar_http1::{FieldId, RequestHead, is_token_byte};

pub(crate) use request_id::{is_valid_request_id, new_request_id, since_epoch};
pub use trusted::TrustedProxies;

/// The last step of a request's way to us.
pub(crate) struct Hop<'a> {
    /// The other end of the socket; `None` on unix sockets.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) trusted: bool,
    pub(crate) proto: &'a [u8],
}

/// The client's address: the first from the right, our socket's other end included, that is not a
/// trusted proxy. What no trusted proxy vouches for, or cannot be read, ends the way. `socket` is
/// `None` on a unix socket, whose other end is trusted and has no address of its own.
pub(crate) fn client_ip<'a>(
    socket: Option<IpAddr>,
    forwarded_for: impl Iterator<Item = &'a [u8]>,
    trusted: &TrustedProxies,
) -> Option<IpAddr> {
    let socket = socket.map(|ip| ip.to_canonical());
    if socket.is_some_and(|ip| !trusted.contains(ip)) {
        return socket;
    }
    // Read from the left, as it comes: after each entry `client` is what the entries so far make of
    // the client, if all to their right were trusted. Linear, and nothing is collected.
    let mut client = None;
    for line in forwarded_for {
        let entries = line.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        for entry in entries.filter(|entry| !entry.is_empty()) {
            client = match node(entry) {
                Some(ip) if trusted.contains(ip) => client.or(Some(ip)),
                other => other,
            };
        }
    }
    client.or(socket)
}

/// An IPv4 address, or the /64 of an IPv6 one: a household usually has one, so its addresses are one
/// client.
pub(crate) fn household(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

/// An address with or without a port; `unknown` and other names are none.
fn node(entry: &[u8]) -> Option<IpAddr> {
    let entry = str::from_utf8(entry).ok()?.trim_matches('"');
    let ip = match entry.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((ip, "")) => ip,
        Some((ip, port)) => port.strip_prefix(':').filter(|port| is_port(port)).map(|_| ip)?,
        None => match entry.split_once(':') {
            Some((ip, port)) if is_port(port) => ip,
            _ => entry,
        },
    };
    ip.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit())
}

/// Appends the lines `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` for the worker.
pub(crate) fn write(request: &RequestHead, hop: &Hop<'_>, lines: &mut Vec<u8>) {
    let given = Given { request, trusted: hop.trusted };
    let ip = hop.ip.map(|ip| ip.to_canonical());
    // Where the address stands in `lines`, to be copied from there.
    let mut written = 0..0;

    if ip.is_some() || given.values(FieldId::XForwardedFor).next().is_some() {
        lines.extend_from_slice(b"X-Forwarded-For: ");
        let before = join(lines, given.values(FieldId::XForwardedFor));
        if let Some(ip) = ip {
            separate(lines, before);
            let start = lines.len();
            write_ip(lines, ip);
            written = start..lines.len();
        }
        lines.extend_from_slice(b"\r\n");
    }

    let proto = given.values(FieldId::XForwardedProto).next().unwrap_or(hop.proto);
    line(lines, b"X-Forwarded-Proto: ", proto);

    let host = given.values(FieldId::XForwardedHost).next().unwrap_or(request.authority());
    if !host.is_empty() {
        line(lines, b"X-Forwarded-Host: ", host);
    }

    lines.extend_from_slice(b"Forwarded: ");
    let before = join(lines, given.values(FieldId::Forwarded));
    separate(lines, before);
    write_element(lines, ip.map(|ip| (ip, written)), request.authority(), hop.proto);
    lines.extend_from_slice(b"\r\n");
}

/// What the client sent, as far as it is believed.
struct Given<'a> {
    request: &'a RequestHead,
    trusted: bool,
}

impl<'a> Given<'a> {
    fn values(&self, id: FieldId) -> impl Iterator<Item = &'a [u8]> {
        let values = self.request.values(id).map(<[u8]>::trim_ascii);
        let trusted = self.trusted;
        values.take_while(move |_| trusted).filter(|value| !value.is_empty())
    }
}

/// Whether anything was written.
fn join<'a>(lines: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) -> Before {
    let mut before = Before::Nothing;
    for value in values {
        separate(lines, before);
        lines.extend_from_slice(value);
        before = Before::Values;
    }
    before
}

#[derive(Clone, Copy)]
enum Before {
    Nothing,
    Values,
}

fn separate(lines: &mut Vec<u8>, before: Before) {
    if let Before::Values = before {
        lines.extend_from_slice(b", ");
    }
}

fn line(lines: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    lines.extend_from_slice(name);
    lines.extend_from_slice(value);
    lines.extend_from_slice(b"\r\n");
}

/// One `forwarded-element` of RFC 7239.
fn write_element(
    lines: &mut Vec<u8>,
    ip: Option<(IpAddr, Range<usize>)>,
    host: &[u8],
    proto: &[u8],
) {
    lines.extend_from_slice(b"for=");
    match ip {
        None => lines.extend_from_slice(b"unknown"),
        Some((IpAddr::V4(_), written)) => lines.extend_from_within(written),
        Some((IpAddr::V6(_), written)) => {
            lines.extend_from_slice(b"\"[");
            lines.extend_from_within(written);
            lines.extend_from_slice(b"]\"");
        }
    }
    if !host.is_empty() {
        lines.extend_from_slice(b";host=");
        write_value(lines, host);
    }
    lines.extend_from_slice(b";proto=");
    lines.extend_from_slice(proto);
}

/// A token as it is, anything else quoted.
fn write_value(lines: &mut Vec<u8>, value: &[u8]) {
    if value.iter().all(|&byte| is_token_byte(byte)) {
        return lines.extend_from_slice(value);
    }
    lines.push(b'"');
    for piece in value.split_inclusive(|byte| matches!(byte, b'"' | b'\\')) {
        match piece {
            [plain @ .., special @ (b'"' | b'\\')] => {
                lines.extend_from_slice(plain);
                lines.extend_from_slice(&[b'\\', *special]);
            }
            plain => lines.extend_from_slice(plain),
        }
    }
    lines.push(b'"');
}

pub(crate) fn write_ip(out: &mut Vec<u8>, ip: IpAddr) {
    match ip {
        IpAddr::V4(ip) => {
            let (mut text, mut len) = ([0; 16], 0);
            for octet in ip.octets() {
                for (digit, least) in [(octet / 100, 100), (octet / 10 % 10, 10), (octet % 10, 0)] {
                    text[len] = b'0' + digit;
                    len += usize::from(octet >= least);
                }
                text[len] = b'.';
                len += 1;
            }
            out.extend_from_slice(&text[..len - 1]);
        }
        // Writing into a `Vec` cannot fail.
        IpAddr::V6(ip) => drop(write!(out, "{ip}")),
    }
}

#[cfg(test)]
mod tests;
