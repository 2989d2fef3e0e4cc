//! The request's id: a trusted proxy's, if it is harmless, or a new UUIDv7 (RFC 9562), which sorts
//! by time.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LONGEST: usize = 128;

/// Whether a given id may stand in headers and logs as it is.
pub(crate) fn is_valid_request_id(id: &[u8]) -> bool {
    let harmless = |&byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=LONGEST).contains(&id.len()) && id.iter().all(harmless)
}

pub(crate) fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// `now` is [`since_epoch`], or was a moment ago.
pub(crate) fn new_request_id(now: Duration) -> [u8; 36] {
    uuid_v7(now.as_millis(), fastrand::u128(..))
}

fn uuid_v7(millis: u128, random: u128) -> [u8; 36] {
    // 48 bits of time, 4 of version, 12 random, 2 of variant, 62 random.
    let random = random & 0x0fff_3fff_ffff_ffff_ffff;
    let bits = (millis << 80) | random | (7 << 76) | (2 << 62);
    let mut text = [b'-'; 36];
    const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    for (byte, place) in bits.to_be_bytes().into_iter().zip(PLACES) {
        text[place..place + 2].copy_from_slice(&HEX[usize::from(byte)]);
    }
    text
}

/// Every byte as two digits.
static HEX: [[u8; 2]; 256] = {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    table
};

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
        let now = Duration::from_secs(1_800_000_000);
        assert!(is_valid_request_id(&new_request_id(now)));
        assert_ne!(new_request_id(now), new_request_id(now));
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
