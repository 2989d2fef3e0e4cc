//! `basic_auth`: who may ask, by name and password (RFC 7617).
//!
//! A hash is made to be slow, so none is computed on a shard: a bounded number of threads does it,
//! and what was right is remembered for a while under a keyed hash. An unknown name costs the same
//! as a wrong password: another user's hash is computed, and its result thrown away.

mod cache;
mod verify;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use base64::Engine as _;
use isobar_http1::FieldId;
use tokio::sync::Semaphore;

use super::{Answer, Entry, Filter, RequestCx, Step};
use crate::reason::Reason;
use cache::Cache;

pub(super) const ENTRY: Entry =
    Entry { name: "basic_auth", about: "asks for a user's name and password", samples };

/// Requests that may wait for their turn to be verified; the next ones are told to come again.
const MOST_WAITING: usize = 256;
/// Longer than any password; what is longer is wrong.
const LONGEST: usize = 1024;

pub struct BasicAuth {
    users: Arc<Users>,
    challenge: String,
    forwarding: Forwarding,
    cache: Arc<Cache>,
    threads: Arc<Semaphore>,
    waiting: Arc<AtomicUsize>,
}

/// What becomes of `Authorization` once it was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarding {
    Remove,
    Keep,
}

#[derive(Default)]
struct Users {
    hashes: HashMap<String, String>,
    /// Computed for who is not there.
    decoy: String,
}

impl BasicAuth {
    /// Names and hashes (bcrypt, or argon2 as a PHC string); of a name's several the last counts.
    /// `realm` without quotes, backslashes and control characters.
    pub fn new(users: Vec<(String, String)>, realm: &str, forwarding: Forwarding) -> Self {
        let decoy = users.first().map(|(_, hash)| hash.clone()).unwrap_or_default();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2);
        Self {
            users: Arc::new(Users { hashes: users.into_iter().collect(), decoy }),
            challenge: format!("Basic realm=\"{realm}\", charset=\"UTF-8\""),
            forwarding,
            cache: Arc::default(),
            threads: Arc::new(Semaphore::new(threads)),
            waiting: Arc::default(),
        }
    }

    fn challenge(&self) -> Answer {
        let fields = vec![("WWW-Authenticate", self.challenge.clone())];
        Answer { reason: Reason::Unauthenticated, fields }
    }
}

impl Filter for BasicAuth {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        let mut given = cx.head().values(FieldId::Authorization);
        let credentials = match (given.next(), given.next()) {
            (Some(only), None) => credentials(only),
            _ => None,
        };
        drop(given);
        let Some(credentials) = credentials else { return Step::Answer(self.challenge()) };
        if self.forwarding == Forwarding::Remove {
            cx.edit().remove_named("Authorization");
        }
        let mark = self.cache.mark(&credentials);
        if mark.is_some_and(|mark| self.cache.knows(&mark, cx.now())) {
            return Step::Next;
        }
        let Some(turn) = Turn::wait_in(&self.waiting) else {
            let fields = vec![("Retry-After", "1".to_owned())];
            return Step::Answer(Answer { reason: Reason::RateLimited, fields });
        };
        let (users, cache, now) = (Arc::clone(&self.users), Arc::clone(&self.cache), cx.now());
        let (threads, refusal) = (Arc::clone(&self.threads), self.challenge());
        Step::Wait(Box::pin(async move {
            let Ok(thread) = threads.acquire_owned().await else { return Step::Answer(refusal) };
            // Who leaves meanwhile gives the thread back only when it is done.
            let verified = tokio::task::spawn_blocking(move || {
                let _thread = thread;
                users.verify(&credentials)
            });
            let verified = verified.await.unwrap_or(false);
            drop(turn);
            if !verified {
                return Step::Answer(refusal);
            }
            if let Some(mark) = mark {
                cache.remember(mark, now);
            }
            Step::Next
        }))
    }
}

/// `name:password`, decoded.
fn credentials(field: &[u8]) -> Option<Vec<u8>> {
    let (scheme, rest) = field.split_at_checked(b"basic ".len())?;
    let encoded = rest.trim_ascii();
    if !scheme.eq_ignore_ascii_case(b"basic ") || encoded.len() > LONGEST * 2 {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(encoded).ok()?;
    (decoded.len() <= LONGEST && decoded.contains(&b':')).then_some(decoded)
}

impl Users {
    fn verify(&self, credentials: &[u8]) -> bool {
        let mut parts = credentials.splitn(2, |&byte| byte == b':');
        let (name, password) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let hash = str::from_utf8(name).ok().and_then(|name| self.hashes.get(name));
        let right = verify::verify(password, hash.unwrap_or(&self.decoy));
        right && hash.is_some()
    }
}

/// A place among those who wait.
struct Turn(Arc<AtomicUsize>);

impl Turn {
    fn wait_in(waiting: &Arc<AtomicUsize>) -> Option<Turn> {
        let turn = Turn(Arc::clone(waiting));
        (waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING).then_some(turn)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn samples() -> Vec<Box<dyn Filter>> {
    let user = |name: &str, hash: &str| (name.to_owned(), hash.to_owned());
    let users = vec![user("ann", verify::CHEAP_BCRYPT), user("bob", verify::CHEAP_ARGON2)];
    vec![
        Box::new(BasicAuth::new(users, "staff", Forwarding::Remove)),
        Box::new(BasicAuth::new(Vec::new(), "nobody", Forwarding::Keep)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_with_its_own_password_is_right() {
        let users = |list: &[(&str, &str)]| {
            let hashes = list.iter().map(|(name, hash)| ((*name).into(), (*hash).into()));
            Users { hashes: hashes.collect(), decoy: verify::CHEAP_BCRYPT.into() }
        };
        let both = users(&[("ann", verify::CHEAP_BCRYPT), ("bob", verify::CHEAP_ARGON2)]);
        for (credentials, right) in [
            ("ann:secret", true),
            ("bob:secret", true),
            ("ann:Secret", false),
            ("ann:", false),
            ("Ann:secret", false),
            // The decoy's own password.
            ("eve:secret", false),
            (":secret", false),
        ] {
            assert_eq!(both.verify(credentials.as_bytes()), right, "{credentials}");
        }
        assert!(!users(&[]).verify(b"ann:secret"));
        assert!(!users(&[("ann", "secret")]).verify(b"ann:secret"), "no hash is no password");
    }

    #[test]
    fn what_is_not_basic_is_nothing() {
        for field in ["", "Basic", "Basic ", "Basic !", "Basic YQ==", "Bearer YTpi", "BasicYTpi"] {
            assert_eq!(credentials(field.as_bytes()), None, "{field}");
        }
        assert_eq!(credentials(b"bAsIc  YTpiOmM="), Some(b"a:b:c".to_vec()));
        let long = format!("Basic {}", "YTpi".repeat(1000));
        assert_eq!(credentials(long.as_bytes()), None);
    }
}
