//! The body: read from the worker, kept where the client is slow, written to the client, until both
//! are done or one of them breaks.

mod worker;

use std::{sync::Arc, task::Poll};

use isobar_http1::{BodyReader, Connection as Keep, FieldId, ResponseBody, ResponseFraming};
use isobar_pool::Lease;
use tokio::time::Instant;

use super::{
    encoding::Encoding,
    head,
    kind::{asks_for_no_buffering, is_event_stream, is_grpc},
};
use crate::{
    exchange::{Exchange, next::Next, spool::overflow::Overflow},
    reason::Reason,
    scratch::{self, BUFFER, Scratch},
    table::ClientFin,
    upstream::{
        Upstream,
        upload::{Awaited, Broken, Upload},
    },
};

pub(super) struct Download {
    /// Until the worker is done.
    from: Option<(Lease, Upstream)>,
    reader: BodyReader,
    framing: ResponseFraming,
    encoding: Option<Box<Encoding>>,
    upload: Upload,
    /// Bytes of `scratch.out` that the client's socket has taken.
    sent: usize,
    /// Read on from the worker while this much waits for the client.
    window: usize,
    /// Whether the answer has begun to go out.
    stage: Stage,
    /// What neither the client nor memory takes goes to disk, from then on through this.
    may_spill: bool,
    overflow: Option<Box<Overflow>>,
    /// Of events: it has no end that could be late, and each of them is wanted at once.
    is_stream: bool,
    /// When the worker has said nothing for this long, the body has broken.
    idle: std::time::Duration,
    /// Whose move it was when nothing moved any more.
    awaited: By,
    worker_keeps: bool,
    client_keeps: bool,
}

/// Who is waited for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Worker,
    Client,
}

/// How far an answer is on its way to the client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Its head is here, and goes out with what has come of the body.
    Ready,
    /// It goes out once all of its body, so many bytes, is here.
    Held(usize),
    /// Its head is laid out, and it is too late for another answer.
    Begun,
    /// The end of its body is laid out, too.
    Ended,
}

impl Download {
    pub(super) fn start(
        exchange: &mut Exchange<'_>,
        mut lease: Lease,
        worker: Upstream,
        upload: Upload,
    ) -> Self {
        let limited = lease.limited();
        let route = exchange.to().and_then(|to| to.buffer.response);
        let ahead = route.unwrap_or(lease.policy().buffer.response);
        let response = &exchange.scratch.response;
        let body = response.body();
        let held = match body {
            ResponseBody::Length(length) if length <= ahead as u64 => Some(length as usize),
            _ => None,
        };
        let kind = response.value(FieldId::ContentType).unwrap_or_default();
        let stream = is_event_stream(kind);
        // What is wanted piece by piece is not kept back, and its sender not deceived.
        let piecemeal = stream || is_grpc(kind) || asks_for_no_buffering(response);
        let large = !matches!(body, ResponseBody::None) && held.is_none();
        let may_spill = limited && ahead > 0 && large && !piecemeal;
        let patience = exchange.listener.timeouts.idle;
        let body_idle = exchange.to().and_then(|to| to.body_idle);
        let idle = if stream { patience } else { body_idle.unwrap_or(patience) };
        let worker_keeps = response.keep_alive();
        exchange.scratch.out.clear();
        if stream {
            lease.begin_tunnel(exchange.clock.now());
            exchange.listener = Arc::new(exchange.listener.without_routes());
        } else {
            lease.give_up_tunnel(exchange.clock.now());
        }
        Self {
            from: Some((lease, worker)),
            reader: BodyReader::from(body),
            framing: ResponseFraming::None,
            encoding: None,
            upload,
            sent: 0,
            window: if limited { ahead.max(BUFFER / 4) } else { 1 },
            stage: match held {
                Some(length) if limited && !piecemeal => Stage::Held(length),
                _ => Stage::Ready,
            },
            may_spill,
            overflow: None,
            is_stream: stream,
            idle,
            awaited: By::Worker,
            worker_keeps,
            client_keeps: false,
        }
    }

