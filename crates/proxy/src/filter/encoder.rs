//! What a response's body may be sent through: compression is one.

/// A body's transformation, byte stream to byte stream. `out` is appended to.
pub(crate) trait Encoder {
    fn encode(&mut self, data: &[u8], out: &mut Vec<u8>) -> std::io::Result<()>;

    /// Whatever was encoded so far can be decoded from what is out.
    fn flush(&mut self, out: &mut Vec<u8>) -> std::io::Result<()>;

    fn finish(&mut self, out: &mut Vec<u8>) -> std::io::Result<()>;
}
