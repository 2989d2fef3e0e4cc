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
    Referer,
    Authorization,
    Date,
    Server,
    SetCookie,
    RetryAfter,
    Http2Settings,
    XAccelBuffering,
    Other,
}

impl FieldId {
    /// Looks a name up, whatever its case.
    #[inline]
    pub fn of(name: &[u8]) -> FieldId {
        use FieldId::*;
        // Length and first letter leave one or two candidates.
        match (name.len(), name.first().map_or(0, |b| b | 0x20)) {
            (2, b't') => Te.if_named(name, b"te"),
            (3, b'v') => Via.if_named(name, b"via"),
            (4, b'h') => Host.if_named(name, b"host"),
            (4, b'd') => Date.if_named(name, b"date"),
            (5, b'p') => Proxy.if_named(name, b"proxy"),
            (6, b'e') => Expect.if_named(name, b"expect"),
            (6, b's') => Server.if_named(name, b"server"),
            (7, b't') => Trailer.if_named(name, b"trailer"),
            (7, b'r') => Referer.if_named(name, b"referer"),
            (7, b'u') => Upgrade.if_named(name, b"upgrade"),
            (9, b'x') => XRealIp.if_named(name, b"x-real-ip"),
            (9, b'f') => Forwarded.if_named(name, b"forwarded"),
            (10, b'c') => Connection.if_named(name, b"connection"),
            (10, b'k') => KeepAlive.if_named(name, b"keep-alive"),
            (10, b'u') => UserAgent.if_named(name, b"user-agent"),
            (10, b's') => SetCookie.if_named(name, b"set-cookie"),
            (11, b'r') => RetryAfter.if_named(name, b"retry-after"),
            (12, b'c') => ContentType.if_named(name, b"content-type"),
            (12, b'm') => MaxForwards.if_named(name, b"max-forwards"),
            (12, b'x') if name[2] | 0x20 == b'r' => XRequestId.if_named(name, b"x-request-id"),
            (12, b'x') => XQueueTime.if_named(name, b"x-queue-time"),
            (13, b'a') => Authorization.if_named(name, b"authorization"),
            (14, b'c') => ContentLength.if_named(name, b"content-length"),
            (14, b'h') => Http2Settings.if_named(name, b"http2-settings"),
            (15, b'x') if name[2] | 0x20 == b'f' => {
                XForwardedFor.if_named(name, b"x-forwarded-for")
            }
            (15, b'x') => XRequestStart.if_named(name, b"x-request-start"),
            (16, b'x') if name[12] | 0x20 == b'h' => {
                XForwardedHost.if_named(name, b"x-forwarded-host")
            }
            (16, b'x') => XForwardedPort.if_named(name, b"x-forwarded-port"),
            (16, b'p') => ProxyConnection.if_named(name, b"proxy-connection"),
            (17, b't') => TransferEncoding.if_named(name, b"transfer-encoding"),
            (17, b'x') if name[2] | 0x20 == b'a' => {
                XAccelBuffering.if_named(name, b"x-accel-buffering")
            }
            (17, b'x') => XForwardedProto.if_named(name, b"x-forwarded-proto"),
            (18, b'x') => XForwardedPrefix.if_named(name, b"x-forwarded-prefix"),
            (18, b'p') => ProxyAuthenticate.if_named(name, b"proxy-authenticate"),
            (19, b'p') => ProxyAuthorization.if_named(name, b"proxy-authorization"),
            _ => Other,
        }
    }

    /// Written so that the comparison is a few vector instructions: this runs for every field.
    #[inline]
    fn if_named<const N: usize>(self, name: &[u8], known: &[u8; N]) -> FieldId {
        let Ok(name) = <&[u8; N]>::try_from(name) else { return FieldId::Other };
        // Lowers letters and leaves the other bytes of known names, `-` and digits, as they are.
        let lower = |b: u8| b | (b & 0x40) >> 1;
        let differ = name.iter().zip(known).fold(0, |acc, (&a, &b)| acc | (lower(a) ^ b));
        if differ == 0 { self } else { FieldId::Other }
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

    /// What goes to a worker as we write it, or not at all.
    pub(crate) const fn is_set_or_stripped(self) -> bool {
        use FieldId::*;
        self.is_hop_by_hop()
            || self.is_protected()
            || matches!(self, Trailer | Expect | MaxForwards)
    }

    /// Lines that `encode` writes itself; an edit of them is refused.
    pub(crate) const fn is_written_by_encode(self) -> bool {
        self.is_hop_by_hop() || matches!(self, FieldId::ContentLength | FieldId::Trailer)
    }
}

/// Names by which TLS-terminating proxies tell a worker of the client's certificate (RFC 9440 and
/// what came before it) or of its scheme: nobody else may say that.
const CLAIMS: [&[u8]; 10] = [
    b"client-cert",
    b"client-cert-chain",
    b"x-client-cert",
    b"x-forwarded-client-cert",
    b"x-forwarded-tls-client-cert",
    b"x-forwarded-tls-client-cert-info",
    b"x-forwarded-ssl",
    b"x-forwarded-scheme",
    b"x-forwarded-protocol",
    b"front-end-https",
];
const CLAIMING_PREFIXES: [&[u8]; 2] = [b"x-ssl-client-", b"ssl-client-"];

/// Whether a field that is no known one says what only a proxy can know.
pub(crate) fn is_claim(name: &[u8]) -> bool {
    const SHORTEST: usize = 11;
    // Most names that get here end here.
    if name.len() < SHORTEST || !matches!(name[0] | 0x20, b'c' | b'f' | b's' | b'x') {
        return false;
    }
    let begins = |prefix: &&[u8]| {
        name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    };
    CLAIMS.iter().any(|claim| name.eq_ignore_ascii_case(claim))
        || CLAIMING_PREFIXES.iter().any(begins)
}

/// Several known fields at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u64);

impl FieldSet {
    /// [`FieldId::Other`] is no known field and adds nothing.
    pub const fn of(ids: &[FieldId]) -> FieldSet {
        let (mut bits, mut at) = (0, 0);
        while at < ids.len() {
            bits |= ids[at].bit();
            at += 1;
        }
        FieldSet(bits)
    }

    pub(crate) const fn bits(self) -> u64 {
        self.0
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
pub const fn is_token_byte(b: u8) -> bool {
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
            ("Referer", Referer),
            ("Authorization", Authorization),
            ("Date", Date),
            ("Server", Server),
            ("Set-Cookie", SetCookie),
            ("Retry-After", RetryAfter),
            ("HTTP2-Settings", Http2Settings),
            ("X-Accel-Buffering", XAccelBuffering),
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

    #[test]
    fn hb_06_claims_are_known_by_their_names() {
        for name in CLAIMS {
            assert_eq!(FieldId::of(name), FieldId::Other, "{name:?} would not be asked about");
            assert!(is_claim(name) && is_claim(&name.to_ascii_uppercase()), "{name:?}");
        }
        assert!(is_claim(b"X-SSL-Client-S-DN") && is_claim(b"SSL-Client-Verify"));
        for name in ["", "cookie", "x-ssl-client", "cache-control", "x-client-certificate-wanted"] {
            assert!(!is_claim(name.as_bytes()), "{name}");
        }
    }
}
