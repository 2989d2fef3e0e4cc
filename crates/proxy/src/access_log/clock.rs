//! Time as text. The part of a second and above is formatted once a second and thread.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use httpdate::fmt_http_date;

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
    // Always of this length: `Mon, 23 Nov 2026 12:15:08 GMT`. The other two are cut from it.
    let mut imf = [b' '; 29];
    fill(&mut imf, fmt_http_date(instant(unix)).as_bytes());
    let (day, month, year, time) = (&imf[5..7], &imf[8..11], &imf[12..16], &imf[17..25]);
    let mut fresh = Second { unix, imf, ..last };
    let number = MONTHS.iter().position(|name| *name == month).unwrap_or_default() as u8 + 1;
    let number = [b'0' + number / 10, b'0' + number % 10];
    fill(&mut fresh.rfc3339, &[year, b"-", &number, b"-", day, b"T", time].concat());
    fill(&mut fresh.combined, &[day, b"/", month, b"/", year, b":", time].concat());
    LAST.set(fresh);
    fresh
}

/// That second. A date has four digits for the year, so it ends before the year 10000.
fn instant(unix: u64) -> SystemTime {
    const LAST_SECOND: u64 = 253_402_300_799;
    UNIX_EPOCH + Duration::from_secs(unix.min(LAST_SECOND))
}

const MONTHS: [&[u8]; 12] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
];

fn fill(place: &mut [u8], text: &[u8]) {
    place.iter_mut().zip(text).for_each(|(place, byte)| *place = *byte);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_as_the_formats_have_them() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z 01/Jan/1970:00:00:00 +0000"),
            (1_795_436_108_042, "2026-11-23T12:15:08.042Z 23/Nov/2026:12:15:08 +0000"),
            (1_795_436_108_999, "2026-11-23T12:15:08.999Z 23/Nov/2026:12:15:08 +0000"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z 29/Feb/2024:00:00:00 +0000"),
            (253_402_300_800_000, "9999-12-31T23:59:59.000Z 31/Dec/9999:23:59:59 +0000"),
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
