//! What a configuration says of a pool's workers, all of it together: addresses, host names, a file
//! of either. `following` says when the set is another one, `union` what it is.

mod following;
mod union;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures_core::stream::BoxStream;
use futures_util::stream::unfold;

use self::following::Following;
use super::dns::{Addresses, HostName, Names, Resolver};
use super::file::{Files, ReadWorkers};
use super::watched::Watched;
use super::{Discovery, DiscoveryError, SourceStatus};
use crate::address::Address;
use crate::lock::lock;
use crate::settings::WorkerSpec;

/// One entry of a list of workers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    pub at: At,
    pub weight: Option<NonZeroU32>,
    pub limits: OwnLimits,
    pub tier: u8,
}

/// What an entry says of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnLimits {
    /// Nothing: what the pool says of such workers.
    OfPool,
    Own(Limits),
}

/// What a worker may hold at once; `None` = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub slots: Option<NonZeroU32>,
    /// `None`: tunnels take slots.
    pub tunnels: Option<NonZeroU32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    Address {
        name: String,
        address: Address,
    },
    /// Each address it resolves to is a worker, named `ip:port`.
    Host {
        host: HostName,
        port: u16,
    },
}

/// A file that holds more entries.
#[derive(Clone)]
pub struct WorkersFile {
    pub path: PathBuf,
    pub read: ReadWorkers,
}

/// The names and files that a process watches for its pools. Made before any runtime; looks at
/// nothing until a pool asks.
#[derive(Default)]
pub struct Sources {
    names: Names,
    files: Files,
}

impl Sources {
    /// From now on names are resolved by this.
    pub fn resolve_by(&self, resolver: impl Resolver + 'static) {
        self.names.resolve_by(Box::new(resolver));
    }
}

/// The union of what is declared for one pool.
pub struct Mixed {
    parts: Arc<Parts>,
    /// What is looked at now, for who asks how it fares.
    looking: Arc<Mutex<Looking>>,
}

struct Parts {
    pool: String,
    workers: Vec<Declared>,
    limits: Limits,
    file: Option<WorkersFile>,
    sources: Arc<Sources>,
}

type File = Arc<Watched<Vec<Declared>>>;
type Name = Arc<Watched<Addresses>>;

#[derive(Clone, Default)]
struct Looking {
    file: Option<File>,
    names: HashMap<HostName, Name>,
}

impl Mixed {
    /// `pool` is for the log, `limits` what a worker has that says nothing of its own.
    pub fn new(
        pool: &str,
        workers: Vec<Declared>,
        limits: Limits,
        file: Option<WorkersFile>,
        sources: Arc<Sources>,
    ) -> Mixed {
        let parts = Parts { pool: pool.to_owned(), workers, limits, file, sources };
        Mixed { parts: Arc::new(parts), looking: Arc::default() }
    }
}

impl Discovery for Mixed {
    fn watch(&self) -> BoxStream<'static, Result<Vec<WorkerSpec>, DiscoveryError>> {
        let following = Following::new(self.parts.clone(), self.looking.clone());
        Box::pin(unfold(following, |mut following| async move {
            let item = following.next().await;
            Some((item, following))
        }))
    }

    fn doubt(&self, address: &Address) {
        let Address::Tcp(addr) = address else { return };
        for name in lock(&self.looking).names.values() {
            if name.known().good.is_some_and(|found| found.contains(&addr.ip())) {
                name.look_again();
            }
        }
    }

    fn sources(&self) -> Vec<SourceStatus> {
        let looking = lock(&self.looking).clone();
        let file = self.parts.file.iter().zip(&looking.file).map(|(of, file)| {
            let known = file.known();
            status(of.path.display().to_string(), known.good.map_or(0, |w| w.len()), known.problem)
        });
        let mut names: Vec<_> = looking
            .names
            .iter()
            .map(|(host, name)| {
                let known = name.known();
                status(host.name.clone(), known.good.map_or(0, |found| found.len()), known.problem)
            })
            .collect();
        names.sort_by(|a, b| a.name.cmp(&b.name));
        file.chain(names).collect()
    }
}

fn status(name: String, workers: usize, problem: Option<Arc<str>>) -> SourceStatus {
    SourceStatus { name, workers, problem: problem.map(|problem| problem.to_string()) }
}
