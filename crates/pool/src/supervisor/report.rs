//! The pool's state as an operator sees it.

use std::collections::HashMap;

use isobar_balance::state::FULL_SHARE;

use super::{Supervisor, now};
use crate::settings::IdleTime;
use crate::status::{Ejection, PoolStatus, WorkerStatus};

impl Supervisor {
    pub(crate) fn status(&self) -> PoolStatus {
        let now = now();
        let usable = self.state.usable();
        let shares: HashMap<_, _> =
            usable.iter().map(|usable| (usable.name, usable.share)).collect();
        let workers = self.state.members().filter_map(|known| {
            let target = &self.reached.get(known.name())?.target;
            let stats = target.worker().stats();
            let slots_taken = target.slots().load().in_flight();
            Some(WorkerStatus {
                name: known.name().to_owned(),
                address: target.address().clone(),
                health: known.health().clone(),
                since: known.since(),
                tier: known.member().tier,
                weight: known.weight(),
                file_weight: known.member().weight,
                slots: known.slots(),
                file_slots: known.member().slots,
                tunnel_slots: known.tunnels(),
                file_tunnel_slots: known.member().tunnels,
                admin: known.admin(),
                in_flight: slots_taken + stats.apart(),
                slots_taken,
                tunnels: target.worker().tunnels().load().in_flight(),
                abandoned: stats.abandoned(),
                requests: stats.outcomes().collect(),
                busy: stats.busy(),
                last_probe: known
                    .last_probe()
                    .map(|r| r.as_ref().copied().map_err(|e| e.to_string())),
                connections_open: target.open.value(),
                idle_time: match self.settings.keep_alive.idle {
                    IdleTime::Fixed(idle) => Some(idle),
                    IdleTime::Learned => target.learned.known(),
                },
                share: shares.get(known.name()).map_or(100, |share| share * 100 / FULL_SHARE),
                ejection: known.ejection().map(|ejection| Ejection {
                    cause: ejection.sign.to_string(),
                    count: ejection.count,
                    remaining: ejection.until.saturating_duration_since(now),
                }),
                failed_warm_ups: match known.failed_warm_ups() {
                    (count, Some(cause)) => Some((count, cause.to_owned())),
                    (_, None) => None,
                },
            })
        });
        PoolStatus {
            name: self.shared.name.clone(),
            version: self.version(),
            strategy: self.settings.strategy.name,
            queue_depth: self.shared.waiters.len(),
            retries_denied: self.shared.budget.denied(),
            panic: self.state.is_panicking(),
            discovery: self.discovery.sources(),
            discovery_failures: self.discovery_failures,
            workers: workers.collect(),
        }
    }
}
