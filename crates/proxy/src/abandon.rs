//! A lease nobody waits for any more, whose worker still computes.
//!
//! The slot stays taken until the worker is done: to free it earlier would put the next request
//! behind a computation that the worker cannot stop. The answer is read and thrown away; if it
//! ends cleanly even the connection lives on (design: "the lease ends when the worker is done").

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use isobar_balance::Outcome;
use isobar_http1::{BodyReader, Parsed, State};
use isobar_pool::{Connection, Lease};
use tokio::io::AsyncReadExt;

use crate::{
    attempt::RESPONSE_LIMITS,
    exchange::Exchange,
    scratch::{self, Scratch},
};

/// After its last byte a worker that said `Connection: close` may take this long to close.
const FIN_PATIENCE: Duration = Duration::from_secs(1);

/// The next holder's connect is under way long before this.
const PARTING: Duration = Duration::from_millis(2);

/// Sees an abandoned lease to its end, on a task of its own.
pub(crate) fn see_out(
    exchange: &Exchange<'_>,
    mut lease: Lease,
    mut worker: Connection,
    outcome: Outcome,
) {
    let patience = lease.policy().abandon_after;
    let method = Box::<[u8]>::from(exchange.scratch.request.method());
    lease.abandon();
    tokio::task::spawn_local(async move {
        let discarded = tokio::time::timeout(patience, discard(&mut worker, &method)).await;
        if let Ok(Some(())) = discarded {
            lease.keep(worker, Instant::now());
        }
        lease.finish(outcome);
    });
}

/// Ends the lease of a worker that announced it would close, once it has closed.
pub(crate) fn await_fin(mut lease: Lease, mut worker: Connection, outcome: Outcome) {
    tokio::task::spawn_local(async move {
        let mut rest = scratch::buffer();
        let closed = async {
            while let Ok(1..) = worker.read_buf(&mut rest).await {
                rest.clear();
            }
        };
        let _ = tokio::time::timeout(FIN_PATIENCE, closed).await;
        scratch::recycle(&mut rest);
        let target = Arc::clone(lease.target());
        let parted = lease.part(worker);
        lease.finish(outcome);
        if parted {
            // Whoever was granted the slot connects and closes it; if nobody does, we do.
            tokio::time::sleep(PARTING).await;
            target.close_parting();
        }
    });
}

/// Reads one response and drops it. `Some` if the connection can be used again.
async fn discard(worker: &mut Connection, method: &[u8]) -> Option<()> {
    let mut scratch = Scratch::take();
    scratch::furnish(&mut scratch.down);
    let kept = read_response(worker, &mut scratch, method).await;
    Scratch::give(scratch);
    // A worker that closes is done when it has closed, and `read_response` has seen that.
    kept
}

async fn read_response(
    worker: &mut Connection,
    scratch: &mut Scratch,
    method: &[u8],
) -> Option<()> {
    let Scratch { response, down, .. } = scratch;
    loop {
        match response.parse(down, &RESPONSE_LIMITS, method).ok()? {
            Parsed::Complete(used) => {
                down.drain(..used);
                if !response.is_interim() {
                    break;
                }
            }
            Parsed::Partial => {
                if worker.read_buf(down).await.ok()? == 0 {
                    return None;
                }
            }
        }
    }
    let mut reader = BodyReader::from(response.body());
    while !reader.is_done() {
        let mut used = 0;
        while used < down.len() {
            let progress = reader.advance(&down[used..]).ok()?;
            used += progress.skip + progress.data;
            if progress.state == State::Done || progress.skip + progress.data == 0 {
                break;
            }
        }
        down.drain(..used);
        if !reader.is_done() && worker.read_buf(down).await.ok()? == 0 {
            return None;
        }
    }
    if !response.keep_alive() {
        while worker.read_buf(down).await.ok()? != 0 {
            down.clear();
        }
        return None;
    }
    down.is_empty().then_some(())
}
