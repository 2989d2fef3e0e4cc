//! Names, files and what is written down, as one pool's workers.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_core::future::BoxFuture;
use isobar_balance::{Outcome, Tried};
use isobar_pool::discovery::dns::{Answer, Family, HostName, Resolver};
use isobar_pool::discovery::{
    At, Declared, Discovery, Limits, Mixed, OwnLimits, Sources, WorkersFile, file::ReadWorkers,
};
use isobar_pool::{Address, ConnectError, LeaseError, Leased, Pool, WorkerSpec};

use crate::kit::*;

const DONE: Outcome = Outcome::Served { status: 200 };

/// What each name resolves to; a name that is not there fails.
#[derive(Clone, Default)]
struct World {
    names: Arc<Mutex<HashMap<String, Vec<IpAddr>>>>,
    asked: Arc<AtomicUsize>,
}

impl World {
    fn set(&self, name: &str, ips: &[&str]) {
        let ips = ips.iter().map(|ip| ip.parse().expect("an address")).collect();
        self.names.lock().expect("names").insert(name.to_owned(), ips);
    }

    fn fails(&self, name: &str) {
        self.names.lock().expect("names").remove(name);
    }

    fn sources(&self) -> Arc<Sources> {
        let sources = Arc::new(Sources::default());
        sources.resolve_by(self.clone());
        sources
    }
}

impl Resolver for World {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Answer> {
        self.asked.fetch_add(1, SeqCst);
        let found = self.names.lock().expect("names").get(name).cloned();
        let v4 = match found {
            Some(addresses) if !addresses.is_empty() => {
                Family::Found { addresses, ttl: Duration::from_secs(600) }
            }
            Some(_) => Family::Nothing("no address"),
            None => Family::Failed("SERVFAIL".to_owned()),
        };
        Box::pin(async move { Answer { v4, v6: Family::Nothing("no address") } })
    }
}

fn host(name: &str) -> Declared {
    host_at(name, 80)
}

fn host_at(name: &str, port: u16) -> Declared {
    let (min, max) = (Duration::from_secs(1), Duration::from_secs(2));
    let host = HostName { name: name.to_owned(), min, max };
    Declared {
        at: At::Host { host, port },
        weight: None,
        limits: OwnLimits::OfPool,
        tier: 0,
        tls: None,
    }
}

fn at(address: &str) -> Declared {
    let address = Address::Tcp(address.parse().expect("an address"));
    let at = At::Address { name: address.to_string(), address };
    Declared { at, weight: None, limits: OwnLimits::OfPool, tier: 0, tls: None }
}

fn mixed(declared: Vec<Declared>, sources: &Arc<Sources>) -> Arc<dyn Discovery> {
    Arc::new(Mixed::new("p", declared, Limits::default(), None, sources.clone()))
}

fn names(pool: &Pool) -> Vec<String> {
    pool.status().workers.into_iter().map(|worker| worker.name).collect()
}

fn spec(name: &str, address: Address, slots: u32) -> Vec<WorkerSpec> {
    vec![worker(name, address, slots)]
}

