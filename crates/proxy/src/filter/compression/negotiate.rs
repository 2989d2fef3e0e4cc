//! Which coding a client gets: `Accept-Encoding` by its weights (RFC 9110 §12.4.2, §12.5.3).

use super::Coding;

/// The heaviest of `ours` that the client takes; between equals the first one. `None`: the body
/// goes out as it is, also to who refuses that: it is better than nothing.
pub(super) fn best<'a>(
    ours: &[Coding],
    accepted: impl Iterator<Item = &'a [u8]>,
) -> Option<Coding> {
    let mut weights: [Option<u16>; 3] = [None; 3];
    let (mut identity, mut others) = (None, None);
    for element in accepted.flat_map(|value| value.split(|&byte| byte == b',')) {
        let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let Some(weight) = weight(parts) else { continue };
        let place = match &name[..] {
            b"gzip" | b"x-gzip" => &mut weights[Coding::Gzip as usize],
            b"br" => &mut weights[Coding::Br as usize],
            b"zstd" => &mut weights[Coding::Zstd as usize],
            b"identity" => &mut identity,
            b"*" => &mut others,
            _ => continue,
        };
        place.get_or_insert(weight);
    }
    let weight_of = |coding: Coding| weights[coding as usize].or(others).unwrap_or(0);
    let heaviest = ours.iter().map(|&coding| weight_of(coding)).max().filter(|&most| most > 0)?;
    // Named and heavier than every coding: the client would rather have it plain.
    if identity.is_some_and(|identity| identity > heaviest) {
        return None;
    }
    ours.iter().copied().find(|&coding| weight_of(coding) == heaviest)
}

/// In thousandths; `None` for what is no weight.
fn weight<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Option<u16> {
    let mut weight = 1000;
    for part in parts {
        let Some((b"q" | b"Q", value)) = part.split_first_chunk::<1>().and_then(|(name, rest)| {
            let value = rest.trim_ascii_start().strip_prefix(b"=")?;
            Some((&name[..], value.trim_ascii_start()))
        }) else {
            continue;
        };
        weight = thousandths(value)?;
    }
    Some(weight)
}

fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, fraction) = match value {
        [whole] => (whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (whole, fraction),
        _ => return None,
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let mut sum = digit(*whole)? * 1000;
    for (byte, scale) in fraction.iter().zip([100, 10, 1]) {
        sum += digit(*byte)? * scale;
    }
    (sum <= 1000).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &[Coding] = &[Coding::Zstd, Coding::Br, Coding::Gzip];

    #[test]
    fn the_clients_weights_decide_then_our_order() {
        for (accepted, coding) in [
            ("gzip", Some(Coding::Gzip)),
            ("gzip, deflate, br, zstd", Some(Coding::Zstd)),
            ("gzip;q=1.0, br;q=0.5", Some(Coding::Gzip)),
            ("GZIP ; Q = 0.001", Some(Coding::Gzip)),
            ("x-gzip", Some(Coding::Gzip)),
            ("*", Some(Coding::Zstd)),
            ("*;q=0.1, zstd;q=0", Some(Coding::Br)),
            ("gzip;q=0", None),
            ("*;q=0", None),
            ("gzip;q=0.5, identity", None),
            ("gzip, identity;q=0.5", Some(Coding::Gzip)),
            ("identity;q=0, gzip;q=0.5", Some(Coding::Gzip)),
            ("deflate", None),
            ("", None),
            ("gzip;q=2, br;q=0.1", Some(Coding::Br)),
            ("gzip;q=0.1234", None),
            ("gzip;q=", None),
            ("gzip;level=9", Some(Coding::Gzip)),
            (",;,=;q,gzip", Some(Coding::Gzip)),
        ] {
            assert_eq!(best(OURS, [accepted.as_bytes()].into_iter()), coding, "{accepted}");
        }
        assert_eq!(best(OURS, std::iter::empty()), None);
        assert_eq!(best(&[], [&b"gzip"[..]].into_iter()), None);
        let lines = [&b"deflate"[..], b"br;q=0.4", b"gzip;q=0.3"];
        assert_eq!(best(OURS, lines.into_iter()), Some(Coding::Br));
    }
}
