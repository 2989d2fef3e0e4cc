//! A reason → the response a client gets: the only place where the proxy speaks for itself.

use std::io::Write;

use crate::reason::Reason;

/// Writes a whole response for `reason`, whose usual `status` a parser may have sharpened. `Retry-After` stands on every 503.
pub(crate) fn write(
    out: &mut Vec<u8>,
    status: u16,
    reason: Reason,
    request_id: &[u8],
    keep_alive: KeepAlive,
    head_only: HeadOnly,
) {
    let phrase = phrase(status);
    // "404 Not Found: no_route\n"
    let body_len = 3 + 1 + phrase.len() + 2 + reason.code().len() + 1;
    let _ = write!(
        out,
        "HTTP/1.1 {status} {phrase}\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {body_len}\r\n\
         x-isobar-reason: {}\r\n\
         X-Request-Id: ",
        reason.code()
    );
    out.extend_from_slice(request_id);
    out.extend_from_slice(b"\r\n");
    if status == 503 {
        out.extend_from_slice(b"Retry-After: 1\r\n");
    }
    if status == 405 {
        out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
    }
    match keep_alive {
        KeepAlive::Yes => {}
        KeepAlive::Close => out.extend_from_slice(b"Connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
    if head_only == HeadOnly::No {
        let _ = writeln!(out, "{status} {phrase}: {}", reason.code());
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeepAlive {
    Yes,
    Close,
}

/// A HEAD request's answer has no body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadOnly {
    Yes,
    No,
}

/// `100 Continue`, written before the first read of a body that waits for it.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

fn phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        417 => "Expectation Failed",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "Internal Server Error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_announced_length_is_the_body() {
        for reason in [Reason::NoRoute, Reason::QueueTimeout, Reason::HeaderTooLarge] {
            let mut out = Vec::new();
            write(&mut out, reason.status(), reason, b"id", KeepAlive::Yes, HeadOnly::No);
            let text = String::from_utf8(out).expect("ascii");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{head}");
            assert!(head.contains(reason.code()));
        }
    }
}
