//! From a configuration to live parts, and what of it is live now.
//!
//! In three steps, of which only the first may fail: [`Live::stage`] binds the sockets that are
//! missing and changes nothing; [`Live::settle`] starts and reconfigures pools; [`Live::commit`]
//! publishes the route table, opens and closes listeners, and says which pools are no longer
//! named. Called at start and by `reload`; both are the same walk, from nothing or from something.
//! What keeps its name keeps its life: sockets by address, pools and counters by name.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use isobar_config::Config;
use isobar_config::model::{Bind, Listener};
use isobar_pool::discovery::Sources;
use isobar_pool::{Pool, PoolSettings};
use isobar_proxy::{ListenerId, ListenerPlan, ProxyContext, RouteTable};

mod affinity;
pub(crate) mod certificates;
pub(crate) mod filters;
pub(crate) mod pools;
pub(crate) mod routes;
pub(crate) mod socket;
pub(crate) mod workers;

use certificates::AllSecured;
use routes::{Handles, Planner};
use socket::{Bound, SocketFile};
use workers::PoolTls;

/// Why a configuration cannot be made live.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem(String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What serves now.
pub(crate) struct Live {
    config: Config,
    version: u64,
    cells: usize,
    /// The names and files that pools look for their workers in.
    sources: Arc<Sources>,
    pools: BTreeMap<String, Arc<Pool>>,
    secured: AllSecured,
    /// To the workers of each pool that has it.
    pool_tls: BTreeMap<String, PoolTls>,
    /// No longer named, but some of their leases have not ended, or not begun.
    retiring: BTreeMap<String, Retiring>,
    /// By `key`.
    listening: BTreeMap<String, Listening>,
    /// The last id given; ids are never given twice.
    ids: u32,
    handles: Handles,
}

struct Retiring {
    pool: Arc<Pool>,
    since: Instant,
}

impl Retiring {
    /// Nobody has or waits for a lease, nor could still ask for one: who began with an old table,
    /// and sends a long body, say, has not yet. Who takes long over that is waited for only so long.
    fn is_over(&self) -> bool {
        const LATEST: Duration = Duration::from_secs(300);
        let status = self.pool.status();
        let unused = status.queue_depth == 0 && status.workers.iter().all(|w| w.in_flight == 0);
        unused && (Arc::strong_count(&self.pool) == 1 || self.since.elapsed() >= LATEST)
    }
}

struct Listening {
    id: ListenerId,
    /// The listener's name and where it really listens.
    place: (String, String),
    _file: Option<SocketFile>,
}

/// Everything that could have failed has not.
pub(crate) struct Staged {
    opened: BTreeMap<String, Bound>,
    settings: BTreeMap<String, PoolSettings>,
    secured: AllSecured,
    pool_tls: BTreeMap<String, PoolTls>,
}

