//! One accepted socket: lease, connect, relay, finish; one log line and one set of metrics.

use std::{
    future::Future,
    net::IpAddr,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use isobar_balance::{Outcome, Tried, outlier::Asked};
use isobar_pool::{Connection, Lease, LeaseError, LeaseRequest, Leased, Pool, Stream, Target};

use super::{
    relay::{Early, How, RelayEnd, Silence, relay},
    waiting::Watch,
};
use crate::{
    access_log::{AccessLog, Entry},
    asker::Peer,
    complaint::Fault,
    context::ProxyContext,
    forwarded,
    metrics::ListenerMetrics,
    reason::Reason,
    table::ListenerPlan,
    upstream::{
        finish,
        unconnected::{self, FREE_TRIES},
    },
};

/// Serves `stream` to its end. `early`: what was read of it.
pub(crate) async fn serve_tcp(
    context: &ProxyContext,
    listener: &ListenerPlan,
    pool: &Arc<Pool>,
    stream: Stream,
    early: Vec<u8>,
    ip: Option<IpAddr>,
) {
    let terms = Terms {
        listener: &listener.name,
        silence: Silence::of(&listener.timeouts),
        metrics: &listener.metrics,
        log: &context.access_log,
    };
    serve(&terms, pool, stream, early, ip).await;
}

/// What of its listener a connection needs.
struct Terms<'a> {
    listener: &'a str,
    silence: Silence,
    metrics: &'a ListenerMetrics,
    log: &'a AccessLog,
}

async fn serve(
    terms: &Terms<'_>,
    pool: &Arc<Pool>,
    mut stream: Stream,
    early: Vec<u8>,
    ip: Option<IpAddr>,
) {
    let mut record = Record::new();
    match reach(pool, &mut stream, ip, &mut record).await {
        Ok((lease, mut worker)) => {
            if lease.was_queued() {
                pool.observe_handover(lease.granted_at().elapsed());
            }
            let count = |up, down| terms.metrics.add_bytes(up, down);
            let early = Early { from_client: early, from_worker: Vec::new() };
            let end = relay(&mut stream, worker.stream_mut(), early, terms.silence, count).await;
            // The slot is free only once its connection is closed.
            drop(worker);
            // What a worker was not sent it cannot have broken on.
            let asked = if end.from_client == 0 { Asked::Unseen } else { Asked::by(ip) };
            record.over(&end);
            let served = Outcome::Served { status: 0 };
            finish::ended(lease, record.reason.map_or(served, Reason::outcome), asked);
        }
        Err(reason) => {
            record.reason = Some(reason);
            // It got nothing from anybody: a clean end would look like an empty answer.
            let _ = stream.set_linger_zero();
        }
    }
    drop(stream);
    record.write(terms, pool, ip);
}

/// A connected worker, or why there is none. A worker that refuses costs nothing but the next one;
/// any other failure to connect is tried once more, elsewhere if there is somebody else.
async fn reach(
    pool: &Arc<Pool>,
    stream: &mut Stream,
    ip: Option<IpAddr>,
    record: &mut Record,
) -> Result<(Lease, Connection), Reason> {
    let asker = Peer(ip);
    let mut tried = Tried::new();
    let mut again = true;
    let mut failed = None;
    loop {
        let mut lease = match lease(pool, stream, &asker, &tried, record).await {
            Ok(lease) => lease,
            // Nobody is left: what the last one said tells more.
            Err(reason) => return Err(failed.unwrap_or(reason)),
        };
        record.attempts += 1;
        record.worker = Some(Arc::clone(lease.target()));
        let dialling = Instant::now();
        let dialled = dial(&mut lease, stream).await;
        record.connect += dialling.elapsed();
        let (reason, words) = match dialled {
            Ok(worker) => {
                record.words = None;
                return Ok((lease, worker));
            }
            Err(why) => why,
        };
        record.words = words;
        let refused = reason == Reason::ConnectRefused;
        // Who refused is closed to all; it need not be remembered.
        if !refused {
            tried.insert(lease.target().id());
        }
        lease.finish(reason.outcome());
        let free = refused && record.attempts < FREE_TRIES;
        let gone = reason == Reason::ClientGone;
        if gone || !free && !std::mem::replace(&mut again, false) {
            return Err(reason);
        }
        pool.count_retry();
        failed = Some(reason);
    }
}

