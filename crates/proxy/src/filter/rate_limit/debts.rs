//! Who owes until when: a bounded table of keys that all shards share.
//!
//! Buckets of eight; a key has its place in one of them. Who owes nothing any more needs no place:
//! forgetting it loses nothing. Only where all eight of a bucket still owe does a newcomer take the
//! place of the one that owes least, which then starts afresh; a table of twice the keys that ask
//! within one burst makes that rare. A bucket is locked for some ten nanoseconds, and who asks at
//! the same time most probably asks another one.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

pub(super) struct Debts {
    buckets: Box<[Mutex<Bucket>]>,
}

const WAYS: usize = 8;

#[derive(Clone, Copy, Default)]
struct Debt {
    key: u64,
    until: u64,
}

type Bucket = [Debt; WAYS];

impl Debts {
    /// For about `keys` keys, at least eight.
    pub(super) fn new(keys: usize) -> Self {
        let buckets = keys.div_ceil(WAYS).max(1);
        Self { buckets: (0..buckets).map(|_| Mutex::default()).collect() }
    }

    /// Lets `charge` turn what the key owes until into what it owes then; an error changes nothing.
    pub(super) fn charge(
        &self,
        key: u64,
        now: u64,
        charge: impl FnOnce(u64) -> Result<u64, Duration>,
    ) -> Result<(), Duration> {
        // The high bits choose the bucket: fair for any number of them.
        let at = (u128::from(key) * self.buckets.len() as u128) >> 64;
        let mut bucket = self.buckets[at as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let known = bucket.iter().position(|debt| debt.key == key && debt.until > now);
        let until = charge(known.map_or(0, |at| bucket[at].until))?;
        let place = known.or_else(|| (0..WAYS).min_by_key(|&at| bucket[at].until));
        if let Some(place) = place {
            bucket[place] = Debt { key, until };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_owes_nothing_makes_room_first() {
        let debts = Debts::new(1);
        let owe = |key, until, now| debts.charge(key, now, |_| Ok(until));
        let owes = |key, now| {
            let mut found = 0;
            let _ = debts.charge(key, now, |until| {
                found = until;
                Err(Duration::ZERO)
            });
            found
        };
        for key in 1..=8 {
            owe(key, 10 * key, 0).expect("it is charged");
        }
        // At 15 the first owes nothing any more: nobody is forgotten.
        owe(9, 100, 15).expect("it is charged");
        assert_eq!((owes(1, 15), owes(2, 15), owes(9, 15)), (0, 20, 100));
        // Now all owe: the one that owes least is.
        owe(10, 100, 15).expect("it is charged");
        assert_eq!((owes(2, 15), owes(3, 15)), (0, 30));
    }
}
