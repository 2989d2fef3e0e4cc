//! One pool's view of its names and its file: subscribes to what is declared, says the whole set
//! whenever a part of it may be another one, and what could not be looked at. A set waits a little
//! for what has not been looked at yet, so that a pool does not begin with half its workers and a
//! name that takes another's place does not leave a gap.

use std::collections::{HashMap, HashSet, VecDeque};
use std::future::pending;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep_until};

use super::entry::{At, Declared, Limits};
use super::union::union;
use crate::discovery::DiscoveryError;
use crate::discovery::dns::{Addresses, HostName};
use crate::discovery::file::WorkersFile;
use crate::discovery::sources::Sources;
use crate::discovery::watched::{Known, Watched};
use crate::lock::lock;
use crate::settings::WorkerSpec;

/// How long a set waits; shorter than the start of the process waits for the pool.
const FIRST_LOOKS: Duration = Duration::from_millis(1500);

/// Of those left out, how many one line of the log names.
const TOLD: usize = 8;

/// What is declared for one pool.
pub(super) struct Parts {
    pub(super) pool: String,
    pub(super) workers: Vec<Declared>,
    pub(super) limits: Limits,
    pub(super) file: Option<WorkersFile>,
    pub(super) sources: Arc<Sources>,
}

type File = Arc<Watched<Vec<Declared>>>;
type Name = Arc<Watched<Addresses>>;

/// What is looked at now.
#[derive(Clone, Default)]
pub(super) struct Looking {
    pub(super) file: Option<File>,
    pub(super) names: HashMap<HostName, Name>,
}

pub(super) struct Following {
    parts: Arc<Parts>,
    /// What is watched, for who asks how it fares.
    looking: Arc<Mutex<Looking>>,
    file: Option<Receiver<Known<Vec<Declared>>>>,
    names: HashMap<HostName, Receiver<Known<Addresses>>>,
    looked: bool,
    /// Something has not been looked at for the first time; how long that is waited for.
    hold: Option<Instant>,
    /// Failures of a source that have been told.
    told: HashMap<String, u64>,
    left_out: Vec<String>,
    items: VecDeque<Item>,
}

type Item = Result<Vec<WorkerSpec>, DiscoveryError>;

impl Following {
    pub(super) fn new(parts: Arc<Parts>, looking: Arc<Mutex<Looking>>) -> Following {
        let watched = parts.file.as_ref().map(|file| parts.sources.files.watch(file.clone()));
        let file = watched.as_ref().map(|watched| watched.subscribe());
        lock(&looking).file = watched;
        Following {
            parts,
            looking,
            file,
            names: HashMap::new(),
            looked: false,
            hold: None,
            told: HashMap::new(),
            left_out: Vec::new(),
            items: VecDeque::new(),
        }
    }

    pub(super) async fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.items.pop_front() {
                return item;
            }
            if std::mem::replace(&mut self.looked, true) {
                self.changed().await;
            }
            self.look();
        }
    }

    /// Until a source has something to say, or has had its time to say it.
    async fn changed(&mut self) {
        let mut any: Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> = Vec::new();
        if let Some(file) = &mut self.file {
            any.push(Box::pin(news(file)));
        }
        for name in self.names.values_mut() {
            any.push(Box::pin(news(name)));
        }
        if let Some(until) = self.hold.filter(|until| *until > Instant::now()) {
            any.push(Box::pin(sleep_until(until)));
        }
        match any.is_empty() {
            true => pending().await,
            false => drop(select_all(any).await),
        }
    }

    fn look(&mut self) {
        let file = self.file.as_mut().map(|file| file.borrow_and_update().clone());
        let from_file = file.as_ref().and_then(|known| known.good.clone());
        let parts = self.parts.clone();
        let declared = parts.workers.iter().chain(from_file.iter().flat_map(|all| all.iter()));
        self.subscribe(&hosts(declared.clone()));
        let known: HashMap<HostName, Known<Addresses>> = self
            .names
            .iter_mut()
            .map(|(host, name)| (host.clone(), name.borrow_and_update().clone()))
            .collect();
        let all_looked_at =
            file.as_ref().is_none_or(Known::is_settled) && known.values().all(Known::is_settled);
        let now = Instant::now();
        if all_looked_at {
            self.hold = None;
        } else if now < *self.hold.get_or_insert(now + FIRST_LOOKS) {
            return;
        }
        let found =
            known.iter().filter_map(|(host, name)| Some((host.clone(), name.good.clone()?)));
        let (set, left_out) = union(declared, parts.limits, &found.collect());
        self.items.push_back(Ok(set));
        self.warn(left_out);
        if let (Some(known), Some(file)) = (&file, &parts.file) {
            tell(&mut self.told, &mut self.items, &file.path.display().to_string(), known);
        }
        for (host, known) in &known {
            tell(&mut self.told, &mut self.items, &host.name, known);
        }
    }

    fn subscribe(&mut self, hosts: &HashSet<&HostName>) {
        self.names.retain(|host, _| hosts.contains(host));
        let mut looking = lock(&self.looking);
        looking.names.retain(|host, _| hosts.contains(host));
        for host in hosts {
            if !self.names.contains_key(host) {
                let watched = self.parts.sources.names.watch((*host).clone());
                self.names.insert((*host).clone(), watched.subscribe());
                looking.names.insert((*host).clone(), watched);
            }
        }
    }

    fn warn(&mut self, left_out: Vec<String>) {
        if !left_out.is_empty() && left_out != self.left_out {
            let more = left_out.len().saturating_sub(TOLD);
            let mut told = left_out[..left_out.len() - more].join(", ");
            if more > 0 {
                told += &format!(", {more} more");
            }
            tracing::warn!(pool = self.parts.pool, left_out = told, "workers named twice");
        }
        self.left_out = left_out;
    }
}

fn hosts<'d>(declared: impl Iterator<Item = &'d Declared>) -> HashSet<&'d HostName> {
    let host = |entry: &'d Declared| match &entry.at {
        At::Host { host, .. } => Some(host),
        At::Address { .. } => None,
    };
    declared.filter_map(host).collect()
}

fn tell<T>(
    told: &mut HashMap<String, u64>,
    items: &mut VecDeque<Item>,
    source: &str,
    known: &Known<T>,
) {
    let before = told.insert(source.to_owned(), known.failures).unwrap_or(0);
    if let Some(problem) = known.problem.as_ref().filter(|_| known.failures > before) {
        let (source, problem) = (source.to_owned(), problem.to_string());
        items.push_back(Err(DiscoveryError { source_name: source, problem }));
    }
}

/// Whoever ended has nothing more to say.
async fn news<T>(source: &mut Receiver<Known<T>>) {
    if source.changed().await.is_err() {
        pending().await
    }
}
