//! Eight bytes at once, as one number: plain arithmetic in which no carry leaves its byte. What is looked
//! for in them is for `search` and `lines`.

/// Bytes of a word.
pub(crate) const WORD: usize = 8;

/// One in every byte.
pub(crate) const EACH: u64 = u64::from_le_bytes([1; WORD]);

/// The high bit of every byte.
pub(crate) const HIGH: u64 = 0x80 * EACH;

/// The high bit of each byte that is at least `b`, which is ASCII and not 0. `low`: bytes without their high bit.
#[inline]
pub(crate) const fn from(low: u64, b: u8) -> u64 {
    low + (0x80 - b as u64) * EACH
}
