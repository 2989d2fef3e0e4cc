//! Asks the DNS, as a program of this system would: /etc/hosts first, then the servers and search
//! domains of /etc/resolv.conf, or the servers of the configuration (and then a name is looked up
//! as it is). Both files are read again when they have changed. Both families are asked of one
//! name: a search stops at the first name that has an address, or that a server failed over, so
//! that a passing failure never makes another host of it.
//!
//! Which datagram is an answer (its id, question and class), TCP after truncation and the bounds on
//! a message's names are the library's.

mod search;

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::future::{Either, select};
use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::{Query, ResponseCode};
use hickory_resolver::proto::rr::rdata::CNAME;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, TokioResolver};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::search::Search;
use super::{Answer, Family, Resolver};
use crate::lock::lock;

/// One attempt at one question.
const ATTEMPT: Duration = Duration::from_secs(2);

/// How much later than the first family's answer the second's may be.
const SECOND_FAMILY: Duration = Duration::from_millis(500);

/// More than this of either file is not read.
const MOST_BYTES: u64 = 1 << 20;

/// One name standing for another, and so on.
const MOST_ALIASES: usize = 16;

const NO_NAME: &str = "no such name";
const NO_ADDRESS: &str = "the name has no address";
const NO_ANSWER: &str = "no answer in time";

/// The files that a system keeps; another place is for tests.
#[derive(Clone, Debug)]
pub struct LookupPaths {
    pub hosts: PathBuf,
    pub resolv_conf: PathBuf,
}

impl Default for LookupPaths {
    fn default() -> Self {
        LookupPaths { hosts: "/etc/hosts".into(), resolv_conf: "/etc/resolv.conf".into() }
    }
}

/// See the module.
#[derive(Clone)]
pub struct Lookup(Arc<Inner>);

struct Inner {
    /// Empty = the system's.
    servers: Vec<SocketAddr>,
    paths: LookupPaths,
    ready: Mutex<Option<Arc<Ready>>>,
}

struct Ready {
    /// Of the two files, as they were read.
    stamps: [Stamp; 2],
    hosts: Hosts,
    search: Search,
    resolver: TokioResolver,
}

type Stamp = Option<(SystemTime, u64)>;

impl Lookup {
    /// `servers`: instead of the system's, if there are any.
    pub fn new(servers: Vec<SocketAddr>, paths: LookupPaths) -> Lookup {
        Lookup(Arc::new(Inner { servers, paths, ready: Mutex::new(None) }))
    }
}

impl Resolver for Lookup {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let inner = self.0.clone();
            let ready = spawn_blocking(move || inner.ready()).await;
            match ready.unwrap_or_else(|panic| Err(panic.to_string())) {
                Ok(ready) => ready.resolve(name).await,
                Err(problem) => Answer::failed(&problem),
            }
        })
    }
}

impl Inner {
    /// What the files say now.
    fn ready(&self) -> Result<Arc<Ready>, String> {
        let stamps = [&self.paths.hosts, &self.paths.resolv_conf].map(|path| stamp(path));
        let mut ready = lock(&self.ready);
        match &*ready {
            Some(known) if known.stamps == stamps => Ok(known.clone()),
            _ => {
                let fresh = Arc::new(self.read(stamps)?);
                *ready = Some(fresh.clone());
                Ok(fresh)
            }
        }
    }

    fn read(&self, stamps: [Stamp; 2]) -> Result<Ready, String> {
        let mut hosts = Hosts::default();
        // Without it, or with one that cannot be read, there is still the DNS.
        if let Ok(text) = read(&self.paths.hosts) {
            let _ = hosts.read_hosts_conf(&*text);
        }
        let (config, system) = match self.servers.is_empty() {
            false => (explicit(&self.servers), ResolverOpts::default()),
            true => {
                let path = &self.paths.resolv_conf;
                let because = |why: String| format!("cannot use {}: {why}", path.display());
                let text = read(path).map_err(|error| because(error.to_string()))?;
                parse_resolv_conf(text).map_err(|error| because(error.to_string()))?
            }
        };
        let domains = config.search().iter().chain(config.domain()).cloned();
        let search = Search { domains: domains.collect(), dots: system.ndots };
        let mut options = system;
        options.timeout = options.timeout.min(ATTEMPT);
        options.attempts = 1;
        // How long an answer may be believed is decided elsewhere.
        options.cache_size = 0;
        options.use_hosts_file = ResolveHosts::Never;
        options.edns0 &= self.servers.is_empty();
        options.preserve_intermediates = true;
        let builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        let resolver = builder.with_options(options).build();
        let resolver = resolver.map_err(|error| format!("no resolver: {error}"))?;
        Ok(Ready { stamps, hosts, search, resolver })
    }
}

fn explicit(servers: &[SocketAddr]) -> ResolverConfig {
    let server = |addr: &SocketAddr| {
        let to = |mut connection: ConnectionConfig| {
            connection.port = addr.port();
            connection
        };
        let ways = vec![to(ConnectionConfig::udp()), to(ConnectionConfig::tcp())];
        NameServerConfig::new(addr.ip(), true, ways)
    };
    ResolverConfig::from_parts(None, Vec::new(), servers.iter().map(server).collect())
}

