//! The pool's state as an operator sees it.

use super::Supervisor;
use crate::settings::IdleTime;
use crate::status::{PoolStatus, WorkerStatus};

impl Supervisor {
    pub(crate) fn status(&self) -> PoolStatus {
        let workers = self.state.members().filter_map(|known| {
            let target = &self.reached.get(known.name())?.target;
            let stats = target.worker().stats();
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
                admin: known.admin(),
                in_flight: target.slots().load().in_flight(),
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
            })
        });
        PoolStatus {
            name: self.shared.name.clone(),
            version: self.version(),
            strategy: self.settings.strategy.name,
            queue_depth: self.shared.waiters.len(),
            retries_denied: self.shared.budget.denied(),
            workers: workers.collect(),
        }
    }
}
