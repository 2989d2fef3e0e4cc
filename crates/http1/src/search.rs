//! Where a head and its lines end. It walks the control characters once, remembers how far it got
//! between calls, and enforces the limits on the way: a head that drips in byte by byte costs one
//! pass, an endless one is refused at its limit, and nothing is tokenised before its last line has
//! arrived.
//!
//! What is wrong is found at the same byte however the input was cut. Called by both heads.

mod controls;

use crate::{Error, Found, Limits};
use controls::Controls;

/// Where a whole head lies in the input.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) start: usize,
    pub(crate) end: usize,
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
    lines: Lines,
}

/// The lines of a head, the last, empty one left out.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    /// Where each one's LF lies, counted from the head's start.
    pub(crate) ends: Vec<u32>,
    /// Some line has a control character that none may have: look at every byte of them.
    pub(crate) odd: bool,
}

/// Room in the request line beside the target: a long method and the version.
const LINE_SLACK: usize = 64;

impl Search {
    /// Forgets everything but the memory.
    pub(crate) fn reset(&mut self) {
        let Lines { mut ends, .. } = std::mem::take(&mut self.lines);
        ends.clear();
        *self = Search { lines: Lines { ends, odd: false }, ..Search::default() };
    }

    /// Of a head that has ended, for whoever takes it apart.
    pub(crate) fn lines(&self) -> &Lines {
        &self.lines
    }

    /// Looks at what has arrived since the last call. `None`: no end yet.
    pub(crate) fn advance(
        &mut self,
        input: &[u8],
        limits: &Limits,
        kind: Kind,
    ) -> Result<Option<Ended>, Error> {
        if input.len() < self.searched {
            self.reset();
        }
        if self.lines.ends.is_empty() {
            first_bytes(&input[self.start..], kind)?;
        }
        // Offsets into a head are kept as u32.
        let limit = limits.head_bytes.min(u32::MAX as usize / 2);
        let bound = input.len().min(limit);
        let from = self.searched;
        self.searched = bound;
        for at in Controls::of(input, from..bound) {
            match input[at] {
                b'\n' => {}
                b'\t' => continue,
                b'\r' if input[..bound].get(at + 1) == Some(&b'\n') => continue,
                // What follows it has not come yet.
                b'\r' if at + 1 == bound => {
                    self.searched = at;
                    continue;
                }
                _ => {
                    self.lines.odd = true;
                    continue;
                }
            }
            if self.lines.ends.is_empty()
                && kind == Kind::Request
                && at - self.start > line_max(limits)
            {
                return Err(Error::TargetTooLong(limits.uri));
            }
            if at == 0 || input[at - 1] != b'\r' {
                return Err(Error::BareLf);
            }
            let empty = at - self.line == 1;
            self.line = at + 1;
            if !empty {
                if self.lines.ends.len() > limits.headers {
                    return Err(Error::TooManyFields(limits.headers));
                }
                self.lines.ends.push((at - self.start) as u32);
            } else if !self.lines.ends.is_empty() {
                return Ok(Some(Ended { start: self.start, end: at + 1 }));
            } else if self.start == 0 && kind == Kind::Request {
                // RFC 9112 2.2: one empty line before a request is forgiven.
                self.start = at + 1;
                first_bytes(&input[self.start..], kind)?;
            } else {
                return Err(Error::NotHttp(Found::text("empty lines")));
            }
        }
        if self.lines.ends.is_empty()
            && kind == Kind::Request
            && bound - self.start > line_max(limits)
        {
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
