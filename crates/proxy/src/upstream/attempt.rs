//! One attempt: a lease, a connection, the request written, the response head read.
//!
//! An attempt decides nothing about what follows: it says what happened and whether the same
//! request may be tried again; `exchange` decides. A failed attempt has ended its lease.

use std::{future::Future, task::Poll, time::Duration};

use isobar_balance::{Outcome, outlier::Asked};
use isobar_http1::{Body, FieldId};
use isobar_pool::{ConnectError, Connection, Lease, Reuse};
use tokio::time::Instant;

use super::{
    Answered, Came, Upstream, abandon, finish, unconnected,
    upload::{Awaited, Broken, Upload},
};
use crate::{
    clock::Clock,
    exchange::{
        AttemptLimits, Exchange, Expects, affinity,
        headers::{self, Source},
        retry::Again,
    },
    reason::Reason,
    route::Routed,
    scratch::{self, Scratch},
};

/// Interim responses passed on per request, and read at all (UP-12).
const INTERIM_PASSED: u32 = 8;
const INTERIM_READ: u32 = 64;

/// A worker may take this long to say 100, as long as curl waits for it.
const CONTINUE_PATIENCE: Duration = Duration::from_secs(1);

#[expect(clippy::large_enum_variant, reason = "moved once; a box would allocate per attempt")]
pub(crate) enum Attempt {
    /// `scratch.response` holds the head, `scratch.down` what came behind it.
    Answered(Answered),
    Failed(Reason, Again),
}

/// How the wait for a response head ended.
enum Wait {
    Head,
    Interim,
    /// The worker does not say that it wants the body.
    NoContinue,
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
                let connected = dial(exchange, &mut lease).await;
                exchange.record.connect += connecting.elapsed();
                match connected {
                    Ok(worker) => worker,
                    Err(unreached) => {
                        if let Unreached::Connect(error) = &unreached {
                            exchange.record.blame(&lease, Some(error.to_string()));
                        }
                        return not_reached(lease, &unreached);
                    }
                }
            }
        };
        let worker = Upstream::Http1(worker);
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
                exchange.record.blame(&same, None);
                let asked = if wrote == 0 { Asked::Unseen } else { exchange.asked() };
                let reason = Reason::ResetBeforeHead;
                finish::ended(same, reason.outcome(), asked);
                let again = if wrote == 0 { Again::Unsent } else { Again::Unanswered };
                return Attempt::Failed(reason, again);
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

/// Why there is no connection.
enum Unreached {
    Connect(ConnectError),
    RequestTimeout,
    ClientGone,
}

/// A new connection, unless the client or the request's deadline does not wait for it.
async fn dial(exchange: &mut Exchange<'_>, lease: &mut Lease) -> Result<Connection, Unreached> {
    let request = exchange.limits().request;
    let Exchange { downstream, timer, incoming, listener, .. } = exchange;
    let mut dialled = std::pin::pin!(lease.dial());
    std::future::poll_fn(|cx| {
        if let Poll::Ready(connected) = dialled.as_mut().poll(cx) {
            return Poll::Ready(connected.map_err(Unreached::Connect));
        }
        if downstream.poll_left(cx, timer, incoming.on_fin(listener.client_fin)).is_ready() {
            return Poll::Ready(Err(Unreached::ClientGone));
        }
        let Some(at) = request else { return Poll::Pending };
        timer.poll_at(cx, at).map(|()| Err(Unreached::RequestTimeout))
    })
    .await
}

fn not_reached(lease: Lease, why: &Unreached) -> Attempt {
    let (outcome, reason, again) = match why {
        Unreached::Connect(error) => {
            let reason = unconnected::told(error);
            let refused = error.is_refusal();
            (reason.outcome(), reason, if refused { Again::Free } else { Again::Unsent })
        }
        Unreached::RequestTimeout => (Outcome::NotSent, Reason::RequestTimeout, Again::Never),
        Unreached::ClientGone => (Outcome::ClientGone, Reason::ClientGone, Again::Never),
    };
    lease.finish(outcome);
    Attempt::Failed(reason, again)
}

