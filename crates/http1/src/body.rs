//! skeleton
use crate::{Body, Error, ResponseBody, chunked::Decoder};
#[derive(Debug)]
pub enum BodyReader { Done, Length(u64), Chunked(Decoder), UntilClose }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State { More, Done }
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress { pub skip: usize, pub data: usize, pub state: State }
impl From<Body> for BodyReader { fn from(_: Body) -> Self { BodyReader::Done } }
impl From<ResponseBody> for BodyReader { fn from(_: ResponseBody) -> Self { BodyReader::Done } }
impl BodyReader {
    pub fn advance(&mut self, _input: &[u8]) -> Result<Progress, Error> { Err(Error::Truncated) }
    pub fn is_done(&self) -> bool { matches!(self, BodyReader::Done) }
    pub fn eof(&mut self) -> Result<(), Error> { Err(Error::Truncated) }
    pub fn trailers(&self) -> &[u8] { &[] }
}
