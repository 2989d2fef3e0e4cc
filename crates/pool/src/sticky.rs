//! A lease of the worker that the client's affinity cookie names.
//!
//! The request takes a slot of that worker or waits for one in the worker's own list, for as long as
//! the pool's affinity allows; what becomes of it then, or when the worker may not be used, is
//! [`OnLost`]'s. A cookie that names nobody is no cookie.

use std::sync::Arc;
use std::time::Duration;

use isobar_balance::WorkerId;

use crate::affinity::OnLost;
use crate::lease::{Lease, LeaseError};
use crate::pool::{Leased, join};
use crate::settings::{Asker, LeaseRequest};
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// What a wait for one worker comes to.
pub(crate) struct Sticky {
    pub(crate) worker: WorkerId,
    pub(crate) patience: Duration,
    pub(crate) on_lost: OnLost,
    /// What another worker would be chosen by.
    pub(crate) key: Option<u64>,
}

/// `None`: this request goes where the strategy sends it.
pub(crate) fn lease(
    shared: &Arc<Shared>,
    snapshot: &Snapshot,
    key: Option<u64>,
    rq: &LeaseRequest<'_>,
) -> Option<Result<Leased, LeaseError>> {
    let worker = named(snapshot, rq.asker)?;
    let terms = &snapshot.cookies.as_ref()?.terms;
    let lost = |error| match terms.on_lost {
        OnLost::Rebalance => None,
        OnLost::Fail => Some(Err(error)),
    };
    if rq.tried.contains(worker) || snapshot.candidate(worker).is_none() {
        return lost(LeaseError::NoWorker);
    }
    if (snapshot.policy.queue.is_none() || shared.waiters.is_empty())
        && let Some(place) = snapshot.reserve(worker)
    {
        return Some(Ok(Leased::Ready(Lease::new(place, snapshot.policy, None, rq.now))));
    }
    if terms.wait.is_zero() && terms.on_lost == OnLost::Rebalance {
        return None;
    }
    let sticky = Sticky { worker, patience: terms.wait, on_lost: terms.on_lost, key };
    let pick = || shared.snapshot.load_full().reserve(worker);
    let joined = join(shared, Some(worker), snapshot.policy, Some(Box::new(sticky)), rq.now, pick);
    match joined {
        // Only this one worker is known to be full.
        Err(LeaseError::QueueFull) => lost(LeaseError::QueueFull),
        joined => Some(joined),
    }
}

/// Whose cookie the request brings.
pub(crate) fn named(snapshot: &Snapshot, asker: &dyn Asker) -> Option<WorkerId> {
    let cookies = snapshot.cookies.as_ref()?;
    cookies.worker(asker.cookie(&cookies.terms.cookie)?)
}
