//! Answers an origin can give.

use std::time::Duration;

use super::{Next, Request, Visit};

/// 200 with this body, after this long.
pub fn after(
    service: Duration,
    body: impl Into<Vec<u8>>,
) -> impl Fn(&Request, &mut Visit) -> Next + Send + Sync + 'static {
    let response = respond(200, &body.into());
    move |request, visit| {
        if !service.is_zero() {
            std::thread::sleep(service);
        }
        let length = match request.method.as_str() {
            "HEAD" => crate::http::find(&response, b"\r\n\r\n").map_or(0, |at| at + 4),
            _ => response.len(),
        };
        match visit.write(&response[..length]) {
            Ok(()) => Next::Keep,
            Err(_) => Next::Close,
        }
    }
}

/// These bytes, whatever was asked.
pub fn raw(
    bytes: impl Into<Vec<u8>>,
    next: Next,
) -> impl Fn(&Request, &mut Visit) -> Next + Send + Sync + 'static {
    let bytes = bytes.into();
    move |_, visit| match visit.write(&bytes) {
        Ok(()) => next,
        Err(_) => Next::Close,
    }
}

/// 200 whose body is the request as it arrived.
pub fn echo(request: &Request, visit: &mut Visit) -> Next {
    let body = [request.head.as_bytes(), &request.body].concat();
    match visit.write(&respond(200, &body)) {
        Ok(()) => Next::Keep,
        Err(_) => Next::Close,
    }
}

/// Switches protocols, then returns every byte it gets until the other side ends.
pub fn websocket(request: &Request, visit: &mut Visit) -> Next {
    websocket_with("", request, visit)
}

/// As `websocket`, with more header fields, each with its CRLF.
pub fn websocket_with(fields: &str, request: &Request, visit: &mut Visit) -> Next {
    let protocol = request.header("upgrade").unwrap_or("none").to_owned();
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n{fields}\r\n"
    );
    if visit.write(head.as_bytes()).is_err() {
        return Next::Close;
    }
    while let Ok(bytes) = visit.read_some() {
        if bytes.is_empty() || visit.write(&bytes).is_err() {
            break;
        }
    }
    Next::Close
}

/// A whole response with a length.
pub fn respond(status: u16, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}
