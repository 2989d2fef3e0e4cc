//! Where a redirecting route sends the client: the value of `Location`.
//!
//! Called by `reply`, with what the client sent in its checked or normal form. Nothing that a
//! client chose can leave the place it is given here: a path in its normal form has one slash at
//! its front and neither backslash nor control character, and a host that is not plainly a name or
//! an address is refused. The query is kept as it came.

use std::io::Write;

use super::host;

/// What of the request's URL is replaced; the rest stays.
#[derive(Clone, Debug)]
pub struct Redirect {
    /// 301, 302, 303, 307 or 308.
    pub status: u16,
    pub scheme: Option<Scheme>,
    /// In its normal form, without a port.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub path: Option<NewPath>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// A path that begins with exactly one slash.
#[derive(Clone, Debug)]
pub enum NewPath {
    Whole(String),
    /// Stands where the prefix stood that the route asked for.
    Prefix(String),
}

/// The URL the client asked for.
pub(crate) struct Asked<'a> {
    pub(crate) scheme: Scheme,
    /// `host[:port]` as the client sent it.
    pub(crate) authority: &'a [u8],
    /// Path and query, the path in its normal form.
    pub(crate) target: &'a [u8],
    /// Length of the path's prefix that the route asked for.
    pub(crate) matched: usize,
}

impl Redirect {
    /// Appends the value of `Location`. `None`: a host would have to be told, and the request
    /// names none that can be.
    pub(crate) fn location(&self, asked: &Asked<'_>, out: &mut Vec<u8>) -> Option<()> {
        if self.scheme.is_some() || self.host.is_some() || self.port.is_some() {
            let scheme = self.scheme.unwrap_or(asked.scheme);
            out.extend_from_slice(scheme.name().as_bytes());
            out.extend_from_slice(b"://");
            match &self.host {
                Some(host) => out.extend_from_slice(host.as_bytes()),
                None => out.extend_from_slice(host_of(&host::normalise(asked.authority))?),
            }
            // A new scheme brings its own port; without one, the client's is as good as ever.
            let kept = || port_of(asked.authority).filter(|_| self.scheme.is_none());
            if let Some(port) = self.port.or_else(kept).filter(|&port| port != scheme.port()) {
                let _ = write!(out, ":{port}");
            }
        }
        let end = memchr::memchr(b'?', asked.target).unwrap_or(asked.target.len());
        let (path, query) = asked.target.split_at(end);
        let start = out.len();
        match &self.path {
            Some(new) => new.write(path, asked.matched, out),
            // `OPTIONS *` asks about the server, not about a path.
            None if path == b"*" => out.push(b'/'),
            None => out.extend_from_slice(path),
        }
        // `//name` would be another host; where `//` is kept a client can write it.
        let slashes = out[start..].iter().take_while(|&&byte| byte == b'/').count();
        out.drain(start..start + slashes.saturating_sub(1));
        out.extend_from_slice(query);
        Some(())
    }
}

impl NewPath {
    /// Appends what becomes of `path`, of which `matched` bytes are the prefix.
    pub(crate) fn write(&self, path: &[u8], matched: usize, out: &mut Vec<u8>) {
        match self {
            NewPath::Whole(new) => out.extend_from_slice(new.as_bytes()),
            NewPath::Prefix(new) => {
                let new = new.trim_end_matches('/').as_bytes();
                let rest = path.get(matched..).unwrap_or_default();
                out.extend_from_slice(new);
                out.extend_from_slice(rest);
                if new.is_empty() && rest.is_empty() {
                    out.push(b'/');
                }
            }
        }
    }
}

