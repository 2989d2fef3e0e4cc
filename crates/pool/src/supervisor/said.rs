//! What the log says of a change: one line, however much it holds. A worker that goes down or is
//! ejected makes it a warning; a pool that nobody can serve any more is an error of its own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use isobar_balance::Health;
use isobar_balance::state::{Changes, Panic, Transition};

use super::Supervisor;
use crate::address::Address;

/// That tunnels hold the slots is said this often at most.
const TUNNELS_EVERY: Duration = Duration::from_secs(60);

/// Workers named in one line of the log.
const TOLD: usize = 16;

/// What the log has said so far of who belongs to the pool.
#[derive(Debug, Default)]
pub(super) struct Said {
    members: BTreeMap<String, Terms>,
    /// Somebody may have changed them since.
    pub(super) outdated: bool,
    /// That nobody can serve.
    nobody: bool,
    /// That requests wait behind tunnels.
    tunnels: Option<Instant>,
}

/// A worker as the file, a discovery or an operator has it.
#[derive(Debug, PartialEq, Eq)]
struct Terms {
    address: Address,
    weight: Option<NonZeroU32>,
    slots: Option<NonZeroU32>,
    tunnels: Option<NonZeroU32>,
    tier: u8,
}

impl Supervisor {
    /// None for a step of a slow start.
    pub(super) fn log(&mut self, changes: &Changes) {
        let mut what = self.edits();
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

    /// Who came, who left, and whose terms are others, since it was last said.
    fn edits(&mut self) -> Vec<String> {
        let mut edits = Vec::new();
        if !std::mem::take(&mut self.said.outdated) {
            return edits;
        }
        let mut before = std::mem::take(&mut self.said.members);
        for known in self.state.members() {
            let Some(reached) = self.reached.get(known.name()) else { continue };
            let terms = Terms {
                address: reached.target.address().clone(),
                weight: known.weight(),
                slots: known.slots(),
                tunnels: known.tunnels(),
                tier: known.member().tier,
            };
            match before.remove(known.name()) {
                None => edits.push(format!("{}: added", known.name())),
                Some(old) => edits.extend(difference(known.name(), &old, &terms)),
            }
            self.said.members.insert(known.name().to_owned(), terms);
        }
        edits.extend(before.into_keys().map(|name| format!("{name}: removed")));
        edits
    }
}

fn difference(name: &str, old: &Terms, new: &Terms) -> Option<String> {
    let mut edits = String::new();
    let mut edit = |what: &str, old: String, new: String| {
        if old != new {
            let comma = if edits.is_empty() { "" } else { ", " };
            let _ = write!(edits, "{comma}{what} {old} -> {new}");
        }
    };
    let number = |n: Option<NonZeroU32>, none: &str| n.map_or(none.to_owned(), |n| n.to_string());
    edit("address", old.address.to_string(), new.address.to_string());
    edit("weight", number(old.weight, "default"), number(new.weight, "default"));
    edit("slots", number(old.slots, "no limit"), number(new.slots, "no limit"));
    edit("tunnels", number(old.tunnels, "as slots"), number(new.tunnels, "as slots"));
    edit("tier", old.tier.to_string(), new.tier.to_string());
    (!edits.is_empty()).then(|| format!("{name}: {edits}"))
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
