//! What is true, as JSON: `/v1/pools` and `/v1/config`. The keys are an interface; secrets are
//! left out.

use std::collections::BTreeMap;
use std::time::Duration;

use isobar_balance::Health;
use isobar_balance::state::AdminState;
use isobar_config::Config;
use isobar_config::model::{self, AdminBind, Check, ListenerKind, Shards};
use isobar_pool::discovery::SourceStatus;
use isobar_pool::{Pool, PoolStatus, WorkerStatus};
use serde_json::{Map, Value, json};

use crate::control::Control;
use crate::metrics::quantile::Quantile;
use crate::metrics::recent::{Now, PoolMinute};

/// All pools that serve, by their names.
pub(crate) fn pools(control: &Control) -> Vec<Value> {
    let (pools, handles) = control.serving();
    let pools: Vec<Now> = pools.iter().map(|pool| Now::of(pool)).collect();
    let protocols = protocols(control.lock().config());
    let minutes = control.recent.minutes(&pools, &handles);
    let pool = |now: &Now| {
        let name = now.status.name.as_str();
        pool(&now.status, protocols.get(name).copied(), minutes.get(name))
    };
    pools.iter().map(pool).collect()
}

/// One pool that serves, or did a moment ago.
pub(crate) fn one_pool(control: &Control, one: &Pool) -> Value {
    let (_, handles) = control.serving();
    let now = [Now::of(one)];
    let protocols = protocols(control.lock().config());
    let minutes = control.recent.minutes(&now, &handles);
    let name = one.name();
    pool(&now[0].status, protocols.get(name).copied(), minutes.get(name))
}

/// What each pool serves: a pool has one kind of listener.
fn protocols(config: &Config) -> BTreeMap<String, &'static str> {
    let mut protocols = BTreeMap::new();
    for listener in config.listeners.values() {
        match &listener.kind {
            ListenerKind::Tcp { pool } => drop(protocols.insert(pool.clone(), "tcp")),
            ListenerKind::Passthrough(through) => {
                protocols.extend(through.pools().map(|pool| (pool.clone(), "tcp")));
            }
            ListenerKind::Http { routes } => {
                for route in routes {
                    match &route.action {
                        model::Action::Pool(to) => drop(protocols.insert(to.pool.clone(), "http")),
                        model::Action::Split(members) => protocols
                            .extend(members.iter().map(|(to, _)| (to.pool.clone(), "http"))),
                        model::Action::Redirect(_) | model::Action::Respond(_) => {}
                    }
                }
            }
        }
    }
    protocols
}

fn pool(pool: &PoolStatus, protocol: Option<&'static str>, minute: Option<&PoolMinute>) -> Value {
    let worker = |worker: &WorkerStatus| {
        let recent = minute.and_then(|minute| minute.workers.get(&*worker.name));
        let mut value = self::worker(worker);
        value["last_minute"] = match (minute, recent) {
            (Some(minute), Some(recent)) => json!({
                "requests": recent.requests,
                "per_second": per_second(recent.requests, minute.span),
                "errors": recent.errors,
                "mean_ms": recent.mean.map(|mean| mean.as_secs_f64() * 1000.0),
            }),
            _ => Value::Null,
        };
        value
    };
    json!({
        "name": pool.name,
        "protocol": protocol,
        "version": pool.version,
        "strategy": pool.strategy,
        "queue": { "depth": pool.queue_depth },
        "retries_denied": pool.retries_denied,
        "panic": pool.panic,
        "discovery": pool.discovery.iter().map(source).collect::<Vec<_>>(),
        "discovery_failures": pool.discovery_failures,
        "last_minute": minute.map(last_minute),
        "workers": pool.workers.iter().map(worker).collect::<Vec<_>>(),
    })
}

fn last_minute(minute: &PoolMinute) -> Value {
    json!({
        "seconds": minute.span.as_secs_f64(),
        "requests": minute.requests,
        "per_second": per_second(minute.requests, minute.span),
        "p50_ms": minute.p50.map(Quantile::millis),
        "p99_ms": minute.p99.map(Quantile::millis),
        "errors": minute.errors,
        "codes": minute.codes,
        "queue": {
            "waited": minute.waited,
            "p99_ms": minute.wait_p99.map(Quantile::millis),
            "dropped": minute.dropped,
        },
    })
}

fn per_second(count: u64, span: Duration) -> f64 {
    // The first moments of a process say nothing about a rate.
    count as f64 / span.as_secs_f64().max(1.0)
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
    match worker.admin {
        AdminState::Up => {}
        AdminState::Drain => drop(overrides.insert("state".into(), json!("drain"))),
        AdminState::Maintenance => drop(overrides.insert("state".into(), json!("maintenance"))),
    }
    if worker.weight != worker.file_weight {
        overrides.insert("weight".into(), json!(worker.weight));
    }
    if worker.slots != worker.file_slots {
        overrides.insert("slots".into(), json!(worker.slots));
    }
    if worker.tunnel_slots != worker.file_tunnel_slots {
        overrides.insert("tunnels".into(), json!(worker.tunnel_slots));
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
        "tunnels": worker.tunnel_slots,
        "file": {
            "weight": worker.file_weight,
            "slots": worker.file_slots,
            "tunnels": worker.file_tunnel_slots,
        },
        "overrides": overrides,
        "in_flight": worker.in_flight,
        "slots_taken": worker.slots_taken,
        "abandoned": worker.abandoned,
        "holds": {
            "requests": worker.in_flight.saturating_sub(worker.abandoned + worker.tunnels),
            "tunnels": worker.tunnels,
            "abandoned": worker.abandoned,
        },
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
fn served_and_failed(worker: &WorkerStatus) -> (u64, u64) {
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
        ListenerKind::Passthrough(through) => {
            value["protocol"] = json!("tcp");
            let mut sni = json!(through.names);
            if let Some(pool) = &through.otherwise {
                sni["*"] = json!(pool);
            }
            value["sni"] = sni;
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
            "tunnels": worker.tunnels,
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
        "tunnels": pool.tunnels,
        "overflow": pool.overflow == model::OnOff::On,
        "workers": pool.workers.iter().map(worker).collect::<Vec<_>>(),
        "discover": pool.discover.as_ref().map(|file| json!({ "file": file.display().to_string() })),
    });
    (name.clone(), value)
}
