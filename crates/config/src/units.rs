//! Words with a unit: durations and sizes, and what is wrong with one that is not.
//!
//! Called by the leaf readers; knows no YAML and no key.

use std::net::IpAddr;
use std::time::Duration;

use crate::env::Bad;
use crate::model::Cidr;

/// What `off` means for a time-out: longer than any process lives, short enough for any clock.
pub(crate) const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

pub(crate) const DURATION: &str = "a duration with its unit, like `5s`, `250ms` or `1h30m`";
pub(crate) const SIZE: &str = "a size, like `64KiB` or `1MB`";

/// Nanoseconds of a unit.
const TIME: [(&str, u128); 6] = [
    ("us", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

/// 1 TiB: what no memory and no body limit needs, and what no sum overflows.
pub(crate) const MOST_SIZE: u64 = 1 << 40;

const BYTES: [(&str, u128); 7] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

pub(crate) fn duration(text: &str) -> Result<Duration, Bad> {
    let bad = || Bad::new("", DURATION);
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(bad().hint("a duration is never negative"));
    }
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        // So many are milliseconds in HAProxy, and seconds in nginx.
        return Err(bad().hint(match text.parse::<u64>() {
            Ok(100..) => format!("did you mean `{text}ms` or `{text}s`?"),
            _ => format!("did you mean `{text}s`?"),
        }));
    }
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (nanos, after) = part(rest, &TIME).ok_or_else(bad)?;
        total = total.checked_add(nanos).ok_or_else(bad)?;
        rest = after;
    }
    if text.is_empty() {
        return Err(bad());
    }
    if total > FOREVER.as_nanos() {
        return Err(Bad::new("", "at most `365d`").hint("`off` means no limit where there is one"));
    }
    Ok(Duration::from_nanos(total as u64))
}

pub(crate) fn size(text: &str) -> Result<u64, Bad> {
    let bad = || Bad::new("", SIZE);
    if text.starts_with('-') {
        return Err(bad().hint("a size is never negative"));
    }
    let bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let total = if bare {
        text.parse().map_err(|_| bad())?
    } else {
        let (total, rest) = part(text, &BYTES).ok_or_else(|| unit_hint(text, bad()))?;
        if !rest.is_empty() {
            return Err(unit_hint(text, bad()));
        }
        total
    };
    u64::try_from(total)
        .ok()
        .filter(|n| *n <= MOST_SIZE)
        .ok_or_else(|| Bad::new("", "at most `1024GiB`"))
}

/// As a file has it: in the largest unit that leaves nothing over.
pub(crate) fn size_in_words(bytes: u64) -> String {
    let fits = |(_, scale): &&(&str, u128)| u128::from(bytes).is_multiple_of(*scale);
    let (name, scale) = BYTES.iter().rev().find(fits).copied().unwrap_or(("B", 1));
    format!("{}{name}", u128::from(bytes) / scale)
}

fn unit_hint(text: &str, bad: Bad) -> Bad {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let unit = text[digits.len()..].trim().to_ascii_lowercase();
    match unit.chars().next() {
        Some(c @ ('k' | 'm' | 'g')) if !digits.is_empty() => {
            bad.hint(format!("did you mean `{digits}{}iB`?", c.to_ascii_uppercase()))
        }
        _ => bad,
    }
}

/// One number with its unit from the front, in the table's smallest unit.
fn part<'t>(text: &'t str, units: &[(&str, u128)]) -> Option<(u128, &'t str)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, rest) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || whole.len() > 15 || fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let rest = rest.trim_start_matches(' ');
    let len = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(len);
    let (_, scale) = units.iter().find(|(name, _)| *name == unit)?;
    let whole = whole.parse::<u128>().ok()?.checked_mul(*scale)?;
    let fraction = fraction.parse::<u128>().ok()? * scale / 10u128.pow(fraction.len() as u32);
    Some((whole + fraction, rest))
}

/// The regular expression of a duration; zero needs no unit.
pub(crate) fn duration_pattern() -> String {
    format!("0|(?:{})+", with_unit(&TIME))
}

/// The regular expression of a size; bytes need no unit.
pub(crate) fn size_pattern() -> String {
    format!("[0-9]+|{}", with_unit(&BYTES))
}

fn with_unit(units: &[(&str, u128)]) -> String {
    let names: Vec<&str> = units.iter().map(|(name, _)| *name).collect();
    format!(r"[0-9]{{1,15}}(?:\.[0-9]{{1,9}})? *(?:{})", names.join("|"))
}

/// A network, and whether bits behind its length were set.
pub(crate) fn cidr(text: &str) -> Result<(Cidr, bool), Bad> {
    let expected = "a network or an address, like `10.0.0.0/8` or `::1`";
    let bad = || Bad::new("", expected);
    let (addr, len) = match text.split_once('/') {
        Some((addr, len)) => (addr, Some(len)),
        None => (text, None),
    };
    let addr: IpAddr = addr.parse().map_err(|_| bad())?;
    let most = if addr.is_ipv4() { 32 } else { 128 };
    let len = match len {
        None => most,
        Some(len) => len
            .parse()
            .ok()
            .filter(|n| *n <= most && len.bytes().all(|b| b.is_ascii_digit()))
            .ok_or_else(|| bad().hint(format!("the length is 0 to {most}")))?,
    };
    let masked = match addr {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            IpAddr::from((u32::from(v4) & mask).to_be_bytes())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
            IpAddr::from((u128::from(v6) & mask).to_be_bytes())
        }
    };
    Ok((Cidr { addr: masked, len }, masked != addr))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("1h30m", 5_400_000),
            ("1.5s", 1_500),
            ("0", 0),
            ("0s", 0),
            ("2 s", 2_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "5 parsecs",
            "-1s",
            "1e3s",
            "99999999999999999999s",
            "366d",
            "1s5",
            "1.s",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(duration("5").unwrap_err().hint.as_deref(), Some("did you mean `5s`?"));
        let both = Some("did you mean `500ms` or `500s`?");
        assert_eq!(duration("500").unwrap_err().hint.as_deref(), both);
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("0", 0), ("512", 512), ("64KiB", 65_536), ("1MB", 1_000_000), ("1.5KiB", 1_536)]
        {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in
            ["", "64k", "64 parsecs", "-1", "9999999999GiB", "18446744073709551616", "1KiB2"]
        {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(size("64k").unwrap_err().hint.as_deref(), Some("did you mean `64KiB`?"));
        for text in ["1B", "3KiB", "64MiB", "1GiB"] {
            assert_eq!(size(text).map(size_in_words).as_deref(), Ok(text));
        }
    }

    #[test]
    fn networks() {
        let net = |text: &str| cidr(text).map(|(c, spare)| (c.addr.to_string(), c.len, spare)).ok();
        assert_eq!(net("10.0.0.0/8"), Some(("10.0.0.0".into(), 8, false)));
        assert_eq!(net("10.1.2.3/8"), Some(("10.0.0.0".into(), 8, true)));
        assert_eq!(net("0.0.0.0/0"), Some(("0.0.0.0".into(), 0, false)));
        assert_eq!(net("::1"), Some(("::1".into(), 128, false)));
        assert_eq!(net("fe80::1/64"), Some(("fe80::".into(), 64, true)));
        for text in ["10.0.0.0/33", "10.0.0.0/+8", "10.0.0/8", "::/129", "a", ""] {
            assert_eq!(net(text), None, "{text}");
        }
    }
}