fn stamp(path: &Path) -> Stamp {
    let meta = std::fs::metadata(path).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MOST_BYTES).read_to_end(&mut text)?;
    Ok(text)
}

impl Ready {
    async fn resolve(&self, name: &str) -> Answer {
        let Ok(name) = Name::from_str_relaxed(name) else { return Answer::failed("not a name") };
        if let Some(answer) = self.in_hosts(&name) {
            return answer;
        }
        let mut answer = Answer::failed("not a name");
        for candidate in self.search.candidates(&name) {
            answer = self.ask(candidate).await;
            let goes_on = match (&answer.v4, &answer.v6) {
                (Family::Found { .. }, _) | (_, Family::Found { .. }) => false,
                // No such name: whatever is wrong with the other family is wrong with nothing.
                (Family::Nothing(NO_NAME), _) | (_, Family::Nothing(NO_NAME)) => true,
                (Family::Nothing(_), Family::Nothing(_)) => true,
                (Family::Failed(_), _) | (_, Family::Failed(_)) => false,
            };
            if !goes_on {
                break;
            }
        }
        answer
    }

    /// A name that stands there is not looked up, in either family.
    fn in_hosts(&self, name: &Name) -> Option<Answer> {
        let family = |kind| {
            let mut lower = name.to_lowercase();
            lower.set_fqdn(true);
            let found = self.hosts.lookup_static_host(&Query::query(lower, kind));
            let records = found.iter().flat_map(|lookup| lookup.answers());
            family(records.filter_map(|record| record.data.ip_addr()), Duration::MAX)
        };
        let (v4, v6) = (family(RecordType::A), family(RecordType::AAAA));
        let found = |family: &Family| matches!(family, Family::Found { .. });
        (found(&v4) || found(&v6)).then_some(Answer { v4, v6 })
    }

    async fn ask(&self, name: Name) -> Answer {
        let v4 = pin!(self.query(name.clone(), RecordType::A));
        let v6 = pin!(self.query(name, RecordType::AAAA));
        match select(v4, v6).await {
            Either::Left((v4, v6)) => Answer { v6: second(&v4, v6).await, v4 },
            Either::Right((v6, v4)) => Answer { v4: second(&v6, v4).await, v6 },
        }
    }

    async fn query(&self, name: Name, kind: RecordType) -> Family {
        match self.resolver.lookup(name, kind).await {
            Ok(lookup) => {
                let owner = owner(lookup.query().name(), lookup.answers());
                let records = lookup.answers().iter();
                let of_kind = records.filter(|r| r.record_type() == kind && r.name == *owner);
                let ttl = of_kind.clone().map(|record| record.ttl).min().unwrap_or(0);
                let addresses = of_kind.filter_map(|record| record.data.ip_addr());
                family(addresses, Duration::from_secs(ttl.into()))
            }
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => match none.response_code {
                ResponseCode::NXDomain => Family::Nothing(NO_NAME),
                ResponseCode::NoError => Family::Nothing(NO_ADDRESS),
                code => Family::Failed(format!("the server answered: {code}")),
            },
            Err(NetError::Dns(DnsError::ResponseCode(code))) => {
                Family::Failed(format!("the server answered: {code}"))
            }
            Err(NetError::Timeout) => Family::Failed(NO_ANSWER.to_owned()),
            Err(error) => Family::Failed(error.to_string()),
        }
    }
}

/// At the end of the aliases. What a message says of other names nobody asked.
fn owner<'r>(name: &'r Name, records: &'r [Record]) -> &'r Name {
    let mut owner = name;
    // An answer that was followed to its end has no longer chain than this.
    for _ in 0..MOST_ALIASES {
        let alias = records.iter().find_map(|record| match &record.data {
            RData::CNAME(CNAME(target)) if record.name == *owner => Some(target),
            _ => None,
        });
        match alias {
            Some(target) => owner = target,
            None => break,
        }
    }
    owner
}

/// Of a broken server's two families one may never be answered: the other does not wait for it.
async fn second(first: &Family, family: impl Future<Output = Family>) -> Family {
    match first {
        Family::Found { .. } => match timeout(SECOND_FAMILY, family).await {
            Ok(family) => family,
            Err(_) => Family::Failed(NO_ANSWER.to_owned()),
        },
        Family::Nothing(_) | Family::Failed(_) => family.await,
    }
}

/// What nobody can listen at is no worker: 0.0.0.0 would be this very host.
fn family(addresses: impl Iterator<Item = IpAddr>, ttl: Duration) -> Family {
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unspecified() && !ip.is_multicast(),
    };
    let addresses = addresses.map(|ip| ip.to_canonical()).filter(usable);
    let addresses: Vec<IpAddr> = addresses.collect();
    match addresses.is_empty() {
        true => Family::Nothing(NO_ADDRESS),
        false => Family::Found { addresses, ttl },
    }
}
