//! Why a message was refused. Every variant says what was found and what was expected, and maps to
//! the status and the stable reason code a client gets; nothing of the message but a short escaped
//! excerpt is kept, so an error may be logged as it is.

use std::fmt;
use std::ops::Range;

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

    /// Of a field's line. Its value is shown only where nothing in its name says that it proves who
    /// somebody is: that does not belong in a log.
    pub(crate) fn field(line: &[u8]) -> Found {
        const SECRET: [&[u8]; 9] = [
            b"auth",
            b"cookie",
            b"token",
            b"key",
            b"secret",
            b"pass",
            b"session",
            b"credential",
            b"signature",
        ];
        // A folded line goes on with the value of the one before it.
        if line.first().is_some_and(|byte| matches!(byte, b' ' | b'\t')) {
            return Found("` …`".into());
        }
        let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let mut name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        // Behind a space a value may begin, unless nothing but the colon is there.
        if name.trim_ascii_end().iter().any(is_space) {
            name = name.split(is_space).next().unwrap_or_default();
        }
        let name = &name[..name.len().min(Found::MAX)];
        let lower = name.to_ascii_lowercase();
        let has = |word: &&[u8]| lower.windows(word.len()).any(|part| part == *word);
        match SECRET.iter().any(has) {
            true => Found(format!("`{}: …`", name.escape_ascii()).into()),
            false => Found::bytes(line),
        }
    }

    /// Of a request's first line or its target: queries tend to hold what is private, and a password
    /// may stand before the host (`http://user:password@host/`).
    pub(crate) fn target(line: &[u8]) -> Found {
        let query = line.iter().position(|&byte| byte == b'?');
        let path = &line[..query.unwrap_or(line.len())];
        let user = user_info(path);
        if query.is_none() && user.is_none() {
            return Found::bytes(line);
        }
        let (before, behind) =
            user.clone().map_or((path, &[][..]), |at| (&path[..at.start], &path[at.end..]));
        let most = |bytes: &[u8]| bytes[..bytes.len().min(Found::MAX)].escape_ascii().to_string();
        let hidden = if user.is_some() { "…" } else { "" };
        let query = if query.is_some() { "?…" } else { "" };
        Found(format!("`{}{hidden}{}{query}`", most(before), most(behind)).into())
    }

    /// For what has no bytes to show: `no Host`, `two of them`.
    pub(crate) fn text(text: &str) -> Found {
        Found(text.into())
    }
}

/// Where in a target or a request line a user's name and password stand: before an `@` that is no part
/// of a path.
fn user_info(line: &[u8]) -> Option<Range<usize>> {
    let end = line.iter().rposition(|&byte| byte == b'@')?;
    let scheme = line[..end].windows(3).position(|part| part == b"://").map(|at| at + 3);
    let word = || line[..end].iter().rposition(|&byte| byte == b' ').map_or(0, |at| at + 1);
    let start = scheme.unwrap_or_else(word);
    (scheme.is_some() || !line[start..end].contains(&b'/')).then_some(start..end)
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
        assert_eq!(field("X-Api-Key: 1234\x01"), "`X-Api-Key: …`");
        assert_eq!(field("X-Auth-Token 1234"), "`X-Auth-Token: …`");
        assert_eq!(field(" c2VjcmV0, the rest of a folded line"), "` …`");
        let target = |line: &str| Found::target(line.as_bytes()).to_string();
        assert_eq!(target("GET /a?token=secret HTTP/1.1"), "`GET /a?…`");
        assert_eq!(target("GET /a b HTTP/1.1"), "`GET /a b HTTP/1.1`");
        assert_eq!(target("http://me:secret@a.example/x"), "`http://…@a.example/x`");
        assert_eq!(target("CONNECT me:secret@a.example:1 x"), "`CONNECT …@a.example:1 x`");
        assert_eq!(target("GET /@scope b HTTP/1.1"), "`GET /@scope b HTTP/1.1`");
        let long = format!("/{}?token=secret", "a".repeat(100));
        assert_eq!(target(&long), format!("`/{}?…`", "a".repeat(47)));
    }
}
