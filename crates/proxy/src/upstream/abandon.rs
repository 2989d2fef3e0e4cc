//! A lease nobody waits for any more, whose worker still computes.
//!
//! The slot stays taken until the worker is done: to free it earlier would put the next request
//! behind a computation that the worker cannot stop. The answer is read and thrown away; if it
//! ends cleanly even the connection lives on (design: "the lease ends when the worker is done").

use std::{future::poll_fn, io, time::Instant};

use isobar_balance::Outcome;
use isobar_http1::{BodyReader, ResponseHead, State};
use isobar_pool::Lease;

use super::{
    Answered, Came, Upstream,
    finish::{self, Left},
};
use crate::{
    downstream::incoming::Incoming,
    scratch::{self, Scratch},
};

/// Sees an abandoned lease to its end, on a task of its own. `method`: of the request it was for;
/// `outcome`: the worker's failure if a deadline gave up on it, nobody's if the client did.
pub(crate) fn see_out(method: &[u8], mut lease: Lease, mut worker: Upstream, outcome: Outcome) {
    let patience = lease.policy().abandon_after;
    let method = Box::<[u8]>::from(method);
    lease.abandon();
    tokio::task::spawn_local(async move {
        let mut scratch = Scratch::lend();
        // Whoever had it before may have left in the middle of a head.
        scratch.response.reset();
        let answer = async {
            let rest = read_head(&mut worker, &mut scratch, &method).await?;
            Some(rest.read(&mut worker, &mut scratch.down).await)
        };
        let end = tokio::time::timeout(patience, answer).await;
        drop(scratch);
        let left = end.ok().flatten().unwrap_or(Left::Broken);
        finish::answered(lease, worker, left, outcome, Instant::now());
    });
}

/// Drops an answer whose head is in `scratch.response`, because the request is tried again. Its
/// lease, too, ends when the worker is done.
pub(crate) fn discard(scratch: &mut Scratch, incoming: &Incoming, answered: Answered) {
    let Answered { lease, mut worker, upload } = answered;
    let outcome = Outcome::Served { status: scratch.response.status() };
    let mut rest = Rest::of(&scratch.response);
    rest.keeps &= upload.finished(incoming, &scratch.up) && !upload.gave_up();
    let mut down = std::mem::take(&mut scratch.down);
    down.drain(..std::mem::take(&mut scratch.parsed));
    let patience = lease.policy().abandon_after;
    tokio::task::spawn_local(async move {
        let end = tokio::time::timeout(patience, rest.read(&mut worker, &mut down)).await;
        scratch::recycle(&mut down);
        let left = end.unwrap_or(Left::Broken);
        finish::answered(lease, worker, left, outcome, Instant::now());
    });
}

/// Reads behind what is in `down`.
async fn read(worker: &mut Upstream, down: &mut Vec<u8>) -> io::Result<usize> {
    poll_fn(|cx| worker.poll_read(cx, down)).await
}

/// Reads up to the end of a response's head.
async fn read_head(worker: &mut Upstream, scratch: &mut Scratch, method: &[u8]) -> Option<Rest> {
    let Scratch { response, down, .. } = scratch;
    loop {
        match poll_fn(|cx| worker.poll_head(cx, down, response, method)).await {
            Came::Head(used) => {
                down.drain(..used);
                return Some(Rest::of(response));
            }
            Came::Interim => {}
            Came::Broke(_) | Came::Bad(_) => return None,
        }
    }
}

/// What follows a response's head, and is dropped.
struct Rest {
    body: BodyReader,
    keeps: bool,
}

impl Rest {
    fn of(response: &ResponseHead) -> Self {
        Self { body: BodyReader::from(response.body()), keeps: response.keep_alive() }
    }

    async fn read(mut self, worker: &mut Upstream, down: &mut Vec<u8>) -> Left {
        while !self.body.is_done() {
            let mut used = 0;
            while used < down.len() {
                let Ok(progress) = self.body.advance(&down[used..]) else { return Left::Broken };
                used += progress.skip + progress.data;
                if progress.state == State::Done || progress.skip + progress.data == 0 {
                    break;
                }
            }
            down.drain(..used);
            if !self.body.is_done() && !matches!(read(worker, down).await, Ok(1..)) {
                return Left::Broken;
            }
        }
        match self.keeps {
            true if down.is_empty() => Left::Clean,
            true => Left::Broken,
            false => Left::Closing,
        }
    }
}
