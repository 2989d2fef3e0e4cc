//! The control characters of a buffer, eight bytes at a time. It is the only look at every byte of a
//! head that is free of odd ones, so it is written for speed: plain arithmetic on words, which is
//! exact for every byte.

use std::ops::Range;

const EACH: u64 = u64::from_le_bytes([1; 8]);
const HIGH: u64 = 0x80 * EACH;
const WORD: usize = 8;

/// The positions, in order, of all bytes below the space and of DEL.
pub(super) struct Controls<'a> {
    input: &'a [u8],
    /// Where the word that `found` is about begins.
    at: usize,
    end: usize,
    /// The high bit of each byte that is one and was not given yet.
    found: u64,
}

impl<'a> Controls<'a> {
    /// Those of `input[within]`.
    pub(super) fn of(input: &'a [u8], within: Range<usize>) -> Self {
        let mut controls = Self { input, at: within.start, end: within.end, found: 0 };
        controls.look();
        controls
    }

    #[inline]
    fn look(&mut self) {
        let rest = &self.input[self.at..self.end];
        let word = match rest.first_chunk::<WORD>() {
            Some(word) => u64::from_le_bytes(*word),
            None => {
                // Spaces behind the end are no control characters.
                let mut word = [b' '; WORD];
                word[..rest.len()].copy_from_slice(rest);
                u64::from_le_bytes(word)
            }
        };
        self.found = controls(word);
    }
}

impl Iterator for Controls<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.found == 0 {
            if self.end - self.at <= WORD {
                return None;
            }
            self.at += WORD;
            self.look();
        }
        let byte = self.found.trailing_zeros() as usize / 8;
        self.found &= self.found - 1;
        Some(self.at + byte)
    }
}

/// The high bit of each byte of `word` that is below the space, or DEL.
fn controls(word: u64) -> u64 {
    let low = word & !HIGH;
    // No carry leaves its byte: each is at most 0x7f + 0x60.
    let from_space = low + (0x80 - 0x20) * EACH;
    let del = low + EACH;
    (!from_space | del) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        for byte in 0..=u8::MAX {
            for place in 0..WORD {
                let mut word = [b'x'; WORD];
                word[place] = byte;
                let expected = if byte < b' ' || byte == 0x7f { 0x80 << (8 * place) } else { 0 };
                assert_eq!(controls(u64::from_le_bytes(word)), expected, "{byte} at {place}");
            }
        }
    }

    #[test]
    fn positions_are_those_within_the_range() {
        let input = b"\n23456\t\x7f9\xff\r\nabcdefghijklm\0";
        let all: Vec<_> = Controls::of(input, 0..input.len()).collect();
        assert_eq!(all, [0, 6, 7, 10, 11, 25]);
        for start in 0..=input.len() {
            for end in start..=input.len() {
                let expected = all.iter().copied().filter(|at| (start..end).contains(at));
                let found = Controls::of(input, start..end);
                assert!(found.eq(expected), "{start}..{end}");
            }
        }
    }
}
