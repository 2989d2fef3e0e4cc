//! What keeps requests together: which part of a request a strategy goes by.
//!
//! The strategy names the part, the proxy finds it in the request and hashes it.

use super::options::BadOption;

/// A part of a request. A request that lacks it is placed by chance, by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// The strategy asks for none.
    #[default]
    None,
    /// [`client_key`](crate::client_key) of the client's address.
    ClientIp,
    /// Path and query as they are forwarded.
    Uri,
    /// The path alone.
    Path,
    /// The first value of the field with this name, in lower case.
    Header(Box<str>),
    Cookie(Box<str>),
    /// The value of the first parameter of this name, as it is forwarded.
    Query(Box<str>),
}

const EXPECTED: &str =
    "client_ip, uri, path, header:NAME, cookie:NAME or query:NAME, and a name of at most 128";

impl Key {
    /// Only HTTP requests have it.
    pub fn needs_http(&self) -> bool {
        !matches!(self, Self::None | Self::ClientIp)
    }

    pub(super) fn parse(text: &str) -> Result<Self, BadOption> {
        let bad = || BadOption::value("key", EXPECTED);
        let (part, name) = match text.split_once(':') {
            None => {
                return match text {
                    "client_ip" => Ok(Self::ClientIp),
                    "uri" => Ok(Self::Uri),
                    "path" => Ok(Self::Path),
                    "header" | "cookie" | "query" => {
                        Err(bad().with_hint("its name follows a colon, like `header:x-tenant`"))
                    }
                    _ => Err(bad()),
                };
            }
            Some(parts) => parts,
        };
        if name.is_empty() || name.len() > 128 {
            return Err(bad());
        }
        match part {
            "header" if name.contains('_') => {
                Err(bad().with_hint("headers with `_` in their name are not taken from clients"))
            }
            "header" if is_token(name) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            "cookie" if is_token(name) => Ok(Self::Cookie(name.into())),
            "query" if is_parameter(name) => Ok(Self::Query(name.into())),
            "query" => Err(bad().with_hint("write the name as it stands in a URL")),
            _ => Err(bad()),
        }
    }
}

/// RFC 9110 §5.6.2.
fn is_token(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

fn is_parameter(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_graphic() && !b"&=#".contains(&b))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_request_are_named() {
        for (text, key) in [
            ("client_ip", Key::ClientIp),
            ("uri", Key::Uri),
            ("path", Key::Path),
            ("header:X-Tenant", Key::Header("x-tenant".into())),
            ("cookie:SID", Key::Cookie("SID".into())),
            ("query:a[]", Key::Query("a[]".into())),
        ] {
            assert_eq!(Key::parse(text), Ok(key), "{text}");
        }
        let long = format!("header:{}", "x".repeat(129));
        for text in [
            "",
            "ip",
            "header",
            "header:",
            "header:a b",
            "header:x_y",
            "cookie:a=b",
            "query:a&b",
            "path:x",
            &long,
        ] {
            assert!(Key::parse(text).is_err(), "{text}");
        }
    }
}
