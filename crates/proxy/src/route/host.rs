//! The one normal form of a host, for matching only: the worker gets `Host` as it was sent.
//!
//! Lower case, without port, without the root's trailing dot, an IPv6 literal in its canonical
//! spelling. Which hosts are allowed at all is for the parser of heads to say.

use std::{borrow::Cow, net::Ipv6Addr};

/// Borrowed if `authority` (`host[:port]`) is in its normal form or only has to be cut.
pub fn normalise(authority: &[u8]) -> Cow<'_, [u8]> {
    if authority.first() == Some(&b'[') {
        return literal(authority);
    }
    let name = &authority[..memchr::memchr(b':', authority).unwrap_or(authority.len())];
    let name = name.strip_suffix(b".").unwrap_or(name);
    if name.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

fn literal(authority: &[u8]) -> Cow<'_, [u8]> {
    let end = memchr::memchr(b']', authority).map_or(authority.len(), |at| at + 1);
    let literal = &authority[..end];
    let inner = literal[1..].strip_suffix(b"]").and_then(|inner| str::from_utf8(inner).ok());
    let Some(address) = inner.and_then(|inner| inner.parse::<Ipv6Addr>().ok()) else {
        return Cow::Borrowed(literal);
    };
    let canonical = format!("[{address}]").into_bytes();
    if canonical == literal { Cow::Borrowed(literal) } else { Cow::Owned(canonical) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hb_10_one_host_one_form() {
        for (sent, normal) in [
            ("example.com", "example.com"),
            ("EXAMPLE.com.", "example.com"),
            ("Example.Com:80", "example.com"),
            ("example.com.:8080", "example.com"),
            ("example.com:", "example.com"),
            ("XN--BCHER-KVA.example", "xn--bcher-kva.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:8080", "[::1]"),
            ("[0:0:0:0:0:0:0:1]:80", "[::1]"),
            ("[2001:DB8::A]", "[2001:db8::a]"),
            ("[junk", "[junk"),
            ("[junk]:1", "[junk]"),
            ("[", "["),
            ("", ""),
            (".", ""),
        ] {
            assert_eq!(normalise(sent.as_bytes()), normal.as_bytes(), "{sent}");
        }
    }

    #[test]
    fn a_normal_host_is_borrowed() {
        for host in ["example.com", "example.com:80", "example.com.", "[::1]:80"] {
            assert!(matches!(normalise(host.as_bytes()), Cow::Borrowed(_)), "{host}");
        }
    }
}