async fn write_and_wait(
    exchange: &mut Exchange<'_>,
    mut lease: Lease,
    mut worker: Upstream,
) -> Result<Answered, Lost> {
    let mut upload = compose(exchange, &lease);
    let handed_over = lease.was_queued().then(|| lease.granted_at());
    let body_idle = exchange.listener.timeouts.body_idle;
    let limits = exchange.limits();
    let mut patience = Patience { limits, body_idle, asked: None, phase: None };
    let mut interim = 0;
    loop {
        let wait = wait(exchange, &mut upload, &mut worker, &mut patience, handed_over).await;
        let reason = match wait {
            Wait::Head => {
                let now = exchange.clock.now();
                lease.answered(exchange.scratch.response.status(), now);
                exchange.record.first_byte = Some(now - exchange.started);
                if let Some(to) = exchange.to() {
                    to.pool.observe_response(patience.waited(now));
                }
                return Ok(Answered { lease, worker, upload });
            }
            Wait::Interim => {
                interim += 1;
                if interim <= INTERIM_READ {
                    let before = exchange.clock.now();
                    if interim > INTERIM_PASSED || exchange.pass_interim().await.is_ok() {
                        // A client that takes it slowly is not the worker's slowness.
                        patience.held_up(exchange.clock.now() - before);
                        continue;
                    }
                    finish::cut(lease, worker, Outcome::ClientGone, exchange.asked());
                    return Err(Lost::Given(Reason::ClientGone, Again::Never));
                }
                exchange.record.words = Some("too many interim responses (1xx)".into());
                Reason::BadResponse
            }
            Wait::NoContinue => {
                if exchange.tell_continue().await.is_ok() {
                    continue;
                }
                finish::cut(lease, worker, Outcome::ClientGone, exchange.asked());
                return Err(Lost::Given(Reason::ClientGone, Again::Never));
            }
            Wait::Broke => return Err(Lost::Connection { lease, wrote: upload.total() }),
            Wait::BadResponse => Reason::BadResponse,
            Wait::FirstByteTimeout => Reason::FirstByteTimeout,
            Wait::RequestTimeout => Reason::RequestTimeout,
            Wait::BodyTimeout => Reason::BodyTimeout,
            Wait::Client(reason) => reason,
        };
        exchange.record.blame(&lease, None);
        let whole = upload.finished(&exchange.incoming, &exchange.scratch.up) && !upload.gave_up();
        let silent = exchange.scratch.down.is_empty() && interim == 0;
        // While the client's bytes are waited for, it is not the worker who is late.
        let late = match reason {
            Reason::FirstByteTimeout => true,
            Reason::RequestTimeout => {
                patience.phase.is_none_or(|(awaited, _)| awaited != Awaited::Body)
            }
            _ => false,
        };
        if lease.limited() && whole && silent && reason != Reason::BadResponse {
            let mut outcome = Outcome::Abandoned;
            if late {
                // A worker that misses a deadline has failed, whoever holds its slot meanwhile.
                let failure = exchange.lateness(reason);
                lease.blame(failure, exchange.asked());
                outcome = Outcome::Failed(failure);
            }
            abandon::see_out(exchange.scratch.request.method(), lease, worker, outcome);
        } else {
            let outcome = match late {
                true => Outcome::Failed(exchange.lateness(reason)),
                false => reason.outcome(),
            };
            finish::cut(lease, worker, outcome, exchange.asked());
        }
        let per_try = exchange.route.as_ref().is_some_and(|route| route.retry.per_try.is_some());
        let again = match reason {
            Reason::FirstByteTimeout if per_try => Again::Unanswered,
            _ => Again::Never,
        };
        return Err(Lost::Given(reason, again));
    }
}

/// The request as this lease's worker gets it, in `scratch.up`.
fn compose(exchange: &mut Exchange<'_>, lease: &Lease) -> Upload {
    let may_repeat = exchange.may_repeat();
    let trusted = exchange.trusts_peer();
    let Exchange { scratch, incoming, peer, listener, route, client_ip, expects, .. } = exchange;
    // A body that is held whole goes out with its length, however it came.
    let framing = match (scratch.request.body(), incoming.length(&scratch.body)) {
        // Trailers need chunks to stand behind.
        (Body::Chunked, Some(length)) if incoming.trailers().is_empty() => Body::Length(length),
        (body, _) => body,
    };
    scratch::furnish(&mut scratch.up);
    scratch.up.clear();
    scratch.down.clear();
    // Half a head of the attempt before is no part of this one's.
    scratch.response.reset();
    scratch.parsed = 0;
    if lease.policy().sticky {
        affinity::hide(&mut scratch.request, lease);
    }
    if *expects == Expects::Nothing {
        scratch.request.remove(FieldId::Expect);
    }
    let source = Source {
        peer: peer.ip,
        trusted,
        client: *client_ip,
        scheme: peer.scheme(),
        forwarding: &listener.forwarding,
        pseudonym: &peer.context().pseudonym,
    };
    headers::compose(scratch, &source, framing, lease);
    let keep = match route {
        Some(route) if !incoming.ended() && may_repeat => route.retry.replay,
        _ => 0,
    };
    Upload::start(framing, &scratch.body, incoming, keep, &mut scratch.up)
}

