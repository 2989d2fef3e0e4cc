//! Time as text. The part of a second and above is formatted once a second and thread.

use std::{
    cell::Cell,
    time::{SystemTime, UNIX_EPOCH},
};

use jiff::Timestamp;

#[derive(Clone, Copy)]
struct Second {
    unix: u64,
    rfc3339: [u8; 19],
    combined: [u8; 20],
    imf: [u8; 29],
}

thread_local! {
    static LAST: Cell<Second> = const {
        Cell::new(Second {
            unix: u64::MAX,
            rfc3339: [b'0'; 19],
            combined: [b'0'; 20],
            imf: [b'0'; 29],
        })
    };
}

/// `2026-11-23T12:15:08.042Z`
pub(super) fn rfc3339(at: SystemTime, out: &mut Vec<u8>) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let millis = since.subsec_millis();
    let digit = |unit: u32| b'0' + (millis / unit % 10) as u8;
    out.extend_from_slice(&second(since.as_secs()).rfc3339);
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1), b'Z']);
}

/// `23/Nov/2026:12:15:08 +0000`
pub(super) fn combined(at: SystemTime, out: &mut Vec<u8>) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    out.extend_from_slice(&second(since.as_secs()).combined);
    out.extend_from_slice(b" +0000");
}

/// `Mon, 23 Nov 2026 12:15:08 GMT`, as in a `Date` field (RFC 9110 §5.6.7).
pub(crate) fn imf_date(at: SystemTime) -> [u8; 29] {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    second(since.as_secs()).imf
}

fn second(unix: u64) -> Second {
    let last = LAST.get();
    if last.unix == unix {
        return last;
    }
    let time = Timestamp::from_second(unix.cast_signed()).unwrap_or(Timestamp::UNIX_EPOCH);
    let mut fresh = Second { unix, ..last };
    // All have a fixed length until the year 10000, which is beyond what a `Timestamp` holds.
    fill(&mut fresh.rfc3339, &time.strftime("%Y-%m-%dT%H:%M:%S").to_string());
    fill(&mut fresh.combined, &time.strftime("%d/%b/%Y:%H:%M:%S").to_string());
    fill(&mut fresh.imf, &time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
    LAST.set(fresh);
    fresh
}

fn fill(place: &mut [u8], text: &str) {
    place.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_as_the_formats_have_them() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z 01/Jan/1970:00:00:00 +0000"),
            (1_795_436_108_042, "2026-11-23T12:15:08.042Z 23/Nov/2026:12:15:08 +0000"),
            (1_795_436_108_999, "2026-11-23T12:15:08.999Z 23/Nov/2026:12:15:08 +0000"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z 29/Feb/2024:00:00:00 +0000"),
        ] {
            let at = UNIX_EPOCH + Duration::from_millis(millis);
            let mut out = Vec::new();
            rfc3339(at, &mut out);
            out.push(b' ');
            combined(at, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let date = imf_date(UNIX_EPOCH + Duration::from_millis(1_795_436_108_042));
        assert_eq!(str::from_utf8(&date).unwrap(), "Mon, 23 Nov 2026 12:15:08 GMT");
    }
}
