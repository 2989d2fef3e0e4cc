//! The request target's four forms and what each says about authority and path (RFC 9112 3.2), and
//! what may stand in `Host`. Pure: slices in, slices out. It does not normalise paths; that is for
//! the one who matches routes and forwards the same form.

use crate::{Error, Found};

/// A target, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target<'a> {
    /// `/path?query`
    Origin,
    /// `http://authority/path?query`; the path as it is, which may lack its slash.
    Absolute { authority: &'a [u8], path: &'a [u8] },
    /// `host:port`, for CONNECT.
    Authority,
    /// `*`, for OPTIONS.
    Asterisk,
}

impl Target<'_> {
    pub(crate) fn of<'a>(method: &[u8], target: &'a [u8]) -> Result<Target<'a>, Error> {
        let refuse = |expected| Err(Error::Target(Found::target(target), expected));
        // Folded, not searched: without an early exit it is a few vector instructions.
        if !target.iter().fold(true, |ok, &b| ok & (b.is_ascii_graphic() & (b != b'#'))) {
            return refuse("printable ASCII without `#`");
        }
        if method == b"CONNECT" {
            return match port_of(target) {
                Some(port) if !port.is_empty() && is_authority(target) => Ok(Target::Authority),
                _ => refuse("`host:port` for CONNECT"),
            };
        }
        if target.starts_with(b"/") {
            return Ok(Target::Origin);
        }
        if target == b"*" {
            return match method {
                b"OPTIONS" => Ok(Target::Asterisk),
                _ => refuse("`*` for OPTIONS only"),
            };
        }
        let Some(rest) = without_scheme(target) else {
            return refuse("`/path`, or `http://host/path`");
        };
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.is_empty() || authority[0] == b':' || !is_authority(authority) {
            return refuse("`http://host[:port]/path`");
        }
        Ok(Target::Absolute { authority, path })
    }
}

fn without_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// `host[:port]`, or nothing: an empty Host is what a client sends whose target has no authority.
/// No userinfo, no list, no path.
pub(crate) fn is_authority(host: &[u8]) -> bool {
    // Nearly every Host is a plain name or address, with or without a port.
    let plain = host.iter().position(|&b| !PLAIN[usize::from(b)]).unwrap_or(host.len());
    match &host[plain..] {
        [] => return true,
        [b':', port @ ..] if port.len() < 5 && port.iter().all(u8::is_ascii_digit) => return true,
        _ => {}
    }
    let (name, port) = match port_of(host) {
        Some(port) => (&host[..host.len() - port.len() - 1], port),
        None => (host, &b""[..]),
    };
    let port_ok = port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0, |n, b| n * 10 + u32::from(b - b'0')) <= u32::from(u16::MAX);
    port_ok
        && match name {
            [b'[', v6 @ .., b']'] => {
                str::from_utf8(v6).is_ok_and(|v6| v6.parse::<std::net::Ipv6Addr>().is_ok())
            }
            name => is_reg_name(name),
        }
}

/// Letters, digits, `-` and `.`: fine in any order.
static PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 128 {
        table[b] = (b as u8).is_ascii_alphanumeric() || matches!(b as u8, b'-' | b'.');
        b += 1;
    }
    table
};

/// What follows the last colon that is not part of an IPv6 literal.
fn port_of(host: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memrchr(b':', host)?;
    (!host[colon..].contains(&b']')).then(|| &host[colon + 1..])
}

/// `reg-name` of RFC 3986 without the comma, which would make two hosts of one line.
fn is_reg_name(name: &[u8]) -> bool {
    let byte_ok = |&b: &u8| {
        b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+'
            )
            || matches!(b, b';' | b'=' | b'%')
    };
    let encoded_ok = |at: usize| {
        name.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    name.iter().all(byte_ok) && memchr::memchr_iter(b'%', name).all(encoded_ok)
}
