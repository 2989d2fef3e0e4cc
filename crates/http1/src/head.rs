//! What request and response heads share: one buffer with the head's bytes, the fields as spans into
//! it in their order, and the edits as an overlay. Reading shows what was received; edits show only
//! in what is encoded. It knows fields and lines, not what they mean: that is for `request`,
//! `response`, `connection` and `framing`.

mod edits;

use std::ops::Range;

use crate::field::{Field, FieldId, is_claim, is_value_byte};
use crate::lines::FieldLine;
use crate::search::Lines;
use crate::{Error, Found};
use edits::Edits;

/// Why a line is not copied to the next hop.
pub(crate) mod skip {
    pub(crate) const HOP_BY_HOP: u8 = 1;
    /// Removed or replaced by an edit.
    pub(crate) const EDITED: u8 = 2;
    /// Framing: `encode` writes its own.
    pub(crate) const FRAMING: u8 = 4;
    /// Announces trailers: goes with a chunked body only.
    pub(crate) const TRAILER: u8 = 8;
    pub(crate) const ALWAYS: u8 = HOP_BY_HOP | EDITED | FRAMING;
}

/// What becomes of a client's fields whose names have a `_`, which CGI-like workers take for a `-`
/// (`Content_Length`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Underscores {
    #[default]
    Drop,
    /// Kept, but for those that stand for a name that a proxy sets or strips.
    Keep,
}