#[tokio::test(start_paused = true)]
async fn names_change_and_what_is_written_down_stays() {
    let world = World::default();
    world.set("app", &["10.0.0.2", "10.0.0.1"]);
    let sources = world.sources();
    let declared = vec![at("10.9.9.9:80"), host("app")];
    let pool = Pool::discover("p", settings(), mixed(declared, &sources), 1);
    pool.ready().await;
    assert_eq!(names(&pool), ["10.9.9.9:80", "10.0.0.1:80", "10.0.0.2:80"]);
    world.set("app", &["10.0.0.2", "10.0.0.3"]);
    pass(2.1).await;
    assert_eq!(names(&pool), ["10.9.9.9:80", "10.0.0.2:80", "10.0.0.3:80"]);
    world.set("app", &[]);
    pass(2.1).await;
    world.fails("app");
    pass(5.0).await;
    assert_eq!(names(&pool), ["10.9.9.9:80", "10.0.0.2:80", "10.0.0.3:80"]);
    let status = pool.status();
    assert_eq!((status.discovery.len(), status.discovery[0].workers), (1, 2));
    assert_eq!(status.discovery[0].problem.as_deref(), Some("SERVFAIL"));
    assert!(status.discovery_failures >= 3, "{}", status.discovery_failures);
    world.set("app", &["10.0.0.4"]);
    pass(2.1).await;
    assert_eq!(names(&pool), ["10.9.9.9:80", "10.0.0.4:80"]);
    assert_eq!(pool.status().discovery[0].problem, None);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_has_found_nobody_yet_lets_requests_hope() {
    let world = World::default();
    let pool = Pool::discover("p", settings(), mixed(vec![host("app")], &world.sources()), 1);
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("must hope") };
    drop(wait);
    pool.ready().await;
    assert_eq!(refusal(&pool), LeaseError::NoWorker, "the name could not be resolved");
    world.set("app", &["10.0.0.1"]);
    pass(2.1).await;
    drop(ready(&pool));
}

#[tokio::test(start_paused = true)]
async fn a_reload_keeps_the_last_good_set_of_a_failing_name() {
    let world = World::default();
    world.set("app", &["10.0.0.1"]);
    let sources = world.sources();
    let pool = Pool::discover("p", settings(), mixed(vec![host("app")], &sources), 1);
    pool.ready().await;
    let kept = ready(&pool).target().clone();
    world.fails("app");
    pass(5.0).await;
    pool.rediscover(settings(), mixed(vec![host("app"), at("10.9.9.9:80")], &sources));
    assert_eq!(names(&pool), ["10.0.0.1:80", "10.9.9.9:80"]);
    pool.set_worker("10.9.9.9:80", maintenance()).await.expect("a worker");
    assert!(Arc::ptr_eq(ready(&pool).target(), &kept));

    // A name that takes another's place leaves no gap while it is looked up.
    world.set("next", &["10.0.0.7"]);
    pool.rediscover(settings(), mixed(vec![host("next")], &sources));
    assert_eq!(names(&pool), ["10.0.0.1:80", "10.9.9.9:80"]);
    pass(0.01).await;
    assert_eq!(names(&pool), ["10.0.0.7:80"]);
    pool.reconfigure(settings(), spec("a", nowhere(), 0));
    assert_eq!(names(&pool), ["a"]);
    assert!(pool.status().discovery.is_empty());
}

fn maintenance() -> isobar_pool::WorkerChange {
    let state = Some(isobar_balance::state::AdminState::Maintenance);
    isobar_pool::WorkerChange { state, ..Default::default() }
}

#[tokio::test]
async fn a_refused_connect_is_a_reason_to_look_again_at_once() {
    let world = World::default();
    let port = {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        free.local_addr().expect("its address").port()
    };
    world.set("app", &["127.0.0.1"]);
    let mut declared = host_at("app", port);
    let At::Host { host, .. } = &mut declared.at else { panic!("a host") };
    (host.min, host.max) = (Duration::from_millis(1), Duration::from_secs(600));
    let pool = Pool::discover("p", settings(), mixed(vec![declared], &world.sources()), 1);
    pool.ready().await;
    let asked = world.asked.load(SeqCst);
    world.set("app", &["127.0.0.2"]);
    let mut lease = ready(&pool);
    assert!(matches!(lease.dial().await, Err(ConnectError::Refused)));
    while names(&pool) != [format!("127.0.0.2:{port}")] {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.asked.load(SeqCst), asked + 1);
}

#[tokio::test]
async fn a_worker_that_returns_before_its_lease_ended_has_no_slot_free() {
    let (a, b) = (nowhere(), nowhere());
    let pool = Pool::start("p", settings(), spec("a", a.clone(), 1), 1);
    let held = ready(&pool);
    let kept = held.target().clone();
    pool.reconfigure(settings(), spec("b", b, 1));
    pool.reconfigure(settings(), spec("a", a.clone(), 1));
    assert_eq!(status(&pool, "a").in_flight, 1);
    let Ok(Leased::Queued(wait)) = ask(&pool, &Tried::new()) else { panic!("a limit of 1 is 1") };
    held.finish(DONE);
    let next = wait.await.expect("the slot");
    assert!(Arc::ptr_eq(next.target(), &kept));
}

