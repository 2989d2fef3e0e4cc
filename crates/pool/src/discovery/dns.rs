//! Host names: each is resolved again when its answer has aged, and at once when an address it
//! gave could not be reached. A failing name never takes a worker away: per address family the last
//! good answer stays, be it a time-out, a server's failure or a name that is gone. What asks the
//! servers is a [`Resolver`]; `lookup` is the one that does.

mod lookup;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use futures_core::future::BoxFuture;
use tokio::time::{Instant, sleep_until, timeout};

pub use self::lookup::{Lookup, LookupPaths};
use super::watched::{Registry, Reporter, Watched};

/// One look at a name, all servers and retries together.
const PATIENCE: Duration = Duration::from_secs(5);

/// Workers that one name may stand for. An answer over TCP could hold some four thousand.
pub const MOST_ADDRESSES: usize = 512;

/// A name, and how long an answer may be believed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostName {
    /// As in the configuration; a final dot means that it is looked up as it is.
    pub name: String,
    /// An answer is kept for its TTL, but at least `min` and at most `max`. Failures are repeated
    /// after `min`, then twice that, up to `max`.
    pub min: Duration,
    pub max: Duration,
}

/// Asks for the addresses of a name.
pub trait Resolver: Send + Sync {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Answer>;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub v4: Family,
    pub v6: Family,
}

/// What is known of one address family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// At least one, and for how long they may be believed.
    Found {
        addresses: Vec<IpAddr>,
        ttl: Duration,
    },
    /// The server is sure that there is none.
    Nothing(&'static str),
    Failed(String),
}

/// Sorted.
pub(crate) type Addresses = Vec<IpAddr>;

/// The names that are being resolved.
#[derive(Default)]
pub(crate) struct Names {
    resolver: Arc<ArcSwapOption<Box<dyn Resolver>>>,
    names: Registry<HostName, Addresses>,
}

impl Names {
    /// Whoever is watched already is asked about again.
    pub(crate) fn resolve_by(&self, resolver: Box<dyn Resolver>) {
        self.resolver.store(Some(Arc::new(resolver)));
        self.names.look_again();
    }

    pub(crate) fn watch(&self, host: HostName) -> Arc<Watched<Addresses>> {
        let resolver = self.resolver.clone();
        self.names.watch(host, |host, reporter| follow(host, resolver, reporter))
    }
}

async fn follow(
    host: HostName,
    resolver: Arc<ArcSwapOption<Box<dyn Resolver>>>,
    reporter: Reporter<Addresses>,
) {
    let mut families = Families::default();
    let mut pause = host.min;
    let mut rng = fastrand::Rng::new();
    loop {
        let began = Instant::now();
        // Whatever was doubted until now is looked into now.
        reporter.forget_doubts();
        let answer = match resolver.load_full() {
            Some(resolver) => timeout(PATIENCE, resolver.resolve(&host.name)).await,
            None => Ok(Answer::failed("no resolver")),
        };
        let answer = answer.unwrap_or_else(|_| Answer::failed("no answer in time"));
        let wait = match families.learn(answer) {
            Ok(Learned { ttl, problem }) => {
                reporter.report(Some(families.bounded(&host.name)), problem);
                pause = host.min;
                ttl.clamp(host.min, host.max)
            }
            Err(problem) => {
                reporter.report(None, Some(problem));
                let wait = pause;
                pause = (pause * 2).min(host.max);
                wait
            }
        };
        // A little early, so that a fleet of us does not ask in step.
        let due = Instant::now() + wait.mul_f64(1.0 - 0.1 * rng.f64());
        tokio::select! {
            () = sleep_until(due) => {}
            () = reporter.doubted() => sleep_until(began + host.min).await,
        }
    }
}

/// The last good answer of each family.
#[derive(Debug, Default)]
struct Families {
    v4: Addresses,
    v6: Addresses,
    overfull: bool,
}

#[derive(Debug, PartialEq, Eq)]
struct Learned {
    ttl: Duration,
    /// Of one family, whose last answer stands beside the other's new one.
    problem: Option<String>,
}

impl Families {
    /// `Err`: nothing was found, and everything stays as it was.
    fn learn(&mut self, Answer { v4, v6 }: Answer) -> Result<Learned, String> {
        let ttl = match (&v4, &v6) {
            (Family::Found { ttl: one, .. }, Family::Found { ttl: other, .. }) => *one.min(other),
            (Family::Found { ttl, .. }, _) | (_, Family::Found { ttl, .. }) => *ttl,
            (Family::Failed(problem), _) | (_, Family::Failed(problem)) => {
                return Err(problem.clone());
            }
            (Family::Nothing(why), Family::Nothing(_)) => return Err((*why).to_owned()),
        };
        let problems = [renew(&mut self.v4, v4), renew(&mut self.v6, v6)];
        Ok(Learned { ttl, problem: problems.into_iter().flatten().next() })
    }

    fn bounded(&mut self, name: &str) -> Addresses {
        let mut all: Addresses = self.v4.iter().chain(&self.v6).copied().collect();
        all.sort_unstable();
        all.dedup();
        let found = all.len();
        // The lowest ones: the same ones whatever the order of the answer.
        all.truncate(MOST_ADDRESSES);
        let overfull = found > all.len();
        if overfull && !self.overfull {
            tracing::warn!(name, found, used = MOST_ADDRESSES, "a name has too many addresses");
        }
        self.overfull = overfull;
        all
    }
}

/// A family that failed is a problem only if it was ever more than a question.
fn renew(known: &mut Addresses, answer: Family) -> Option<String> {
    match answer {
        Family::Found { addresses, .. } => *known = addresses,
        Family::Nothing(_) => known.clear(),
        Family::Failed(problem) if !known.is_empty() => return Some(problem),
        Family::Failed(_) => {}
    }
    None
}

impl Answer {
    pub(crate) fn failed(problem: &str) -> Answer {
        let failed = || Family::Failed(problem.to_owned());
        Answer { v4: failed(), v6: failed() }
    }
}

#[cfg(test)]
mod tests;
