//! One incremental answer to "where does this message end?", for every framing and both directions.
//! The proxy feeds it what it has read and is told which bytes are data; it copies nothing. Bytes
//! behind the end are not touched: they belong to the next message, or to nobody.

use crate::chunked::{Decoder, Step};
use crate::{Body, Error, ResponseBody};

#[derive(Clone, Debug)]
pub enum BodyReader {
    /// No body.
    None,
    /// This many bytes are still to come.
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

/// What [`BodyReader::advance`] found: `skip` framing bytes, then `data` bytes of the body. Both are
/// consumed; call again with what lies behind them, unless the body is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    pub skip: usize,
    pub data: usize,
    pub state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    More,
    Done,
}

impl From<Body> for BodyReader {
    fn from(body: Body) -> Self {
        match body {
            Body::None => BodyReader::None,
            Body::Length(n) => BodyReader::Length(n),
            Body::Chunked => BodyReader::Chunked(Decoder::default()),
        }
    }
}

impl From<ResponseBody> for BodyReader {
    fn from(body: ResponseBody) -> Self {
        match body {
            ResponseBody::None => BodyReader::None,
            ResponseBody::Length(n) => BodyReader::Length(n),
            ResponseBody::Chunked => BodyReader::Chunked(Decoder::default()),
            ResponseBody::UntilClose => BodyReader::UntilClose,
        }
    }
}

impl BodyReader {
    /// Looks at the next bytes of the stream. Nothing consumed and `More` means: read more.
    pub fn advance(&mut self, input: &[u8]) -> Result<Progress, Error> {
        let (skip, data) = match self {
            BodyReader::None => (0, 0),
            BodyReader::Length(left) => {
                let data = usize::try_from(*left).map_or(input.len(), |n| n.min(input.len()));
                *left -= data as u64;
                (0, data)
            }
            BodyReader::Chunked(decoder) => match decoder.decode(input)? {
                Step::Data { skip, len } => (skip, len),
                Step::Need(consumed) | Step::End { consumed } => (consumed, 0),
            },
            BodyReader::UntilClose => (0, input.len()),
        };
        let state = if self.is_done() { State::Done } else { State::More };
        Ok(Progress { skip, data, state })
    }

    /// Whether the last byte of the message was seen. A close-delimited one never is, but by
    /// [`BodyReader::eof`].
    pub fn is_done(&self) -> bool {
        match self {
            BodyReader::None | BodyReader::Length(0) => true,
            BodyReader::Length(_) | BodyReader::UntilClose => false,
            BodyReader::Chunked(decoder) => decoder.is_done(),
        }
    }

    /// The stream ended: is the message whole?
    pub fn eof(&self) -> Result<(), Error> {
        if self.is_done() || matches!(self, BodyReader::UntilClose) {
            Ok(())
        } else {
            Err(Error::Truncated)
        }
    }

    /// The trailers that may be passed on, for [`crate::chunked::encode_last`].
    pub fn trailers(&self) -> &[u8] {
        match self {
            BodyReader::Chunked(decoder) => decoder.trailers(),
            _ => &[],
        }
    }
}
