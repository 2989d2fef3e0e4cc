//! A lease of the worker that the client's affinity cookie names.
//!
//! The request takes a slot of that worker or waits for one in the worker's own list, for as long as
//! the pool's affinity allows; what becomes of it then, or when the worker may not be used, is
//! [`OnLost`]'s. A cookie that names nobody is no cookie.

use std::sync::Arc;
use std::time::Duration;

use isobar_balance::{Need, WorkerId};

use crate::affinity::OnLost;
use crate::lease::{Lease, LeaseError};
use crate::pool::{Leased, join};
use crate::settings::Asker;
use crate::shared::Shared;
use crate::snapshot::{Ask, Snapshot};
use crate::target::Place;
use crate::wait::Patience;

/// What a wait for one worker comes to.
pub(crate) struct Sticky {
    pub(crate) worker: WorkerId,
    pub(crate) patience: Duration,
    pub(crate) on_lost: OnLost,
    /// What another worker would be chosen by.
    pub(crate) key: Option<u64>,
}

impl Sticky {
    /// This slot is another worker's, and no other will do.
    pub(crate) fn refuses(&self, place: &Place) -> bool {
        self.on_lost == OnLost::Fail && self.worker != place.0.id()
    }
}

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

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;
    use std::time::Instant;

    use arc_swap::ArcSwap;
    use isobar_balance::budget::RetryBudget;
    use isobar_balance::{Tried, Waiters, Worker};

    use super::*;
    use crate::address::Address;
    use crate::mailbox::Mailbox;
    use crate::metrics::Recorder;
    use crate::settings::{Buffer, IdleTime, KeepAlive, Policy, Queue, Via, Waiting};
    use crate::target::Target;

    const GONE: WorkerId = WorkerId(1);

    /// A drain between the look at the snapshot and the queue: by then the queue knows only the
    /// other worker, which has a free slot.
    #[tokio::test]
    async fn in_a_race_with_a_drain_fail_takes_no_other_worker() {
        for on_lost in [OnLost::Fail, OnLost::Rebalance] {
            let (shared, now) = (shared(), Instant::now());
            let worker = Worker::new(WorkerId(2), "other", NonZeroU32::new(1), 1);
            let nowhere = Address::Unix(PathBuf::new());
            let other = Arc::new(Target::new(worker, nowhere, 1, shared.clone()));
            shared.waiters.publish(vec![Place(other.clone())], now);
            let patience = Duration::from_secs(1);
            let sticky = Some(Box::new(Sticky { worker: GONE, patience, on_lost, key: None }));
            let ask = Ask { key: None, need: Need::Request, tried: &Tried::new(), now };
            let patience_of = Patience::of(waiting().queue.expect("one"));
            let snapshot = Snapshot::empty(policy(), waiting());
            let joined = join(&shared, &snapshot, &ask, Some(GONE), patience_of, sticky, || None);
            let in_flight = || other.slots().load().in_flight();
            match (on_lost, joined) {
                (OnLost::Fail, Err(LeaseError::NoWorker)) => {
                    assert_eq!(in_flight(), 0, "given back");
                }
                (OnLost::Rebalance, Ok(Leased::Ready(_lease))) => assert_eq!(in_flight(), 1),
                (_, joined) => panic!("{on_lost:?}: {joined:?}"),
            }
        }
    }

    fn shared() -> Arc<Shared> {
        Arc::new(Shared {
            name: "p".to_owned(),
            number: 0,
            snapshot: Arc::new(ArcSwap::from_pointee(Snapshot::empty(policy(), waiting()))),
            waiters: Waiters::new(),
            mailbox: Mailbox::new().0,
            recorder: Recorder::new(1),
            budget: RetryBudget::new(None, 1),
            closed: AtomicBool::new(false),
        })
    }

    fn waiting() -> Waiting {
        Waiting { queue: Some(Queue { max: 10, timeout: Duration::from_secs(1) }), hold: None }
    }

    fn policy() -> Policy {
        let second = Duration::from_secs(1);
        Policy {
            abandon_after: second,
            buffer: Buffer { request: 0, response: 0 },
            connect_timeout: second,
            keep_alive: KeepAlive { idle: IdleTime::Learned, max_idle: 1 },
            sticky: true,
            via: Via::On,
        }
    }
}
