//! A response's body on its way through an encoder.
//!
//! What came is first kept and only then encoded, so that the lease ends with the worker's last
//! byte and not with our work on it.

use std::io;

use crate::filter::Encoder;

/// So much is encoded in one turn: the shard's other connections come next.
const PIECE: usize = 64 * 1024;

pub(super) struct Encoding {
    encoder: Box<dyn Encoder>,
    /// Came, and is not encoded but for so many bytes of it.
    pending: Vec<u8>,
    done: usize,
    encoded: Vec<u8>,
    /// The encoder may hold back some of what it was given.
    holds: bool,
}

impl Encoding {
    pub(super) fn new(encoder: Box<dyn Encoder>) -> Box<Self> {
        let (pending, encoded) = (Vec::new(), Vec::new());
        Box::new(Self { encoder, pending, done: 0, encoded, holds: false })
    }

    pub(super) fn take(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
    }

    /// Encodes a piece of what came.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        let end = self.pending.len().min(self.done + PIECE);
        if end > self.done {
            self.encoder.encode(&self.pending[self.done..end], &mut self.encoded)?;
            (self.done, self.holds) = (end, true);
        }
        if self.is_idle() {
            self.pending.clear();
            self.done = 0;
        }
        Ok(())
    }

    /// All that came is encoded.
    pub(super) fn is_idle(&self) -> bool {
        self.done == self.pending.len()
    }

    /// Lets go of what is held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.holds) {
            true => self.encoder.flush(&mut self.encoded),
            false => Ok(()),
        }
    }

    /// The body is whole, and all of it is encoded.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.encoder.finish(&mut self.encoded)
    }

    /// What is encoded and has not gone out.
    pub(super) fn encoded(&mut self) -> &mut Vec<u8> {
        &mut self.encoded
    }
}
