//! Short ways to run a message through the codec.

use isobar_http1::*;

pub const LIMITS: Limits = Limits { head_bytes: 32 * 1024, headers: 100, uri: 8 * 1024 };

pub fn parse(input: impl AsRef<[u8]>) -> Result<RequestHead, Error> {
    let mut head = RequestHead::new();
    match head.parse(input.as_ref(), &LIMITS)? {
        Parsed::Complete(_) => Ok(head),
        Parsed::Partial => panic!("partial: {}", input.as_ref().escape_ascii()),
    }
}

pub fn parse_response(input: impl AsRef<[u8]>, method: &str) -> Result<ResponseHead, Error> {
    let mut head = ResponseHead::new();
    match head.parse(input.as_ref(), &LIMITS, method.as_bytes())? {
        Parsed::Complete(_) => Ok(head),
        Parsed::Partial => panic!("partial: {}", input.as_ref().escape_ascii()),
    }
}

/// A POST with these field lines.
pub fn post(lines: &str) -> String {
    format!("POST /a HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n")
}

/// A 200 with these field lines.
pub fn ok(lines: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{lines}\r\n\r\n")
}

/// The status each of these requests is refused with.
#[track_caller]
pub fn refused<T: AsRef<[u8]>>(status: u16, requests: impl IntoIterator<Item = T>) {
    for request in requests {
        let shown = request.as_ref()[..request.as_ref().len().min(120)].escape_ascii().to_string();
        match parse(&request) {
            Ok(_) => panic!("taken: {shown}"),
            Err(error) => assert_eq!(error.status(), status, "{error}: {shown}"),
        }
    }
}

#[track_caller]
pub fn refused_response<T: AsRef<[u8]>>(responses: impl IntoIterator<Item = T>) {
    for response in responses {
        assert!(
            parse_response(&response, "GET").is_err(),
            "taken: {}",
            response.as_ref().escape_ascii()
        );
    }
}

/// The head as the worker gets it.
pub fn forwarded(input: impl AsRef<[u8]>) -> String {
    let head = parse(input).unwrap();
    encoded(&head)
}

pub fn encoded(head: &RequestHead) -> String {
    let mut out = Vec::new();
    head.encode(&mut out, head.body());
    String::from_utf8(out).unwrap()
}

/// The head as a client of this version gets it.
pub fn answered(head: &ResponseHead, connection: Connection, client: Version) -> String {
    let framing = match head.body() {
        ResponseBody::None => ResponseFraming::None,
        ResponseBody::Length(n) => ResponseFraming::Length(n),
        ResponseBody::Chunked => ResponseFraming::Chunked,
        ResponseBody::UntilClose => ResponseFraming::UntilClose,
    };
    let mut out = Vec::new();
    head.encode(&mut out, framing, connection, client);
    String::from_utf8(out).unwrap()
}

/// Reads a chunked body given in these pieces: data, trailers and what lies behind its end.
pub fn dechunk<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(Vec<u8>, String, Vec<u8>), Error> {
    let mut reader = BodyReader::from(Body::Chunked);
    let (mut data, mut behind) = (Vec::new(), Vec::new());
    for mut piece in pieces {
        while !piece.is_empty() && !reader.is_done() {
            let step = reader.advance(piece)?;
            data.extend_from_slice(&piece[step.skip..step.skip + step.data]);
            piece = &piece[step.skip + step.data..];
        }
        behind.extend_from_slice(piece);
    }
    reader.eof()?;
    Ok((data, String::from_utf8(reader.trailers().to_vec()).unwrap(), behind))
}
