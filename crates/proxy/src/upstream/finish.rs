//! How an attempt's lease and its connection end, in the one order that is right: a slot is free only
//! once its connection is closed or can be used again, or its next holder will close it.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use isobar_balance::{Outcome, outlier::Asked};
use isobar_pool::Lease;

use super::Upstream;
use crate::scratch;

/// After its last byte a worker that said `Connection: close` may take this long to close.
const FIN_PATIENCE: Duration = Duration::from_secs(1);

/// The next holder's connect is under way long before this.
const PARTING: Duration = Duration::from_millis(2);

/// How an answer leaves the connection it came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It can be used again.
    Clean,
    /// The worker has said its last byte and is about to close.
    Closing,
    /// It is closed, or must be.
    Broken,
}

/// The worker has answered, to the end or not, at `now`.
pub(crate) fn answered(
    mut lease: Lease,
    worker: Upstream,
    left: Left,
    outcome: Outcome,
    now: Instant,
) {
    match left {
        Left::Clean => {
            lease.keep(worker.into_connection(), now);
            lease.finish_at(outcome, now);
        }
        Left::Closing if lease.limited() => {
            tokio::task::spawn_local(closing(lease, worker, outcome));
        }
        Left::Closing | Left::Broken => lease.close(worker.into_connection(), outcome),
    }
}

/// The attempt is broken off. `asked`: whose request the worker may have failed.
pub(crate) fn cut(lease: Lease, worker: Upstream, outcome: Outcome, asked: Asked) {
    drop(worker);
    ended(lease, outcome, asked);
}

/// The lease's connection is closed already.
pub(crate) fn ended(lease: Lease, outcome: Outcome, asked: Asked) {
    match outcome {
        Outcome::Failed(failure) => lease.fail(failure, asked),
        outcome => lease.finish(outcome),
    }
}

/// Waits for the worker to close, as it has announced.
async fn closing(mut lease: Lease, mut worker: Upstream, outcome: Outcome) {
    let mut rest = Vec::new();
    let closed = async {
        while let Ok(1..) = poll_fn(|cx| worker.poll_read(cx, &mut rest)).await {
            rest.clear();
        }
    };
    let _ = tokio::time::timeout(FIN_PATIENCE, closed).await;
    scratch::recycle(&mut rest);
    let target = Arc::clone(lease.target());
    let parted = lease.part(worker.into_connection());
    lease.finish(outcome);
    if parted {
        // Whoever was granted the slot connects and closes it; if nobody does, we do.
        tokio::time::sleep(PARTING).await;
        target.close_parting();
    }
}
