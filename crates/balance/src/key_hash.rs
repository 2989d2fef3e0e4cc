//! The hash of a part of a request, for whoever keeps requests together or tells clients apart. The
//! seeds are fixed, so every shard, process, version and restart agrees. Which part is hashed, and
//! what for, is not known here.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The key of a client: its IPv4 address, or the /64 of its IPv6 address, because one household
/// wanders inside its /64.
pub fn client_key(ip: IpAddr) -> u64 {
    const SEED: u64 = 0x1505_ba12_c11e_0001;
    match ip.to_canonical() {
        IpAddr::V4(ip) => xxh3_64_with_seed(&ip.octets(), SEED),
        IpAddr::V6(ip) => xxh3_64_with_seed(&ip.octets()[..8], SEED),
    }
}

/// The key of any other part of a request.
pub fn text_key(text: &[u8]) -> u64 {
    const SEED: u64 = 0x1505_ba12_c11e_0002;
    xxh3_64_with_seed(text, SEED)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_its_address_or_its_v6_network() {
        let key = |ip: &str| client_key(ip.parse().expect("an address"));
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("10.0.0.1"), key("10.0.0.2"));
        assert_eq!(key("::ffff:10.0.0.1"), key("10.0.0.1"));
    }

    /// What other processes, and later versions, agree on.
    #[test]
    fn the_hash_is_for_ever() {
        assert_eq!(client_key([192, 0, 2, 1].into()), 127_295_164_073_772_804);
        assert_eq!(text_key(b"/index.html"), 4_532_009_935_779_744_447);
    }
}
