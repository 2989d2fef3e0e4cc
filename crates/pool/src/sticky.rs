//! A lease of the worker that the client's affinity cookie names.
//!
//! The request takes a slot of that worker or waits for one in the worker's own list, for as long as
//! the pool's affinity allows; what becomes of it then, or when the worker may not be used, is
//! [`OnLost`]'s. A cookie that names nobody is no cookie.

use std::sync::Arc;

use isobar_balance::Need;

use crate::affinity::OnLost;
use crate::join::{Leased, join};
use crate::lease::{Lease, LeaseError};
use crate::settings::Asker;
use crate::shared::Shared;
use crate::snapshot::{Ask, Snapshot};
use crate::wait::terms::{Patience, Sticky};

/// `None`: this request goes where the strategy sends it.
pub(crate) fn lease(
    shared: &Arc<Shared>,
    snapshot: &Snapshot,
    ask: &Ask<'_>,
    asker: &dyn Asker,
) -> Option<Result<Leased, LeaseError>> {
    let worker = snapshot.named_by(asker)?;
    let terms = &snapshot.cookies.as_ref()?.terms;
    let lost = |error| match terms.on_lost {
        OnLost::Rebalance => None,
        OnLost::Fail => Some(Err(error)),
    };
    if ask.tried.contains(worker) || snapshot.target(worker).is_none() {
        return lost(LeaseError::NoWorker);
    }
    let queue = snapshot.waiting.queue;
    if ask.need == Need::Request
        && (queue.is_none() || shared.waiters.is_open())
        && let Some(place) = snapshot.reserve(worker, ask.need)
    {
        let lease = Lease::new(place, snapshot.policy, ask.need.held(), None, ask.now);
        return Some(Ok(Leased::Ready(lease)));
    }
    let at_once = terms.wait.is_zero() && terms.on_lost == OnLost::Rebalance;
    let patience = match queue.filter(|_| !at_once) {
        Some(queue) => Patience::of(queue),
        // A tunnel slot is taken under the queue's lock, or not at all.
        None if ask.need == Need::Tunnel => Patience::NONE,
        None => return lost(LeaseError::QueueFull),
    };
    let key = ask.key;
    let sticky = Sticky { worker, patience: terms.wait, on_lost: terms.on_lost, key };
    let pick = || shared.snapshot.load_full().reserve(worker, ask.need);
    let bound = Some(worker);
    match join(shared, snapshot, ask, bound, patience, Some(Box::new(sticky)), pick) {
        // Only this one worker is known to be full.
        Err(LeaseError::QueueFull) => lost(LeaseError::QueueFull),
        joined => Some(joined),
    }
}
