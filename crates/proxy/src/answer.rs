//! A reason → the response a client gets: the only place where the proxy speaks for itself.

use std::{io::Write, time::SystemTime};

use isobar_http1::Version;

use crate::reason::Reason;

/// Fields beside those that every answer of ours has.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// Appends a whole response for `reason`, whose usual `status` a parser may have sharpened, and says
/// how many bytes are body. `words`: what else the client is told, in a line of its own.
#[expect(clippy::too_many_arguments, reason = "each of them is a part of one answer")]
pub(crate) fn write(
    out: &mut Vec<u8>,
    status: u16,
    reason: Reason,
    words: Option<&str>,
    request_id: &[u8],
    fields: &[(&'static str, String)],
    keep_alive: KeepAlive,
    head_only: HeadOnly,
) -> usize {
    let phrase = phrase(status);
    // "404 Not Found: no_route\n"
    let body_len = 3 + 1 + phrase.len() + 2 + reason.code().len() + 1;
    let body_len = body_len + words.map_or(0, |words| words.len() + 1);
    begin(out, status);
    let _ = write!(
        out,
        "Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {body_len}\r\n\
         x-isobar-reason: {}\r\n\
         X-Request-Id: ",
        reason.code()
    );
    out.extend_from_slice(request_id);
    out.extend_from_slice(b"\r\n");
    if words.is_some() {
        // They quote the request: nobody takes them for anything but text.
        out.extend_from_slice(b"X-Content-Type-Options: nosniff\r\n");
    }
    if status == 405 {
        out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    }
    for (name, value) in fields {
        let _ = write!(out, "{name}: {value}\r\n");
    }
    out.extend_from_slice(keep_alive.line());
    out.extend_from_slice(b"\r\n");
    if head_only == HeadOnly::Yes {
        return 0;
    }
    let _ = writeln!(out, "{status} {phrase}: {}", reason.code());
    if let Some(words) = words {
        let _ = writeln!(out, "{words}");
    }
    body_len
}

/// Whether the connection lives on, and how that is said (RFC 9112 §9.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    /// It goes without saying.
    Yes,
    /// An HTTP/1.0 client expects `Connection: keep-alive`.
    Announced,
    Close,
}

impl KeepAlive {
    pub(crate) fn of(keep: bool, client: Version) -> Self {
        match (keep, client) {
            (true, Version::Http11) => Self::Yes,
            (true, Version::Http10) => Self::Announced,
            (false, _) => Self::Close,
        }
    }

    fn line(self) -> &'static [u8] {
        match self {
            Self::Yes => b"",
            Self::Announced => b"Connection: keep-alive\r\n",
            Self::Close => b"Connection: close\r\n",
        }
    }
}

/// A HEAD request's answer has no body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadOnly {
    Yes,
    No,
}

/// A response that the configuration wrote.
pub(crate) struct Own<'a> {
    pub(crate) status: u16,
    /// Whole lines, each with its line end: no framing, no `Connection`, no `Date`.
    pub(crate) lines: &'a [u8],
    pub(crate) body: &'a [u8],
}

impl Own<'_> {
    /// Appends all of it, and says how many bytes are body.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        request_id: &[u8],
        keep_alive: KeepAlive,
        head_only: HeadOnly,
    ) -> usize {
        begin(out, self.status);
        out.extend_from_slice(self.lines);
        // RFC 9110 §8.6: never in a 204, and in a 304 only the length of what was not sent.
        if !matches!(self.status, 204 | 304) {
            let _ = write!(out, "Content-Length: {}\r\n", self.body.len());
        }
        out.extend_from_slice(b"X-Request-Id: ");
        out.extend_from_slice(request_id);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(keep_alive.line());
        out.extend_from_slice(b"\r\n");
        if head_only == HeadOnly::Yes || matches!(self.status, 204 | 205 | 304) {
            return 0;
        }
        out.extend_from_slice(self.body);
        self.body.len()
    }
}

/// The status line, and the date that an answer of ours must have (RFC 9110 §6.6.1).
fn begin(out: &mut Vec<u8>, status: u16) {
    let _ = write!(out, "HTTP/1.1 {status} {}\r\nDate: ", phrase(status));
    out.extend_from_slice(&crate::access_log::imf_date(SystemTime::now()));
    out.extend_from_slice(b"\r\n");
}

/// `100 Continue`, written before the first read of a body that waits for it.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        205 => "Reset Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        418 => "I'm a Teapot",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        451 => "Unavailable For Legal Reasons",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        // A phrase may be empty (RFC 9112 §4).
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(status: u16, body: &str, head_only: HeadOnly, client: Version) -> String {
        let mut out = Vec::new();
        let own = Own { status, lines: b"Content-Type: text/plain\r\n", body: body.as_bytes() };
        own.write(&mut out, b"id", KeepAlive::of(true, client), head_only);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn an_answer_of_our_own_is_framed_by_its_status_and_method() {
        let get = own(200, "hello", HeadOnly::No, Version::Http11);
        assert!(get.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{get}");
        assert!(get.ends_with("Content-Length: 5\r\nX-Request-Id: id\r\n\r\nhello"), "{get}");
        let head = own(200, "hello", HeadOnly::Yes, Version::Http10);
        assert!(head.contains("Content-Length: 5\r\n"), "{head}");
        assert!(head.ends_with("Connection: keep-alive\r\n\r\n"), "{head}");
        for status in [204, 304] {
            let none = own(status, "", HeadOnly::No, Version::Http11);
            assert!(!none.contains("Content-Length"), "{none}");
        }
        assert!(own(299, "", HeadOnly::No, Version::Http11).starts_with("HTTP/1.1 299 \r\n"));
    }

    #[test]
    fn the_announced_length_is_the_body() {
        for reason in [Reason::NoRoute, Reason::QueueTimeout, Reason::HeaderTooLarge] {
            let mut out = Vec::new();
            let words = Some("a word in excess");
            let status = reason.status();
            write(&mut out, status, reason, words, b"id", &[], KeepAlive::Yes, HeadOnly::No);
            let text = String::from_utf8(out).expect("ascii");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            assert!(head.contains(reason.code()));
            assert_eq!(head.matches("\r\nDate: ").count(), 1, "{head}");
        }
    }
}