/// Writes the request and reads until a head is whole, whichever needs what first.
async fn wait(
    exchange: &mut Exchange<'_>,
    upload: &mut Upload,
    worker: &mut Upstream,
    patience: &mut Patience,
    mut handed_over: Option<std::time::Instant>,
) -> Wait {
    let Exchange {
        downstream,
        timer,
        scratch,
        incoming,
        listener,
        route,
        clock,
        record,
        expects,
        ..
    } = exchange;
    record.words = None;
    std::future::poll_fn(|cx| {
        if !upload.finished(incoming, &scratch.up) {
            let before = upload.total();
            let wrote =
                upload.poll(cx, downstream, incoming, worker, &mut scratch.up, &mut scratch.body);
            if upload.total() != before {
                patience.moved();
                record.count_large(&listener.metrics, incoming.received());
                let to = route.as_ref().and_then(Routed::destination);
                if let (Some(granted), Some(to)) = (handed_over.take(), to) {
                    to.pool.observe_handover(clock.now().saturating_duration_since(granted));
                }
            }
            match wrote {
                Poll::Ready(Ok(())) | Poll::Pending => {}
                Poll::Ready(Err(Broken::Worker)) => upload.give_up(),
                Poll::Ready(Err(Broken::Client(reason))) => {
                    return Poll::Ready(Wait::Client(reason));
                }
            }
        }
        let Scratch { request, response, down, parsed, .. } = &mut **scratch;
        match worker.poll_head(cx, down, response, request.method()) {
            Poll::Ready(Came::Head(used)) => {
                *parsed = used;
                return Poll::Ready(Wait::Head);
            }
            Poll::Ready(Came::Interim) => return Poll::Ready(Wait::Interim),
            Poll::Ready(Came::Broke(error)) => {
                record.words = error.map(|error| error.to_string().into());
                return Poll::Ready(Wait::Broke);
            }
            Poll::Ready(Came::Bad(error)) => {
                record.words = Some(error.to_string().into());
                return Poll::Ready(Wait::BadResponse);
            }
            Poll::Pending => {}
        }
        let awaited = upload.awaits(incoming, &scratch.up);
        if awaited == Awaited::Answer {
            upload.rest(&mut scratch.up);
            // Nor for a body that cannot be sent again.
            if !scratch.request.is_idempotent() {
                incoming.let_go(&mut scratch.body);
            }
        }
        let on_fin = incoming.on_fin(listener.client_fin);
        if awaited != Awaited::Body && downstream.poll_left(cx, timer, on_fin).is_ready() {
            return Poll::Ready(Wait::Client(Reason::ClientGone));
        }
        let (at, ended) = match (patience.next(awaited, clock), &mut *expects) {
            ((at, ended), Expects::Continue { until }) => {
                let until = *until.get_or_insert_with(|| Instant::now() + CONTINUE_PATIENCE);
                if until < at { (until, Wait::NoContinue) } else { (at, ended) }
            }
            (next, Expects::Nothing) => next,
        };
        timer.poll_at(cx, at).map(|()| ended)
    })
    .await
}

/// What the wait may last; interim responses do not wind it up again.
struct Patience {
    limits: AttemptLimits,
    body_idle: Duration,
    /// Since when the worker has all of the request, as far as it was waited for since.
    asked: Option<Instant>,
    /// What is waited for and until when, since something last moved; computed on its first wait.
    phase: Option<(Awaited, Instant)>,
}

impl Patience {
    fn moved(&mut self) {
        self.phase = None;
    }

    /// How long the worker has been asked for its answer.
    fn waited(&self, now: std::time::Instant) -> Duration {
        let now = Instant::from_std(now);
        self.asked.map_or(Duration::ZERO, |asked| now.saturating_duration_since(asked))
    }

    /// For this long we could not listen to the worker.
    fn held_up(&mut self, by: Duration) {
        if let Some(asked) = &mut self.asked {
            *asked += by;
        }
        if let Some((_, until)) = &mut self.phase {
            *until += by;
        }
    }

    fn next(&mut self, awaited: Awaited, clock: &mut Clock) -> (Instant, Wait) {
        /// "Never", as far as a connection is concerned.
        const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
        let until = match self.phase {
            Some((same, until)) if same == awaited => until,
            _ => {
                let now = Instant::from_std(clock.now());
                match awaited {
                    Awaited::Body => now + self.body_idle,
                    Awaited::Room => now + self.limits.first_byte.unwrap_or(FAR),
                    Awaited::Answer => {
                        let asked = *self.asked.get_or_insert(now);
                        asked + self.limits.first_byte.unwrap_or(FAR)
                    }
                }
            }
        };
        self.phase = Some((awaited, until));
        match (self.limits.request, awaited) {
            (Some(request), _) if request < until => (request, Wait::RequestTimeout),
            (_, Awaited::Body) => (until, Wait::BodyTimeout),
            (_, Awaited::Room | Awaited::Answer) => (until, Wait::FirstByteTimeout),
        }
    }
}
