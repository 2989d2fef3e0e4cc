//! Listeners that are their own workers: what they accept would come back to them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::leaf::{WorkerAddress, is_localhost};
use crate::model::{Action, Address, Bind, Listener, ListenerKind};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Many, Spanned};
use crate::source::Span;

/// Where the workers of every pool are, as far as the file says it.
#[derive(Default)]
pub(super) struct Addresses(HashMap<String, Vec<(WorkerAddress, Span)>>);

impl Addresses {
    pub(super) fn add(&mut self, pool: &str, raw: &raw::Pool) {
        let Some(Spanned { value: Many(workers), .. }) = raw.workers.as_given() else { return };
        let address = |worker: &Spanned<raw::Worker>| {
            let given = worker.value.map.address.as_given()?;
            Some((given.value.clone(), given.span))
        };
        self.0.insert(pool.to_owned(), workers.iter().filter_map(address).collect());
    }
}

/// Reports every worker through which a listener reaches itself.
pub(super) fn report(
    listeners: &BTreeMap<String, Listener>,
    addresses: &Addresses,
    cx: &mut Cx<'_>,
) {
    // From a listener to those that its workers are.
    let mut steps: HashMap<&str, Vec<(&str, Span)>> = HashMap::new();
    for (name, listener) in listeners {
        let reached = pools(listener).into_iter().filter_map(|pool| addresses.0.get(pool));
        for (address, at) in reached.flatten() {
            let same = |other: &&Listener| other.binds.iter().any(|bind| leads_to(address, bind));
            let step = listeners.values().find(same).map(|other| (other.name.as_str(), *at));
            steps.entry(name).or_default().extend(step);
        }
    }
    let mut told = HashSet::new();
    for (name, next) in &steps {
        for (other, at) in next {
            if reaches(other, name, &steps) && told.insert(*at) {
                let message = match name == other {
                    true => format!("this worker is the listener `{name}` itself"),
                    false => {
                        format!("this worker is the listener `{other}`, which leads back here")
                    }
                };
                let hint =
                    "what it accepts would come back to it: a worker has an address of its own";
                cx.report(Draft::warning(*at, message).hint(hint.to_owned()));
            }
        }
    }
}

fn reaches(from: &str, to: &str, steps: &HashMap<&str, Vec<(&str, Span)>>) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![from];
    while let Some(here) = open.pop() {
        if here == to {
            return true;
        }
        if seen.insert(here) {
            open.extend(steps.get(here).into_iter().flatten().map(|(next, _)| *next));
        }
    }
    false
}

/// The pools that a listener sends to, each once.
fn pools(listener: &Listener) -> Vec<&str> {
    let mut all: Vec<&str> = match &listener.kind {
        ListenerKind::Tcp { pool } => vec![pool],
        ListenerKind::Passthrough(through) => through.pools().map(String::as_str).collect(),
        ListenerKind::Http { routes } => {
            routes.iter().flat_map(|route| of_action(&route.action)).collect()
        }
    };
    all.sort_unstable();
    all.dedup();
    all
}

/// The pools that an action sends to.
pub(super) fn of_action(action: &Action) -> Vec<&str> {
    match action {
        Action::Pool(to) => vec![&to.pool],
        Action::Split(shares) => shares.iter().map(|(to, _)| to.pool.as_str()).collect(),
        Action::Redirect(_) | Action::Respond(_) => Vec::new(),
    }
}

fn leads_to(address: &WorkerAddress, bind: &Bind) -> bool {
    match (address, bind) {
        (WorkerAddress::At(Address::Unix(one)), Bind::Unix { path, .. }) => one == path,
        (WorkerAddress::At(Address::Tcp(addr)), Bind::Tcp(bind)) => same(*addr, *bind),
        (WorkerAddress::Host { host, port }, Bind::Tcp(bind)) if is_localhost(host) => {
            let v4 = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            let v6 = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, *port));
            same(v4, *bind) || same(v6, *bind)
        }
        _ => false,
    }
}

/// Whether whoever connects to `addr` on this machine meets the socket bound to `bind`.
fn same(addr: SocketAddr, bind: SocketAddr) -> bool {
    // Connecting to no address in particular is connecting to oneself.
    let here = match addr.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let bound = bind.ip().to_canonical();
    let takes = match bound {
        // 0.0.0.0 is every address of this machine; `[::]` those of IPv4, too.
        _ if bound.is_unspecified() => here.is_loopback() && (here.is_ipv4() || bound.is_ipv6()),
        _ => bound == here,
    };
    addr.port() != 0 && addr.port() == bind.port() && takes
}
