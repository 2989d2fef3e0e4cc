//! What a connection is told that is not served: before there is a request there is no exchange.

use isobar_http1::{Connection, ResponseHead, Version};

use crate::{
    answer::{self, Refusal},
    reason::Reason,
};

/// Bytes for the client, and what the log says of them.
pub(super) struct Said {
    pub(super) bytes: Vec<u8>,
    pub(super) body: usize,
    pub(super) status: Option<u16>,
}

/// The whole answer over HTTP/1.
pub(super) fn lay_out(reason: Reason, words: Option<&str>, id: &[u8]) -> Said {
    let status = reason.status();
    let mut head = ResponseHead::new();
    let body = Refusal { status, reason, words, fields: &[] }.build(&mut head, id, b"");
    let mut bytes = Vec::new();
    head.encode(&mut bytes, answer::framing(&head), Connection::Close, Version::Http11);
    bytes.extend_from_slice(body.as_bytes());
    Said { bytes, body: body.len(), status: Some(status) }
}
