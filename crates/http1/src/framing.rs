//! The one place that decides where a message ends: Content-Length, Transfer-Encoding, the version,
//! and for responses the status and the request's method (RFC 9112 6.3, narrowed: whatever is
//! ambiguous is refused). Called by both heads; it never reads a body, `body` follows the verdict.

use crate::field::elements;
use crate::{Error, Found};

/// What came of one call to `parse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head has not ended yet: call again with the same bytes and more behind them.
    Partial,
    /// The head took this many bytes of the input.
    Complete(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

/// The body of a request: what it has, and what it is forwarded as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    #[default]
    None,
    Length(u64),
    Chunked,
}

/// The body of a response as the worker frames it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseBody {
    #[default]
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// How a response's body is framed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body follows. For HEAD and 304 the worker's Content-Length is kept as information.
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What the client is told about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    KeepAlive,
    Close,
    /// A 101: the worker's `Upgrade` is passed on.
    Upgrade,
}

/// The one length that all Content-Length lines and list elements agree on.
pub(crate) fn content_length<'a>(
    values: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<Option<u64>, Error> {
    let mut length = None;
    for element in elements(values) {
        let found = decimal(element).ok_or_else(|| Error::ContentLength(Found::bytes(element)))?;
        match length {
            Some(first) if first != found => return Err(Error::ContentLengthsDiffer(first, found)),
            _ => length = Some(found),
        }
    }
    Ok(length)
}

/// `Ok` only for exactly one `chunked` and nothing else.
pub(crate) fn only_chunked<'a>(
    values: impl Iterator<Item = &'a [u8]> + Clone,
) -> Result<(), Error> {
    let codings = || elements(values.clone());
    let is_chunked = |coding: &[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if codings().count() == 1 && codings().all(is_chunked) {
        return Ok(());
    }
    // `gzip, chunked` is correct but not implemented here: to forward it re-framed would lose the
    // coding. Anything else is an attempt at being read in two ways.
    let last = codings().last().unwrap_or_default();
    let others = codings().count() - 1;
    if is_chunked(last) && codings().take(others).all(is_compression) {
        Err(Error::TransferCoding(Found::bytes(values.clone().next().unwrap_or_default())))
    } else {
        let odd = values.clone().find(|v| !is_chunked(v)).unwrap_or(b"chunked, chunked");
        Err(Error::TransferEncoding(Found::bytes(odd)))
    }
}

fn is_compression(coding: &[u8]) -> bool {
    [&b"gzip"[..], b"x-gzip", b"deflate", b"compress", b"x-compress"]
        .iter()
        .any(|known| coding.eq_ignore_ascii_case(known))
}

/// `1*DIGIT` that fits; no sign, no space, no underscore.
fn decimal(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() {
        return None;
    }
    bytes.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}
