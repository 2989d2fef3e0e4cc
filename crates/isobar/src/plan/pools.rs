//! A pool, from the configuration's form to the pool crate's.

use std::sync::Arc;

use super::affinity::affinity;
use isobar_balance::budget::Share;
use isobar_balance::outlier::{Burst, Thresholds};
use isobar_balance::strategy;
use isobar_config::model;
use isobar_pool::{
    Buffer, Health, Hold, IdleTime, KeepAlive, Life, Outlier, Overflow, PoolSettings, Probe, Queue,
    Spill, Via, WarmUp, probe,
};

/// `Err`: a strategy this process does not have. A configuration that was read with our registry
/// names none.
pub(crate) fn settings(pool: &model::Pool) -> Result<PoolSettings, String> {
    let name = &pool.strategy.name;
    let strategy = strategy::find(name).ok_or_else(|| format!("unknown strategy `{name}`"))?;
    Ok(PoolSettings {
        strategy,
        options: pool.strategy.options.clone(),
        queue_per_slot: pool.queue_per_slot,
        hold: pool.hold.map(|hold| Hold { max: hold.max, time: hold.time, wait: hold.wait }),
        queue: pool.queue.map(|queue| Queue { max: queue.max, timeout: queue.timeout }),
        health: pool.health.as_ref().map(|health| Health {
            probe: probe(&health.check),
            interval: health.interval,
            timeout: health.timeout,
            rise: health.rise,
            fall: health.fall,
            busy_limit: health.busy_limit,
        }),
        connect_timeout: pool.connect_timeout,
        keep_alive: KeepAlive {
            idle: match pool.keep_alive.idle {
                model::IdleTime::Learned => IdleTime::Learned,
                model::IdleTime::Fixed(idle) => IdleTime::Fixed(idle),
            },
            max_idle: pool.keep_alive.max_idle,
        },
        spill: pool.spill.as_ref().map(spill),
        retry_budget: pool.retry_budget.map(Share),
        abandon_after: pool.abandon_after,
        affinity: pool.affinity.as_ref().map(affinity).transpose()?,
        overflow: match pool.overflow {
            model::OnOff::On => Overflow::On,
            model::OnOff::Off => Overflow::Off,
        },
        via: match pool.via {
            model::OnOff::On => Via::On,
            model::OnOff::Off => Via::Off,
        },
        buffer: Buffer { request: pool.buffer.request, response: pool.buffer.response },
        life: life(pool),
    })
}

fn life(pool: &model::Pool) -> Life {
    Life {
        outlier: pool.outlier.map(|outlier| Outlier {
            thresholds: Thresholds {
                transport_failures: outlier.transport_failures,
                failures: outlier.consecutive_failures,
                gateway_failures: outlier.gateway_failures,
                burst: outlier
                    .failures
                    .map(|burst| Burst { count: burst.count, within: burst.within }),
            },
            failure_rate: outlier.failure_rate,
            window: outlier.window,
            min_requests: outlier.min_requests,
            base_ejection: outlier.base_ejection,
            longest_ejection: outlier.longest_ejection,
            max_ejected: outlier.max_ejected,
        }),
        panic_below: pool.panic_below,
        slow_start: pool.slow_start,
        warm_up: pool.warm_up.as_ref().map(|warm_up| WarmUp {
            requests: warm_up.requests.clone(),
            count: warm_up.count,
            timeout: warm_up.timeout,
            // A worker that minds its name is asked by the name the check uses.
            host: warm_up.host.clone().or_else(|| {
                match pool.health.as_ref().map(|health| &health.check) {
                    Some(model::Check::Http { host, .. }) => host.clone(),
                    _ => None,
                }
            }),
        }),
    }
}

fn spill(spill: &model::Spill) -> Arc<Spill> {
    Arc::new(Spill::new(spill.dir.clone(), spill.max, spill.total))
}

fn probe(check: &model::Check) -> Arc<dyn Probe> {
    match check {
        model::Check::Http { path, expect, host, port } => Arc::new(probe::Http {
            path: path.clone(),
            expect: expect.clone(),
            host: host.clone(),
            port: *port,
        }),
        model::Check::Tcp => Arc::new(probe::Tcp),
    }
}
