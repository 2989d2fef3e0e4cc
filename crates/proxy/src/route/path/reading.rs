//! The ways in which a worker may read a path beyond its normal form: `%2F` or `%5C` as `/`, each
//! element without what follows its `;`, `//` as `/`, and every combination of them.
//!
//! Servers differ in this, so a rule that looks at one reading alone can be passed by another. A
//! path without such bytes has one reading and costs nothing here. Otherwise there are at most
//! 21, each made in time linear in the path.

use std::borrow::Cow;

use super::{PathError, rewrite};

/// Readings of one path, the normal form left out: fifteen combinations, and six of them once more
/// for those who drop what follows a `;` before they decode anything.
#[cfg(test)]
const MOST: usize = 21;

/// What `//` in a path is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Slashes {
    /// The same as `/`.
    #[default]
    Merge,
    /// An element without a name.
    Keep,
}

/// Whether a path may be read otherwise behind the prefix that its route asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behind {
    #[default]
    Plain,
    /// A reading that climbs over a replaced prefix would escape it.
    Ambiguous,
}

/// A path in its normal form with its query, and which bytes of it can be read otherwise.
#[derive(Debug)]
pub struct Normal<'a> {
    pub target: Cow<'a, [u8]>,
    slashes: Slashes,
    marks: u8,
}

const SLASH: u8 = 1;
const BACKSLASH: u8 = 2;
const PARAMETER: u8 = 4;
const DOUBLE: u8 = 8;

/// Who removes the parameters of an element.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Somebody who sees `%2F` decoded: a `;` ends there.
    DecodeFirst,
    /// Somebody who does not: a `;` takes the `%2F` behind it along.
    StripFirst,
}

impl<'a> Normal<'a> {
    /// `target` is a path with or without a query.
    pub fn of(target: &'a [u8], slashes: Slashes) -> Result<Normal<'a>, PathError> {
        if target == b"*" {
            return Ok(Normal { target: Cow::Borrowed(target), slashes, marks: 0 });
        }
        if target.first() != Some(&b'/') {
            return Err(PathError::NotAbsolute);
        }
        if let Some(marks) = clean(target, slashes) {
            return Ok(Normal { target: Cow::Borrowed(target), slashes, marks });
        }
        let end = memchr::memchr(b'?', target).unwrap_or(target.len());
        let (path, query) = target.split_at(end);
        let mut out = Vec::with_capacity(target.len());
        rewrite(path, slashes, &mut out)?;
        let marks = marks(&out);
        out.extend_from_slice(query);
        let target = if out == target { Cow::Borrowed(target) } else { Cow::Owned(out) };
        Ok(Normal { target, slashes, marks })
    }

    /// Nobody can read it otherwise.
    pub fn is_plain(&self) -> bool {
        self.marks == 0
    }

    /// Every other reading, in its normal form and with the query.
    pub fn readings(&self) -> impl Iterator<Item = Result<Vec<u8>, PathError>> {
        let may = self.may_be_read();
        let masks = (1..=may).filter(move |mask| mask & !may == 0);
        let both = |mask: u8| mask & PARAMETER != 0 && mask & (SLASH | BACKSLASH) != 0;
        let readings = masks.flat_map(move |mask| {
            let second = both(mask).then_some((mask, Order::StripFirst));
            std::iter::once((mask, Order::DecodeFirst)).chain(second)
        });
        readings.map(|(mask, order)| self.read(mask, order))
    }

    /// With everything read that can be.
    pub fn fully_read(&self) -> Result<Vec<u8>, PathError> {
        self.read(self.may_be_read(), Order::DecodeFirst)
    }

    /// What is read otherwise may leave a `//` behind where it is kept.
    fn may_be_read(&self) -> u8 {
        match (self.marks, self.slashes) {
            (0, _) => 0,
            (marks, Slashes::Merge) => marks & !DOUBLE,
            (marks, Slashes::Keep) => marks | DOUBLE,
        }
    }

    fn read(&self, mask: u8, order: Order) -> Result<Vec<u8>, PathError> {
        let end = memchr::memchr(b'?', &self.target).unwrap_or(self.target.len());
        let (path, query) = self.target.split_at(end);
        let mut plain = Vec::with_capacity(path.len());
        let (mut at, mut dropping) = (0, false);
        while at < path.len() {
            let (byte, length) = match &path[at..] {
                [b'%', b'2', b'F', ..] if mask & SLASH != 0 => (b'/', 3),
                [b'%', b'5', b'C', ..] if mask & BACKSLASH != 0 => (b'/', 3),
                rest => (rest[0], 1),
            };
            at += length;
            if byte == b'/' && (length == 1 || order == Order::DecodeFirst) {
                dropping = false;
            }
            dropping |= byte == b';' && mask & PARAMETER != 0;
            if !dropping {
                plain.push(byte);
            }
        }
        let slashes = if mask & DOUBLE == 0 { self.slashes } else { Slashes::Merge };
        let mut out = Vec::with_capacity(plain.len() + query.len());
        rewrite(&plain, slashes, &mut out)?;
        out.extend_from_slice(query);
        Ok(out)
    }
}

/// Whether what stands behind a replaced prefix stays behind it in every reading.
pub(crate) fn stays_below(rest: &[u8], slashes: Slashes) -> Result<(), PathError> {
    match rest.first() {
        None => Ok(()),
        Some(_) => Normal::of(rest, slashes)?.readings().try_for_each(|read| read.map(drop)),
    }
}

/// The marks of a target that is its own normal form; `None`: that has to be looked at closely.
fn clean(target: &[u8], slashes: Slashes) -> Option<u8> {
    let (mut before, mut marks) = (0, 0);
    for &byte in target {
        match byte {
            b'?' => break,
            b'%' | b'\\' | 0 => return None,
            b'.' if before == b'/' => return None,
            b'/' if before == b'/' => match slashes {
                Slashes::Merge => return None,
                Slashes::Keep => marks |= DOUBLE,
            },
            b';' => marks |= PARAMETER,
            _ => {}
        }
        before = byte;
    }
    Some(marks)
}

fn marks(path: &[u8]) -> u8 {
    let mark = |at: usize| match &path[at..] {
        [b';', ..] => PARAMETER,
        [b'/', b'/', ..] => DOUBLE,
        [b'%', b'2', b'F', ..] => SLASH,
        [b'%', b'5', b'C', ..] => BACKSLASH,
        _ => 0,
    };
    memchr::memchr3_iter(b'%', b';', b'/', path).fold(0, |marks, at| marks | mark(at))
}

#[cfg(test)]
mod tests;
