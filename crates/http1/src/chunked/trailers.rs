//! The lines after the last chunk. It decides which of them may be passed on: nobody downstream
//! may take a trailer for a header that frames, routes, authenticates or sets state (RFC 9110
//! 6.5.1). They are never merged into the head.

use crate::field::FieldId;
use crate::lines::FieldLine;
use crate::{Error, Found};

/// All trailer lines of one message together.
const MAX: usize = 8 * 1024;

#[derive(Clone, Debug, Default)]
pub(super) struct Trailers {
    /// The lines kept so far, then the line being read.
    text: Vec<u8>,
    line: usize,
    seen: usize,
}

impl Trailers {
    /// Reads lines up to the empty one. Gives the bytes consumed and whether that was reached.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<(usize, bool), Error> {
        let mut at = 0;
        while let Some(length) = memchr::memchr(b'\n', &input[at..]) {
            self.take(&input[at..at + length + 1])?;
            at += length + 1;
            if self.end_line()? {
                return Ok((at, true));
            }
        }
        self.take(&input[at..])?;
        Ok((input.len(), false))
    }

    pub(super) fn kept(&self) -> &[u8] {
        &self.text[..self.line]
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.seen += bytes.len();
        if self.seen > MAX {
            return Err(Error::TrailersTooLarge(MAX));
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Result<bool, Error> {
        let whole = &self.text[self.line..];
        let Some(line) = whole.strip_suffix(b"\r\n") else {
            return Err(Error::BareLf);
        };
        if line.is_empty() {
            self.text.truncate(self.line);
            return Ok(true);
        }
        let Some(FieldLine { name, .. }) = FieldLine::of(whole) else {
            return Err(Error::Trailer(Found::field(line)));
        };
        if is_forbidden(&line[..name]) {
            self.text.truncate(self.line);
        } else {
            self.line = self.text.len();
        }
        Ok(false)
    }
}

/// Every field Isobar knows by name means something in a head, as do these; names with `_` are
/// read as other names by CGI-like workers.
fn is_forbidden(name: &[u8]) -> bool {
    const MORE: [&str; 26] = [
        "accept-ranges",
        "age",
        "authorization",
        "cache-control",
        "content-encoding",
        "content-location",
        "content-range",
        "cookie",
        "early-data",
        "expires",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "location",
        "pragma",
        "range",
        "vary",
        "warning",
        "www-authenticate",
        "authentication-info",
        "strict-transport-security",
        "cookie2",
        "set-cookie2",
        "x-isobar-reason",
    ];
    FieldId::of(name) != FieldId::Other
        || name.contains(&b'_')
        || MORE.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        || [&b"proxy-"[..], b"x-forwarded-"].iter().any(|known| {
            name.get(..known.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(known))
        })
}
