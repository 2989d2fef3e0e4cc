//! The chunked coding, both ways. The decoder walks the framing bytes one by one, says where the
//! data lies in the caller's input and copies nothing but trailers; it keeps no bytes between calls,
//! so any cut of the input gives the same result. Extensions are checked and dropped.
//!
//! Called by `BodyReader`; the encoder's parts by whoever writes a chunked body. It does not know
//! which side it is on.

mod trailers;

use crate::{Error, Found};
use trailers::Trailers;

/// The end of a body without trailers.
pub const LAST: &[u8] = b"0\r\n\r\n";

/// Chunk lines may cost this much beyond [`FREE_PER_LINE`] and twice the data: an honest chunk
/// never does, a flood of extensions always (CVE-2023-39326).
const OVERHEAD_MAX: usize = 16 * 1024;
const FREE_PER_LINE: u64 = 16;

/// Writes the line before a chunk of `len` bytes, which is never 0: that would be the last chunk.
/// After the data comes a CRLF.
pub fn encode_size(len: usize, out: &mut Vec<u8>) {
    debug_assert!(len > 0, "an empty chunk ends the body");
    let digits = (usize::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(len >> (place * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes the last chunk with these lines, as [`Decoder::trailers`] gives them.
pub fn encode_last(trailers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    out.extend_from_slice(trailers);
    out.extend_from_slice(b"\r\n");
}

/// What the decoder found at the beginning of its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `skip` framing bytes, then `len` (at least 1) bytes of data. Go on behind them.
    Data { skip: usize, len: usize },
    /// This many bytes, the whole input, were framing. Go on when there is more.
    Need(usize),
    /// The body ended after this many framing bytes; what follows is not part of it.
    End { consumed: usize },
}

#[derive(Clone, Debug, Default)]
pub struct Decoder {
    phase: Phase,
    /// The size being read, then the data bytes still to come.
    left: u64,
    digits: u8,
    /// Length of the current chunk line.
    line: u64,
    /// What past chunk lines cost beyond what their data justifies.
    overhead: u64,
    trailers: Trailers,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

impl Decoder {
    pub fn decode(&mut self, input: &[u8]) -> Result<Step, Error> {
        let mut at = 0;
        loop {
            match self.phase {
                Phase::Done => return Ok(Step::End { consumed: at }),
                _ if at == input.len() => return Ok(Step::Need(at)),
                Phase::Data => {
                    let here = input.len() - at;
                    let len = usize::try_from(self.left).map_or(here, |left| left.min(here));
                    self.left -= len as u64;
                    if self.left == 0 {
                        self.phase = Phase::DataCr;
                    }
                    return Ok(Step::Data { skip: at, len });
                }
                Phase::Trailers => {
                    let (consumed, ended) = self.trailers.read(&input[at..])?;
                    at += consumed;
                    if ended {
                        self.phase = Phase::Done;
                    }
                }
                _ => {
                    self.framing_byte(input[at])?;
                    at += 1;
                }
            }
        }
    }

    /// The trailers that may be passed on, as field lines each with its CRLF. Whole once the end was
    /// reached.
    pub fn trailers(&self) -> &[u8] {
        self.trailers.kept()
    }

    pub(crate) fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    fn framing_byte(&mut self, byte: u8) -> Result<(), Error> {
        let expected = match (self.phase, byte) {
            (Phase::Size, b) if b.is_ascii_hexdigit() => return self.size_digit(b),
            (Phase::Size, b';') if self.digits > 0 => {
                self.phase = Phase::Extension;
                return self.line_byte();
            }
            (Phase::Size, b'\r') if self.digits > 0 => {
                self.phase = Phase::SizeLf;
                return self.line_byte();
            }
            (Phase::Extension, b'\r') => {
                self.phase = Phase::SizeLf;
                return self.line_byte();
            }
            (Phase::Extension, b) if crate::field::is_value_byte(b) => return self.line_byte(),
            (Phase::SizeLf, b'\n') => return self.end_of_size_line(),
            (Phase::DataCr, b'\r') => {
                self.phase = Phase::DataLf;
                return Ok(());
            }
            (Phase::DataLf, b'\n') => {
                self.phase = Phase::Size;
                return Ok(());
            }
            (Phase::Size, _) => "a hexadecimal size, then CRLF",
            (Phase::Extension | Phase::SizeLf, _) => "CRLF after the size",
            _ => "CRLF after the data",
        };
        Err(Error::Chunk(Found::bytes(&[byte]), expected))
    }

    fn size_digit(&mut self, byte: u8) -> Result<(), Error> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default();
        if self.digits == 16 {
            return Err(Error::Chunk(Found::bytes(&[byte]), "a size of at most 16 digits"));
        }
        self.left = self.left << 4 | u64::from(digit);
        self.digits += 1;
        self.line_byte()
    }

    fn line_byte(&mut self) -> Result<(), Error> {
        self.line += 1;
        if self.overhead + self.line > OVERHEAD_MAX as u64 + FREE_PER_LINE {
            return Err(Error::ChunkOverhead(OVERHEAD_MAX));
        }
        Ok(())
    }

    fn end_of_size_line(&mut self) -> Result<(), Error> {
        let justified = self.left.saturating_mul(2).saturating_add(FREE_PER_LINE);
        self.overhead = (self.overhead + self.line).saturating_sub(justified);
        (self.line, self.digits) = (0, 0);
        self.phase = if self.left == 0 { Phase::Trailers } else { Phase::Data };
        Ok(())
    }
}
