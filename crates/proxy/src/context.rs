//! The data plane as the control plane sees it, and as each shard knows the others.
//!
//! It publishes tables and sends commands, which have a channel of their own: they keep their order,
//! and no crowd of sockets holds them up. The data plane never waits for the control plane.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Instant,
};

use arc_swap::{ArcSwap, cache::Cache};
use crossbeam_utils::CachePadded;
use tokio::sync::mpsc;

use crate::{
    access_log::AccessLog,
    connections::Connections,
    descriptors::Descriptors,
    door::socket::{Accepted, ListenSocket},
    table::{ListenerId, ListenerPlan, RouteTable},
};

/// Sockets a shard may have in its inbox before the accepting shard keeps them itself.
const INBOX: usize = 256;

/// Searches for idle connections at once.
const MOST_SEARCHES: usize = 16;

/// All shards together.
pub struct ProxyContext {
    table: Arc<ArcSwap<RouteTable>>,
    pub(crate) access_log: AccessLog,
    shards: Box<[Port]>,
    draining: AtomicBool,
    /// For idle connections, under way now.
    searches: AtomicUsize,
    pub(crate) descriptors: Descriptors,
    /// Before every connection.
    began: Instant,
    /// Our name in `Via`: a request that carries it has been here before.
    pub(crate) pseudonym: String,
}

struct Port {
    accepted: mpsc::Sender<Accepted>,
    /// Few (the control plane's, and at most [`MOST_SEARCHES`] searches), and none of them may be lost:
    /// without a bound.
    commands: mpsc::UnboundedSender<Command>,
    connections: CachePadded<AtomicUsize>,
}

/// A shard's end of its port; given to `serve_shard`.
pub struct ShardInbox {
    pub(crate) index: usize,
    pub(crate) accepted: mpsc::Receiver<Accepted>,
    pub(crate) commands: mpsc::UnboundedReceiver<Command>,
}

pub(crate) enum Command {
    Listen(ListenerId, ListenSocket),
    /// With its last plan.
    Unlisten(ListenerId, Arc<ListenerPlan>),
    /// The listener has another protocol now; this was its plan before.
    Switch(ListenerId, Arc<ListenerPlan>),
    /// There is a new table.
    Renew,
    SearchIdle(Arc<Search>),
    /// Only connections of this listener; `None`: of all listeners.
    Evict(Option<Arc<Connections>>),
    Drain,
    Stop,
}

/// All shards look for the connection that has been idle for longest.
pub(crate) struct Search {
    pub(crate) connections: Option<Arc<Connections>>,
    /// Microseconds are counted from here.
    from: Instant,
    /// Since when, in microseconds, and behind that in 16 bits, on which shard.
    oldest: AtomicU64,
    /// Shards that have not looked yet.
    missing: AtomicUsize,
}

impl Search {
    pub(crate) fn offer(&self, since: Instant, shard: usize) {
        let micros = since.saturating_duration_since(self.from).as_micros() as u64;
        self.oldest.fetch_min((micros << 16) | (shard as u64 & 0xffff), Ordering::AcqRel);
    }

    fn found(&self) -> Option<usize> {
        let oldest = self.oldest.load(Ordering::Acquire);
        (oldest != u64::MAX).then_some((oldest & 0xffff) as usize)
    }
}

impl ProxyContext {
    pub fn new(shards: usize, access_log: AccessLog) -> (Arc<Self>, Vec<ShardInbox>) {
        let (ports, inboxes) = (0..shards)
            .map(|index| {
                let (accepted, accepted_here) = mpsc::channel(INBOX);
                let (commands, commands_here) = mpsc::unbounded_channel();
                let port = Port { accepted, commands, connections: CachePadded::default() };
                (port, ShardInbox { index, accepted: accepted_here, commands: commands_here })
            })
            .unzip::<_, _, Vec<_>, Vec<_>>();
        let empty = RouteTable { version: 0, listeners: Vec::new() };
        let context = Self {
            table: Arc::new(ArcSwap::from_pointee(empty)),
            access_log,
            shards: ports.into(),
            draining: AtomicBool::new(false),
            searches: AtomicUsize::new(0),
            descriptors: Descriptors::of_this_process(),
            began: Instant::now(),
            pseudonym: format!("isobar-{:012x}", fastrand::u64(..) >> 16),
        };
        (Arc::new(context), inboxes)
    }

    /// Every request that starts from now on uses `table`. A listener that is not in it any more accepts
    /// what its back-logs hold, then stops accepting, and closes its idle connections.
    pub fn publish(&self, table: RouteTable) {
        let table = Arc::new(table);
        let before = self.table.swap(Arc::clone(&table));
        for (id, plan) in (0..).map(ListenerId).zip(&before.listeners) {
            let Some(plan) = plan else { continue };
            match table.listener(id) {
                None => self.command_all(|| Command::Unlisten(id, Arc::clone(plan))),
                Some(now) if now.is_http() != plan.is_http() => {
                    self.command_all(|| Command::Switch(id, Arc::clone(plan)));
                }
                Some(_) => {}
            }
        }
        self.command_all(|| Command::Renew);
    }

