//! One attempt: a lease, a connection, the request written, the response head read.
//!
//! An attempt decides nothing about what follows: it says what happened and whether the same
//! request may be tried again; `exchange` decides. A failed attempt has ended its lease.

use std::{task::Poll, time::Duration};

use isobar_balance::{Failure, Outcome};
use isobar_http1::{Limits, Parsed};
use isobar_pool::{ConnectError, Connection, Lease, Reuse};
use tokio::time::Instant;

use crate::{
    abandon,
    client::{Gone, poll_read},
    exchange::Exchange,
    reason::Reason,
    retry::Again,
    route::Routed,
    table::ClientFin,
    upload::{Broken, Upload},
};

/// Interim responses passed on per request, and read at all (UP-12).
const INTERIM_PASSED: u32 = 8;
const INTERIM_READ: u32 = 64;

/// A worker's head may be this large.
pub(crate) const RESPONSE_LIMITS: Limits = Limits { head_bytes: 64 * 1024, headers: 256, uri: 0 };

#[expect(clippy::large_enum_variant, reason = "moved once; a box would allocate per attempt")]
pub(crate) enum Attempt {
    /// `scratch.response` holds the head, `scratch.down` what came behind it.
    Answered(Answered),
    Failed(Reason, Again),
}

/// A worker's response head, and what is needed to forward what follows it.
pub(crate) struct Answered {
    pub(crate) lease: Lease,
    pub(crate) worker: Connection,
    pub(crate) upload: Upload,
}

/// How the wait for a response head ended.
enum Wait {
    Head,
    Interim,
    /// The connection ended or broke first.
    Broke,
    BadResponse,
    FirstByteTimeout,
    RequestTimeout,
    BodyTimeout,
    Client(Reason),
}

pub(crate) async fn run(exchange: &mut Exchange<'_>, mut lease: Lease) -> Attempt {
    // A reused connection may have died unseen. What may be executed twice is simply written
    // again; anything else takes only a connection that was just looked at.
    let reuse = if exchange.may_repeat() { Reuse::Any } else { Reuse::Live };
    let mut kept = lease.reuse(reuse);
    loop {
        let worker = match kept.take() {
            Some(worker) => worker,
            None => {
                let connecting = std::time::Instant::now();
                let connected = lease.dial().await;
                exchange.record.connect += connecting.elapsed();
                match connected {
                    Ok(worker) => worker,
                    Err(error) => return refused(lease, &error),
                }
            }
        };
        let rested = worker.rested();
        match write_and_wait(exchange, lease, worker).await {
            Ok(answered) => return Attempt::Answered(answered),
            Err(Lost::Given(reason, again)) => return Attempt::Failed(reason, again),
            Err(Lost::Connection { lease: same, wrote }) => {
                if let Some(rested) = rested
                    && (wrote == 0 || exchange.may_repeat())
                    && exchange.holds_whole_request()
                    && exchange.record.sent == 0
                {
                    // It was being closed: no more than that is known of the worker.
                    same.was_closed(rested);
                    lease = same;
                    continue;
                }
                same.finish(Outcome::Failed(Failure::Reset));
                let again = if wrote == 0 { Again::Unsent } else { Again::Unanswered };
                return Attempt::Failed(Reason::ResetBeforeHead, again);
            }
        }
    }
}

/// An attempt without an answer.
enum Lost {
    /// Only the connection failed.
    Connection { lease: Lease, wrote: u64 },
    /// It was given up, and its lease has ended or will without us.
    Given(Reason, Again),
}

fn refused(lease: Lease, error: &ConnectError) -> Attempt {
    let (failure, reason, again) = match error {
        ConnectError::Refused => (Failure::ConnectRefused, Reason::ConnectRefused, Again::Free),
        ConnectError::Timeout => (Failure::ConnectTimeout, Reason::ConnectTimeout, Again::Unsent),
        _ => (Failure::ConnectError, Reason::ConnectRefused, Again::Unsent),
    };
    lease.finish(Outcome::Failed(failure));
    Attempt::Failed(reason, again)
}

async fn write_and_wait(
    exchange: &mut Exchange<'_>,
    mut lease: Lease,
    mut worker: Connection,
) -> Result<Answered, Lost> {
    let mut upload = exchange.compose(&lease);
    let handed_over = lease.was_queued().then(|| lease.granted_at());
    let body_idle = exchange.listener.timeouts.body_idle;
    let limits = exchange.limits();
    // Without a body to send, waiting begins with the lease; a connect only makes it shorter.
    let whole = exchange.incoming.ended();
    let spooled = exchange.incoming.spool.is_some();
    let begun = (whole && !spooled).then(|| Instant::from_std(lease.granted_at()));
    let mut clock = Clock { limits, body_idle, begun, whole, sent: false, phase: None };
    let mut interim = 0;
    loop {
        let wait = wait(exchange, &mut upload, &mut worker, &mut clock, handed_over).await;
        let reason = match wait {
            Wait::Head => {
                exchange.now = std::time::Instant::now();
                lease.answered(exchange.scratch.response.status(), exchange.now);
                exchange.record.first_byte = Some(exchange.now - exchange.started);
                return Ok(Answered { lease, worker, upload });
            }
            Wait::Interim => {
                interim += 1;
                if interim <= INTERIM_READ {
                    if interim > INTERIM_PASSED || exchange.pass_interim().await.is_ok() {
                        continue;
                    }
                    lease.finish(Outcome::ClientGone);
                    return Err(Lost::Given(Reason::ClientGone, Again::Never));
                }
                Reason::BadResponse
            }
            Wait::Broke => return Err(Lost::Connection { lease, wrote: upload.total() }),
            Wait::BadResponse => Reason::BadResponse,
            Wait::FirstByteTimeout => Reason::FirstByteTimeout,
            Wait::RequestTimeout => Reason::RequestTimeout,
            Wait::BodyTimeout => Reason::BodyTimeout,
            Wait::Client(reason) => reason,
        };
        let whole = upload.finished(&exchange.incoming, &exchange.scratch.up) && !upload.gave_up();
        let silent = exchange.scratch.down.is_empty() && interim == 0;
        let late = matches!(reason, Reason::FirstByteTimeout | Reason::RequestTimeout);
        if lease.limited() && whole && silent && reason != Reason::BadResponse {
            // A worker that misses a deadline has failed, whoever holds its slot meanwhile.
            let outcome = if late { Outcome::Failed(Failure::Timeout) } else { Outcome::Abandoned };
            abandon::see_out(exchange, lease, worker, outcome);
        } else {
            lease.finish(match reason {
                Reason::BadResponse => Outcome::Failed(Failure::Protocol),
                _ if late => Outcome::Failed(Failure::Timeout),
                _ => Outcome::ClientGone,
            });
        }
        let per_try = exchange.route.as_ref().is_some_and(|route| route.retry.per_try.is_some());
        let again = match reason {
            Reason::FirstByteTimeout if per_try => Again::Unanswered,
            _ => Again::Never,
        };
        return Err(Lost::Given(reason, again));
    }
}

