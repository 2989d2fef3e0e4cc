//! skeleton
use crate::Error;
#[derive(Debug, Default)]
pub struct Decoder { }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step { Data { skip: usize, len: usize }, Need(usize), End { consumed: usize } }
pub const LAST: &[u8] = b"0\r\n\r\n";
impl Decoder {
    pub fn decode(&mut self, _input: &[u8]) -> Result<Step, Error> { Err(Error::Truncated) }
    pub fn trailers(&self) -> &[u8] { &[] }
}
pub fn encode_size(_len: usize, _out: &mut Vec<u8>) {}
pub fn encode_last(_trailers: &[u8], _out: &mut Vec<u8>) {}
