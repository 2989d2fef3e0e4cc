//! Where a head and its lines end. It walks the control characters once, remembers how far it got
//! between calls, and enforces the limits on the way: a head that drips in byte by byte costs one
//! pass, an endless one is refused at its limit, and nothing is tokenised before its last line has
//! arrived.
//!
//! What is wrong is found at the same byte however the input was cut. Called by both heads.

mod controls;

use crate::request::check_version;
use crate::word::WORD;
use crate::{Error, Found, Limits};
use controls::controls;

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
    /// Carriage returns since `start`.
    returns: usize,
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
        let seen = &input[..input.len().min(limit)];
        let from = std::mem::replace(&mut self.searched, seen.len());
        let (words, rest) = seen[from..].as_chunks();
        // Spaces are no control characters.
        let mut last = [b' '; WORD];
        last[..rest.len()].copy_from_slice(rest);
        for (number, word) in words.iter().chain([&last]).enumerate() {
            let mut found = controls(*word);
            while found != 0 {
                let at = from + number * WORD + found.trailing_zeros() as usize / 8;
                found &= found - 1;
                match seen[at] {
                    b'\n' => {}
                    b'\r' => {
                        self.returns += 1;
                        continue;
                    }
                    b'\t' => continue,
                    _ => {
                        self.lines.odd = true;
                        continue;
                    }
                }
                let first = self.lines.ends.is_empty() && kind == Kind::Request;
                // Asked first, because it is known first where the line comes in pieces.
                if first && at - self.start > line_max(limits) {
                    return Err(Error::TargetTooLong(limits.uri));
                }
                if at == 0 || seen[at - 1] != b'\r' {
                    return Err(Error::BareLf);
                }
                let empty = at - self.line == 1;
                self.line = at + 1;
                if empty {
                    match self.empty_line(seen, at, kind)? {
                        Some(ended) => return Ok(Some(ended)),
                        None => continue,
                    }
                }
                if first {
                    check_version(&seen[self.start..=at])?;
                }
                let lines = &mut self.lines.ends;
                if lines.len() > limits.headers {
                    return Err(Error::TooManyFields(limits.headers));
                }
                lines.push((at - self.start) as u32);
            }
        }
        let first_line = self.lines.ends.is_empty() && kind == Kind::Request;
        if first_line && seen.len() - self.start > line_max(limits) {
            return Err(Error::TargetTooLong(limits.uri));
        }
        if input.len() >= limit { Err(Error::HeadTooLarge(limits.head_bytes)) } else { Ok(None) }
    }

    /// The end of the head, or one that may stand before it.
    fn empty_line(&mut self, seen: &[u8], at: usize, kind: Kind) -> Result<Option<Ended>, Error> {
        let lines = self.lines.ends.len();
        if lines > 0 {
            // Every line has ended with one: another is somewhere it may not be.
            self.lines.odd |= self.returns != lines + 1;
            return Ok(Some(Ended { start: self.start, end: at + 1 }));
        }
        if self.start > 0 || kind == Kind::Response {
            return Err(Error::NotHttp(Found::text("empty lines")));
        }
        // RFC 9112 2.2: one empty line before a request is forgiven.
        self.start = at + 1;
        self.returns = 0;
        first_bytes(&seen[self.start..], kind)?;
        Ok(None)
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
                Err(Error::NotHttp(Found::target(head)))
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