impl Live {
    /// Nothing serves yet. `config` gives what does not depend on anything live.
    pub(crate) fn new(config: Config, cells: usize) -> Live {
        let sources = Arc::new(Sources::default());
        sources.resolve_by(workers::resolver(&config.dns_servers));
        let none = Config { listeners: BTreeMap::new(), pools: BTreeMap::new(), ..config };
        Live {
            config: none,
            version: 0,
            cells,
            sources,
            pools: BTreeMap::new(),
            secured: AllSecured::new(),
            pool_tls: BTreeMap::new(),
            retiring: BTreeMap::new(),
            listening: BTreeMap::new(),
            ids: 0,
            handles: Handles::default(),
        }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn pools(&self) -> &BTreeMap<String, Arc<Pool>> {
        &self.pools
    }

    /// Also those that are no longer named, and in which somebody may still wait.
    pub(crate) fn every_pool(&self) -> Vec<Arc<Pool>> {
        let retiring = self.retiring.values().map(|retiring| &retiring.pool);
        self.pools.values().chain(retiring).cloned().collect()
    }

    pub(crate) fn handles(&self) -> &Handles {
        &self.handles
    }

    pub(crate) fn secured(&self) -> &AllSecured {
        &self.secured
    }

    pub(crate) fn looked(&mut self, found: AllSecured) {
        certificates::take_over(&mut self.secured, found);
    }

    /// Binds what is not bound yet. On any problem everything bound here is closed again.
    pub(crate) fn stage(&self, config: &Config) -> Result<Staged, Vec<Problem>> {
        let mut problems = Vec::new();
        let mut opened = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for (listener, bind) in binds(config) {
            let key = key(listener, bind);
            let name = &listener.name;
            if !seen.insert(key.clone()) {
                problems.push(Problem(format!("listener {name}: {bind} is bound twice")));
            } else if !self.listening.contains_key(&key) {
                match socket::bind(bind) {
                    Ok(bound) => drop(opened.insert(key, bound)),
                    Err(error) => {
                        let text = format!("listener {name}: cannot listen on {bind}: {error}");
                        problems.push(Problem(text));
                    }
                }
            }
        }
        let mut settings = BTreeMap::new();
        for (name, pool) in &config.pools {
            match pools::settings(pool) {
                Ok(pool) => drop(settings.insert(name.clone(), pool)),
                Err(error) => problems.push(Problem(format!("pool {name}: {error}"))),
            }
        }
        let (secured, wrong) = certificates::stage(&self.secured, config);
        problems.extend(wrong.into_iter().map(Problem));
        let mut pool_tls = BTreeMap::new();
        for (name, pool) in &config.pools {
            match pool.tls.as_ref().map(PoolTls::load) {
                None => {}
                Some(Ok(way)) => drop(pool_tls.insert(name.clone(), way)),
                Some(Err(error)) => problems.push(Problem(format!("pool {name}: {error}"))),
            }
        }
        if problems.is_empty() {
            Ok(Staged { opened, settings, secured, pool_tls })
        } else {
            Err(problems)
        }
    }

    /// Starts new pools and tells the others what changed; returns the new ones.
    pub(crate) fn settle(&mut self, config: &Config, staged: &Staged) -> Vec<Arc<Pool>> {
        let mut started = Vec::new();
        if config.dns_servers != self.config.dns_servers {
            self.sources.resolve_by(workers::resolver(&config.dns_servers));
        }
        for (name, wanted) in &config.pools {
            let Some(settings) = staged.settings.get(name).cloned() else { continue };
            let tls = staged.pool_tls.get(name);
            let same_tls = self.pool_tls.get(name) == tls;
            let discovery = || workers::discovery(wanted, tls, &self.sources);
            if let Some(pool) = self.pools.get(name) {
                match self.config.pools.get(name) {
                    Some(before) if before == wanted && same_tls => {}
                    Some(before) if workers::same(before, wanted) && same_tls => {
                        pool.resettle(settings);
                    }
                    _ => pool.rediscover(settings, discovery()),
                }
            } else if let Some(Retiring { pool, .. }) = self.retiring.remove(name) {
                // Back before its leases ended: the same slots, or a limit of 1 would be 2.
                pool.rediscover(settings, discovery());
                self.pools.insert(name.clone(), pool);
            } else {
                let pool = Pool::discover(name, settings, discovery(), self.cells);
                started.push(pool.clone());
                self.pools.insert(name.clone(), pool);
            }
        }
        started
    }

    /// Makes it true. Returns "ADDRESS (NAME)" of each socket that is new.
    pub(crate) fn commit(
        &mut self,
        config: Config,
        staged: Staged,
        context: &ProxyContext,
    ) -> Vec<String> {
        let mut opened = staged.opened;
        self.secured = staged.secured;
        self.pool_tls = staged.pool_tls;
        let mut listening = BTreeMap::new();
        let mut fresh = Vec::new();
        let mut table = Vec::new();
        for (listener, plan) in self.listener_plans(&config) {
            for key in listener.binds.iter().map(|bind| key(listener, bind)) {
                let id = match (self.listening.remove(&key), opened.remove(&key)) {
                    (Some(mut kept), _) => {
                        let id = kept.id;
                        kept.place.0.clone_from(&listener.name);
                        listening.insert(key, kept);
                        id
                    }
                    (None, Some(bound)) => {
                        let id = ListenerId(self.ids);
                        self.ids += 1;
                        let place = (listener.name.clone(), bound.address);
                        fresh.push((id, bound.socket, place.clone()));
                        listening.insert(key, Listening { id, place, _file: bound.file });
                        id
                    }
                    (None, None) => continue,
                };
                table.push((id, plan.clone()));
            }
        }
        self.listening = listening;
        self.version += 1;
        context.publish(RouteTable {
            version: self.version,
            listeners: by_id(table, self.ids as usize),
        });
        let gone = |name: &String| !config.pools.contains_key(name);
        let gone: Vec<String> = self.pools.keys().filter(|name| gone(name)).cloned().collect();
        for name in gone {
            if let Some(pool) = self.pools.remove(&name) {
                self.retiring.insert(name, Retiring { pool, since: Instant::now() });
            }
        }
        self.config = config;
        let open = |(id, socket, (name, address))| {
            context.listen(id, socket);
            format!("{address} ({name})")
        };
        fresh.into_iter().map(open).collect()
    }

    /// Pools that are no longer named and that nobody uses any more: theirs to close.
    pub(crate) fn retired(&mut self) -> Vec<Arc<Pool>> {
        let over = self.retiring.extract_if(.., |_, retiring| retiring.is_over());
        over.map(|(_, retiring)| retiring.pool).collect()
    }

    /// Each listener's name and one of the addresses where it listens.
    pub(crate) fn places(&self) -> impl Iterator<Item = &(String, String)> {
        self.listening.values().map(|listening| &listening.place)
    }

    /// Takes the listeners' unix sockets out of the file system.
    pub(crate) fn forget_sockets(&mut self) {
        self.listening.clear();
    }

    pub(crate) fn is_retiring(&self) -> bool {
        !self.retiring.is_empty()
    }

    fn listener_plans<'c>(&mut self, config: &'c Config) -> Vec<(&'c Listener, Arc<ListenerPlan>)> {
        let mut planner = Planner {
            pools: &self.pools,
            secured: &self.secured,
            trusted: Arc::new(routes::networks(&config.trusted_proxies)),
            client_ip_header: config.client_ip_header.clone(),
            before: &self.handles,
            handles: Handles::default(),
            cells: self.cells,
        };
        let mut plan = |listener| Some((listener, Arc::new(planner.listener(listener)?)));
        let plans = config.listeners.values().filter_map(&mut plan).collect();
        self.handles = planner.handles;
        plans
    }
}

