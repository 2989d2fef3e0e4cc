//! The one normal form of a path: routes are matched on it and workers get exactly it, so that no
//! two parties can read one request as two paths.
//!
//! Unreserved characters are decoded, once; every other escape stays, with upper-case digits
//! (`%2F` and `%5C` too). Then `//` becomes `/`, unless it is to be kept, and dot segments go. What
//! has no safe reading (a backslash, `%00`, a broken escape, a way above the root) is refused. The
//! query is not looked at.
//!
//! A worker may still read more into a normal form than stands there: see [`reading`].

mod reading;

use std::borrow::Cow;

pub(crate) use reading::{Behind, stays_below};
pub use reading::{Normal, Slashes};

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("the path does not start with `/`")]
    NotAbsolute,
    #[error("a backslash in the path, which some read as a slash")]
    Backslash,
    #[error("a NUL in the path")]
    Nul,
    #[error("a `%` in the path without two hexadecimal digits behind it")]
    BrokenEscape,
    #[error("the path leaves the root")]
    AboveRoot,
}

/// Gives `target`, a path with or without a query, with the path in its normal form; borrowed if
/// it already was.
pub fn normalise(target: &[u8], slashes: Slashes) -> Result<Cow<'_, [u8]>, PathError> {
    Normal::of(target, slashes).map(|normal| normal.target)
}

/// Appends the normal form of `path`, which has no query.
fn rewrite(path: &[u8], slashes: Slashes, out: &mut Vec<u8>) -> Result<(), PathError> {
    let mut rest = path.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'/' => {
                let ended = end_segment(out)?;
                let merged = slashes == Slashes::Merge && out.last() == Some(&b'/');
                if !merged && ended == Ended::Stays {
                    out.push(b'/');
                }
            }
            b'%' => {
                let mut digit = || rest.next().and_then(|&digit| (digit as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(), digit()) else {
                    return Err(PathError::BrokenEscape);
                };
                escaped((high * 16 + low) as u8, out)?;
            }
            b'\\' => return Err(PathError::Backslash),
            0 => return Err(PathError::Nul),
            byte => out.push(byte),
        }
    }
    end_segment(out).map(drop)
}

fn escaped(byte: u8, out: &mut Vec<u8>) -> Result<(), PathError> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    match byte {
        0 => return Err(PathError::Nul),
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(byte),
        byte => {
            let (high, low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'%', high, low]);
        }
    }
    Ok(())
}

/// What became of a segment at its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Stays,
    /// It was `.` or `..`; what is left ends with a slash.
    Goes,
}

