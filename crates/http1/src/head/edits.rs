//! The lines added to a head, kept ready to be written.

use std::ops::Range;

use super::write_clean_line;
use crate::field::{FieldId, is_token};

#[derive(Debug, Default)]
pub(super) struct Edits {
    text: Vec<u8>,
    lines: Vec<Edit>,
    /// One bit per known field that was edited.
    present: u64,
}

#[derive(Debug)]
struct Edit {
    id: FieldId,
    name: usize,
    line: Range<usize>,
}

impl Edits {
    pub(super) fn capacity(&self) -> usize {
        self.text.capacity()
    }

    /// Framing and connection lines are `encode`'s; a name that is no token is nobody's.
    pub(super) fn accepts(id: FieldId, name: &[u8]) -> bool {
        !id.is_written_by_encode() && (id != FieldId::Other || is_token(name))
    }

    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.present = 0;
    }

    pub(super) fn add(&mut self, id: FieldId, name: &[u8], value: &[u8]) {
        let start = self.text.len();
        write_clean_line(&mut self.text, name, value);
        self.present |= id.bit();
        self.lines.push(Edit { id, name: name.len(), line: start..self.text.len() });
    }

    pub(super) fn replace(&mut self, id: FieldId, name: &[u8], value: &[u8]) {
        match id {
            FieldId::Other => self.remove_named(name),
            known => self.drop_lines(|edit, _| edit.id == known),
        }
        self.add(id, name, value);
    }

    /// Of a name that is not a known one.
    pub(super) fn remove_named(&mut self, name: &[u8]) {
        self.drop_lines(|edit, line| {
            edit.id == FieldId::Other && line[..edit.name].eq_ignore_ascii_case(name)
        });
    }

    pub(super) fn remove(&mut self, bits: u64) {
        if self.present & bits != 0 {
            self.drop_lines(|edit, _| edit.id.bit() & bits != 0);
            self.present &= !bits;
        }
    }

    pub(super) fn has(&self, id: FieldId) -> bool {
        self.present & id.bit() != 0
    }

    pub(super) fn has_named(&self, name: &[u8]) -> bool {
        let named =
            |edit: &Edit| self.text[edit.line.start..][..edit.name].eq_ignore_ascii_case(name);
        self.lines.iter().any(named)
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn each(&self, mut field: impl FnMut(&[u8], &[u8])) {
        for Edit { name, line, .. } in &self.lines {
            let line = &self.text[line.clone()];
            field(&line[..*name], &line[name + b": ".len()..line.len() - b"\r\n".len()]);
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text);
    }

    /// Rare (a field edited twice), so the text is simply closed up.
    fn drop_lines(&mut self, gone: impl Fn(&Edit, &[u8]) -> bool) {
        while let Some(at) =
            self.lines.iter().position(|edit| gone(edit, &self.text[edit.line.clone()]))
        {
            let Edit { line, .. } = self.lines.remove(at);
            self.text.drain(line.clone());
            for later in &mut self.lines[at..] {
                later.line = later.line.start - line.len()..later.line.end - line.len();
            }
        }
    }
}
