//! A response's body on its way through an encoder, into chunks.
//!
//! What came is first kept and only then encoded, so that the lease ends with the worker's last
//! byte and not with our work on it.

use std::io;

use isobar_http1::chunked;

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

    /// Encodes what came; says how long the chunk is.
    pub(super) fn advance(&mut self, out: &mut Vec<u8>) -> io::Result<u64> {
        if !self.pending.is_empty() {
            self.encoder.encode(&self.pending, &mut self.encoded)?;
            self.pending.clear();
            self.holds = true;
        }
        Ok(self.frame(out))
    }

    /// Lets out what is held back; 0 if that is nothing.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<u64> {
        if std::mem::take(&mut self.holds) {
            self.encoder.flush(&mut self.encoded)?;
        }
        Ok(self.frame(out))
    }

    /// The body is whole; the last chunk is the caller's.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<u64> {
        let body = self.advance(out)?;
        self.encoder.finish(&mut self.encoded)?;
        Ok(body + self.frame(out))
    }

    fn frame(&mut self, out: &mut Vec<u8>) -> u64 {
        let length = self.encoded.len();
        if length > 0 {
            chunked::encode_size(length, out);
            out.append(&mut self.encoded);
            out.extend_from_slice(b"\r\n");
        }
        length as u64
    }
}
