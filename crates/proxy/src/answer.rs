//! A reason → the response a client gets: the only place where the proxy speaks for itself.

use std::time::SystemTime;

use isobar_http1::{ResponseBody, ResponseFraming, ResponseHead};

use crate::{access_log, reason::Reason};

/// Fields beside those that every answer of ours has.
pub(crate) type Fields = Vec<(&'static str, String)>;

/// An answer that says why.
pub(crate) struct Refusal<'a> {
    /// The reason's, which a parser may have sharpened.
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    /// What else the client is told, in a line of its own.
    pub(crate) words: Option<&'a str>,
    pub(crate) fields: &'a [(&'static str, String)],
}

impl Refusal<'_> {
    /// Builds its head; what comes back is the body that a GET gets.
    pub(crate) fn build(&self, head: &mut ResponseHead, id: &[u8], method: &[u8]) -> String {
        let Self { status, reason, words, fields } = *self;
        let code = reason.code();
        let mut body = format!("{status} {}: {code}\n", phrase(status));
        if let Some(words) = words {
            body += words;
            body.push('\n');
        }
        begin(head, status, body.len(), id, method);
        head.add("Content-Type", "text/plain; charset=utf-8");
        head.add("x-isobar-reason", code);
        if words.is_some() {
            // They quote the request: nobody takes them for anything but text.
            head.add("X-Content-Type-Options", "nosniff");
        }
        if status == 405 {
            head.add("Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
        }
        for (name, value) in fields {
            head.add(name, value);
        }
        body
    }
}

/// Begins the head of an answer of ours: its status, the date that it must have (RFC 9110 §6.6.1),
/// the request's id, and how long its body is.
pub(crate) fn begin(head: &mut ResponseHead, status: u16, body: usize, id: &[u8], method: &[u8]) {
    // RFC 9110 §8.6: never in a 204, and in a 304 only the length of what was not sent.
    let length = (!matches!(status, 204 | 304)).then_some(body as u64);
    head.build(status, phrase(status), length, method);
    head.add("Date", access_log::imf_date(SystemTime::now()));
    head.add("X-Request-Id", id);
}

/// How the body of an answer of ours is framed: we know all of it.
pub(crate) fn framing(head: &ResponseHead) -> ResponseFraming {
    match head.body() {
        ResponseBody::Length(length) => ResponseFraming::Length(length),
        _ => ResponseFraming::None,
    }
}

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
    use isobar_http1::{Connection, Version};

    use super::*;

    fn written(head: &ResponseHead, client: Version) -> String {
        let mut out = Vec::new();
        head.encode(&mut out, framing(head), Connection::KeepAlive, client);
        String::from_utf8(out).expect("ascii")
    }

    #[test]
    fn an_answer_of_our_own_is_framed_by_its_status_and_method() {
        let mut head = ResponseHead::new();
        begin(&mut head, 200, 5, b"id", b"GET");
        let get = written(&head, Version::Http11);
        assert!(get.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{get}");
        assert!(get.ends_with("X-Request-Id: id\r\nContent-Length: 5\r\n\r\n"), "{get}");
        begin(&mut head, 200, 5, b"id", b"HEAD");
        assert_eq!(head.body(), ResponseBody::None);
        let head_only = written(&head, Version::Http10);
        assert!(head_only.contains("Content-Length: 5\r\n"), "{head_only}");
        assert!(head_only.ends_with("Connection: keep-alive\r\n\r\n"), "{head_only}");
        for status in [204, 304] {
            begin(&mut head, status, 0, b"id", b"GET");
            let none = written(&head, Version::Http11);
            assert!(!none.contains("Content-Length"), "{none}");
        }
        begin(&mut head, 299, 0, b"id", b"GET");
        assert!(written(&head, Version::Http11).starts_with("HTTP/1.1 299 \r\n"));
    }

    #[test]
    fn the_announced_length_is_the_body() {
        let mut head = ResponseHead::new();
        for reason in [Reason::NoRoute, Reason::QueueTimeout, Reason::HeaderTooLarge] {
            let (status, words) = (reason.status(), Some("a word in excess"));
            let refusal = Refusal { status, reason, words, fields: &[] };
            let body = refusal.build(&mut head, b"id", b"GET");
            let text = written(&head, Version::Http11);
            assert!(text.contains(&format!("Content-Length: {}\r\n", body.len())), "{text}");
            assert!(text.contains(reason.code()) && body.contains(reason.code()));
            assert_eq!(text.matches("\r\nDate: ").count(), 1, "{text}");
        }
    }
}
