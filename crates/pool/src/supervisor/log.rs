//! What the log says of a change: one line, however much it holds. A worker that goes down or is
//! ejected makes it a warning; a pool that nobody can serve any more is an error of its own.

use std::time::{Duration, Instant};

use isobar_balance::Health;
use isobar_balance::state::{Changes, Panic, Transition};

use super::Supervisor;
use super::said::Terms;

/// That tunnels hold the slots is said this often at most.
const TUNNELS_EVERY: Duration = Duration::from_secs(60);

/// Workers named in one line of the log.
const TOLD: usize = 16;

impl Supervisor {
    /// None for a step of a slow start.
    pub(super) fn log(&mut self, changes: &Changes) {
        let members = self.state.members().filter_map(|known| {
            let address = self.reached.get(known.name())?.target.address().clone();
            Some((known.name(), Terms::of(known, address)))
        });
        let mut what = self.said.edits(members);
        what.extend(changes.transitions.iter().map(moved));
        let pool = &self.shared.name;
        let (version, usable) = (self.version(), self.shared.snapshot.load().usable());
        match changes.panic {
            Some(Panic::Began) => tracing::warn!(
                pool,
                usable,
                "panic: fewer than {}% are up; ejections and probe time-outs are ignored",
                f64::from(self.settings.life.panic_below) / 10.0
            ),
            Some(Panic::Ended) => tracing::info!(pool, usable, "the panic is over"),
            None => {}
        }
        if what.is_empty() && changes.edited {
            what.push(String::from("settings"));
        }
        if !what.is_empty() {
            let untold = what.len().saturating_sub(TOLD);
            what.truncate(TOLD);
            if untold > 0 {
                what.push(format!("{untold} more"));
            }
            let changes_said = what.join(", ");
            if changes.transitions.iter().any(is_a_loss) {
                tracing::warn!(pool, version, usable, changes = changes_said, "pool changed");
            } else {
                tracing::info!(pool, version, usable, changes = changes_said, "pool changed");
            }
        }
        // While the first verdicts are awaited there is hope.
        let nobody = usable == 0 && self.is_settled();
        match (std::mem::replace(&mut self.said.nobody, nobody), nobody) {
            (false, true) => tracing::error!(pool, version, "no worker of the pool can serve"),
            (true, false) if usable > 0 => tracing::info!(pool, usable, "the pool serves again"),
            _ => {}
        }
    }

    /// Requests wait while tunnels and event streams fill the slots: nobody would think of that.
    pub(super) fn blame_tunnels(&mut self) {
        let waiting = self.shared.waiters.len();
        if waiting == 0 || self.said.tunnels.is_some_and(|at| at.elapsed() < TUNNELS_EVERY) {
            return;
        }
        let mut tunnels = 0;
        let mut slots = 0;
        for reached in self.reached.values() {
            let worker = reached.target.worker();
            if let (Some(limit), false) =
                (worker.slots().load().limit(), worker.counts_tunnels_apart())
            {
                slots += u64::from(limit);
                tunnels += u64::from(worker.tunnels().load().in_flight());
            }
        }
        if tunnels * 2 > slots {
            self.said.tunnels = Some(Instant::now());
            tracing::warn!(
                pool = self.shared.name,
                waiting,
                tunnels,
                slots,
                "requests wait while tunnels and event streams hold more than half of the slots; \
                 to count these apart: `slots: {{ requests: N, tunnels: M }}`"
            );
        }
    }
}

fn moved(transition: &Transition) -> String {
    let Transition { worker, from, to, cause } = transition;
    match to.cause() {
        // It names its cause itself.
        Some(same) if same == *cause => format!("{worker}: {from} -> {to}"),
        _ => format!("{worker}: {from} -> {to} ({cause})"),
    }
}

/// Traffic went away from a worker that nobody has taken out.
fn is_a_loss(transition: &Transition) -> bool {
    matches!(transition.to, Health::Down(_) | Health::Ejected)
}
