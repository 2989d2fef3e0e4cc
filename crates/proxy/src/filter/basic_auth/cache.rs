//! Credentials that were right a short while ago.
//!
//! Kept as a hash under a key that only this process has ever had: what leaks of it cannot be tried
//! offline. Bounded: the oldest makes room.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use blake2::{
    Blake2bMac512,
    digest::{KeyInit, Mac},
};

const FOR: Duration = Duration::from_secs(300);
const STRIPES: usize = 16;
const MOST_OF_STRIPE: usize = 256;

pub(super) type Mark = [u8; 32];

pub(super) struct Cache {
    /// `None`: the system has no random numbers, and nothing is remembered.
    key: Option<[u8; 32]>,
    stripes: [Mutex<HashMap<Mark, Instant>>; STRIPES],
}

impl Default for Cache {
    fn default() -> Self {
        let mut key = [0; 32];
        let key = getrandom::fill(&mut key).is_ok().then_some(key);
        Self { key, stripes: Default::default() }
    }
}

impl Cache {
    pub(super) fn mark(&self, credentials: &[u8]) -> Option<Mark> {
        let mut mac = Blake2bMac512::new_from_slice(&self.key?).ok()?;
        mac.update(credentials);
        mac.finalize().into_bytes()[..32].try_into().ok()
    }

    pub(super) fn knows(&self, mark: &Mark, now: Instant) -> bool {
        let stripe = self.stripe(mark).lock().unwrap_or_else(PoisonError::into_inner);
        stripe.get(mark).is_some_and(|since| now.saturating_duration_since(*since) < FOR)
    }

    pub(super) fn remember(&self, mark: Mark, now: Instant) {
        let mut stripe = self.stripe(&mark).lock().unwrap_or_else(PoisonError::into_inner);
        if stripe.len() >= MOST_OF_STRIPE {
            stripe.retain(|_, since| now.saturating_duration_since(*since) < FOR);
        }
        if stripe.len() >= MOST_OF_STRIPE
            && let Some(oldest) = stripe.iter().min_by_key(|(_, since)| **since).map(|(m, _)| *m)
        {
            stripe.remove(&oldest);
        }
        stripe.insert(mark, now);
    }

    fn stripe(&self, mark: &Mark) -> &Mutex<HashMap<Mark, Instant>> {
        &self.stripes[usize::from(mark[0]) % STRIPES]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_for_a_while_and_bounded() {
        let (cache, start) = (Cache::default(), Instant::now());
        let mark = cache.mark(b"ann:secret").expect("a mark");
        assert_ne!(Some(mark), cache.mark(b"ann:secret2"));
        assert_ne!(Some(mark), Cache::default().mark(b"ann:secret"), "another key");
        assert!(!cache.knows(&mark, start));
        cache.remember(mark, start);
        assert!(cache.knows(&mark, start + FOR - Duration::from_millis(1)));
        assert!(!cache.knows(&mark, start + FOR));
        for number in 0..20_000 {
            let mark = cache.mark(format!("a:{number}").as_bytes()).expect("a mark");
            cache.remember(mark, start + FOR / 2);
        }
        let kept: usize = cache.stripes.iter().map(|stripe| stripe.lock().unwrap().len()).sum();
        assert_eq!(kept, STRIPES * MOST_OF_STRIPE);
    }
}
