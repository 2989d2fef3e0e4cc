//! Any bytes as a head: the outcome does not depend on how they arrive, what we take is taken by
//! httparse and means the same to it and to hyper, and what we write for the next hop we read back.

use isobar_http1::*;

use crate::peer;

/// The first byte chooses side and limits, the second how the rest is cut.
pub fn check(data: &[u8]) {
    let [choice, cut, input @ ..] = data else { return };
    let limits = match choice & 1 {
        0 => Limits::default(),
        _ => Limits { head_bytes: 160, headers: 6, uri: 24 },
    };
    let step = usize::from(*cut).max(1);
    match choice >> 1 & 3 {
        0 | 1 => request(input, &limits, step),
        2 => response(input, &limits, step, b"GET"),
        _ => response(input, &limits, step, b"HEAD"),
    }
}

fn request(input: &[u8], limits: &Limits, step: usize) {
    let mut head = RequestHead::new();
    let outcome = head.parse(input, limits);
    let mut again = RequestHead::new();
    let piecewise = by_pieces(input, step, |input| again.parse(input, limits));
    assert_eq!(kind(&outcome), kind(&piecewise), "cut by {step}");
    let Ok(Parsed::Complete(end)) = outcome else { return };
    assert_eq!(told(&head), told(&again), "cut by {step}");

    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut theirs = httparse::Request::new(&mut fields);
    assert_eq!(theirs.parse(input), Ok(httparse::Status::Complete(end)));
    assert_eq!(head.method(), theirs.method.unwrap().as_bytes());
    assert_eq!(head.target(), theirs.path.unwrap().as_bytes());
    let version = if theirs.version == Some(1) { Version::Http11 } else { Version::Http10 };
    assert_eq!(head.version(), version);
    let ours: Fields = head.fields().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
    assert_eq!(ours, taken(theirs.headers));

    if let (Some(ours), Some(theirs)) = (body_of(&head, &input[end..]), peer::first_request(input))
    {
        assert_eq!(theirs.method, head.method());
        assert_eq!(theirs.body, ours);
        // Several lengths that agree are one to hyper.
        for field in head.fields().filter(|f| !f.name.eq_ignore_ascii_case(b"content-length")) {
            let name = field.name.to_ascii_lowercase();
            let found = theirs.fields.iter().any(|(n, v)| *n == name && *v == field.value);
            assert!(found, "{}", name.escape_ascii());
        }
    }
    read_back(&head);
}

/// What the next hop gets is a head to us too, with the same meaning, and is forwarded as it is.
fn read_back(head: &RequestHead) {
    let body = head.body();
    let mut sent = Vec::new();
    head.encode(&mut sent, body);
    let mut next = RequestHead::new();
    let limits = Limits { head_bytes: 1 << 20, headers: 1000, uri: 1 << 20 };
    assert_eq!(
        next.parse(&sent, &limits),
        Ok(Parsed::Complete(sent.len())),
        "{}",
        sent.escape_ascii()
    );
    assert_eq!((next.method(), next.body()), (head.method(), body));
    assert_eq!(next.path_and_query(), head.path_and_query());
    assert_eq!(next.authority(), head.authority());
    let mut resent = Vec::new();
    next.encode(&mut resent, body);
    assert_eq!(sent.escape_ascii().to_string(), resent.escape_ascii().to_string());
}

fn response(input: &[u8], limits: &Limits, step: usize, method: &[u8]) {
    let mut head = ResponseHead::new();
    let outcome = head.parse(input, limits, method);
    let mut again = ResponseHead::new();
    let piecewise = by_pieces(input, step, |input| again.parse(input, limits, method));
    assert_eq!(kind(&outcome), kind(&piecewise), "cut by {step}");
    let Ok(Parsed::Complete(end)) = outcome else { return };

    let mut fields = [httparse::EMPTY_HEADER; 256];
    let mut theirs = httparse::Response::new(&mut fields);
    assert_eq!(theirs.parse(input), Ok(httparse::Status::Complete(end)));
    assert_eq!(Some(head.status()), theirs.code);
    let ours: Fields = head.fields().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
    assert_eq!(ours, taken(theirs.headers));

    let framing = match head.body() {
        ResponseBody::None => ResponseFraming::None,
        ResponseBody::Length(length) => ResponseFraming::Length(length),
        ResponseBody::Chunked => ResponseFraming::Chunked,
        ResponseBody::UntilClose => ResponseFraming::UntilClose,
    };
    if head.is_interim() || head.upgrade().is_some() || head.status() == 101 {
        return;
    }
    let mut sent = Vec::new();
    head.encode(&mut sent, framing, Connection::KeepAlive, Version::Http11);
    let mut next = ResponseHead::new();
    let limits = Limits { head_bytes: 1 << 20, headers: 1000, uri: 1 << 20 };
    let parsed = next.parse(&sent, &limits, method);
    assert_eq!(parsed, Ok(Parsed::Complete(sent.len())), "{}", sent.escape_ascii());
    assert_eq!((next.status(), next.body()), (head.status(), head.body()));
}

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Names with `_` are never taken from a client or a worker.
fn taken(theirs: &[httparse::Header<'_>]) -> Fields {
    let seen = theirs.iter().filter(|field| !field.name.contains('_'));
    seen.map(|field| (field.name.as_bytes().to_vec(), trimmed(field.value).to_vec())).collect()
}

fn trimmed(value: &[u8]) -> &[u8] {
    let inner = |b: &u8| !matches!(b, b' ' | b'\t');
    let start = value.iter().position(inner).unwrap_or(value.len());
    let end = value.iter().rposition(inner).map_or(start, |at| at + 1);
    &value[start..end]
}

fn by_pieces(
    input: &[u8],
    step: usize,
    mut parse: impl FnMut(&[u8]) -> Result<Parsed, Error>,
) -> Result<Parsed, Error> {
    let mut end = 0;
    loop {
        let outcome = parse(&input[..end]);
        if outcome != Ok(Parsed::Partial) || end == input.len() {
            return outcome;
        }
        end = (end + step).min(input.len());
    }
}

/// Taken, to be continued, or refused; why depends on how much of it was there.
fn kind(outcome: &Result<Parsed, Error>) -> Option<Parsed> {
    outcome.as_ref().copied().ok()
}

/// The body that follows, if it is whole.
fn body_of(head: &RequestHead, input: &[u8]) -> Option<Vec<u8>> {
    let mut reader = BodyReader::from(head.body());
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let Progress { skip, data, state } = reader.advance(&input[at..]).ok()?;
        body.extend_from_slice(&input[at + skip..at + skip + data]);
        at += skip + data;
        if state == State::Done {
            return Some(body);
        }
        if skip + data == 0 || at == input.len() {
            return None;
        }
    }
}

/// All that a head tells, to compare two of them.
fn told(head: &RequestHead) -> String {
    let mut sent = Vec::new();
    head.encode(&mut sent, head.body());
    format!(
        "{} {:?} {:?} {} {} {:?}",
        sent.escape_ascii(),
        head.version(),
        head.body(),
        head.keep_alive(),
        head.expect_continue(),
        head.upgrade()
    )
}
