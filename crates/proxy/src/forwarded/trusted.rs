//! Whose word about the client is taken.

use std::net::IpAddr;

/// The networks of `trusted_proxies`.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl TrustedProxies {
    /// Networks as address and prefix length; a length beyond the address is taken as the whole of
    /// it, a v4-mapped network (`::ffff:10.0.0.0/104`) as its IPv4 one.
    pub fn new(networks: Vec<(IpAddr, u8)>) -> Self {
        let mut trusted = Self::default();
        for (address, length) in networks {
            match (address, address.to_canonical()) {
                (IpAddr::V4(ip), _) => trusted.add_v4(ip.to_bits(), length),
                (IpAddr::V6(_), IpAddr::V4(ip)) if length >= 96 => {
                    trusted.add_v4(ip.to_bits(), length - 96);
                }
                (IpAddr::V6(ip), _) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128)));
                    let mask = mask.unwrap_or(0);
                    trusted.v6.push((ip.to_bits() & mask, mask));
                }
            }
        }
        trusted
    }

    fn add_v4(&mut self, bits: u32, length: u8) {
        let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
        self.v4.push((bits & mask, mask));
    }

    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => self.v4.iter().any(|&(network, mask)| ip.to_bits() & mask == network),
            IpAddr::V6(ip) => self.v6.iter().any(|&(network, mask)| ip.to_bits() & mask == network),
        }
    }
}
