//! Field names and values: the names Isobar itself has something to do with, found without
//! allocation, and the grammar of a field line. Called for every field of every head and trailer.

/// A field this proxy knows by name. Everything else is `Other` and only passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FieldId {
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    Te,
    Trailer,
    Upgrade,
    KeepAlive,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Proxy,
    Expect,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XForwardedPort,
    XForwardedPrefix,
    XRealIp,
    Forwarded,
    XRequestId,
    XRequestStart,
    XQueueTime,
    Via,
    MaxForwards,
    ContentType,
    UserAgent,
    Date,
    Server,
    SetCookie,
    RetryAfter,
    Http2Settings,
    Other,
}

impl FieldId {
    /// Looks a name up, whatever its case.
    #[inline]
    pub fn of(name: &[u8]) -> FieldId {
        use FieldId::*;
        let is = |known: &str, id| {
            if name.eq_ignore_ascii_case(known.as_bytes()) { id } else { Other }
        };
        // Length and first letter leave one or two candidates.
        match (name.len(), name.first().map_or(0, |b| b | 0x20)) {
            (2, b't') => is("te", Te),
            (3, b'v') => is("via", Via),
            (4, b'h') => is("host", Host),
            (4, b'd') => is("date", Date),
            (5, b'p') => is("proxy", Proxy),
            (6, b'e') => is("expect", Expect),
            (6, b's') => is("server", Server),
            (7, b't') => is("trailer", Trailer),
            (7, b'u') => is("upgrade", Upgrade),
            (9, b'x') => is("x-real-ip", XRealIp),
            (9, b'f') => is("forwarded", Forwarded),
            (10, b'c') => is("connection", Connection),
            (10, b'k') => is("keep-alive", KeepAlive),
            (10, b'u') => is("user-agent", UserAgent),
            (10, b's') => is("set-cookie", SetCookie),
            (11, b'r') => is("retry-after", RetryAfter),
            (12, b'c') => is("content-type", ContentType),
            (12, b'm') => is("max-forwards", MaxForwards),
            (12, b'x') if name[2] | 0x20 == b'r' => is("x-request-id", XRequestId),
            (12, b'x') => is("x-queue-time", XQueueTime),
            (14, b'c') => is("content-length", ContentLength),
            (14, b'h') => is("http2-settings", Http2Settings),
            (15, b'x') if name[2] | 0x20 == b'f' => is("x-forwarded-for", XForwardedFor),
            (15, b'x') => is("x-request-start", XRequestStart),
            (16, b'x') if name[12] | 0x20 == b'h' => is("x-forwarded-host", XForwardedHost),
            (16, b'x') => is("x-forwarded-port", XForwardedPort),
            (16, b'p') => is("proxy-connection", ProxyConnection),
            (17, b't') => is("transfer-encoding", TransferEncoding),
            (17, b'x') => is("x-forwarded-proto", XForwardedProto),
            (18, b'x') => is("x-forwarded-prefix", XForwardedPrefix),
            (18, b'p') => is("proxy-authenticate", ProxyAuthenticate),
            (19, b'p') => is("proxy-authorization", ProxyAuthorization),
            _ => Other,
        }
    }

    pub(crate) const fn bit(self) -> u64 {
        match self {
            FieldId::Other => 0,
            known => 1 << known as u8,
        }
    }

    /// Fields that speak about one connection only, or that a request must never bring to a worker
    /// (httpoxy's `Proxy`, the h2c settings). `Trailer` goes with a chunked body and is no such.
    pub(crate) const fn is_hop_by_hop(self) -> bool {
        use FieldId::*;
        matches!(
            self,
            Connection
                | TransferEncoding
                | Te
                | Upgrade
                | KeepAlive
                | ProxyConnection
                | ProxyAuthenticate
                | ProxyAuthorization
                | Proxy
                | Http2Settings
        )
    }

