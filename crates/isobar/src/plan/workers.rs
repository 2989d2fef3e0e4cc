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

/// `sources` outlive every pool: a name or file that several use, or that a reload keeps, is looked
/// at by one task, which keeps what it found.
pub(crate) fn discovery(pool: &model::Pool, sources: &Arc<Sources>) -> Arc<dyn Discovery> {
    match pool.discover.is_none().then(|| fixed(&pool.workers)).flatten() {
        Some(workers) => Arc::new(Fixed::new(workers)),
        None => {
            let declared =
                pool.workers.iter().map(|worker| declared(worker, OwnLimits::Own(limits(worker))));
            let file = pool.discover.clone().map(|path| WorkersFile { path, read: reader() });
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
fn fixed(workers: &[model::Worker]) -> Option<Vec<WorkerSpec>> {
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
        })
    };
    workers.iter().map(spec).collect()
}

fn limits(worker: &model::Worker) -> Limits {
    Limits { slots: worker.slots, tunnels: worker.tunnels }
}

fn declared(worker: &model::Worker, limits: OwnLimits) -> Declared {
    let at = |address| At::Address { name: worker.name.clone(), address };
    let at = match &worker.address {
        model::Address::Tcp(addr) => at(Address::Tcp(*addr)),
        model::Address::Unix(path) => at(Address::Unix(path.clone())),
        model::Address::Host(host) => At::Host {
            host: HostName { name: host.name.clone(), min: host.min, max: host.max },
            port: host.port,
        },
    };
    Declared { at, weight: worker.weight, limits, tier: worker.tier }
}

fn reader() -> ReadWorkers {
    Arc::new(move |path| match isobar_config::load_workers(path) {
        Ok(listed) => {
            let entry = |ListedWorker { worker, own_slots }: &ListedWorker| {
                let own = own_slots.then(|| OwnLimits::Own(limits(worker)));
                declared(worker, own.unwrap_or(OwnLimits::OfPool))
            };
            Ok(listed.iter().map(entry).collect())
        }
        Err(problems) => Err(problems.to_string().trim_end().to_owned()),
    })
}
