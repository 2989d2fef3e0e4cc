//! What is true, as JSON: `/v1/pools` and `/v1/config`. The keys are an interface; secrets are
//! left out.

use isobar_balance::Health;
use isobar_config::Config;
use isobar_config::model::{self, AdminBind, Check, ListenerKind, Shards};
use isobar_pool::discovery::SourceStatus;
use isobar_pool::{PoolStatus, WorkerStatus};
use serde_json::{Map, Value, json};

pub(crate) fn pools(pools: &[PoolStatus]) -> Value {
    json!({ "pools": pools.iter().map(pool).collect::<Vec<_>>() })
}

pub(crate) fn pool(pool: &PoolStatus) -> Value {
    json!({
        "name": pool.name,
        "version": pool.version,
        "strategy": pool.strategy,
        "queue": { "depth": pool.queue_depth },
        "retries_denied": pool.retries_denied,
        "panic": pool.panic,
        "discovery": pool.discovery.iter().map(source).collect::<Vec<_>>(),
        "discovery_failures": pool.discovery_failures,
        "workers": pool.workers.iter().map(worker).collect::<Vec<_>>(),
    })
}

/// Where workers are looked for; `problem` is why the last look failed.
fn source(source: &SourceStatus) -> Value {
    json!({ "name": source.name, "workers": source.workers, "problem": source.problem })
}

/// In force now; `file` is what the configuration says, `overrides` what was set since.
pub(crate) fn worker(worker: &WorkerStatus) -> Value {
    let (served, failed) = served_and_failed(worker);
    let requests: Map<String, Value> =
        worker.requests.iter().map(|(outcome, n)| ((*outcome).to_owned(), json!(n))).collect();
    let mut overrides = Map::new();
    if worker.weight != worker.file_weight {
        overrides.insert("weight".into(), json!(worker.weight));
    }
    if worker.slots != worker.file_slots {
        overrides.insert("slots".into(), json!(worker.slots));
    }
    let probe = worker.last_probe.as_ref().map(|probe| match probe {
        Ok(()) => String::from("ok"),
        Err(cause) => cause.clone(),
    });
    let ejection = worker.ejection.as_ref().map(|ejection| {
        json!({
            "cause": ejection.cause,
            "count": ejection.count,
            "ends_in_seconds": ejection.remaining.as_secs_f64(),
        })
    });
    let warm_ups = worker
        .failed_warm_ups
        .as_ref()
        .map(|(count, cause)| json!({ "count": count, "last": cause }));
    let ejected = worker.ejection.as_ref().filter(|_| worker.health == Health::Ejected);
    let cause = worker.health.cause().or_else(|| ejected.map(|ejection| ejection.cause.as_str()));
    json!({
        "name": worker.name,
        "address": worker.address.to_string(),
        "health": worker.health.label(),
        "cause": cause,
        "for_seconds": worker.since.elapsed().as_secs_f64(),
        "tier": worker.tier,
        "weight": worker.weight,
        "slots": worker.slots,
        "file": { "weight": worker.file_weight, "slots": worker.file_slots },
        "overrides": overrides,
        "in_flight": worker.in_flight,
        "abandoned": worker.abandoned,
        "served": served,
        "failed": failed,
        "requests": requests,
        "busy_seconds": worker.busy.as_secs_f64(),
        "connections": worker.connections_open,
        "keep_alive_seconds": worker.idle_time.map(|idle| idle.as_secs_f64()),
        "last_probe": probe,
        "share_percent": worker.share,
        "ejection": ejection,
        "failed_warm_ups": warm_ups,
    })
}

/// Answers of any status count as served; a client that left is neither's fault.
pub(crate) fn served_and_failed(worker: &WorkerStatus) -> (u64, u64) {
    let mut sums = (0, 0);
    for (outcome, count) in &worker.requests {
        match *outcome {
            "served" | "server_error" => sums.0 += count,
            "client_gone" | "abandoned" | "not_sent" => {}
            _ => sums.1 += count,
        }
    }
    sums
}

