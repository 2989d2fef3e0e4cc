//! What the pool makes of its discovery, beside the set itself: what was not found is counted, and
//! said once; what could not be reached is doubted.

use isobar_balance::state::ProbeResult;

use super::Supervisor;
use crate::discovery::DiscoveryError;
use crate::mailbox::{Observation, Seen};

impl Supervisor {
    pub(super) fn not_found(&mut self, DiscoveryError { source_name, problem }: DiscoveryError) {
        self.discovery_failures += 1;
        let pool = &self.shared.name;
        if self.problems.get(&source_name) == Some(&problem) {
            tracing::debug!(pool, source = source_name, problem, "discovery failed again");
            return;
        }
        tracing::warn!(
            pool,
            source = source_name,
            problem,
            "discovery failed; what was found before stays"
        );
        self.problems.insert(source_name, problem);
    }

    /// A set has come: whatever failed before may work again.
    pub(super) fn found_again(&mut self) {
        self.found = true;
        if self.problems.is_empty() {
            return;
        }
        let sources = self.discovery.sources();
        let pool = &self.shared.name;
        self.problems.retain(|name, _| {
            let fails = sources.iter().any(|s| s.name == *name && s.problem.is_some());
            if !fails && sources.iter().any(|s| s.name == *name) {
                tracing::info!(pool, source = name, "discovery works again");
            }
            fails
        });
    }

    /// Who was not reached may have moved.
    pub(super) fn doubt(&self, observations: &[Observation]) {
        for Observation { target, seen, .. } in observations {
            match seen {
                Seen::Refused
                | Seen::Unreachable(_)
                | Seen::StillAway
                | Seen::Probed(ProbeResult::Failed(_) | ProbeResult::TimedOut(_)) => {
                    self.discovery.doubt(target.address())
                }
                Seen::Reachable | Seen::Suspect | Seen::WarmedUp(_) | Seen::Probed(_) => {}
            }
        }
    }

    /// Every worker that was found has had its first verdict, and the first look has ended.
    pub(super) fn is_settled(&self) -> bool {
        self.found && self.state.is_settled()
    }
}