    pub fn table(&self) -> Arc<RouteTable> {
        self.table.load_full()
    }

    /// Starts accepting on `socket`. Each address has an id of its own; a listener may have several.
    pub fn listen(&self, id: ListenerId, socket: ListenSocket) {
        let owner = id.0 as usize % self.shards.len();
        self.command(owner, Command::Listen(id, socket));
    }

    /// Stops accepting everywhere, closes idle connections, says `Connection: close` on the rest.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.command_all(|| Command::Drain);
    }

    /// Ends every shard's `serve_shard` now, whatever is open.
    pub fn stop(&self) {
        self.command_all(|| Command::Stop);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Client connections open now, over all shards.
    pub fn connections(&self) -> usize {
        self.shard_connections().iter().sum()
    }

    pub fn shard_connections(&self) -> Vec<usize> {
        self.shards.iter().map(|port| port.connections.load(Ordering::Relaxed)).collect()
    }

    fn command_all(&self, command: impl Fn() -> Command) {
        (0..self.shards.len()).for_each(|shard| self.command(shard, command()));
    }

    fn command(&self, shard: usize, command: Command) {
        // A shard that has ended needs none.
        let _ = self.shards[shard].commands.send(command);
    }

    /// Looks for the connection that is idle for longest (of one listener, or of all), and lets its shard
    /// close it and some others. A shard that has ended is left out. While many look already nobody else
    /// does: a crowd at a full listener asks for it with every connection.
    pub(crate) fn evict_idle(&self, connections: Option<&Arc<Connections>>) {
        if self.searches.fetch_add(1, Ordering::AcqRel) >= MOST_SEARCHES {
            self.searches.fetch_sub(1, Ordering::AcqRel);
            return;
        }
        let search = Arc::new(Search {
            connections: connections.cloned(),
            from: self.began,
            oldest: AtomicU64::new(u64::MAX),
            missing: AtomicUsize::new(self.shards.len()),
        });
        for port in &self.shards {
            if port.commands.send(Command::SearchIdle(Arc::clone(&search))).is_err() {
                self.searched(&search);
            }
        }
    }

    /// One more shard has looked. The last one asks the shard with the longest idle connection.
    pub(crate) fn searched(&self, search: &Search) {
        if search.missing.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        self.searches.fetch_sub(1, Ordering::AcqRel);
        if let Some(port) = search.found().and_then(|shard| self.shards.get(shard)) {
            let _ = port.commands.send(Command::Evict(search.connections.clone()));
        }
    }

    /// Counts a new connection where it is to be served: on the shard with the fewest, which is this one
    /// when it is among them (no wake-up) or when the other's inbox is full. `Some`: serve it here.
    pub(crate) fn dispatch(&self, own: usize, accepted: Accepted) -> Option<Accepted> {
        let count = |shard: usize| self.shards[shard].connections.load(Ordering::Relaxed);
        let fewest = (0..self.shards.len()).min_by_key(|&shard| (count(shard), shard != own));
        let target = fewest.unwrap_or(own);
        self.shards[target].connections.fetch_add(1, Ordering::Relaxed);
        if target == own {
            return Some(accepted);
        }
        let full = self.shards[target].accepted.try_send(accepted).err()?;
        self.shards[target].connections.fetch_sub(1, Ordering::Relaxed);
        self.shards[own].connections.fetch_add(1, Ordering::Relaxed);
        Some(full.into_inner())
    }

    pub(crate) fn closed(&self, shard: usize) {
        self.shards[shard].connections.fetch_sub(1, Ordering::Relaxed);
    }

    /// A listener's plan through this shard's cache: no lock, no shared write while nothing
    /// changed. Who keeps it sees one version to its end.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<Arc<ListenerPlan>> {
        self.with_table(|table| table.listener(id).cloned())
    }

    pub(crate) fn serves_http(&self, id: ListenerId) -> bool {
        self.with_table(|table| table.listener(id).is_some_and(|plan| plan.is_http()))
    }

    pub(crate) fn with_table<T>(&self, look: impl FnOnce(&RouteTable) -> T) -> T {
        TABLE.with_borrow_mut(|cache| {
            let cache = cache.get_or_insert_with(|| Cache::new(Arc::clone(&self.table)));
            look(cache.load())
        })
    }
}

type CachedTable = Cache<Arc<ArcSwap<RouteTable>>, Arc<RouteTable>>;

thread_local! {
    static TABLE: RefCell<Option<CachedTable>> =
        const { RefCell::new(None) };
}

/// What a shard that ends leaves behind.
pub(crate) fn forget_table() {
    TABLE.with_borrow_mut(Option::take);
}
