//! The lines of a head, taken apart: request line, status line, field line. Each is given whole,
//! with its CRLF, and is one pass over its bytes; where lines end is `search`'s, what they mean is
//! for `request` and `response`. Nothing is forgiven that RFC 9112 lets a recipient forgive: no
//! second space, no space before a colon, no folding, no bare CR.

use std::ops::Range;

use crate::Version;
use crate::word::{EACH, HIGH, WORD, from};

/// `Name: value` CRLF, as offsets into the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FieldLine {
    /// The name's length.
    pub(crate) name: usize,
    /// Without the white space around it.
    pub(crate) value: Range<usize>,
    pub(crate) underscore: bool,
    /// Exactly one space before the value and none behind it.
    pub(crate) plain: bool,
}

impl FieldLine {
    pub(crate) fn of(whole: &[u8]) -> Option<FieldLine> {
        FieldLine::of_clean(whole).filter(|line| are_value_bytes(&whole[line.value.clone()]))
    }

    /// Of a line that is known to have no control character but tabs and its CRLF.
    pub(crate) fn of_clean(whole: &[u8]) -> Option<FieldLine> {
        let line = whole.strip_suffix(b"\r\n")?;
        let (mut name, mut seen) = (plain_start(line), 0);
        while let Some(&b) = line.get(name) {
            let kind = KINDS[usize::from(b)];
            if kind & TOKEN == 0 {
                break;
            }
            seen |= kind;
            name += 1;
        }
        if name == 0 || line.get(name) != Some(&b':') {
            return None;
        }
        let (mut start, mut end) = (name + 1, line.len());
        while start < end && is_space(line[start]) {
            start += 1;
        }
        while end > start && is_space(line[end - 1]) {
            end -= 1;
        }
        Some(FieldLine {
            name,
            value: start..end,
            underscore: seen & UNDERSCORE != 0,
            plain: start == name + 2 && line[name + 1] == b' ' && end == line.len(),
        })
    }
}

/// `METHOD target HTTP/1.x` CRLF, as offsets into the line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RequestLine {
    pub(crate) method: Range<usize>,
    pub(crate) target: Range<usize>,
    pub(crate) version: Version,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadRequestLine {
    /// Method and target are fine, what follows them is no version of ours.
    Version,
    Other,
}

impl RequestLine {
    pub(crate) fn of(whole: &[u8]) -> Result<RequestLine, BadRequestLine> {
        let line = whole.strip_suffix(b"\r\n").ok_or(BadRequestLine::Other)?;
        let is_token = |&b: &u8| KINDS[usize::from(b)] & TOKEN != 0;
        let method = 0..line.iter().position(|b| !is_token(b)).ok_or(BadRequestLine::Other)?;
        if method.is_empty() || line[method.end] != b' ' {
            return Err(BadRequestLine::Other);
        }
        let start = method.end + 1;
        let length = memchr::memchr(b' ', &line[start..]).ok_or(BadRequestLine::Other)?;
        let target = start..start + length;
        // What else a target may not have is said by the one who takes it apart.
        if target.is_empty() || !are_value_bytes(&line[target.clone()]) {
            return Err(BadRequestLine::Other);
        }
        let version = match &line[target.end + 1..] {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1', ..] => {
                return Err(BadRequestLine::Other);
            }
            _ => return Err(BadRequestLine::Version),
        };
        Ok(RequestLine { method, target, version })
    }
}

/// `HTTP/1.x 200 reason` CRLF; the reason, and the space before it, may be missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StatusLine {
    pub(crate) version: Version,
    /// Three digits, whatever they mean.
    pub(crate) status: u16,
    /// As an offset into the line.
    pub(crate) reason: Range<usize>,
}

impl StatusLine {
    pub(crate) fn of(whole: &[u8]) -> Option<StatusLine> {
        let line = whole.strip_suffix(b"\r\n")?;
        let (version, rest) = line.split_at_checked(b"HTTP/1.1 ".len())?;
        let version = match version {
            b"HTTP/1.1 " => Version::Http11,
            b"HTTP/1.0 " => Version::Http10,
            _ => return None,
        };
        let (digits, reason) = rest.split_first_chunk::<3>()?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let status = digits.iter().fold(0, |n, b| n * 10 + u16::from(b - b'0'));
        let reason = match reason {
            [] => line.len()..line.len(),
            [b' ', reason @ ..] if are_value_bytes(reason) => line.len() - reason.len()..line.len(),
            _ => return None,
        };
        Some(StatusLine { version, status, reason })
    }
}

const TOKEN: u8 = 1;
const UNDERSCORE: u8 = 2;

static KINDS: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut b = 0;
    while b < 128 {
        if crate::field::is_token_byte(b as u8) {
            kinds[b] = TOKEN;
        }
        b += 1;
    }
    kinds[b'_' as usize] |= UNDERSCORE;
    kinds
};

/// How many letters, digits and `-` it begins with, of nearly every field its name; or fewer, where it
/// ends before a word does.
fn plain_start(line: &[u8]) -> usize {
    let mut at = 0;
    while let Some(word) = line[at..].first_chunk() {
        let others = others(*word);
        if others != 0 {
            return at + others.trailing_zeros() as usize / 8;
        }
        at += WORD;
    }
    at
}