pub(crate) fn config(config: &Config) -> Value {
    let seconds = |duration: std::time::Duration| duration.as_secs_f64();
    let listeners: Map<String, Value> = config.listeners.iter().map(listener).collect();
    let pools: Map<String, Value> = config.pools.iter().map(configured_pool).collect();
    let admin = |bind: &AdminBind| match bind {
        AdminBind::Unix { path, .. } => format!("unix:{}", path.display()),
        AdminBind::Tcp(addr) => addr.to_string(),
    };
    let trusted = config.trusted_proxies.iter().map(|net| format!("{}/{}", net.addr, net.len));
    json!({
        "shards": match config.shards {
            Shards::Auto => json!("auto"),
            Shards::Count(count) => json!(count),
        },
        "grace_period_seconds": seconds(config.grace_period),
        "drain_delay_seconds": seconds(config.drain_delay),
        "admin": config.admin.iter().map(admin).collect::<Vec<_>>(),
        "metrics": config.metrics.map(|addr| addr.to_string()),
        "trusted_proxies": trusted.collect::<Vec<_>>(),
        "dns": { "servers": config.dns_servers },
        "listeners": listeners,
        "pools": pools,
    })
}

fn listener((name, listener): (&String, &model::Listener)) -> (String, Value) {
    let bind: Vec<String> = listener.binds.iter().map(ToString::to_string).collect();
    let mut value = json!({ "bind": bind });
    match &listener.kind {
        ListenerKind::Tcp { pool } => {
            value["protocol"] = json!("tcp");
            value["pool"] = json!(pool);
        }
        ListenerKind::Http { routes } => {
            let route = |route: &model::Route| {
                let mut value = json!({ "name": route.name });
                match &route.action {
                    model::Action::Pool(to) => value["pool"] = json!(to.pool),
                    model::Action::Redirect(to) => value["redirect"] = json!(to.status),
                    model::Action::Respond(own) => value["respond"] = json!(own.status),
                    model::Action::Split(members) => {
                        let members =
                            members.iter().map(|(to, share)| (to.pool.clone(), json!(share)));
                        value["split"] = members.collect();
                    }
                }
                value
            };
            value["protocol"] = json!("http");
            value["routes"] = routes.iter().map(route).collect();
        }
    }
    (name.clone(), value)
}

fn resolve(address: &model::Address) -> Option<Value> {
    let model::Address::Host(host) = address else { return None };
    Some(json!({ "min_seconds": host.min.as_secs_f64(), "max_seconds": host.max.as_secs_f64() }))
}

fn configured_pool((name, pool): (&String, &model::Pool)) -> (String, Value) {
    let worker = |worker: &model::Worker| {
        json!({
            "name": worker.name,
            "address": worker.address.to_string(),
            "resolve": resolve(&worker.address),
            "weight": worker.weight,
            "slots": worker.slots,
            "tier": worker.tier,
        })
    };
    let health = pool.health.as_ref().map(|health| match &health.check {
        Check::Http { path, .. } => json!({ "http": path }),
        Check::Tcp => json!({ "tcp": true }),
    });
    let queue = pool
        .queue
        .map(|queue| json!({ "max": queue.max, "timeout_seconds": queue.timeout.as_secs_f64() }));
    let affinity = pool.affinity.as_ref().map(|affinity| {
        json!({
            "cookie": affinity.cookie,
            "wait_seconds": affinity.wait.as_secs_f64(),
            "secret": if affinity.secret.is_some() { "given" } else { "of this process" },
        })
    });
    let value = json!({
        "strategy": pool.strategy.name,
        "options": pool.strategy.options,
        "affinity": affinity,
        "queue": queue,
        "health": health,
        "abandon_after_seconds": pool.abandon_after.as_secs_f64(),
        "connect_timeout_seconds": pool.connect_timeout.as_secs_f64(),
        "buffer": { "request": pool.buffer.request, "response": pool.buffer.response },
        "slots": pool.slots,
        "workers": pool.workers.iter().map(worker).collect::<Vec<_>>(),
        "discover": pool.discover.as_ref().map(|file| json!({ "file": file.display().to_string() })),
    });
    (name.clone(), value)
}
