//! `rate_limit`: how often one client, one value of a header, or everybody may ask.
//!
//! GCRA (the virtual scheduling form of ITU-T I.371): per key one instant, from which on the key
//! owes nothing. A request costs one interval; it passes while the debt stays within the burst.
//! All shards share the instants, so the limit is exact however requests fall on them. A refused
//! request costs nothing.

mod debts;

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{Answer, Entry, Filter, RequestCx, Step};
use crate::{forwarded::client_network, reason::Reason};
use debts::Debts;

pub(super) const ENTRY: Entry = Entry {
    name: "rate_limit",
    about: "refuses requests beyond a rate, by client, by a header's value, or altogether",
    samples,
};

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Key {
    /// An IPv4 address, or the /64 of an IPv6 one.
    ClientIp,
    /// The first value of a header; a request without it counts for its client.
    Header(String),
    Global,
}

pub struct RateLimit {
    key: Key,
    gcra: Gcra,
    debts: Debts,
    /// Keys are kept as their hash under a secret that no client knows.
    hash: RandomState,
    start: Instant,
}

/// One key's arithmetic, in nanoseconds since the start.
#[derive(Clone, Copy, Debug)]
struct Gcra {
    interval: u64,
    /// So much may be owed before a request that still passes.
    tolerance: u64,
}

impl Gcra {
    /// What the key owes until after this request; `Err`: how long until it would pass.
    fn charge(self, until: u64, now: u64) -> Result<u64, Duration> {
        let until = until.max(now);
        let debt = until - now;
        if debt > self.tolerance {
            return Err(Duration::from_nanos(debt - self.tolerance));
        }
        Ok(until + self.interval)
    }
}

impl RateLimit {
    /// `count` requests in every `unit`, `burst` of them at once; at most about `keys` keys that
    /// owe something are known at a time. Zeros count as ones.
    pub fn new(key: Key, count: u32, unit: Duration, burst: u32, keys: usize) -> Self {
        let interval = (unit.as_nanos() / u128::from(count.max(1))).max(1) as u64;
        let tolerance = interval.saturating_mul(u64::from(burst.max(1)) - 1);
        let keys = if key == Key::Global { 1 } else { keys };
        Self {
            key,
            gcra: Gcra { interval, tolerance },
            debts: Debts::new(keys),
            hash: RandomState::new(),
            start: Instant::now(),
        }
    }

    fn key(&self, cx: &RequestCx<'_>) -> u64 {
        let of_client = || self.hash.hash_one(cx.client_ip().map(network));
        match &self.key {
            Key::Global => 0,
            Key::ClientIp => of_client(),
            Key::Header(name) => match cx.head().values_named(name.as_bytes()).next() {
                Some(value) => self.hash.hash_one(value),
                None => of_client(),
            },
        }
    }
}

impl Filter for RateLimit {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        let key = self.key(cx);
        let now = cx.now().saturating_duration_since(self.start).as_nanos() as u64;
        let charged = self.debts.charge(key, now, |until| self.gcra.charge(until, now));
        match charged {
            Ok(()) => Step::Next,
            Err(wait) => {
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let fields = vec![("Retry-After", seconds.to_string())];
                Step::Answer(Answer { reason: Reason::RateLimited, fields })
            }
        }
    }
}

fn network(ip: IpAddr) -> u128 {
    match client_network(ip) {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits() | 1 << 63,
    }
}

fn samples() -> Vec<Box<dyn Filter>> {
    let second = Duration::from_secs(1);
    let of = |key| Box::new(RateLimit::new(key, 2, second, 1, 64)) as Box<dyn Filter>;
    vec![of(Key::ClientIp), of(Key::Header("X-One".to_owned())), of(Key::Global)]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the requests at these instants pass, in milliseconds.
    fn passed(gcra: Gcra, at: impl IntoIterator<Item = u64>) -> usize {
        let mut until = 0;
        let mut pass = |ms: u64| match gcra.charge(until, ms * 1_000_000) {
            Ok(next) => {
                until = next;
                true
            }
            Err(_) => false,
        };
        at.into_iter().filter(|&ms| pass(ms)).count()
    }

    #[test]
    fn the_rate_holds_and_the_burst_comes_on_top() {
        let ten_a_second = Gcra { interval: 100_000_000, tolerance: 400_000_000 };
        assert_eq!(passed(ten_a_second, [0; 20]), 5, "the burst");
        assert_eq!(passed(ten_a_second, 0..1_000), 14, "the burst and the rate");
        assert_eq!(passed(ten_a_second, (0..10_000).step_by(100)), 100, "just the rate");
        assert_eq!(passed(ten_a_second, [0, 0, 0, 0, 0, 100, 100, 5_000, 5_000]), 8);
    }

    #[test]
    fn the_wait_is_what_is_missing() {
        let gcra = Gcra { interval: 100, tolerance: 0 };
        assert_eq!(gcra.charge(0, 1_000), Ok(1_100));
        assert_eq!(gcra.charge(1_100, 1_030), Err(Duration::from_nanos(70)));
        assert_eq!(gcra.charge(1_100, 1_100), Ok(1_200));
    }

    #[test]
    fn it_is_exact_over_threads() {
        let debts = Debts::new(1_000);
        let gcra = Gcra { interval: 1_000_000, tolerance: 499 * 1_000_000 };
        let pass = |key| debts.charge(key, 0, |until| gcra.charge(until, 0)).is_ok();
        let passed = std::thread::scope(|scope| {
            let count = || (0..2_000).filter(|_| pass(7)).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<usize>()
        });
        assert_eq!(passed, 500);
    }

    #[test]
    fn one_v6_network_is_one_client() {
        let of = |ip: &str| ip.parse().map(network).expect("an address");
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("0.0.0.1"), of("::2"));
    }
}
