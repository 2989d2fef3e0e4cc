//! A lease nobody waits for any more, whose worker still computes.
//!
//! The slot stays taken until the worker is done: to free it earlier would put the next request
//! behind a computation that the worker cannot stop. The answer is read and thrown away; if it
//! ends cleanly even the connection lives on (design: "the lease ends when the worker is done").

use std::{
    future::poll_fn,
    io,
    sync::Arc,
    task::ready,
    time::{Duration, Instant},
};

use isobar_balance::Outcome;
use isobar_http1::{BodyReader, Parsed, ResponseHead, State};
use isobar_pool::{Connection, Lease};

use crate::{
    attempt::{Answered, RESPONSE_LIMITS},
    exchange::Exchange,
    scratch::{self, Scratch},
};

/// After its last byte a worker that said `Connection: close` may take this long to close.
const FIN_PATIENCE: Duration = Duration::from_secs(1);

/// The next holder's connect is under way long before this.
const PARTING: Duration = Duration::from_millis(2);

/// Sees an abandoned lease to its end, on a task of its own. `outcome`: the worker's failure if a
/// deadline gave up on it, nobody's if the client did.
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
        let mut scratch = Scratch::lend();
        let answer = async {
            let rest = read_head(&mut worker, &mut scratch, &method).await?;
            Some(rest.read(&mut worker, &mut scratch.down).await)
        };
        let end = tokio::time::timeout(patience, answer).await;
        drop(scratch);
        end_behind(lease, worker, end.ok().flatten(), outcome).await;
    });
}

/// Drops an answer whose head is in `scratch.response`, because the request is tried again. Its
/// lease, too, ends when the worker is done.
pub(crate) fn discard(exchange: &mut Exchange<'_>, answered: Answered) {
    let Answered { lease, mut worker, upload } = answered;
    let scratch = &mut exchange.scratch;
    let outcome = Outcome::Served { status: scratch.response.status() };
    let mut rest = Rest::of(&scratch.response);
    rest.keeps &= upload.finished(&exchange.incoming, &scratch.up) && !upload.gave_up();
    let mut down = std::mem::take(&mut scratch.down);
    down.drain(..std::mem::take(&mut scratch.parsed));
    let patience = lease.policy().abandon_after;
    tokio::task::spawn_local(async move {
        let end = tokio::time::timeout(patience, rest.read(&mut worker, &mut down)).await;
        scratch::recycle(&mut down);
        end_behind(lease, worker, end.ok(), outcome).await;
    });
}

/// `end`: how the answer ended, if it did.
async fn end_behind(mut lease: Lease, worker: Connection, end: Option<End>, outcome: Outcome) {
    match end {
        Some(End::Clean) => {
            let now = Instant::now();
            lease.keep(worker, now);
            lease.finish_at(outcome, now);
        }
        Some(End::Closing) if lease.limited() => fin(lease, worker, outcome).await,
        _ => lease.close(worker, outcome),
    }
}

/// Ends the lease of a worker that announced it would close, once it has closed.
pub(crate) fn await_fin(lease: Lease, worker: Connection, outcome: Outcome) {
    tokio::task::spawn_local(fin(lease, worker, outcome));
}

async fn fin(mut lease: Lease, mut worker: Connection, outcome: Outcome) {
    let mut rest = Vec::new();
    let closed = async {
        while let Ok(1..) = read(&mut worker, &mut rest).await {
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
}

/// Reads behind what is in `down`, which has memory only when something is there: these waits may
/// be long.
async fn read(worker: &mut Connection, down: &mut Vec<u8>) -> io::Result<usize> {
    if down.is_empty() {
        scratch::recycle(down);
    }
    poll_fn(|cx| {
        ready!(worker.stream().poll_read_ready(cx))?;
        scratch::furnish(down);
        worker.stream().poll_recv(cx, down)
    })
    .await
}

/// Reads up to the end of a response's head.
async fn read_head(worker: &mut Connection, scratch: &mut Scratch, method: &[u8]) -> Option<Rest> {
    let Scratch { response, down, .. } = scratch;
    loop {
        match response.parse(down, &RESPONSE_LIMITS, method).ok()? {
            Parsed::Complete(used) => {
                down.drain(..used);
                if !response.is_interim() {
                    return Some(Rest::of(response));
                }
            }
            Parsed::Partial => {
                if read(worker, down).await.ok()? == 0 {
                    return None;
                }
            }
        }
    }
}

/// What follows a response's head, and is dropped.
struct Rest {
    body: BodyReader,
    keeps: bool,
}

/// How an answer ended.
enum End {
    /// The connection can be used again.
    Clean,
    /// The worker has said its last byte and is about to close.
    Closing,
    /// It has closed, or should have.
    Closed,
}

impl Rest {
    fn of(response: &ResponseHead) -> Self {
        Self { body: BodyReader::from(response.body()), keeps: response.keep_alive() }
    }

    async fn read(mut self, worker: &mut Connection, down: &mut Vec<u8>) -> End {
        while !self.body.is_done() {
            let mut used = 0;
            while used < down.len() {
                let Ok(progress) = self.body.advance(&down[used..]) else { return End::Closed };
                used += progress.skip + progress.data;
                if progress.state == State::Done || progress.skip + progress.data == 0 {
                    break;
                }
            }
            down.drain(..used);
            if !self.body.is_done() && !matches!(read(worker, down).await, Ok(1..)) {
                return End::Closed;
            }
        }
        match self.keeps {
            true if down.is_empty() => End::Clean,
            true => End::Closed,
            false => End::Closing,
        }
    }
}