impl Scheme {
    fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

/// A name or an address and nothing else: `Host` may hold more than a `Location` should.
fn host_of(normal: &[u8]) -> Option<&[u8]> {
    let plain = |&byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let literal = normal.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let fits = match literal {
        Some(v6) => v6.iter().all(|&byte| byte.is_ascii_hexdigit() || b":.".contains(&byte)),
        None => normal.iter().all(plain),
    };
    (fits && !normal.is_empty()).then_some(normal)
}

fn port_of(authority: &[u8]) -> Option<u16> {
    let colon = memchr::memrchr(b':', authority)?;
    str::from_utf8(&authority[colon + 1..]).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Redirect =
        Redirect { status: 302, scheme: None, host: None, port: None, path: None };

    fn location(redirect: &Redirect, authority: &str, target: &str, matched: usize) -> String {
        let mut out = Vec::new();
        let (authority, target) = (authority.as_bytes(), target.as_bytes());
        let asked = Asked { scheme: Scheme::Http, authority, target, matched };
        match redirect.location(&asked, &mut out) {
            Some(()) => String::from_utf8_lossy(&out).into_owned(),
            None => String::from("refused"),
        }
    }

    #[test]
    fn a_whole_path_is_relative_and_keeps_the_query() {
        let to = Redirect { path: Some(NewPath::Whole("/new".into())), ..NOTHING };
        for (target, expected) in [
            ("/old", "/new"),
            ("/old?a=b&c", "/new?a=b&c"),
            ("/old?", "/new?"),
            ("/old?next=//evil.example", "/new?next=//evil.example"),
            ("*", "/new"),
        ] {
            assert_eq!(location(&to, "a.example", target, 0), expected, "{target}");
        }
    }

    #[test]
    fn a_prefix_is_replaced_and_never_makes_two_slashes() {
        for (new, target, matched, expected) in [
            ("/v2", "/v1/users?x", 3, "/v2/users?x"),
            ("/v2", "/v1", 3, "/v2"),
            ("/v2/", "/v1/users", 3, "/v2/users"),
            ("/", "/v1/evil.example", 3, "/evil.example"),
            ("/", "/v1", 3, "/"),
            ("/", "/v1?q", 3, "/?q"),
            ("/new", "/any/thing", 0, "/new/any/thing"),
            ("/new", "/", 0, "/new/"),
        ] {
            let to = Redirect { path: Some(NewPath::Prefix(new.into())), ..NOTHING };
            assert_eq!(location(&to, "a.example", target, matched), expected, "{new} {target}");
        }
    }

    /// Where a listener keeps `//`, a client may write what looks like another host.
    #[test]
    fn kept_slashes_never_name_another_host() {
        let prefix = Redirect { path: Some(NewPath::Prefix("/".into())), ..NOTHING };
        assert_eq!(location(&prefix, "a.example", "/v1//evil.example", 3), "/evil.example");
        assert_eq!(location(&prefix, "a.example", "//evil.example/x//y", 0), "/evil.example/x//y");
        let status = Redirect { status: 308, ..NOTHING };
        assert_eq!(location(&status, "a.example", "///evil.example", 0), "/evil.example");
    }

    #[test]
    fn a_new_scheme_brings_its_port_and_keeps_the_host() {
        let https = Redirect { scheme: Some(Scheme::Https), ..NOTHING };
        for (authority, expected) in [
            ("A.example:8080", "https://a.example/x?y"),
            ("a.example.", "https://a.example/x?y"),
            ("[2001:DB8::1]:80", "https://[2001:db8::1]/x?y"),
            ("127.0.0.1", "https://127.0.0.1/x?y"),
            ("", "refused"),
            ("a'b(c)", "refused"),
            ("%61.example", "refused"),
        ] {
            assert_eq!(location(&https, authority, "/x?y", 0), expected, "{authority}");
        }
        let with_port = Redirect { port: Some(8443), ..https.clone() };
        assert_eq!(location(&with_port, "a.example", "/", 0), "https://a.example:8443/");
        let usual = Redirect { port: Some(443), ..https };
        assert_eq!(location(&usual, "a.example", "*", 0), "https://a.example/");
    }

    #[test]
    fn a_new_host_keeps_scheme_port_and_path() {
        let to = Redirect { host: Some("www.a.example".into()), ..NOTHING };
        assert_eq!(location(&to, "a.example:8080", "/x", 0), "http://www.a.example:8080/x");
        assert_eq!(location(&to, "a.example:80", "/x", 0), "http://www.a.example/x");
        assert_eq!(location(&to, "", "/x", 0), "http://www.a.example/x");
        assert_eq!(location(&to, "[::1]", "/x", 0), "http://www.a.example/x");
    }
}
