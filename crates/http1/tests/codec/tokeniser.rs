//! Beside httparse: what we take, it takes, and reads the same; what we call no line at all, it
//! refuses too.

use isobar_http1::*;
use proptest::collection::vec;
use proptest::prelude::*;

const LIMITS: Limits = Limits { head_bytes: 64 * 1024, headers: 100, uri: 8 * 1024 };

/// Good lines with a byte or two that do not belong there.
fn damaged(start: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        "Host: a",
        "X: y",
        "X:y",
        "X:\t y ",
        "Empty:",
        "A_b: c",
        "Accept: */*, text/html;q=0.1",
        "Cookie: session=0123456789abcdef0123456789abcdef",
        "Long-Name-That-Is-Long: \u{e9}\u{df}",
    ]);
    let odd = prop::sample::select(vec![
        b"".to_vec(),
        b" ".to_vec(),
        b"\t".to_vec(),
        b":".to_vec(),
        b"\r".to_vec(),
        b"\0".to_vec(),
        b"\x7f".to_vec(),
        b"\x1f".to_vec(),
        b"\x80".to_vec(),
        b"\xff".to_vec(),
        b"_".to_vec(),
        b"(".to_vec(),
        b"\r\n".to_vec(),
        b"\r\n ".to_vec(),
        b"\r\r\n".to_vec(),
        b"!".to_vec(),
    ]);
    let start = prop::sample::select(start);
    (start, vec(line, 0..8), vec((any::<prop::sample::Index>(), odd), 0..3)).prop_map(
        |(start, lines, odds)| {
            let mut text = format!("{start}\r\n").into_bytes();
            for line in lines {
                text.extend_from_slice(line.as_bytes());
                text.extend_from_slice(b"\r\n");
            }
            text.extend_from_slice(b"\r\n");
            for (at, odd) in odds {
                let at = at.index(text.len());
                text.splice(at..at, odd);
            }
            text
        },
    )
}

type Told = Vec<(Vec<u8>, Vec<u8>)>;

fn fields<'a>(fields: impl Iterator<Item = Field<'a>>) -> Told {
    fields.map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
}

fn tokens(headers: &[httparse::Header<'_>]) -> Told {
    headers.iter().map(|h| (h.name.as_bytes().to_vec(), h.value.to_vec())).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn requests_are_read_as_httparse_reads_them(text in damaged(&[
        "GET / HTTP/1.1", "POST /a?b=c HTTP/1.1", "M-SEARCH * HTTP/1.0", "OPTIONS * HTTP/1.1",
        "GET http://b/c HTTP/1.1", "GET /a HTTP/1.2", "GET /a", "get /\u{e9} HTTP/1.1",
    ])) {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Request::new(&mut headers);
        let parsed = theirs.parse(&text);
        let mut ours = RequestHead::new();
        match ours.parse(&text, &LIMITS) {
            Ok(Parsed::Complete(used)) => {
                prop_assert_eq!(parsed, Ok(httparse::Status::Complete(used)));
                prop_assert_eq!(Some(ours.method()), theirs.method.map(str::as_bytes));
                prop_assert_eq!(Some(ours.target()), theirs.path.map(str::as_bytes));
                prop_assert_eq!(ours.version() == Version::Http11, theirs.version == Some(1));
                let mut expected = tokens(theirs.headers);
                expected.retain(|(name, _)| !name.contains(&b'_'));
                prop_assert_eq!(fields(ours.fields()), expected);
            }
            Ok(Parsed::Partial) => {}
            Err(Error::RequestLine(_) | Error::Version(_) | Error::FieldLine(_)) => {
                prop_assert!(parsed.is_err(), "{:?}", text.escape_ascii().to_string());
            }
            // Refused for what the tokens mean.
            Err(_) => {}
        }
    }

    #[test]
    fn responses_are_read_as_httparse_reads_them(text in damaged(&[
        "HTTP/1.1 200 OK", "HTTP/1.0 302 Found", "HTTP/1.1 204", "HTTP/1.1 204 ",
        "HTTP/1.1 500 Nicht gut\u{e9}", "HTTP/1.1 20", "HTTP/1.2 200 OK", "HTTP/1.1  200 OK",
    ])) {
        let mut headers = [httparse::EMPTY_HEADER; 100];
        let mut theirs = httparse::Response::new(&mut headers);
        let parsed = theirs.parse(&text);
        let mut ours = ResponseHead::new();
        match ours.parse(&text, &LIMITS, b"GET") {
            Ok(Parsed::Complete(used)) => {
                prop_assert_eq!(parsed, Ok(httparse::Status::Complete(used)));
                prop_assert_eq!(Some(ours.status()), theirs.code);
                prop_assert_eq!(ours.version() == Version::Http11, theirs.version == Some(1));
                prop_assert_eq!(fields(ours.fields()), tokens(theirs.headers));
                if ours.reason().is_ascii() {
                    prop_assert_eq!(Some(ours.reason()), theirs.reason.map(str::as_bytes));
                }
            }
            Ok(Parsed::Partial) => {}
            // An empty line before a response is forgiven by them only.
            Err(_) if text.starts_with(b"\r\n") => {}
            Err(Error::StatusLine(_) | Error::FieldLine(_)) => {
                prop_assert!(parsed.is_err(), "{:?}", text.escape_ascii().to_string());
            }
            Err(_) => {}
        }
    }
}
