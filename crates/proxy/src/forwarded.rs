//! Who the client is behind the proxies in front of us, and what we tell the worker about it.
//!
//! Only what a trusted socket sent is believed; from anybody else it is overwritten. Called by
//! `exchange` (the client's address) and `headers` (the fields). All functions write into the
//! caller's buffer and allocate nothing of their own.

mod elements;
mod request_id;
mod trusted;

use std::{
    io::Write,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use isobar_http1::{FieldId, RequestHead, is_token_byte};

use elements::{Client, is_scheme};
pub(crate) use request_id::{is_valid_request_id, new_request_id, since_epoch};
pub use trusted::TrustedProxies;

/// What a listener says about the proxies in front of it.
#[derive(Clone, Debug, Default)]
pub struct Forwarding {
    pub trusted: Arc<TrustedProxies>,
    /// The one field that names the client; without it `X-Forwarded-For` or `Forwarded` does.
    pub client_ip_header: Option<String>,
    pub field: ForwardedField,
}

impl Forwarding {
    /// Whether the other end of a client's socket may say who the client is. Who reaches a unix socket
    /// is as near to us as we are.
    pub(crate) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|ip| self.trusted.contains(ip))
    }
}

/// Whether workers get a `Forwarded`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ForwardedField {
    #[default]
    Off,
    /// It says the same as `X-Forwarded-*`.
    On,
}

/// The last step of a request's way to us.
pub(crate) struct Hop<'a> {
    /// The other end of the socket; `None` on unix sockets.
    pub(crate) ip: Option<IpAddr>,
    /// It is believed.
    pub(crate) trusted: bool,
    pub(crate) proto: &'a [u8],
    /// Who the client is, if a field of its own says so.
    pub(crate) named: Option<IpAddr>,
}

/// In which fields a trusted proxy speaks. Whoever writes one of `X-Forwarded-*` may pass on a
/// `Forwarded` that it never looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    XForwarded,
    Forwarded,
    None,
}

impl Family {
    fn of(request: &RequestHead) -> Family {
        let says = |id| request.values(id).any(|value| !value.trim_ascii().is_empty());
        let ours = [FieldId::XForwardedFor, FieldId::XForwardedProto, FieldId::XForwardedHost];
        if ours.into_iter().any(says) {
            Family::XForwarded
        } else if says(FieldId::Forwarded) {
            Family::Forwarded
        } else {
            Family::None
        }
    }
}

/// The client's address, by whatever the other end of the socket is believed to say of it.
pub(crate) fn client_of(
    request: &RequestHead,
    socket: Option<IpAddr>,
    forwarding: &Forwarding,
) -> Option<IpAddr> {
    let Forwarding { trusted, client_ip_header, .. } = forwarding;
    if let Some(ip) = socket.map(|ip| ip.to_canonical()).filter(|&ip| !trusted.contains(ip)) {
        return Some(ip);
    }
    let socket = socket.map(|ip| ip.to_canonical());
    if let Some(name) = client_ip_header {
        let mut values = request.values_named(name.as_bytes());
        // Of two of them one is somebody else's.
        let only = values.next().filter(|_| values.next().is_none());
        return only.and_then(node).or(socket);
    }
    match Family::of(request) {
        Family::XForwarded => client_ip(socket, request.values(FieldId::XForwardedFor), trusted),
        Family::Forwarded => {
            elements::said(request.values(FieldId::Forwarded), trusted).client.or(socket)
        }
        Family::None => socket,
    }
}

/// The scheme that the client used, as a trusted proxy says.
pub(crate) fn proto_of<'r>(request: &'r RequestHead, trusted: &TrustedProxies) -> Option<&'r [u8]> {
    match Family::of(request) {
        Family::XForwarded => request.value(FieldId::XForwardedProto),
        Family::Forwarded => elements::said(request.values(FieldId::Forwarded), trusted).proto,
        Family::None => None,
    }
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

