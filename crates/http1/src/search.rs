//! Where a head ends. It walks the line ends once, remembers how far it got between calls, and
//! enforces the limits on the way: a head that drips in byte by byte costs one pass, an endless one
//! is refused at its limit, and nothing is tokenised before its last line has arrived.
//!
//! What is wrong is found at the same byte however the input was cut. Called by both heads.

use crate::{Error, Found, Limits};

/// Where a whole head lies in the input, and how many field lines it has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) fields: usize,
}

/// Which first bytes a head may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

#[derive(Debug, Default)]
pub(crate) struct Search {
    searched: usize,
    start: usize,
    line: usize,
    lines: usize,
}

/// Room in the request line beside the target: a long method and the version.
const LINE_SLACK: usize = 64;

impl Search {
    /// Looks at what has arrived since the last call. `None`: no end yet.
    pub(crate) fn advance(
        &mut self,
        input: &[u8],
        limits: &Limits,
        kind: Kind,
    ) -> Result<Option<Ended>, Error> {
        if input.len() < self.searched {
            *self = Search::default();
        }
        if self.lines == 0 {
            first_bytes(&input[self.start..], kind)?;
        }
        // Offsets into a head are kept as u32.
        let limit = limits.head_bytes.min(u32::MAX as usize / 2);
        let bound = input.len().min(limit);
        let from = self.searched;
        for at in memchr::memchr_iter(b'\n', &input[from..bound]) {
            let at = from + at;
            if self.lines == 0 && kind == Kind::Request && at - self.start > line_max(limits) {
                return Err(Error::TargetTooLong(limits.uri));
            }
            if at == 0 || input[at - 1] != b'\r' {
                return Err(Error::BareLf);
            }
            let empty = at - self.line == 1;
            self.line = at + 1;
            if !empty {
                self.lines += 1;
                if self.lines > limits.headers.saturating_add(1) {
                    return Err(Error::TooManyFields(limits.headers));
                }
            } else if self.lines > 0 {
                return Ok(Some(Ended { start: self.start, end: at + 1, fields: self.lines - 1 }));
            } else if self.start == 0 && kind == Kind::Request {
                // RFC 9112 2.2: one empty line before a request is forgiven.
                self.start = at + 1;
                first_bytes(&input[self.start..], kind)?;
            } else {
                return Err(Error::NotHttp(Found::text("empty lines")));
            }
        }
        self.searched = bound;
        if self.lines == 0 && kind == Kind::Request && bound - self.start > line_max(limits) {
            return Err(Error::TargetTooLong(limits.uri));
        }
        if input.len() >= limit { Err(Error::HeadTooLarge(limits.head_bytes)) } else { Ok(None) }
    }
}

fn line_max(limits: &Limits) -> usize {
    limits.uri.saturating_add(LINE_SLACK)
}

/// TLS, a port scanner or a worker that is no HTTP server: known from the first bytes, not from a
/// time-out.
fn first_bytes(head: &[u8], kind: Kind) -> Result<(), Error> {
    match kind {
        Kind::Request => match head.first() {
            Some(&b) if b != b'\r' && b != b'\n' && !crate::field::is_token_byte(b) => {
                Err(Error::NotHttp(Found::bytes(head)))
            }
            _ => Ok(()),
        },
        Kind::Response => {
            let known = head.len().min(b"HTTP/1.".len());
            if head[..known] == b"HTTP/1."[..known] {
                Ok(())
            } else {
                Err(Error::StatusLine(Found::bytes(head)))
            }
        }
    }
}
