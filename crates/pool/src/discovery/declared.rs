//! What a configuration says of a pool's workers, all of it together: addresses, host names, a file
//! of either, each of them an `entry`. `following` says when the set is another one, `union` what it
//! is.

mod entry;
mod following;
mod union;

use std::sync::{Arc, Mutex};

use futures_core::stream::BoxStream;
use futures_util::stream::unfold;

pub use self::entry::{At, Declared, Limits, OwnLimits};
use self::following::{Following, Looking, Parts};
use super::file::WorkersFile;
use super::sources::Sources;
use super::{Discovery, DiscoveryError, SourceStatus};
use crate::address::Address;
use crate::lock::lock;
use crate::settings::WorkerSpec;

/// The union of what is declared for one pool.
pub struct Mixed {
    parts: Arc<Parts>,
    /// What is looked at now, for who asks how it fares.
    looking: Arc<Mutex<Looking>>,
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