/// What counts as one client: an IPv4 address, or the /64 network of an IPv6 address, because one
/// customer usually has a whole /64.
pub(crate) fn client_network(ip: IpAddr) -> IpAddr {
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

/// Digits, or a name that hides it (RFC 7239 §6).
fn is_port(port: &str) -> bool {
    let hides = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match port.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(hides),
        None => (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Appends the lines `X-Forwarded-For`, `-Proto` and `-Host` for the worker, and `Forwarded` where
/// that is wanted.
pub(crate) fn write(
    request: &RequestHead,
    hop: &Hop<'_>,
    forwarding: &Forwarding,
    lines: &mut Vec<u8>,
) {
    let family = if hop.trusted { Family::of(request) } else { Family::None };
    let said = match family {
        Family::Forwarded => {
            elements::said(request.values(FieldId::Forwarded), &forwarding.trusted)
        }
        Family::XForwarded | Family::None => elements::Said::default(),
    };
    let ip = hop.ip.map(|ip| ip.to_canonical());
    let start = lines.len();
    lines.extend_from_slice(b"X-Forwarded-For: ");
    let begun = lines.len();
    match family {
        Family::XForwarded => join(lines, values(request, FieldId::XForwardedFor)),
        Family::Forwarded => addresses(lines, begun, request),
        Family::None => {
            if let Some(named) = hop.named.filter(|named| Some(*named) != ip) {
                write_ip(lines, named);
            }
        }
    }
    if let Some(ip) = ip {
        separate(lines, begun);
        write_ip(lines, ip);
    }
    let clients = match forwarding.field {
        ForwardedField::On => lines[begun..].to_vec(),
        ForwardedField::Off => Vec::new(),
    };
    match lines.len() == begun {
        true => lines.truncate(start),
        false => lines.extend_from_slice(b"\r\n"),
    }

    let given = |id| values(request, id).next().filter(|_| family == Family::XForwarded);
    let proto = given(FieldId::XForwardedProto).or(said.proto).unwrap_or(hop.proto);
    line(lines, b"X-Forwarded-Proto: ", proto);
    let host = given(FieldId::XForwardedHost).or(said.host).unwrap_or(request.authority());
    if !host.is_empty() {
        line(lines, b"X-Forwarded-Host: ", host);
    }
    if forwarding.field == ForwardedField::On {
        write_forwarded(lines, &clients, host, proto);
    }
}

/// What of a field is not empty.
fn values(request: &RequestHead, id: FieldId) -> impl Iterator<Item = &[u8]> {
    request.values(id).map(<[u8]>::trim_ascii).filter(|value| !value.is_empty())
}

fn join<'a>(lines: &mut Vec<u8>, values: impl Iterator<Item = &'a [u8]>) {
    let begun = lines.len();
    for value in values {
        separate(lines, begun);
        lines.extend_from_slice(value);
    }
}

/// The clients of every element of `Forwarded`, as `X-Forwarded-For` has them.
fn addresses(lines: &mut Vec<u8>, begun: usize, request: &RequestHead) {
    for element in elements::elements(request.values(FieldId::Forwarded)) {
        // Whoever did not say who its client was stands between what is known and what is not.
        if element.client == Client::Missing && lines.len() == begun {
            continue;
        }
        separate(lines, begun);
        match element.client {
            Client::Ip(ip) => write_ip(lines, ip),
            Client::Hidden(name) => lines.extend_from_slice(name),
            Client::Missing => lines.extend_from_slice(b"unknown"),
        }
    }
}

/// A comma behind what was written since `begun`.
fn separate(lines: &mut Vec<u8>, begun: usize) {
    if lines.len() > begun {
        lines.extend_from_slice(b", ");
    }
}

fn line(lines: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    lines.extend_from_slice(name);
    lines.extend_from_slice(value);
    lines.extend_from_slice(b"\r\n");
}

/// The field of RFC 7239: what `X-Forwarded-*` say, whose clients are given. Some frameworks read its
/// first element and some its last, so both say host and scheme; those between would make it long.
fn write_forwarded(lines: &mut Vec<u8>, clients: &[u8], host: &[u8], proto: &[u8]) {
    let entries = || {
        let all = clients.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
        all.filter(|entry| !entry.is_empty())
    };
    let last = entries().count().saturating_sub(1);
    lines.extend_from_slice(b"Forwarded: ");
    let begun = lines.len();
    let unknown = clients.is_empty().then_some(&b"unknown"[..]);
    for (at, entry) in entries().chain(unknown).enumerate() {
        separate(lines, begun);
        write_client(lines, entry);
        if at == 0 || at == last {
            if !host.is_empty() {
                lines.extend_from_slice(b";host=");
                write_value(lines, host);
            }
            let proto = proto.split(|&byte| byte == b',').next().unwrap_or_default().trim_ascii();
            if is_scheme(proto) {
                lines.extend_from_slice(b";proto=");
                lines.extend_from_slice(proto);
            }
        }
    }
    lines.extend_from_slice(b"\r\n");
}

/// `for=` and an address, or a name that hides one.
fn write_client(lines: &mut Vec<u8>, entry: &[u8]) {
    lines.extend_from_slice(b"for=");
    match node(entry) {
        Some(ip @ IpAddr::V4(_)) => write_ip(lines, ip),
        Some(ip @ IpAddr::V6(_)) => {
            lines.extend_from_slice(b"\"[");
            write_ip(lines, ip);
            lines.extend_from_slice(b"]\"");
        }
        None if entry.first() == Some(&b'_') && entry.iter().all(|&byte| is_token_byte(byte)) => {
            lines.extend_from_slice(entry);
        }
        None => lines.extend_from_slice(b"unknown"),
    }
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
