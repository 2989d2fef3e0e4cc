//! Where a pool's workers come from, as the pool crate wants to be told about it: from the
//! configuration alone, or from host names and a watched file as well.

use std::net::SocketAddr;
use std::sync::Arc;

use isobar_config::{ListedWorker, model};
use isobar_pool::discovery::dns::{HostName, Lookup, LookupPaths};
use isobar_pool::discovery::fixed::Fixed;
use isobar_pool::discovery::{
    At, Declared, Discovery, Limits, Mixed, OwnLimits, Sources, WorkersFile, file::ReadWorkers,
};
use isobar_pool::{Address, WorkerSpec};
use isobar_tls::Client;

/// TLS to the workers of a pool.
#[derive(Clone, PartialEq)]
pub(crate) struct PoolTls {
    client: Client,
    /// It is meant for the name that the configuration says; else for each worker's own.
    named: bool,
}

impl PoolTls {
    pub(crate) fn load(tls: &model::WorkerTls) -> Result<PoolTls, String> {
        let client = tls.load("localhost").map_err(|bad| bad.to_string())?;
        Ok(PoolTls { client, named: tls.server_name.is_some() })
    }

    fn to(&self, worker: &model::Worker) -> Option<Arc<Client>> {
        let own = match &worker.address {
            _ if self.named => return Some(Arc::new(self.client.clone())),
            model::Address::Tcp(addr) => addr.ip().to_string(),
            model::Address::Unix(_) => String::from("localhost"),
            model::Address::Host(host) => host.name.clone(),
        };
        // A host that was read and that no certificate can name: it is not believed as another one.
        let client =
            self.client.named(own.trim_end_matches('.')).unwrap_or_else(|_| self.client.clone());
        Some(Arc::new(client))
    }
}

/// `sources` outlive every pool: a name or file that several use, or that a reload keeps, is looked
/// at by one task, which keeps what it found.
pub(crate) fn discovery(
    pool: &model::Pool,
    tls: Option<&PoolTls>,
    sources: &Arc<Sources>,
) -> Arc<dyn Discovery> {
    match pool.discover.is_none().then(|| fixed(&pool.workers, tls)).flatten() {
        Some(workers) => Arc::new(Fixed::new(workers)),
        None => {
            let declared = pool
                .workers
                .iter()
                .map(|worker| declared(worker, OwnLimits::Own(limits(worker)), tls));
            let read = reader(tls.cloned());
            let file = pool.discover.clone().map(|path| WorkersFile { path, read });
            let declared = declared.collect();
            let of_pool = Limits { slots: pool.slots, tunnels: pool.tunnels };
            Arc::new(Mixed::new(&pool.name, declared, of_pool, file, sources.clone()))
        }
    }
}

/// Whether [`discovery`] would say the same.
pub(crate) fn same(one: &model::Pool, other: &model::Pool) -> bool {
    let all = |pool: &model::Pool| {
        (pool.workers.clone(), pool.discover.clone(), pool.slots, pool.tunnels)
    };
    all(one) == all(other)
}

pub(crate) fn resolver(servers: &[SocketAddr]) -> Lookup {
    Lookup::new(servers.to_vec(), LookupPaths::default())
}

/// `None`: one of them has to be looked for.
fn fixed(workers: &[model::Worker], tls: Option<&PoolTls>) -> Option<Vec<WorkerSpec>> {
    let spec = |worker: &model::Worker| {
        Some(WorkerSpec {
            name: worker.name.clone(),
            address: match &worker.address {
                model::Address::Tcp(addr) => Address::Tcp(*addr),
                model::Address::Unix(path) => Address::Unix(path.clone()),
                model::Address::Host(_) => return None,
            },
            weight: worker.weight,
            slots: worker.slots,
            tunnels: worker.tunnels,
            tier: worker.tier,
            tls: tls.and_then(|tls| tls.to(worker)),
        })
    };
    workers.iter().map(spec).collect()
}

fn limits(worker: &model::Worker) -> Limits {
    Limits { slots: worker.slots, tunnels: worker.tunnels }
}

fn declared(worker: &model::Worker, limits: OwnLimits, tls: Option<&PoolTls>) -> Declared {
    let at = |address| At::Address { name: worker.name.clone(), address };
    let at = match &worker.address {
        model::Address::Tcp(addr) => at(Address::Tcp(*addr)),
        model::Address::Unix(path) => at(Address::Unix(path.clone())),
        model::Address::Host(host) => At::Host {
            host: HostName { name: host.name.clone(), min: host.min, max: host.max },
            port: host.port,
        },
    };
    let tls = tls.and_then(|tls| tls.to(worker));
    Declared { at, weight: worker.weight, limits, tier: worker.tier, tls }
}

fn reader(tls: Option<PoolTls>) -> ReadWorkers {
    Arc::new(move |path| match isobar_config::load_workers(path) {
        Ok(listed) => {
            let entry = |ListedWorker { worker, own_slots }: &ListedWorker| {
                let own = own_slots.then(|| OwnLimits::Own(limits(worker)));
                declared(worker, own.unwrap_or(OwnLimits::OfPool), tls.as_ref())
            };
            Ok(listed.iter().map(entry).collect())
        }
        Err(problems) => Err(problems.to_string().trim_end().to_owned()),
    })
}