    /// What a client may not have removed by listing it in `Connection`: framing, routing, and what
    /// a proxy says about the client (CVE-2022-31813).
    pub(crate) const fn is_protected(self) -> bool {
        use FieldId::*;
        matches!(
            self,
            Host | ContentLength
                | TransferEncoding
                | XForwardedFor
                | XForwardedProto
                | XForwardedHost
                | XForwardedPort
                | XForwardedPrefix
                | XRealIp
                | Forwarded
                | XRequestId
                | XRequestStart
                | XQueueTime
                | Via
        )
    }

    /// Lines that `encode` writes itself; an edit of them is refused.
    pub(crate) const fn is_written_by_encode(self) -> bool {
        self.is_hop_by_hop() || matches!(self, FieldId::ContentLength | FieldId::Trailer)
    }
}

/// One field as it was received.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    pub id: FieldId,
    /// Spelt as received.
    pub name: &'a [u8],
    /// Without the white space around it.
    pub value: &'a [u8],
    pub(crate) hop_by_hop: bool,
}

/// `tchar` of RFC 9110 5.6.2.
pub(crate) const fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric()
        || matches!(
            b,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&b| is_token_byte(b))
}

/// May stand in a field value: no CR, LF, NUL or other control character but the tab.
pub(crate) const fn is_value_byte(b: u8) -> bool {
    b == b'\t' || (b >= b' ' && b != 0x7f)
}

/// Splits `Name: value`; `None` if it is not exactly that.
pub(crate) fn split_line(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memchr(b':', line)?;
    let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
    (is_token(name) && value.iter().all(|&b| is_value_byte(b))).then_some((name, value))
}

/// Without the optional white space (spaces and tabs) at both ends.
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The elements of comma-separated values, trimmed; empty ones are passed on, for the caller to
/// judge.
pub(crate) fn elements<'a>(
    values: impl Iterator<Item = &'a [u8]> + Clone,
) -> impl Iterator<Item = &'a [u8]> + Clone {
    values.flat_map(|value| value.split(|&b| b == b',').map(trim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_found_in_any_case() {
        use FieldId::*;
        let table = [
            ("Host", Host),
            ("Connection", Connection),
            ("Content-Length", ContentLength),
            ("Transfer-Encoding", TransferEncoding),
            ("TE", Te),
            ("Trailer", Trailer),
            ("Upgrade", Upgrade),
            ("Keep-Alive", KeepAlive),
            ("Proxy-Connection", ProxyConnection),
            ("Proxy-Authenticate", ProxyAuthenticate),
            ("Proxy-Authorization", ProxyAuthorization),
            ("Proxy", Proxy),
            ("Expect", Expect),
            ("X-Forwarded-For", XForwardedFor),
            ("X-Forwarded-Proto", XForwardedProto),
            ("X-Forwarded-Host", XForwardedHost),
            ("X-Forwarded-Port", XForwardedPort),
            ("X-Forwarded-Prefix", XForwardedPrefix),
            ("X-Real-IP", XRealIp),
            ("Forwarded", Forwarded),
            ("X-Request-Id", XRequestId),
            ("X-Request-Start", XRequestStart),
            ("X-Queue-Time", XQueueTime),
            ("Via", Via),
            ("Max-Forwards", MaxForwards),
            ("Content-Type", ContentType),
            ("User-Agent", UserAgent),
            ("Date", Date),
            ("Server", Server),
            ("Set-Cookie", SetCookie),
            ("Retry-After", RetryAfter),
            ("HTTP2-Settings", Http2Settings),
        ];
        assert_eq!(table.len(), Other as usize, "a known name is missing here");
        for (name, id) in table {
            assert_eq!(FieldId::of(name.as_bytes()), id, "{name}");
            assert_eq!(FieldId::of(name.to_lowercase().as_bytes()), id, "{name}");
            assert_eq!(FieldId::of(name.to_uppercase().as_bytes()), id, "{name}");
            // The same length and first letter is not enough.
            let other = format!("{}!", &name[..name.len() - 1]);
            assert_eq!(FieldId::of(other.as_bytes()), Other, "{other}");
        }
        assert_eq!(FieldId::of(b""), Other);
    }
}