/// Writes the request and reads until a head is whole, whichever needs what first.
async fn wait(
    exchange: &mut Exchange<'_>,
    upload: &mut Upload,
    worker: &mut Connection,
    clock: &mut Clock,
    mut handed_over: Option<std::time::Instant>,
) -> Wait {
    let Exchange { client, scratch, incoming, listener, route, .. } = exchange;
    let answer = listener.client_fin == ClientFin::Answer;
    std::future::poll_fn(|cx| {
        if !upload.finished(incoming, &scratch.up) {
            let before = upload.total();
            let wrote =
                upload.poll(cx, client, incoming, worker, &mut scratch.up, &mut scratch.body);
            if upload.total() != before {
                clock.moved();
                let to = route.as_ref().and_then(Routed::destination);
                if let (Some(granted), Some(to)) = (handed_over.take(), to) {
                    to.pool.observe_handover(granted.elapsed());
                }
            }
            match wrote {
                Poll::Ready(Ok(())) => clock.sent(),
                Poll::Ready(Err(Broken::Worker)) => upload.give_up(),
                Poll::Ready(Err(Broken::Client(reason))) => {
                    return Poll::Ready(Wait::Client(reason));
                }
                Poll::Pending => {}
            }
        }
        loop {
            if !scratch.down.is_empty() {
                let method = scratch.request.method();
                match scratch.response.parse(&scratch.down, &RESPONSE_LIMITS, method) {
                    Ok(Parsed::Complete(used)) => {
                        if scratch.response.is_interim() {
                            scratch.down.drain(..used);
                            return Poll::Ready(Wait::Interim);
                        }
                        scratch.parsed = used;
                        return Poll::Ready(Wait::Head);
                    }
                    Ok(Parsed::Partial) => {}
                    Err(_) => return Poll::Ready(Wait::BadResponse),
                }
            }
            crate::scratch::furnish(&mut scratch.down);
            match poll_read(worker, cx, &mut scratch.down) {
                Poll::Ready(Ok(1..)) => {}
                // A head that breaks off is no head.
                Poll::Ready(_) => return Poll::Ready(Wait::Broke),
                Poll::Pending => break,
            }
        }
        if incoming.ended() {
            match client.poll_gone(cx) {
                Poll::Ready(Gone::Fin) if answer => {}
                Poll::Ready(_) => return Poll::Ready(Wait::Client(Reason::ClientGone)),
                Poll::Pending => {}
            }
        }
        let (at, ended) = clock.next();
        client.deadline.poll_at(cx, at).map(|()| ended)
    })
    .await
}

/// The instants an attempt must not outlive.
#[derive(Clone, Copy)]
pub(crate) struct AttemptLimits {
    pub(crate) first_byte: Option<Duration>,
    pub(crate) request: Option<Instant>,
}

/// What the wait may last; interim responses do not wind it up again.
struct Clock {
    limits: AttemptLimits,
    body_idle: Duration,
    /// When the wait for the answer began, if that is known without looking at the clock.
    begun: Option<Instant>,
    /// Nothing more is awaited from the client: if the writing stops, the worker does not read.
    whole: bool,
    sent: bool,
    /// When the current phase ends; computed on its first wait.
    phase: Option<Instant>,
}

impl Clock {
    fn moved(&mut self) {
        self.phase = None;
    }

    fn sent(&mut self) {
        self.sent = true;
        self.phase = None;
    }

    fn next(&mut self) -> (Instant, Wait) {
        /// "Never", as far as a connection is concerned.
        const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let of_worker = self.sent || self.whole;
        let limit = if of_worker { self.limits.first_byte.unwrap_or(FAR) } else { self.body_idle };
        let begun = self.begun.filter(|_| self.sent);
        let begin = || begun.unwrap_or_else(Instant::now) + limit;
        let phase = *self.phase.get_or_insert_with(begin);
        match self.limits.request {
            Some(request) if request < phase => (request, Wait::RequestTimeout),
            _ if of_worker => (phase, Wait::FirstByteTimeout),
            _ => (phase, Wait::BodyTimeout),
        }
    }
}
