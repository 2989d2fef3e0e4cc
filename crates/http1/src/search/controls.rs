//! The control characters of a buffer, a word at a time. It is the only look at every byte of a head
//! that is free of odd ones, so it is written for speed: plain arithmetic, exact for every byte.

use crate::word::{HIGH, WORD, from};

/// The bytes of a word that are below the space, or DEL: the high bit of each, lowest byte first.
#[inline]
pub(super) fn controls(word: [u8; WORD]) -> u64 {
    let word = u64::from_le_bytes(word);
    let low = word & !HIGH;
    (!from(low, b' ') | from(low, 0x7f)) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_at_every_place_is_told_apart() {
        for byte in 0..=u8::MAX {
            for place in 0..WORD {
                for others in [b'x', 0x1f, b' ', 0x7e, 0x7f, 0x80, 0xff] {
                    let mut word = [others; WORD];
                    word[place] = byte;
                    let is_control = |b: u8| b < b' ' || b == 0x7f;
                    let expected = (0..WORD).fold(0, |found, at| {
                        found | u64::from(is_control(word[at])) << (8 * at + 7)
                    });
                    assert_eq!(controls(word), expected, "{word:?}");
                }
            }
        }
    }
}
