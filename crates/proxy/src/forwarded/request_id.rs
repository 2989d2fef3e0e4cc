//! The request's id: a trusted proxy's, if it is harmless, or a new UUIDv7 (RFC 9562), which sorts
//! by time.

use std::time::{SystemTime, UNIX_EPOCH};

const LONGEST: usize = 128;

/// Whether a given id may stand in headers and logs as it is.
pub(crate) fn is_valid_request_id(id: &[u8]) -> bool {
    let harmless = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST).contains(&id.len()) && id.iter().all(harmless)
}

pub(crate) fn new_request_id() -> [u8; 36] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    uuid_v7(now.as_millis(), fastrand::u128(..))
}

fn uuid_v7(millis: u128, random: u128) -> [u8; 36] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    // 48 bits of time, 4 of version, 12 random, 2 of variant, 62 random.
    let random = random & 0x0fff_3fff_ffff_ffff_ffff;
    let bits = (millis << 80) | random | (7 << 76) | (2 << 62);
    let mut text = [b'-'; 36];
    let places = (0..36).filter(|place| !matches!(place, 8 | 13 | 18 | 23));
    for (digit, place) in places.enumerate() {
        text[place] = DIGITS[(bits >> (124 - 4 * digit)) as usize & 15];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_a_version_7_uuid() {
        // The example of RFC 9562, appendix A.6.
        let random = (0xcc3 << 64) | 0x18c4_dc0c_0c07_398f;
        let id = uuid_v7(0x017f_22e2_79b0, random);
        assert_eq!(id, *b"017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
        assert_eq!(uuid_v7(0, u128::MAX), *b"00000000-0000-7fff-bfff-ffffffffffff");
        assert!(is_valid_request_id(&new_request_id()));
        assert_ne!(new_request_id(), new_request_id());
    }

    #[test]
    fn hb_06_only_a_harmless_id_is_kept() {
        for id in ["a", "A-b_c.9", &"x".repeat(128)] {
            assert!(is_valid_request_id(id.as_bytes()), "{id}");
        }
        for id in ["", "a b", "a\"b", "a\r\nb", "ä", "a/b", &"x".repeat(129)] {
            assert!(!is_valid_request_id(id.as_bytes()), "{id}");
        }
    }
}
