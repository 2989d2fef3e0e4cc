//! HTTP/1 parsing and framing, both sides, as one small, strict, sans-IO place.
//!
//! It decides where a message begins and ends, which of its fields are end-to-end, and how the
//! head is written for the next hop. Whatever two readers could understand differently is an error
//! here: a proxy that guesses is how requests are smuggled.
//!
//! The proxy calls it with bytes it has read and gets offsets into them, or a reusable head. It
//! knows nothing of sockets, time, routes, workers or who is trusted; met in a worker's response,
//! an [`Error`] becomes a 502, met in a request it names its own status and reason.
//!
//! Start with [`RequestHead::parse`]; [`BodyReader`] follows a message to its end.

mod body;
pub mod chunked;
mod connection;
mod error;
mod field;
mod framing;
mod head;
mod limits;
mod lines;
mod request;
mod response;
mod search;
mod target;
mod word;

pub use body::{BodyReader, Progress, State};
pub use error::{Error, Found};
pub use field::{Field, FieldId, FieldSet, is_token_byte};
pub use framing::{Body, Connection, Parsed, ResponseBody, ResponseFraming, Version};
pub use head::Underscores;
pub use limits::Limits;
pub use request::RequestHead;
pub use response::ResponseHead;