/// Also in the system's words.
type Undialled = (Reason, Option<String>);

/// A connection to the lease's worker, if the client waits for it.
async fn dial(lease: &mut Lease, stream: &mut Stream) -> Result<Connection, Undialled> {
    let (mut dialled, mut watch) = (pin!(lease.dial()), Watch::new());
    let connected = std::future::poll_fn(|cx| {
        if let Poll::Ready(connected) = dialled.as_mut().poll(cx) {
            return Poll::Ready(Some(connected));
        }
        watch.poll_left(stream, cx).map(|()| None)
    });
    match connected.await {
        Some(connected) => {
            connected.map_err(|error| (unconnected::told(&error), Some(error.to_string())))
        }
        None => Err((Reason::ClientGone, None)),
    }
}

/// A slot, at once or through the queue; in the queue only for as long as the client is there.
async fn lease(
    pool: &Arc<Pool>,
    stream: &mut Stream,
    asker: &Peer,
    tried: &Tried,
    record: &mut Record,
) -> Result<Lease, Reason> {
    let (now, waited) = (Instant::now(), record.queue);
    let asked = match pool.lease(&LeaseRequest { asker, tried, now, waited }) {
        // Everybody was tried: the same worker again rather than nobody.
        Err(LeaseError::NoOther) => {
            pool.lease(&LeaseRequest { asker, tried: &Tried::new(), now, waited })
        }
        asked => asked,
    };
    let wait = match asked.map_err(Reason::from)? {
        Leased::Ready(lease) => return Ok(lease),
        Leased::Queued(wait) => wait,
    };
    let (mut wait, mut watch) = (pin!(wait), Watch::new());
    let queued = Instant::now();
    let granted = std::future::poll_fn(|cx| {
        if let Poll::Ready(granted) = wait.as_mut().poll(cx) {
            return Poll::Ready(granted.map_err(Reason::from));
        }
        watch.poll_left(stream, cx).map(|()| Err(Reason::ClientGone))
    })
    .await;
    record.queue += match &granted {
        Ok(lease) => lease.queued(),
        Err(_) => queued.elapsed(),
    };
    granted
}

/// What the log will say.
struct Record {
    at: SystemTime,
    started: Instant,
    queue: Duration,
    connect: Duration,
    worker: Option<Arc<Target>>,
    attempts: u32,
    received: u64,
    sent: u64,
    reason: Option<Reason>,
    /// Of the last connect that failed.
    words: Option<String>,
}

impl Record {
    fn new() -> Self {
        Self {
            at: SystemTime::now(),
            started: Instant::now(),
            queue: Duration::ZERO,
            connect: Duration::ZERO,
            worker: None,
            attempts: 0,
            received: 0,
            sent: 0,
            reason: None,
            words: None,
        }
    }

    fn over(&mut self, end: &RelayEnd) {
        (self.received, self.sent) = (end.from_client, end.from_worker);
        self.reason = match end.how {
            How::Done | How::Idle => None,
            How::ClientReset => Some(Reason::ClientGone),
            How::WorkerReset if end.from_worker == 0 => Some(Reason::ResetBeforeHead),
            How::WorkerReset => Some(Reason::ResetMidBody),
        };
    }

    fn write(&self, terms: &Terms<'_>, pool: &Pool, ip: Option<IpAddr>) {
        let fault = self.reason.filter(|reason| reason.is_the_workers());
        let fault = fault.zip(self.words.as_deref()).zip(self.worker.as_ref());
        if fault.is_none() && !terms.log.enabled() {
            return;
        }
        let id = forwarded::new_request_id(forwarded::since_epoch());
        if let Some(((reason, words), worker)) = fault {
            let (pool, worker) = (pool.name(), worker.name());
            Fault { pool, worker, request_id: &id, reason, words }.log();
        }
        terms.log.write(&Entry {
            client_ip: ip.map(|ip| ip.to_canonical()),
            proto: Some("tcp"),
            bytes_in: self.received,
            bytes_out: self.sent,
            body_out: self.sent,
            duration: self.started.elapsed(),
            queue: self.queue,
            connect: self.connect,
            pool: Some(pool.name()),
            worker: self.worker.as_ref().map(|worker| worker.name()),
            attempts: self.attempts,
            reason: self.reason.map(Reason::code),
            ..Entry::of(self.at, terms.listener, &id)
        });
    }
}

#[cfg(test)]
mod tests;