/// What makes a socket the same one after a reload: its address, whatever listener names it. A
/// port left to the system is another one for every listener.
fn key(listener: &Listener, bind: &Bind) -> String {
    match bind {
        Bind::Tcp(addr) if addr.port() == 0 => format!("{addr} for {}", listener.name),
        bind => bind.to_string(),
    }
}

fn binds(config: &Config) -> impl Iterator<Item = (&Listener, &Bind)> {
    config.listeners.values().flat_map(|listener| listener.binds.iter().map(move |b| (listener, b)))
}

/// The table's form: the plan of listener `n` at place `n`.
fn by_id(
    plans: Vec<(ListenerId, Arc<ListenerPlan>)>,
    ids: usize,
) -> Vec<Option<Arc<ListenerPlan>>> {
    let mut places = vec![None; ids];
    for (id, plan) in plans {
        if let Some(place) = places.get_mut(id.0 as usize) {
            *place = Some(plan);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use isobar_proxy::access_log::AccessLog;

    use super::*;
    use crate::registry;

    const TWO: &str = "
listeners:
  a: { bind: \"127.0.0.1:0\", pool: app }
  b: { bind: \"127.0.0.1:0\", pool: app }
pools: { app: { workers: [127.0.0.1:1] } }
";
    const ONE: &str = "
listeners: { b: { bind: \"127.0.0.1:0\", pool: app } }
pools: { app: { workers: [127.0.0.1:1] } }
";

    fn config(text: &str) -> Config {
        isobar_config::load_str(text, &registry::registry()).map(|loaded| loaded.config).unwrap()
    }

    fn reload(live: &mut Live, text: &str, context: &ProxyContext) -> Vec<String> {
        let config = config(text);
        let staged = live.stage(&config).map_err(|problems| format!("{problems:?}")).unwrap();
        live.settle(&config, &staged);
        live.commit(config, staged, context)
    }

    /// Which listener each id serves.
    fn names(context: &ProxyContext) -> Vec<Option<String>> {
        let table = context.table();
        table.listeners.iter().map(|plan| plan.as_ref().map(|plan| plan.name.clone())).collect()
    }

    #[tokio::test]
    async fn ids_are_kept_and_never_given_twice() {
        let (context, _inboxes) = ProxyContext::new(1, AccessLog::off());
        let mut live = Live::new(config(ONE), 2);
        assert_eq!(reload(&mut live, TWO, &context).len(), 2);
        assert_eq!(names(&context), [Some("a".into()), Some("b".into())]);
        assert!(reload(&mut live, ONE, &context).is_empty());
        assert_eq!(names(&context), [None, Some("b".into())]);
        assert_eq!(reload(&mut live, TWO, &context).len(), 1);
        assert_eq!(names(&context), [None, Some("b".into()), Some("a".into())]);
        assert_eq!(live.version(), 3);
    }

    #[tokio::test]
    async fn counters_and_pools_outlive_a_reload_that_keeps_their_names() {
        let (context, _inboxes) = ProxyContext::new(1, AccessLog::off());
        let mut live = Live::new(config(ONE), 2);
        reload(&mut live, ONE, &context);
        let (handles, pool) = (live.handles().clone(), live.pools()["app"].clone());
        reload(&mut live, &ONE.replace("127.0.0.1:1]", "127.0.0.1:1, 127.0.0.1:2]"), &context);
        assert!(Arc::ptr_eq(&handles.listeners["b"], &live.handles().listeners["b"]));
        let (key, before) = handles.routes.first_key_value().unwrap();
        assert!(Arc::ptr_eq(before, &live.handles().routes[key]));
        assert!(Arc::ptr_eq(&pool, &live.pools()["app"]));
    }

    #[tokio::test]
    async fn a_pool_that_comes_back_before_its_leases_ended_is_the_same() {
        let (context, _inboxes) = ProxyContext::new(1, AccessLog::off());
        let mut live = Live::new(config(ONE), 2);
        reload(&mut live, ONE, &context);
        let pool = live.pools()["app"].clone();
        reload(&mut live, &ONE.replace("app", "other"), &context);
        assert!(live.is_retiring());
        reload(&mut live, ONE, &context);
        assert!(Arc::ptr_eq(&pool, &live.pools()["app"]));
    }

    /// Whoever holds a plan of before may still ask for a lease.
    #[tokio::test]
    async fn a_pool_is_retired_when_no_plan_leads_there() {
        let (context, _inboxes) = ProxyContext::new(1, AccessLog::off());
        let mut live = Live::new(config(ONE), 2);
        reload(&mut live, ONE, &context);
        let under_way = context.table().listeners[0].clone();
        reload(&mut live, &ONE.replace("app", "other"), &context);
        assert!(live.retired().is_empty() && live.is_retiring());
        drop(under_way);
        let retired: Vec<_> = live.retired().iter().map(|pool| pool.name().to_owned()).collect();
        assert_eq!(retired, ["app"]);
        assert!(!live.is_retiring());
    }

    #[test]
    fn every_problem_is_named_and_nothing_stays_bound() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().map(|addr| (taken, addr)).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let live = Live::new(config(ONE), 2);
        let wanted = config(&format!(
            "
listeners:
  a: {{ bind: \"{free}\", pool: app }}
  b: {{ bind: [\"{}\", \"unix:/no/such/dir/s\"], pool: app }}
pools: {{ app: {{ workers: [127.0.0.1:1] }} }}
",
            taken.1
        ));
        let problems = live.stage(&wanted).err().unwrap();
        let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with(&format!("listener b: cannot listen on {}: ", taken.1)));
        assert!(said[1].contains("unix:/no/such/dir/s"));
        TcpListener::bind(free).unwrap();
    }
}