/// The bytes of a word that are no letter, digit or `-`: the high bit of each, lowest byte first.
#[inline]
fn others(word: [u8; WORD]) -> u64 {
    let word = u64::from_le_bytes(word);
    let low = word & !HIGH;
    let lower = low | (0x20 * EACH);
    let letter = from(lower, b'a') & !from(lower, b'z' + 1);
    let digit = from(low, b'0') & !from(low, b'9' + 1);
    let other_than_dash = from(low ^ (u64::from(b'-') * EACH), 1);
    !((letter | digit | !other_than_dash) & !word) & HIGH
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t')
}

/// Folded, not searched: without an early exit it is a few vector instructions.
fn are_value_bytes(bytes: &[u8]) -> bool {
    bytes.iter().fold(true, |ok, &b| ok & crate::field::is_value_byte(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_line_is_a_token_a_colon_and_a_value() {
        fn field(line: &str) -> Option<(&str, &str, bool)> {
            let FieldLine { name, value, plain, .. } = FieldLine::of(line.as_bytes())?;
            Some((&line[..name], &line[value], plain))
        }
        assert_eq!(field("Host: a\r\n"), Some(("Host", "a", true)));
        assert_eq!(field("X:\r\n"), Some(("X", "", false)));
        assert_eq!(field("X: \r\n"), Some(("X", "", true)));
        assert_eq!(field("X:y\r\n"), Some(("X", "y", false)));
        assert_eq!(field("X:\t y z \t\r\n"), Some(("X", "y z", false)));
        assert_eq!(field("X: y\u{e9}\r\n"), Some(("X", "y\u{e9}", true)));
        for odd in [
            "X\r\n",
            ": y\r\n",
            "X : y\r\n",
            " X: y\r\n",
            "X: a\rb\r\n",
            "X: \0\r\n",
            "X: \x7f\r\n",
        ] {
            assert_eq!(field(odd), None, "{odd:?}");
        }
        assert!(FieldLine::of(b"a_b: c\r\n").is_some_and(|line| line.underscore));
        assert!(FieldLine::of(b"a-b: c_d\r\n").is_some_and(|line| !line.underscore));
    }

    #[test]
    fn plain_bytes_are_told_apart_at_every_place() {
        for byte in 0..=u8::MAX {
            let plain = byte.is_ascii_alphanumeric() || byte == b'-';
            for (before, behind) in (0..20).flat_map(|n| (0..12).map(move |m| (n, m))) {
                let line = [vec![b'x'; before], vec![byte], vec![b'-'; behind]].concat();
                let expected = if plain { line.len() } else { before };
                let words = line.len() / WORD * WORD;
                assert_eq!(plain_start(&line), expected.min(words), "{line:?}");
            }
            for others in [b':', 0, 0xff, b'z'] {
                let line = [byte, others, byte, others, byte, others, byte, others];
                let is_plain = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
                let expected = line.iter().take_while(|b| is_plain(b)).count();
                assert_eq!(plain_start(&line), expected, "{line:?}");
            }
        }
    }

    #[test]
    fn a_request_line_has_two_spaces() {
        let line = RequestLine::of(b"GET /a HTTP/1.0\r\n").expect("a request line");
        assert_eq!((line.method, line.target, line.version), (0..3, 4..6, Version::Http10));
        for (odd, why) in [
            ("GET /a\r\n", BadRequestLine::Other),
            ("GET  /a HTTP/1.1\r\n", BadRequestLine::Other),
            ("GET /a  HTTP/1.1\r\n", BadRequestLine::Version),
            ("GET /a HTTP/1.1 \r\n", BadRequestLine::Other),
            ("GET /a HTTP/1.2\r\n", BadRequestLine::Version),
            ("GET /a http/1.1\r\n", BadRequestLine::Version),
            (" /a HTTP/1.1\r\n", BadRequestLine::Other),
            ("GET /\0 HTTP/1.1\r\n", BadRequestLine::Other),
            ("G:T / HTTP/1.1\r\n", BadRequestLine::Other),
        ] {
            assert_eq!(RequestLine::of(odd.as_bytes()), Err(why), "{odd:?}");
        }
    }

    #[test]
    fn a_status_line_may_lack_its_reason() {
        let told = |line: &str| {
            StatusLine::of(line.as_bytes()).map(|l| (l.status, line[l.reason].to_owned()))
        };
        assert_eq!(told("HTTP/1.1 200 OK\r\n"), Some((200, "OK".into())));
        assert_eq!(told("HTTP/1.0 204 \r\n"), Some((204, "".into())));
        assert_eq!(told("HTTP/1.1 999\r\n"), Some((999, "".into())));
        for odd in [
            "HTTP/1.1 20\r\n",
            "HTTP/1.1 2000\r\n",
            "HTTP/1.1  200\r\n",
            "HTTP/2 200\r\n",
            "HTTP/1.1 200 a\rb\r\n",
        ] {
            assert_eq!(told(odd), None, "{odd:?}");
        }
    }
}
