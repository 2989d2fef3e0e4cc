//! Why a message was refused. Every variant says what was found and what was expected, and maps to
//! the status and the stable reason code a client gets; nothing of the message but a short escaped
//! excerpt is kept, so an error may be logged as it is.

use std::fmt;

/// What is wrong with a message. For a worker's response the proxy answers 502 whatever this is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("not an HTTP/1 request: found {0}, expected a method")]
    NotHttp(Found),
    #[error("request line: found {0}, expected `METHOD target HTTP/1.1`")]
    RequestLine(Found),
    #[error("status line: found {0}, expected `HTTP/1.1 200 reason` with a status of 100 to 999")]
    StatusLine(Found),
    #[error("version: found {0}, expected HTTP/1.1 or HTTP/1.0")]
    Version(Found),
    #[error("version: found {0}, this side speaks HTTP/1 only")]
    UnsupportedVersion(Found),
    #[error("line end: found a bare LF, expected CRLF")]
    BareLf,
    #[error("field line: found {0}, expected `Name: value` without control characters or folding")]
    FieldLine(Found),
    #[error("request target: found {0}, expected {1}")]
    Target(Found, &'static str),
    #[error("Host: found {0}, expected exactly one `host[:port]`")]
    Host(Found),
    #[error("Connection: found more than {0} options")]
    ConnectionOptions(usize),
    #[error("Content-Length: found {0}, expected one decimal number")]
    ContentLength(Found),
    #[error("Content-Length: found {0} and {1}, expected one value")]
    ContentLengthsDiffer(u64, u64),
    #[error("framing: found both Content-Length and Transfer-Encoding, expected one of them")]
    LengthAndEncoding,
    #[error("Transfer-Encoding: found {0}, expected exactly `chunked`")]
    TransferEncoding(Found),
    #[error("Transfer-Encoding: found {0}, only `chunked` is implemented")]
    TransferCoding(Found),
    #[error("Transfer-Encoding: found in an HTTP/1.0 message, where it has no meaning")]
    EncodingInHttp10,
    #[error("Expect: found {0}, expected `100-continue`")]
    Expectation(Found),
    #[error("chunk: found {0}, expected {1}")]
    Chunk(Found, &'static str),
    #[error("chunk lines: found more than {0} bytes beyond what the data justifies")]
    ChunkOverhead(usize),
    #[error("trailer: found {0}, expected `Name: value`")]
    Trailer(Found),
    #[error("trailers: found more than {0} bytes")]
    TrailersTooLarge(usize),
    #[error("head: found more than {0} bytes")]
    HeadTooLarge(usize),
    #[error("head: found more than {0} fields")]
    TooManyFields(usize),
    #[error("request target: found more than {0} bytes")]
    TargetTooLong(usize),
    #[error("body: found the end of the stream, expected more of the message")]
    Truncated,
}

impl Error {
    /// The status a client gets for such a request.
    pub fn status(&self) -> u16 {
        match self {
            Error::TargetTooLong(_) => 414,
            Error::Expectation(_) => 417,
            Error::HeadTooLarge(_) | Error::TooManyFields(_) | Error::TrailersTooLarge(_) => 431,
            Error::TransferCoding(_) => 501,
            Error::UnsupportedVersion(_) => 505,
            _ => 400,
        }
    }

    /// The stable reason code that goes with [`Error::status`].
    pub fn reason(&self) -> &'static str {
        match self.status() {
            414 => "uri_too_long",
            417 => "expectation_failed",
            431 => "header_too_large",
            501 => "not_implemented",
            _ => "bad_request",
        }
    }
}

/// A short, printable excerpt of the offending bytes: safe in a log line.
#[derive(Clone, PartialEq, Eq)]
pub struct Found(Box<str>);

impl Found {
    const MAX: usize = 48;

    pub(crate) fn bytes(bytes: &[u8]) -> Found {
        if bytes.is_empty() {
            return Found("nothing".into());
        }
        let shown = bytes[..bytes.len().min(Found::MAX)].escape_ascii();
        let more = if bytes.len() > Found::MAX { "…" } else { "" };
        Found(format!("`{shown}{more}`").into())
    }

    /// Of a field's line: what proves who somebody is does not belong in a log.
    pub(crate) fn field(line: &[u8]) -> Found {
        const SECRET: [&[u8]; 4] =
            [b"authorization", b"proxy-authorization", b"cookie", b"set-cookie"];
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        match SECRET.iter().any(|secret| name.trim_ascii().eq_ignore_ascii_case(secret)) {
            true => Found(format!("`{}: …`", name.escape_ascii()).into()),
            false => Found::bytes(line),
        }
    }

    /// Of a request's first line or its target: queries tend to hold what is private.
    pub(crate) fn target(line: &[u8]) -> Found {
        match line.iter().position(|&byte| byte == b'?') {
            Some(at) if at < Found::MAX => {
                Found(format!("`{}?…`", line[..at].escape_ascii()).into())
            }
            _ => Found::bytes(line),
        }
    }

    /// For what has no bytes to show: `no Host`, `two of them`.
    pub(crate) fn text(text: &str) -> Found {
        Found(text.into())
    }
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_tells_no_secret() {
        let field = |line: &str| Found::field(line.as_bytes()).to_string();
        assert_eq!(field("Authorization: Basic c2VjcmV0\x01"), "`Authorization: …`");
        assert_eq!(field("cookie : a=b"), "`cookie : …`");
        assert_eq!(field("X-A: b\x01"), "`X-A: b\\x01`");
        let target = |line: &str| Found::target(line.as_bytes()).to_string();
        assert_eq!(target("GET /a?token=secret HTTP/1.1"), "`GET /a?…`");
        assert_eq!(target("GET /a b HTTP/1.1"), "`GET /a b HTTP/1.1`");
    }
}
