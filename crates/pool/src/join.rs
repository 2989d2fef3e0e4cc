//! A request that found no slot: it gets one after all, under the queue's lock, or a place in the
//! queue. Who may join, and on what terms, is the caller's to say.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use isobar_balance::{Join, WorkerId};

use crate::lease::{Lease, LeaseError};
use crate::metrics::Dropped;
use crate::shared::Shared;
use crate::snapshot::{Ask, Snapshot};
use crate::target::Place;
use crate::wait::terms::{Patience, Sticky};
use crate::wait::{self, Wait};

#[derive(Debug)]
#[must_use]
pub enum Leased {
    Ready(Lease),
    Queued(Wait),
}

/// A slot after all, or a place in the queue. A full queue is the caller's to count.
pub(crate) fn join(
    shared: &Arc<Shared>,
    snapshot: &Snapshot,
    ask: &Ask<'_>,
    bound: Option<WorkerId>,
    patience: Patience,
    sticky: Option<Box<Sticky>>,
    pick: impl FnOnce() -> Option<Place>,
) -> Result<Leased, LeaseError> {
    let &Ask { need, now, .. } = ask;
    // Nobody polls yet; the first poll brings its waker. The place in the queue counts from now.
    match shared.waiters.join(bound, need, patience.max, Waker::noop(), now, pick) {
        Join::Granted(place) => match wait::refusal(&place, sticky.as_deref()) {
            Some((error, why)) => {
                shared.recorder.dropped(why);
                shared.waiters.release(&place, need.held(), now);
                Err(error)
            }
            None => {
                let (policy, held) = (snapshot.policy, need.held());
                Ok(Leased::Ready(Lease::new(place, policy, held, None, now)))
            }
        },
        Join::Full => Err(LeaseError::QueueFull),
        // Closing sets the flag first and then empties the queue: it missed us or we see it.
        Join::Waiting(ticket) if shared.closed.load(Ordering::SeqCst) => {
            shared.recorder.dropped(Dropped::Draining);
            shared.waiters.leave(ticket, now);
            Err(LeaseError::Draining)
        }
        Join::Waiting(ticket) => {
            let wait = Wait::new(shared.clone(), snapshot, ticket, need, now, patience);
            Ok(Leased::Queued(wait.sticking(sticky)))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::PathBuf;
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use arc_swap::ArcSwap;
    use isobar_balance::budget::RetryBudget;
    use isobar_balance::{Need, Tried, Waiters, Worker};

    use super::*;
    use crate::address::Address;
    use crate::affinity::OnLost;
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