    /// From here on the answer goes out: its filters see it, and its head is laid out.
    fn begin(&mut self, exchange: &mut Exchange<'_>) {
        let Some((lease, _)) = &self.from else { return };
        let encoder = head::show(exchange, lease);
        let request = &exchange.scratch.request;
        let body = exchange.scratch.response.body();
        self.framing = exchange.downstream.framing(request.version(), body, encoder.is_none());
        self.encoding = encoder.map(Encoding::new);
        self.client_keeps = request.keep_alive()
            && self.framing != ResponseFraming::UntilClose
            && self.upload.finished(&exchange.incoming, &exchange.scratch.up)
            && !self.upload.gave_up()
            && exchange.downstream.may_stay()
            && !exchange.may_have_switched()
            && exchange.client_may_stay();
        let keep = if self.client_keeps { Keep::KeepAlive } else { Keep::Close };
        exchange.begin(self.framing, keep);
        self.stage = Stage::Begun;
    }

    pub(super) async fn run(&mut self, exchange: &mut Exchange<'_>) -> Result<(), Reason> {
        // What came with the head came at the same time.
        if let Err(reason) = self.take(exchange) {
            return Err(self.broke(exchange, reason));
        }
        let stall = exchange.listener.timeouts.write_stall;
        let body_idle = exchange.listener.timeouts.body_idle;
        // Who reads a stream and closes its side has left; a FIN before it began told nothing of it.
        let on_fin = match self.is_stream && !exchange.downstream.has_ended() {
            true => ClientFin::Abort,
            false => exchange.listener.client_fin,
        };
        let request_limit = exchange.limits().request.filter(|_| !self.is_stream);
        let mut until = None;
        let done = std::future::poll_fn(|cx| {
            loop {
                let mut moved = false;
                let Exchange { downstream, scratch, incoming, record, .. } = &mut *exchange;
                if self.sent < scratch.out.len() {
                    match downstream.poll_send(cx, &scratch.out[self.sent..]) {
                        Poll::Ready(Ok(wrote)) => {
                            record.forwarding = true;
                            record.sent += wrote as u64;
                            self.sent += wrote;
                            moved = true;
                        }
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Reason::ClientGone)),
                        Poll::Pending => {}
                    }
                    if self.sent == scratch.out.len() {
                        scratch.out.clear();
                        self.sent = 0;
                    }
                }
                // The rest of the request, if the worker answered before it had all of it.
                let mut awaited = Awaited::Answer;
                if let Some((_, worker)) = &mut self.from
                    && !self.upload.finished(incoming, &scratch.up)
                {
                    let Scratch { up, body, .. } = &mut **scratch;
                    let before = (incoming.received(), self.upload.total());
                    match self.upload.poll(cx, downstream, incoming, worker, up, body) {
                        Poll::Ready(Ok(())) | Poll::Pending => {}
                        Poll::Ready(Err(Broken::Worker)) => self.upload.give_up(),
                        Poll::Ready(Err(Broken::Client(reason))) => {
                            return Poll::Ready(Err(reason));
                        }
                    }
                    moved = (incoming.received(), self.upload.total()) != before;
                    awaited = self.upload.awaits(incoming, up);
                }
                // A client that still sends may only read once it has sent all.
                if (self.from.is_none() || self.upload.gave_up()) && !incoming.ended() {
                    if downstream.discard(cx).is_err() {
                        return Poll::Ready(Err(Reason::ClientGone));
                    }
                    incoming.drop_rest();
                }
                if let Some(overflow) = &mut self.overflow {
                    compact(&mut scratch.out, &mut self.sent);
                    match overflow.poll(cx, &mut scratch.out, self.sent, self.window) {
                        Ok(more) => moved |= more,
                        Err(_) => return Poll::Ready(Err(Reason::Internal)),
                    }
                }
                let waiting = scratch.out.len() - self.sent;
                let kept = self.overflow.as_ref().is_some_and(|overflow| !overflow.is_empty());
                if self.from.is_none() {
                    let before = scratch.out.len();
                    match self.end(exchange) {
                        Ok(false) if waiting == 0 && !kept => return Poll::Ready(Ok(())),
                        Ok(more) => moved |= more,
                        Err(reason) => return Poll::Ready(Err(reason)),
                    }
                    self.divert(exchange, before, kept);
                } else if (waiting < self.window && !kept)
                    || self.overflow.as_ref().is_some_and(|overflow| overflow.has_room())
                {
                    let before = scratch.out.len();
                    let step = match self.poll_body(exchange, cx) {
                        Poll::Ready(step) => step.map(|()| true),
                        Poll::Pending => self.flush(exchange),
                    };
                    self.divert(exchange, before, kept);
                    match step {
                        Ok(more) => moved |= more,
                        Err(reason) => return Poll::Ready(Err(reason)),
                    }
                } else if std::mem::take(&mut self.may_spill) {
                    let spill = exchange.to().and_then(|to| to.pool.spill());
                    self.overflow = spill.map(|spill| Box::new(Overflow::new(spill)));
                    moved = self.overflow.is_some();
                }
                if moved {
                    until = None;
                    // Encoding is work: the shard's other connections come first.
                    if self.encoding.is_some() {
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    continue;
                }
                self.rest(exchange, awaited);
                let received = exchange.incoming.received();
                let metrics = &exchange.listener.metrics;
                if let Some((lease, _)) = self.from.as_mut().filter(|_| self.is_stream) {
                    lease.poll_tunnel(cx);
                    exchange.record.count(metrics, received);
                } else {
                    exchange.record.count_large(metrics, received);
                }
                // Nothing moves: who left would otherwise be noticed with the worker's next byte,
                // which of an event stream may be far away.
                let on_fin = exchange.incoming.on_fin(on_fin);
                let Exchange { downstream, timer, .. } = &mut *exchange;
                if awaited != Awaited::Body && downstream.poll_left(cx, timer, on_fin).is_ready() {
                    return Poll::Ready(Err(Reason::ClientGone));
                }
                let waiting = exchange.scratch.out.len() > self.sent;
                let (limit, reason) = match awaited {
                    _ if waiting => (stall, Reason::WriteTimeout),
                    Awaited::Body => (body_idle, Reason::BodyTimeout),
                    Awaited::Room | Awaited::Answer => (self.idle, Reason::SilentMidBody),
                };
                self.awaited = match waiting || awaited == Awaited::Body {
                    true => By::Client,
                    false => By::Worker,
                };
                let until = *until.get_or_insert_with(|| Instant::now() + limit);
                let (at, reason) = match request_limit {
                    Some(at) if at < until => (at, Reason::RequestTimeout),
                    _ => (until, reason),
                };
                let passed = exchange.timer.poll_at(cx, at);
                return passed.map(|()| Err(reason));
            }
        })
        .await;
        done.map_err(|reason| self.broke(exchange, reason))
    }

    /// What came behind `before` goes the long way where something waits there already, or memory
    /// has no room for it.
    fn divert(&mut self, exchange: &mut Exchange<'_>, before: usize, kept: bool) {
        let Some(overflow) = &mut self.overflow else { return };
        let out = &mut exchange.scratch.out;
        if kept || before.saturating_sub(self.sent) >= self.window {
            overflow.push(&out[before..]);
            out.truncate(before);
        }
    }

    /// Nothing moves, perhaps for long: buffers with nothing in them go back.
    fn rest(&mut self, exchange: &mut Exchange<'_>, awaited: Awaited) {
        let Scratch { up, down, out, .. } = &mut *exchange.scratch;
        if down.is_empty() {
            scratch::recycle(down);
        }
        if out.is_empty() {
            scratch::recycle(out);
        }
        if awaited == Awaited::Answer {
            self.upload.rest(up);
        }
    }

    /// It is too late for another answer.
    pub(super) fn has_begun(&self) -> bool {
        matches!(self.stage, Stage::Begun | Stage::Ended)
    }

    pub(super) fn next(&self, exchange: &Exchange<'_>) -> Next {
        let whole_request = exchange.incoming.ended() && !self.upload.gave_up();
        let asked_to = !exchange.scratch.request.keep_alive();
        match self.client_keeps {
            _ if !whole_request => Next::Linger,
            true => Next::Request,
            false if exchange.downstream.has_ended() || asked_to => Next::Close,
            false => Next::Part,
        }
    }
}

/// Makes room in front of what is not sent yet.
fn compact(out: &mut Vec<u8>, sent: &mut usize) {
    if *sent > 0 && out.len() >= BUFFER {
        out.drain(..*sent);
        *sent = 0;
    }
}
