//! A response's body on its way through an encoder.
//!
//! What came is first kept and only then encoded, so that the lease ends with the worker's last
//! byte and not with our work on it.

use std::io;

use crate::filter::Encoder;

pub(super) struct Encoding {
    encoder: Box<dyn Encoder>,
    /// Came, and is not encoded.
    pending: Vec<u8>,
    encoded: Vec<u8>,
    /// The encoder may hold back some of what it was given.
    holds: bool,
}

impl Encoding {
    pub(super) fn new(encoder: Box<dyn Encoder>) -> Box<Self> {
        Box::new(Self { encoder, pending: Vec::new(), encoded: Vec::new(), holds: false })
    }

    pub(super) fn take(&mut self, data: &[u8]) {
        self.pending.extend_from_slice(data);
    }

    /// Encodes what came.
    pub(super) fn advance(&mut self) -> io::Result<()> {
        if !self.pending.is_empty() {
            self.encoder.encode(&self.pending, &mut self.encoded)?;
            self.pending.clear();
            self.holds = true;
        }
        Ok(())
    }

    /// Lets go of what is held back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match std::mem::take(&mut self.holds) {
            true => self.encoder.flush(&mut self.encoded),
            false => Ok(()),
        }
    }

    /// The body is whole.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.advance()?;
        self.encoder.finish(&mut self.encoded)
    }

    /// What is encoded and has not gone out.
    pub(super) fn encoded(&mut self) -> &mut Vec<u8> {
        &mut self.encoded
    }
}