/// Takes a `.` or `..` back off the end of `out`.
fn end_segment(out: &mut Vec<u8>) -> Result<Ended, PathError> {
    let Some(slash) = memchr::memrchr(b'/', out) else { return Ok(Ended::Stays) };
    match &out[slash + 1..] {
        b"." => out.truncate(slash + 1),
        b".." => {
            let parent = memchr::memrchr(b'/', &out[..slash]).ok_or(PathError::AboveRoot)?;
            out.truncate(parent + 1);
        }
        _ => return Ok(Ended::Stays),
    }
    Ok(Ended::Goes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(path: &str) -> Result<String, PathError> {
        normalise(path.as_bytes(), Slashes::Merge)
            .map(|path| String::from_utf8_lossy(&path).into_owned())
    }

    #[track_caller]
    fn table(rows: &[(&str, Result<&str, PathError>)]) {
        for (path, expected) in rows {
            assert_eq!(normal(path), expected.map(str::to_owned), "{path}");
            // A normal form is its own normal form: nothing is ever decoded twice.
            if let Ok(once) = expected {
                assert_eq!(normal(once).as_deref(), Ok(*once), "{path}, again");
            }
        }
    }

    #[test]
    fn pt_01_dot_segments_and_double_slashes_go() {
        table(&[
            ("/", Ok("/")),
            ("//", Ok("/")),
            ("/a/../b", Ok("/b")),
            ("/a//b", Ok("/a/b")),
            ("/./b", Ok("/b")),
            ("/a/.", Ok("/a/")),
            ("/a/..", Ok("/")),
            ("/a/b/..", Ok("/a/")),
            ("/a/b/../", Ok("/a/")),
            ("/a//../b", Ok("/b")),
            ("/%2e%2e", Err(PathError::AboveRoot)),
            ("/a/%2e%2E/b", Ok("/b")),
            ("/a/.%2e/b", Ok("/b")),
            ("/a/%2e/b", Ok("/a/b")),
            ("/..", Err(PathError::AboveRoot)),
            ("/a/../../b", Err(PathError::AboveRoot)),
            ("/...", Ok("/...")),
            ("/.well-known/x", Ok("/.well-known/x")),
            ("/a/..b", Ok("/a/..b")),
        ]);
    }

    #[test]
    fn pt_02_encoded_separators_are_kept_and_backslashes_refused() {
        table(&[
            ("/a%2fb", Ok("/a%2Fb")),
            ("/a%2Fb", Ok("/a%2Fb")),
            ("/a%5cb", Ok("/a%5Cb")),
            ("/a/..%2fb", Ok("/a/..%2Fb")),
            ("/a\\b", Err(PathError::Backslash)),
            ("/a\\..\\b", Err(PathError::Backslash)),
        ]);
    }

    #[test]
    fn pt_03_parameters_are_ordinary_characters() {
        table(&[
            ("/a/..;/b", Ok("/a/..;/b")),
            ("/a;x=1/b", Ok("/a;x=1/b")),
            ("/a/%2e%2e;/b", Ok("/a/..;/b")),
        ]);
    }

    #[test]
    fn pt_04_nothing_is_decoded_twice_and_nothing_dangerous_decoded_once() {
        table(&[
            ("/a%00", Err(PathError::Nul)),
            ("/a\0", Err(PathError::Nul)),
            ("/a%0d%0ab", Ok("/a%0D%0Ab")),
            ("/%252e%252e/a", Ok("/%252e%252e/a")),
            ("/%c0%ae%c0%ae/a", Ok("/%C0%AE%C0%AE/a")),
            ("/%41%7e%2D", Ok("/A~-")),
            ("/a%", Err(PathError::BrokenEscape)),
            ("/a%4", Err(PathError::BrokenEscape)),
            ("/a%zz", Err(PathError::BrokenEscape)),
            ("/a%4/", Err(PathError::BrokenEscape)),
            ("/a%+1", Err(PathError::BrokenEscape)),
            ("", Err(PathError::NotAbsolute)),
            ("a", Err(PathError::NotAbsolute)),
            ("*", Ok("*")),
        ]);
    }

    #[test]
    fn pt_05_case_and_trailing_slash_are_kept() {
        table(&[("/Admin", Ok("/Admin")), ("/admin/", Ok("/admin/")), ("/%61dmin", Ok("/admin"))]);
    }

    #[test]
    fn the_query_is_left_alone() {
        table(&[
            ("/a?x=/../%zz\\//", Ok("/a?x=/../%zz\\//")),
            ("/a/../b?q=%2e", Ok("/b?q=%2e")),
            ("/a%41?%41", Ok("/aA?%41")),
            ("/?", Ok("/?")),
        ]);
    }

    #[test]
    fn a_normal_path_is_borrowed() {
        for path in ["/", "/a/b.html?x=//", "/.well-known/acme", "/a%2Fb"] {
            assert!(
                matches!(normalise(path.as_bytes(), Slashes::Merge), Ok(Cow::Borrowed(_))),
                "{path}"
            );
        }
    }

    #[test]
    fn slashes_that_are_kept_are_elements_of_their_own() {
        for (path, expected) in [
            ("/", Ok("/")),
            ("//", Ok("//")),
            ("/a//b", Ok("/a//b")),
            ("/a///b/", Ok("/a///b/")),
            // RFC 3986 §5.2.4: `..` takes the empty element with it.
            ("/a//../b", Ok("/a/b")),
            ("/a/./b", Ok("/a/b")),
            ("/a/.//b", Ok("/a//b")),
            ("/a/b/..//c", Ok("/a//c")),
            ("/a//.", Ok("/a//")),
            ("//..", Ok("/")),
            ("//../..", Err(PathError::AboveRoot)),
            ("/a//%2e%2E", Ok("/a/")),
            ("/a//b?x=//", Ok("/a//b?x=//")),
        ] {
            let normal = |path: &str| {
                let normal = normalise(path.as_bytes(), Slashes::Keep);
                normal.map(|path| String::from_utf8_lossy(&path).into_owned())
            };
            assert_eq!(normal(path), expected.map(str::to_owned), "{path}");
            if let Ok(once) = expected {
                assert_eq!(normal(once).as_deref(), Ok(once), "{path}, again");
            }
        }
    }
}
