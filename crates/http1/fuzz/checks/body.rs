//! Any bytes as a chunked body: the outcome does not depend on how they arrive, and is that of a
//! reference that reads RFC 9112 7.1 line by line, and hyper's; what we write we read back.

use isobar_http1::chunked::{self, Decoder, Step};
use isobar_http1::{Body, BodyReader, Error, State};

use crate::peer;

/// The first byte says how the rest is cut.
pub fn check(data: &[u8]) {
    let [cut, input @ ..] = data else { return };
    let step = usize::from(*cut).max(1);
    let ours = decode(input, input.len().max(1));
    assert_eq!(ours, decode(input, step), "cut by {step}");
    match (&ours, reference(input)) {
        (Ok(Some((body, consumed))), Some(theirs)) => {
            assert_eq!((body, consumed), (&theirs.0, &theirs.1));
        }
        (Ok(Some(_)), None) => panic!("only we take it"),
        // What a reader may refuse although the grammar allows it.
        (Err(error), Some(_)) => assert!(
            matches!(
                error,
                Error::ChunkOverhead(_)
                    | Error::TrailersTooLarge(_)
                    | Error::Chunk(..)
                    | Error::Trailer(_)
            ),
            "{error}"
        ),
        (Ok(None), Some(_)) => panic!("we wait for more"),
        (_, None) => {}
    }
    let request =
        [b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", input].concat();
    if let (Ok(Some((ours, _))), Some(theirs)) = (&ours, peer::first_request(&request)) {
        assert_eq!(theirs.body, *ours);
    }
    read_back(input, step);
    length(input, step);
}

/// Body and bytes consumed; None: it is not whole.
type Decoded = Result<Option<(Vec<u8>, usize)>, Error>;

fn decode(input: &[u8], step: usize) -> Decoded {
    let mut decoder = Decoder::default();
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let end = input.len().min(at + step);
        let consumed = match decoder.decode(&input[at..end])? {
            Step::Data { skip, len } => {
                assert!(len > 0);
                body.extend_from_slice(&input[at + skip..at + skip + len]);
                skip + len
            }
            Step::Need(consumed) => {
                assert_eq!(consumed, end - at, "all of it was framing");
                consumed
            }
            Step::End { consumed } => return Ok(Some((body, at + consumed))),
        };
        at += consumed;
        if at == input.len() {
            // The end may have been reached by its last byte.
            return match decoder.decode(&[])? {
                Step::End { consumed: 0 } => Ok(Some((body, at))),
                _ => Ok(None),
            };
        }
    }
}

/// As the grammar says, and CRLF is CRLF.
fn reference(input: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut at, mut body) = (0, Vec::new());
    loop {
        let line = line(input, &mut at)?;
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        if !matches!(line.get(digits), None | Some(b';')) {
            return None;
        }
        let size = usize::from_str_radix(str::from_utf8(&line[..digits]).ok()?, 16).ok()?;
        if size == 0 {
            break;
        }
        body.extend_from_slice(input.get(at..at.checked_add(size)?)?);
        at += size;
        if input.get(at..at + 2)? != b"\r\n" {
            return None;
        }
        at += 2;
    }
    while !line(input, &mut at)?.is_empty() {}
    Some((body, at))
}

/// Up to the next LF, which a CR must stand before.
fn line<'i>(input: &'i [u8], at: &mut usize) -> Option<&'i [u8]> {
    let start = *at;
    let length = input[start..].iter().position(|b| *b == b'\n')?;
    *at = start + length + 1;
    input[start..start + length].strip_suffix(b"\r")
}

fn read_back(data: &[u8], step: usize) {
    let mut sent = Vec::new();
    for chunk in data.chunks(step) {
        chunked::encode_size(chunk.len(), &mut sent);
        sent.extend_from_slice(chunk);
        sent.extend_from_slice(b"\r\n");
    }
    chunked::encode_last(b"", &mut sent);
    assert_eq!(decode(&sent, sent.len()), Ok(Some((data.to_vec(), sent.len()))));
}

/// The other framings: as many bytes as were said, or what came before the end.
fn length(input: &[u8], step: usize) {
    let said = input.len() as u64 / 2;
    let mut reader = BodyReader::from(Body::Length(said));
    let mut read = 0;
    for piece in input.chunks(step) {
        let progress = reader.advance(piece).unwrap();
        assert_eq!(progress.skip, 0);
        read += progress.data as u64;
        assert_eq!(progress.state == State::Done, read == said);
    }
    assert_eq!((read, reader.eof().is_ok()), (said, true));
}