#[tokio::test(start_paused = true)]
async fn a_default_queue_grows_with_the_slots_that_are_found() {
    let world = World::default();
    world.set("app", &["10.0.0.1"]);
    let queue = Some(isobar_pool::Queue { max: 100, timeout: Duration::from_secs(10) });
    let growing = isobar_pool::PoolSettings { queue, queue_per_slot: Some(100), ..settings() };
    let one = Limits { slots: Some(std::num::NonZeroU32::MIN), tunnels: None };
    let declared = Declared { limits: OwnLimits::Own(one), ..host("app") };
    let pool = Pool::discover("p", growing, mixed(vec![declared], &world.sources()), 1);
    pool.ready().await;
    assert_eq!(pool.queue().map(|queue| queue.max), Some(100));
    world.set("app", &["10.0.0.1", "10.0.0.2", "10.0.0.3"]);
    pass(2.1).await;
    assert_eq!(pool.queue().map(|queue| queue.max), Some(300));
}

/// One address or name per line; a line `!` is a mistake.
fn lines() -> ReadWorkers {
    Arc::new(|path| {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let line = |line: &str| match line {
            "!" => Err("a mistake".to_owned()),
            line if line.contains(':') => Ok(at(line)),
            line => Ok(host(line)),
        };
        text.lines().map(line).collect()
    })
}

struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        let dir = socket_path();
        fs::create_dir_all(&dir).expect("a directory");
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_is_followed_whatever_is_done_to_it() {
    let dir = Dir::new();
    let (path, other) = (dir.0.join("workers"), dir.0.join("other"));
    let world = World::default();
    world.set("app", &["10.0.0.5"]);
    let file = WorkersFile { path: path.clone(), read: lines() };
    let sources = world.sources();
    let mixed = Mixed::new("p", vec![at("10.0.0.9:80")], Limits::default(), Some(file), sources);
    let pool = Pool::discover("p", settings(), Arc::new(mixed), 1);
    pool.ready().await;
    assert_eq!(names(&pool), ["10.0.0.9:80"], "a missing file stops nothing");
    assert!(pool.status().discovery[0].problem.is_some());

    let settled = || pass(1.5);
    fs::write(&path, "10.0.0.1:80\napp\n10.0.0.9:80\n").expect("written");
    settled().await;
    assert_eq!(names(&pool), ["10.0.0.9:80", "10.0.0.1:80", "10.0.0.5:80"]);
    assert_eq!(pool.status().discovery[0].problem, None);

    fs::write(&path, "10.0.0.2:80\n!\n").expect("rewritten");
    settled().await;
    assert_eq!(names(&pool), ["10.0.0.9:80", "10.0.0.1:80", "10.0.0.5:80"], "the last good list");
    let failures = pool.status().discovery_failures;
    settled().await;
    assert_eq!(pool.status().discovery_failures, failures, "one mistake counts once");

    fs::write(&path, "10.0.0.2:80\n").expect("rewritten");
    settled().await;
    assert_eq!(names(&pool), ["10.0.0.9:80", "10.0.0.2:80"]);

    fs::write(&other, "10.0.0.3:80\n").expect("written");
    fs::rename(&other, &path).expect("renamed");
    settled().await;
    assert_eq!(names(&pool), ["10.0.0.9:80", "10.0.0.3:80"]);

    fs::remove_file(&path).expect("removed");
    settled().await;
    assert_eq!(names(&pool), ["10.0.0.9:80", "10.0.0.3:80"]);
    fs::write(&path, "10.0.0.4:80\n").expect("written");
    settled().await;
    assert_eq!(names(&pool), ["10.0.0.9:80", "10.0.0.4:80"]);
}
