//! The field `Forwarded` of RFC 7239, read.
//!
//! A client may have begun the value and a trusted proxy appended to it, so a quote that never ends,
//! or ends where none should, must not swallow what follows: such a line is taken apart at every comma.

use std::net::IpAddr;

use super::{TrustedProxies, node};

/// One proxy's word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Element<'a> {
    pub(super) client: Client<'a>,
    pub(super) proto: Option<&'a [u8]>,
    pub(super) host: Option<&'a [u8]>,
}

/// What `for` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Client<'a> {
    /// Nothing.
    #[default]
    Missing,
    Ip(IpAddr),
    /// `unknown`, a name that hides the client (`_x`), or what cannot be read.
    Hidden(&'a [u8]),
}

impl Client<'_> {
    fn ip(self) -> Option<IpAddr> {
        match self {
            Client::Ip(ip) => Some(ip),
            Client::Missing | Client::Hidden(_) => None,
        }
    }
}

/// What all elements say together of the client: its address, its scheme and the host it asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said<'a> {
    pub(super) client: Option<IpAddr>,
    pub(super) proto: Option<&'a [u8]>,
    pub(super) host: Option<&'a [u8]>,
}

/// From the right, past the trusted proxies; what stands left of the client is nobody's word.
pub(super) fn said<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    trusted: &TrustedProxies,
) -> Said<'a> {
    // Read from the left, as it comes; who is not a trusted proxy makes all before it void.
    let mut said: Option<Said<'a>> = None;
    for Element { client, proto, host } in elements(lines) {
        let ip = client.ip();
        said = Some(match said {
            Some(said) if ip.is_some_and(|ip| trusted.contains(ip)) => Said {
                client: said.client.or(ip),
                proto: said.proto.or(proto),
                host: said.host.or(host),
            },
            _ => Said { client: ip, proto, host },
        });
    }
    said.unwrap_or_default()
}

pub(super) fn elements<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
) -> impl Iterator<Item = Element<'a>> {
    lines.flat_map(|line| {
        let quotes = Quotes::of(line);
        split(line, b',', quotes).map(<[u8]>::trim_ascii).filter(|e| !e.is_empty()).map(element)
    })
}

fn element(text: &[u8]) -> Element<'_> {
    let unreadable = Element { client: Client::Hidden(b"unknown"), ..Element::default() };
    if Quotes::of(text) == Quotes::Broken {
        return unreadable;
    }
    let mut element = Element::default();
    for pair in split(text, b';', Quotes::Sound).map(<[u8]>::trim_ascii) {
        let Some(at) = memchr::memchr(b'=', pair) else {
            if pair.is_empty() {
                continue;
            }
            return unreadable;
        };
        let (name, value) = (pair[..at].trim_ascii(), unquoted(pair[at + 1..].trim_ascii()));
        // RFC 7239 §4: each at most once.
        let twice = if name.eq_ignore_ascii_case(b"for") {
            let before = std::mem::replace(&mut element.client, client(value));
            before != Client::Missing
        } else if name.eq_ignore_ascii_case(b"proto") {
            element.proto.replace(value).is_some()
        } else if name.eq_ignore_ascii_case(b"host") {
            element.host.replace(value).is_some()
        } else {
            false
        };
        if twice {
            return unreadable;
        }
    }
    element.proto = element.proto.filter(|proto| is_scheme(proto));
    element.host = element.host.filter(|host| is_host(host));
    element
}

fn client(value: &[u8]) -> Client<'_> {
    let hides = |&byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    match node(value) {
        Some(ip) => Client::Ip(ip),
        None if value.first() == Some(&b'_') && value.iter().all(hides) => Client::Hidden(value),
        None => Client::Hidden(b"unknown"),
    }
}

pub(super) fn is_scheme(text: &[u8]) -> bool {
    let fits = |&byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    (1..=16).contains(&text.len()) && text[0].is_ascii_alphabetic() && text.iter().all(fits)
}

fn is_host(text: &[u8]) -> bool {
    let fits = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (1..=255).contains(&text.len()) && text.iter().all(fits)
}

/// Without its quotes. Nothing that is read here needs a `\`, so one makes a value unreadable.
fn unquoted(value: &[u8]) -> &[u8] {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    inner.unwrap_or(value)
}

/// Whether every quoted string begins behind a `=` and ends where a parameter does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quotes {
    Sound,
    Broken,
}

impl Quotes {
    fn of(text: &[u8]) -> Quotes {
        let mut bytes = text.iter().enumerate();
        while let Some((at, _)) = bytes.find(|&(_, &byte)| byte == b'"') {
            if at == 0 || text[at - 1] != b'=' {
                return Quotes::Broken;
            }
            loop {
                match bytes.next() {
                    Some((_, b'\\')) => drop(bytes.next()),
                    Some((end, b'"')) => {
                        let next = text[end + 1..].iter().find(|b| !matches!(b, b' ' | b'\t'));
                        if !matches!(next, None | Some(b';' | b',')) {
                            return Quotes::Broken;
                        }
                        break;
                    }
                    Some(_) => {}
                    None => return Quotes::Broken,
                }
            }
        }
        Quotes::Sound
    }
}

/// At every `at` that stands in no quoted string.
fn split(text: &[u8], at: u8, quotes: Quotes) -> impl Iterator<Item = &[u8]> {
    let (mut inside, mut escaped) = (false, false);
    text.split(move |&byte| {
        if quotes == Quotes::Broken {
            return byte == at;
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = inside,
            b'"' => inside = !inside,
            _ => {}
        }
        !inside && byte == at
    })
}
