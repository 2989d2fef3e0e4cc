//! What a pool may ask of a request before it chooses a worker: the parts its strategy goes by.
//!
//! Asked by the pool in the course of a lease, answered from the head as it lies, without
//! allocation. It knows where the parts of a request are, not what they are used for.

use std::net::IpAddr;

use isobar_balance::{Key, Need, client_key, text_key};
use isobar_http1::RequestHead;
use isobar_pool::Asker;

use crate::exchange::forward::is_event_stream;

/// An HTTP request, past its route.
pub(crate) struct Request<'a> {
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) head: &'a RequestHead,
}

/// A TCP connection: there is nothing but its other end.
pub(crate) struct Peer(pub(crate) Option<IpAddr>);

impl Asker for Request<'_> {
    fn key(&self, part: &Key) -> Option<u64> {
        let (path, query) = split(self.head.forwarded_path());
        let text = match part {
            Key::None => return None,
            Key::ClientIp => return self.client_ip.map(client_key),
            Key::Uri => self.head.forwarded_path(),
            Key::Path => path,
            // Where the target named the host, that is the one.
            Key::Header(name) if &**name == "host" => self.head.authority(),
            Key::Header(name) => self.head.values_named(name.as_bytes()).next()?,
            Key::Cookie(name) => cookie(self.head, name.as_bytes())?,
            Key::Query(name) => parameter(query, name.as_bytes())?,
        };
        // An empty value says as little as none: all of those are not one client.
        (!text.is_empty()).then(|| text_key(text))
    }

    fn cookie(&self, name: &str) -> Option<&[u8]> {
        cookie(self.head, name.as_bytes())
    }

    fn need(&self) -> Need {
        match self.head.upgrade().is_some() || accepts_event_stream(self.head) {
            true => Need::Tunnel,
            false => Need::Request,
        }
    }
}

impl Asker for Peer {
    fn key(&self, part: &Key) -> Option<u64> {
        match part {
            Key::ClientIp => self.0.map(client_key),
            _ => None,
        }
    }
}

/// What a browser's `EventSource` sends. A range (`text/*`) asks for nothing in particular.
fn accepts_event_stream(head: &RequestHead) -> bool {
    let mut ranges = head.values_named(b"accept").flat_map(|line| line.split(|&byte| byte == b','));
    ranges.any(is_event_stream)
}

/// The value of the first cookie of this name.
pub(crate) fn cookie<'a>(head: &'a RequestHead, name: &[u8]) -> Option<&'a [u8]> {
    let pairs = head.values_named(b"cookie").flat_map(|line| line.split(|&byte| byte == b';'));
    pairs.filter_map(pair).find(|(other, _)| *other == name).map(|(_, value)| value)
}

/// Names of cookies are case-sensitive (RFC 6265 §4.1.2).
pub(crate) fn pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = memchr::memchr(b'=', pair)?;
    Some((pair[..at].trim_ascii(), pair[at + 1..].trim_ascii()))
}

fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut parameters = query.split(|&byte| byte == b'&').filter_map(|parameter| {
        let at = memchr::memchr(b'=', parameter)?;
        Some((&parameter[..at], &parameter[at + 1..]))
    });
    parameters.find(|(other, _)| *other == name).map(|(_, value)| value)
}

fn split(target: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'?', target) {
        Some(at) => (&target[..at], &target[at + 1..]),
        None => (target, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use isobar_http1::{Limits, Parsed};

    const LIMITS: Limits = Limits { head_bytes: 8192, headers: 100, uri: 4096 };

    fn head(lines: &str) -> RequestHead {
        let mut head = RequestHead::new();
        let text = format!("GET {lines}\r\n\r\n");
        assert!(matches!(head.parse(text.as_bytes(), &LIMITS), Ok(Parsed::Complete(_))));
        head
    }

    fn key(head: &RequestHead, part: &Key) -> Option<u64> {
        let client_ip = Some([192, 0, 2, 1].into());
        Request { client_ip, head }.key(part)
    }

    #[test]
    fn each_part_is_found() {
        let head = head(
            "/a/b?x=1&y=&z=2&x=3 HTTP/1.1\r\nHost: h.example\r\nX-Tenant: blue\r\n\
             Cookie: a=1; sid=s1\r\nCookie: sid=s2; b",
        );
        let text = |text: &str| Some(text_key(text.as_bytes()));
        for (part, found) in [
            (Key::ClientIp, Some(client_key([192, 0, 2, 1].into()))),
            (Key::Uri, text("/a/b?x=1&y=&z=2&x=3")),
            (Key::Path, text("/a/b")),
            (Key::Header("x-tenant".into()), text("blue")),
            (Key::Header("host".into()), text("h.example")),
            (Key::Header("x-other".into()), None),
            (Key::Cookie("sid".into()), text("s1")),
            (Key::Cookie("SID".into()), None),
            (Key::Cookie("b".into()), None),
            (Key::Query("x".into()), text("1")),
            (Key::Query("y".into()), None),
            (Key::Query("a".into()), None),
            (Key::None, None),
        ] {
            assert_eq!(key(&head, &part), found, "{part:?}");
        }
        assert_eq!(Peer(None).key(&Key::ClientIp), None);
        assert_eq!(Peer(Some([192, 0, 2, 1].into())).key(&Key::Uri), None);
    }

    #[test]
    fn a_tunnel_is_announced_by_its_head() {
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket";
        for (lines, need) in [
            (upgrade, Need::Tunnel),
            ("Accept: text/event-stream", Need::Tunnel),
            (
                "Accept: application/json\r\nAccept: text/html, Text/Event-Stream;q=0.9",
                Need::Tunnel,
            ),
            ("Upgrade: websocket", Need::Request),
            ("Accept: text/*, */*", Need::Request),
            ("X-Accept: text/event-stream", Need::Request),
        ] {
            let head = head(&format!("/ HTTP/1.1\r\nHost: h\r\n{lines}"));
            assert_eq!(Request { client_ip: None, head: &head }.need(), need, "{lines}");
        }
    }

    /// What the worker is asked for, not how the client spelt it.
    #[test]
    fn the_normal_form_is_the_key() {
        let mut spelt = head("/a/./%62 HTTP/1.1\r\nHost: h");
        spelt.set_path(b"/a/b");
        assert_eq!(key(&spelt, &Key::Path), key(&head("/a/b HTTP/1.1\r\nHost: h"), &Key::Path));
    }
}
