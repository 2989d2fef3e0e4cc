//! What a match asks beyond host and path, and how to tell whether a request has it.
//!
//! Asked by the table for the few rules of one host and path, and by `explain`, which wants to
//! know what was missing. Of fields that occur several times any may fit. Nothing here allocates
//! unless a query parameter is escaped and compared with an expression.

use std::{borrow::Cow, net::IpAddr};

use isobar_http1::RequestHead;
use regex::bytes::Regex;

use super::Match;

/// What the value of a header, query parameter or cookie must be.
#[derive(Clone, Debug)]
pub enum Value {
    /// Anything: it is there.
    Present,
    Exact(String),
    /// Matches the whole value.
    Regex(Regex),
}

impl Value {
    fn fits(&self, found: &[u8]) -> bool {
        match self {
            Value::Present => true,
            Value::Exact(value) => value.as_bytes() == found,
            Value::Regex(regex) => regex.is_match(found),
        }
    }
}

/// What is asked; `path` is in its normal form.
pub(crate) struct Asked<'a, F: ?Sized> {
    pub(crate) host: &'a [u8],
    pub(crate) path: &'a [u8],
    /// Without the `?`.
    pub(crate) query: &'a [u8],
    pub(crate) method: &'a [u8],
    pub(crate) client: Option<IpAddr>,
    pub(crate) fields: &'a F,
}

/// A request's header fields.
pub(crate) trait Fields {
    /// Whether some field of that name, whatever its case, has a value that fits.
    fn any(&self, name: &[u8], fits: impl FnMut(&[u8]) -> bool) -> bool;
}

impl Fields for RequestHead {
    fn any(&self, name: &[u8], mut fits: impl FnMut(&[u8]) -> bool) -> bool {
        self.values_named(name).any(&mut fits)
    }
}

/// What a request lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    Host,
    Path,
    Method,
    Header(String),
    Query(String),
    Cookie(String),
    Client,
}

impl Match {
    pub(crate) fn has_method(&self, method: &[u8]) -> bool {
        self.methods.is_empty() || self.methods.iter().any(|one| one.as_bytes() == method)
    }

    /// What is missing beyond host, path and method, if anything is.
    pub(crate) fn lacks<F: Fields + ?Sized>(&self, asked: &Asked<'_, F>) -> Option<Miss> {
        let header = |(name, value): &&(String, Value)| {
            !asked.fields.any(name.as_bytes(), |found| value.fits(found))
        };
        if let Some((name, _)) = self.headers.iter().find(header) {
            return Some(Miss::Header(name.clone()));
        }
        let query = |(name, value): &&(String, Value)| !has_parameter(asked.query, name, value);
        if let Some((name, _)) = self.query.iter().find(query) {
            return Some(Miss::Query(name.clone()));
        }
        let cookie = |(name, value): &&(String, Value)| {
            !asked.fields.any(b"cookie", |line| has_cookie(line, name, value))
        };
        if let Some((name, _)) = self.cookies.iter().find(cookie) {
            return Some(Miss::Cookie(name.clone()));
        }
        let known = || asked.client.is_some_and(|ip| self.clients.contains(ip));
        (!self.clients.is_empty() && !known()).then_some(Miss::Client)
    }
}

/// `application/x-www-form-urlencoded`, as browsers write it: name and value are compared decoded.
fn has_parameter(query: &[u8], name: &str, value: &Value) -> bool {
    !query.is_empty()
        && query.split(|&byte| byte == b'&').any(|pair| {
            let at = memchr::memchr(b'=', pair);
            let (key, rest) = pair.split_at(at.unwrap_or(pair.len()));
            decoded(key) == name.as_bytes() && value.fits(&decoded(rest.get(1..).unwrap_or(b"")))
        })
}

fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let digit = |at: usize| text.get(at).and_then(|&digit| (digit as char).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                at += 2;
            }
            (b'+', ..) => out.push(b' '),
            // A broken escape stands for itself, as in every browser.
            (byte, ..) => out.push(byte),
        }
        at += 1;
    }
    Cow::Owned(out)
}

/// RFC 6265 §4.2.1. A value in quotes is the same as without.
fn has_cookie(line: &[u8], name: &str, value: &Value) -> bool {
    line.split(|&byte| byte == b';').any(|pair| {
        let Some(at) = memchr::memchr(b'=', pair) else { return false };
        let (key, found) = (pair[..at].trim_ascii(), pair[at + 1..].trim_ascii());
        let quoted = found.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
        key == name.as_bytes() && value.fits(quoted.unwrap_or(found))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(value: &str) -> Value {
        Value::Exact(value.to_owned())
    }

    #[test]
    fn parameters_are_compared_decoded() {
        for (query, name, value, has) in [
            ("a=b", "a", exact("b"), true),
            ("x&a=b&y", "a", exact("b"), true),
            ("a=c&a=b", "a", exact("b"), true),
            ("%61=%62", "a", exact("b"), true),
            ("a=b+c%20d", "a", exact("b c d"), true),
            ("a=%2", "a", exact("%2"), true),
            ("a=%zz%", "a", exact("%zz%"), true),
            ("a", "a", exact(""), true),
            ("a", "a", Value::Present, true),
            ("aa=b", "a", Value::Present, false),
            ("a=b=c", "a", exact("b=c"), true),
            ("A=b", "a", exact("b"), false),
            ("", "", Value::Present, false),
            ("a=12", "a", Value::Regex(Regex::new("^(?:[0-9]+)$").unwrap()), true),
            ("a=%31x", "a", Value::Regex(Regex::new("^(?:[0-9]+)$").unwrap()), false),
        ] {
            assert_eq!(has_parameter(query.as_bytes(), name, &value), has, "{query} {name}");
        }
    }

    #[test]
    fn cookies_are_found_among_others() {
        for (line, name, value, has) in [
            ("a=b", "a", exact("b"), true),
            ("x=y; a=b;c=d", "a", exact("b"), true),
            ("a=\"b\"", "a", exact("b"), true),
            ("a=b=c", "a", exact("b=c"), true),
            ("aa=b; ba=b", "a", exact("b"), false),
            ("a", "a", Value::Present, false),
            ("A=b", "a", exact("b"), false),
            ("", "a", Value::Present, false),
        ] {
            assert_eq!(has_cookie(line.as_bytes(), name, &value), has, "{line}");
        }
    }
}
