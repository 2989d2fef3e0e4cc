//! The affinity cookie: which worker a client came back for, and what tells it next time.
//!
//! The value names the worker opaquely and is its own signature: HMAC-SHA-256, cut to 128 bits, over
//! the pool's and the worker's name, so only who has the key can make one, and every process with
//! the same key and names agrees. All values are computed when a snapshot is made; a request costs a
//! look-up. It knows nothing of HTTP but the bytes of the value.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use isobar_balance::WorkerId;
use sha2::Sha256;

/// A client stays on the worker that its cookie names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// The cookie's name.
    pub cookie: Arc<str>,
    /// What stands behind the cookie's value, up to whether it is for HTTPS only: `; Path=/` and so on.
    pub attributes: Arc<str>,
    pub secure: Secure,
    /// How long a request waits for its worker while that is full.
    pub wait: Duration,
    pub on_lost: OnLost,
    pub key: AffinityKey,
}

/// Whether a browser brings the cookie along over HTTPS only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secure {
    /// If it came by HTTPS when it was given the cookie.
    Auto,
    On,
    Off,
}

/// What becomes of a client whose worker is gone, or did not come free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnLost {
    /// It gets another, and a new cookie.
    Rebalance,
    /// It is refused, until its worker is back or its cookie is gone.
    Fail,
}

/// What makes cookies ours. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct AffinityKey(Arc<[u8]>);

impl AffinityKey {
    pub fn new(bytes: impl Into<Arc<[u8]>>) -> AffinityKey {
        AffinityKey(bytes.into())
    }
}

impl fmt::Debug for AffinityKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AffinityKey(…)")
    }
}

/// What a client is told, to come back by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cookie {
    pub name: Arc<str>,
    pub attributes: Arc<str>,
    pub secure: Secure,
    /// Hexadecimal digits.
    pub value: [u8; 32],
}

type Token = [u8; 16];

/// The cookies of one snapshot.
pub(crate) struct Cookies {
    pub(crate) terms: Affinity,
    /// In order.
    tokens: Box<[(Token, WorkerId)]>,
}

impl Cookies {
    /// Of all members, whether or not they may be used: a cookie of one that is down is not unknown.
    pub(crate) fn new<'a>(
        terms: &Affinity,
        pool: &str,
        members: impl Iterator<Item = (&'a str, WorkerId)>,
    ) -> Cookies {
        let mut tokens: Vec<_> =
            members.map(|(name, id)| (token(&terms.key, pool, name), id)).collect();
        tokens.sort_unstable();
        Cookies { terms: terms.clone(), tokens: tokens.into() }
    }

    /// The worker this value names; `None` if it was not made with our key, or for a worker that is
    /// no member any more.
    pub(crate) fn worker(&self, value: &[u8]) -> Option<WorkerId> {
        let token = parse(value)?;
        let at = self.tokens.binary_search_by_key(&token, |(token, _)| *token).ok()?;
        Some(self.tokens[at].1)
    }

    /// The value that names this worker.
    pub(crate) fn value(&self, worker: WorkerId) -> Option<[u8; 32]> {
        let (token, _) = self.tokens.iter().find(|(_, id)| *id == worker)?;
        let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
        Some(std::array::from_fn(|i| hex(token[i / 2] >> (4 * (1 - i % 2)) & 0xf)))
    }
}

fn token(AffinityKey(key): &AffinityKey, pool: &str, worker: &str) -> Token {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return Token::default() };
    mac.update(b"isobar affinity\0");
    mac.update(&(pool.len() as u64).to_be_bytes());
    mac.update(pool.as_bytes());
    mac.update(worker.as_bytes());
    let mut token = Token::default();
    token.copy_from_slice(&mac.finalize().into_bytes()[..16]);
    token
}

fn parse(value: &[u8]) -> Option<Token> {
    let value: &[u8; 32] = value.try_into().ok()?;
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut token = Token::default();
    for (byte, pair) in token.iter_mut().zip(value.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(key: &[u8], pool: &str) -> Cookies {
        let terms = Affinity {
            cookie: "c".into(),
            attributes: "; Path=/".into(),
            secure: Secure::Auto,
            wait: Duration::ZERO,
            on_lost: OnLost::Rebalance,
            key: AffinityKey::new(key),
        };
        let members = ["a", "b", "ab"].into_iter().zip((0..).map(WorkerId));
        Cookies::new(&terms, pool, members)
    }

    #[test]
    fn a_value_names_its_worker_to_who_has_the_key() {
        let ours = cookies(b"0123456789abcdef", "app");
        let again = cookies(b"0123456789abcdef", "app");
        let mut seen = Vec::new();
        for id in [0, 1, 2].map(WorkerId) {
            let value = ours.value(id).expect("a member");
            assert_eq!(again.worker(&value), Some(id), "another process");
            assert_eq!(cookies(b"another key's bytes", "app").worker(&value), None);
            assert_eq!(cookies(b"0123456789abcdef", "api").worker(&value), None, "another pool");
            assert!(!seen.contains(&value));
            seen.push(value);
            let text = String::from_utf8(value.to_vec()).expect("hex");
            for wrong in [&text[1..], &text.to_uppercase(), &format!("{text}0"), "", "a"] {
                assert_eq!(ours.worker(wrong.as_bytes()), None, "{wrong}");
            }
        }
        assert_eq!(ours.value(WorkerId(3)), None);
        assert!(!format!("{:?}", ours.terms).contains("0123"));
    }

    /// What other processes, and later versions, agree on.
    #[test]
    fn the_value_is_for_ever() {
        let value = cookies(b"0123456789abcdef", "app").value(WorkerId(0)).expect("a member");
        assert_eq!(str::from_utf8(&value), Ok("18aa4f55998250cc4ce82dc24c821432"));
    }
}
