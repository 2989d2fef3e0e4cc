//! What a response is, as its head tells.

use isobar_http1::{FieldId, ResponseHead};

/// Of a `Content-Type`, or of one range of an `Accept`.
pub(crate) fn is_event_stream(content_type: &[u8]) -> bool {
    let media = content_type.split(|&byte| byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

/// `application/grpc`, `application/grpc+proto`, `application/grpc-web` …
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    content_type.get(..GRPC.len()).is_some_and(|start| start.eq_ignore_ascii_case(GRPC))
}

/// nginx's word for it, which frameworks know.
pub(super) fn asks_for_no_buffering(response: &ResponseHead) -> bool {
    let said = response.value(FieldId::XAccelBuffering);
    said.is_some_and(|value| value.eq_ignore_ascii_case(b"no"))
}