/// Who wrote a head. What workers say is left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sender {
    Client(Underscores),
    Worker,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    pub(crate) fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl From<Range<usize>> for Span {
    fn from(range: Range<usize>) -> Span {
        Span { start: range.start as u32, end: range.end as u32 }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Head {
    text: Vec<u8>,
    lines: Vec<Line>,
    /// One bit per known field that occurs.
    present: u64,
    /// Some line is a claim.
    claims: bool,
    /// Some line of a client has a `_` in its name.
    underscored: bool,
    edits: Edits,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    id: FieldId,
    skip: u8,
    /// Written as `Name: value` CRLF: may be copied with its neighbours in one piece.
    plain: bool,
    /// See [`is_claim`].
    claim: bool,
    /// What a name with `_` is where that is read as `-`.
    stands_for: FieldId,
    underscored: bool,
    name: Span,
    value: Span,
}

impl Head {
    /// Bytes of text that it has memory for.
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity() + self.edits.capacity()
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.present = 0;
        self.claims = false;
        self.underscored = false;
        self.edits.clear();
    }

    /// Takes over a whole head, whose first line is the start line. `Err`: one of the field lines is
    /// none.
    pub(crate) fn fill(&mut self, text: &[u8], lines: &Lines, sender: Sender) -> Result<(), Error> {
        self.clear();
        self.text.extend_from_slice(text);
        self.lines.reserve(lines.ends.len());
        let [start_line, ends @ ..] = &lines.ends[..] else { return Ok(()) };
        let mut at = start_line + 1;
        for &end in ends {
            let whole = &text[at as usize..end as usize + 1];
            let line = if lines.odd { FieldLine::of(whole) } else { FieldLine::of_clean(whole) };
            let Some(line) = line else {
                self.clear();
                let line = whole.strip_suffix(b"\r\n").unwrap_or(whole);
                return Err(Error::FieldLine(Found::field(line)));
            };
            let start = std::mem::replace(&mut at, end + 1);
            let id = FieldId::of(&whole[..line.name]);
            let mut stands_for = FieldId::Other;
            let underscored = line.underscore && sender != Sender::Worker;
            if underscored {
                let name = dashed(&whole[..line.name]);
                stands_for = FieldId::of(&name);
                let ours = stands_for.is_set_or_stripped() || is_claim(&name);
                if ours || sender == Sender::Client(Underscores::Drop) {
                    continue;
                }
                self.underscored = true;
            }
            let skip = match id {
                FieldId::Other => 0,
                FieldId::ContentLength => skip::FRAMING,
                FieldId::Trailer => skip::TRAILER,
                known if known.is_hop_by_hop() => skip::HOP_BY_HOP,
                _ => 0,
            };
            self.present |= id.bit();
            let claim = id == FieldId::Other && is_claim(&whole[..line.name]);
            self.claims |= claim;
            self.lines.push(Line {
                id,
                skip,
                plain: line.plain,
                claim,
                stands_for,
                underscored,
                name: Span { start, end: start + line.name as u32 },
                value: Span {
                    start: start + line.value.start as u32,
                    end: start + line.value.end as u32,
                },
            });
        }
        Ok(())
    }

    /// Adds a line as if it had been received, under the rules of [`Edits::accepts`].
    pub(crate) fn build(&mut self, name: &[u8], value: &[u8]) {
        let id = FieldId::of(name);
        if !Edits::accepts(id, name) {
            return;
        }
        let start = self.text.len() as u32;
        write_clean_line(&mut self.text, name, value);
        let claim = id == FieldId::Other && is_claim(name);
        self.present |= id.bit();
        self.claims |= claim;
        let name_ends = start + name.len() as u32;
        self.lines.push(Line {
            id,
            skip: 0,
            plain: true,
            claim,
            stands_for: FieldId::Other,
            underscored: false,
            name: Span { start, end: name_ends },
            value: Span { start: name_ends + 2, end: self.text.len() as u32 - 2 },
        });
    }

    /// Adds bytes behind the head: a start line's part that was not received as one piece.
    pub(crate) fn push(&mut self, parts: &[&[u8]]) -> Span {
        let start = self.text.len() as u32;
        for part in parts {
            self.text.extend_from_slice(part);
        }
        Span { start, end: self.text.len() as u32 }
    }

    pub(crate) fn bytes(&self, span: Span) -> &[u8] {
        // A span of a head that was cleared since is empty, not a panic.
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The span of a part of this head's own bytes.
    pub(crate) fn span_of(&self, part: &[u8]) -> Span {
        span_in(&self.text, part)
    }

    pub(crate) fn value_span(&self, id: FieldId) -> Option<Span> {
        self.lines.iter().find(|line| line.id == id).map(|line| line.value)
    }

    /// Whether any field of these bits occurs.
    pub(crate) fn has(&self, bits: u64) -> bool {
        self.present & bits != 0
    }

    pub(crate) fn fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.lines.iter().map(|line| Field {
            id: line.id,
            name: self.bytes(line.name),
            value: self.bytes(line.value),
            hop_by_hop: line.skip & skip::HOP_BY_HOP != 0,
        })
    }

    pub(crate) fn value(&self, id: FieldId) -> Option<&[u8]> {
        self.values(id).next()
    }

    pub(crate) fn values(&self, id: FieldId) -> impl Iterator<Item = &[u8]> + Clone {
        // The common miss costs no walk.
        let lines: &[Line] = if self.has(id.bit()) { &self.lines } else { &[] };
        lines.iter().filter(move |line| line.id == id).map(|line| self.bytes(line.value))
    }

    pub(crate) fn values_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value)
    }

    /// Which lines a `Connection` option names, but for those it may not take out.
    pub(crate) fn positions(&self, name: &[u8]) -> impl Iterator<Item = usize> {
        let open = |line: &Line| !line.id.is_protected();
        self.lines.iter().enumerate().filter_map(move |(at, line)| {
            (open(line) && self.bytes(line.name).eq_ignore_ascii_case(name)).then_some(at)
        })
    }

    pub(crate) fn mark_hop_by_hop(&mut self, positions: &[usize]) {
        for &at in positions {
            self.lines[at].skip |= skip::HOP_BY_HOP;
        }
    }

    /// Keeps a received field from being encoded.
    pub(crate) fn suppress(&mut self, id: FieldId) {
        self.mark(id, skip::FRAMING);
    }

    pub(crate) fn remove(&mut self, id: FieldId) {
        self.remove_all(id.bit());
    }

    /// Removes every field of these bits. The usual head has none of them.
    pub(crate) fn remove_all(&mut self, bits: u64) {
        let bits = bits & !FieldId::Host.bit();
        if self.has(bits) || self.underscored {
            let named = |line: &&mut Line| (line.id.bit() | line.stands_for.bit()) & bits != 0;
            for line in self.lines.iter_mut().filter(named) {
                line.skip |= skip::EDITED;
            }
        }
        self.edits.remove(bits);
    }

    /// Removes every claim that was received; what an edit wrote stays.
    pub(crate) fn remove_claims(&mut self) {
        if self.claims {
            for line in self.lines.iter_mut().filter(|line| line.claim) {
                line.skip |= skip::EDITED;
            }
        }
    }

    /// Removes every field of this name, whether or not it is a known one.
    pub(crate) fn remove_named(&mut self, name: &[u8]) {
        self.remove_lookalikes(name);
        match FieldId::of(name) {
            FieldId::Other => {
                self.mark_named(name);
                self.edits.remove_named(name);
            }
            known => self.remove(known),
        }
    }

    pub(crate) fn is_edited(&self, name: &[u8]) -> bool {
        let edited = |line: &Line| line.skip & skip::EDITED != 0;
        self.edits.has_named(name)
            || self
                .lines
                .iter()
                .any(|line| edited(line) && self.text[line.name.range()].eq_ignore_ascii_case(name))
    }

    /// Removes what a worker may take for a field of this name: a `_` stands for a `-` there.
    pub(crate) fn remove_lookalikes(&mut self, name: &[u8]) {
        if !self.underscored {
            return;
        }
        let (text, name) = (&self.text, dashed(name));
        let alike = |line: &Line| {
            line.underscored && dashed(&text[line.name.range()]).eq_ignore_ascii_case(&name)
        };
        for line in self.lines.iter_mut().filter(|line| alike(line)) {
            line.skip |= skip::EDITED;
        }
    }

    /// Removes what was received under this name, `Host` aside; what an edit wrote stays.
    pub(crate) fn remove_received(&mut self, name: &[u8]) {
        self.remove_lookalikes(name);
        let text = &self.text;
        let named = |line: &&mut Line| {
            line.id != FieldId::Host && text[line.name.range()].eq_ignore_ascii_case(name)
        };
        for line in self.lines.iter_mut().filter(named) {
            line.skip |= skip::EDITED;
        }
    }

    fn mark_named(&mut self, name: &[u8]) {
        let text = &self.text;
        let named = |line: &Line| text[line.name.range()].eq_ignore_ascii_case(name);
        for line in self.lines.iter_mut().filter(|line| line.id == FieldId::Other && named(line)) {
            line.skip |= skip::EDITED;
        }
    }

    fn mark(&mut self, id: FieldId, skip: u8) {
        for line in self.lines.iter_mut().filter(|line| line.id == id) {
            line.skip |= skip;
        }
    }

    pub(crate) fn set(&mut self, name: &[u8], value: &[u8]) {
        let id = FieldId::of(name);
        if !Edits::accepts(id, name) {
            return;
        }
        self.remove_lookalikes(name);
        if id == FieldId::Other {
            self.mark_named(name);
        } else if self.has(id.bit()) {
            self.mark(id, skip::EDITED);
        }
        self.edits.replace(id, name, value);
    }

    pub(crate) fn append(&mut self, name: &[u8], value: &[u8]) {
        let id = FieldId::of(name);
        if Edits::accepts(id, name) {
            self.remove_lookalikes(name);
            self.edits.add(id, name, value);
        }
    }

    pub(crate) fn has_edit(&self, id: FieldId) -> bool {
        self.edits.has(id)
    }

    /// Names and values as [`Head::write_fields`] writes them.
    pub(crate) fn each(&self, skip: u8, mut field: impl FnMut(&[u8], &[u8])) {
        for line in self.lines.iter().filter(|line| line.skip & skip == 0) {
            field(self.bytes(line.name), self.bytes(line.value));
        }
        self.edits.each(field);
    }

    /// Writes the received lines without a bit of `skip`, then the edits.
    pub(crate) fn write_fields(&self, out: &mut Vec<u8>, skip: u8) {
        let mut run = Range::default();
        for line in self.lines.iter().filter(|line| line.skip & skip == 0) {
            let whole = line.name.start as usize..line.value.end as usize + 2;
            if line.plain && run.end == whole.start {
                run.end = whole.end;
                continue;
            }
            out.extend_from_slice(&self.text[run]);
            run = Range::default();
            if line.plain {
                run = whole;
            } else {
                write_line(out, self.bytes(line.name), self.bytes(line.value));
            }
        }
        out.extend_from_slice(&self.text[run]);
        self.edits.write(out);
    }

    /// About what `write_fields` will take, for one reservation.
    pub(crate) fn encoded_len(&self) -> usize {
        self.text.len() + self.edits.len()
    }
}

/// With `-` for every `_`.
fn dashed(name: &[u8]) -> Vec<u8> {
    name.iter().map(|&b| if b == b'_' { b'-' } else { b }).collect()
}

pub(crate) fn start_line(text: &[u8]) -> &[u8] {
    text.split(|&b| b == b'\r').next().unwrap_or_default()
}

pub(crate) fn span_in(text: &[u8], part: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(text.as_ptr() as usize) as u32;
    Span { start, end: start + part.len() as u32 }
}

pub(crate) fn write_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    out.extend_from_slice(name);
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}

/// The same for a value that somebody wrote for us, a template or a certificate: what could end the
/// line is left out.
fn write_clean_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    if value.iter().fold(true, |ok, &b| ok & is_value_byte(b)) {
        return write_line(out, name, value);
    }
    let clean: Vec<u8> = value.iter().copied().filter(|&b| is_value_byte(b)).collect();
    write_line(out, name, &clean);
}

pub(crate) fn write_content_length(out: &mut Vec<u8>, length: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
    out.extend_from_slice(b"\r\n");
}
