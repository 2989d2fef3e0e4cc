//! What is known of one request once it is over: its log line and its metrics.

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use isobar_http1::{FieldId, RequestHead, Version};
use isobar_pool::{Lease, Target};

use crate::{
    access_log::{AccessLog, Entry},
    metrics::ListenerMetrics,
    reason::Reason,
    route::Routed,
    table::ListenerPlan,
};

#[derive(Default)]
pub(crate) struct Record {
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    pub(crate) attempts: u32,
    pub(crate) queued: Duration,
    pub(crate) connect: Duration,
    pub(crate) first_byte: Option<Duration>,
    /// Only if somebody will read it: the log.
    pub(crate) worker: Option<Arc<Target>>,
    /// Who is to blame, and what for, in the parser's or the system's words; of the last attempt.
    pub(crate) blamed: Option<Arc<Target>>,
    pub(crate) words: Option<Box<str>>,
    /// Bytes of the response, head included, that the client's socket has taken.
    pub(crate) sent: u64,
    /// Bytes read beyond a request's body: a tunnel's.
    pub(crate) received: u64,
    /// Bytes received and sent that the metrics know of.
    counted: (u64, u64),
    /// Length of the response's head as sent.
    pub(crate) head: u64,
    /// Bytes of the response's body.
    pub(crate) body: u64,
    /// Some of the worker's answer has gone out.
    pub(crate) forwarding: bool,
    /// A tunnel has taken it over, and writes it when it ends.
    pub(crate) taken: bool,
}

/// What a log line says beside a [`Record`].
pub(crate) struct Facts<'a> {
    /// Of a head that was refused nothing is said.
    pub(crate) request: Option<&'a RequestHead>,
    pub(crate) id: &'a [u8],
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) listener: &'a ListenerPlan,
    pub(crate) route: Option<&'a Routed>,
    /// Of the request's body, and of what followed it.
    pub(crate) received: u64,
    pub(crate) took: Duration,
    /// A filter answered: no pool had a part in it.
    pub(crate) answered: bool,
}

impl Record {
    /// Tells the metrics what has moved since they were last told: what lives for hours is not only
    /// seen when it is over. `received`: of the request's body.
    pub(crate) fn count(&mut self, metrics: &ListenerMetrics, received: u64) {
        let now = (received + self.received, self.sent);
        let (received, sent) = std::mem::replace(&mut self.counted, now);
        metrics.add_bytes(now.0 - received, now.1 - sent);
    }

    /// The same for a body under way, once it is worth it.
    pub(crate) fn count_large(&mut self, metrics: &ListenerMetrics, received: u64) {
        const LARGE: u64 = 1 << 20;
        let new = (received + self.received - self.counted.0) + (self.sent - self.counted.1);
        if new >= LARGE {
            self.count(metrics, received);
        }
    }

    /// Its line in the access log.
    pub(crate) fn log(&self, log: &AccessLog, facts: &Facts<'_>) {
        let Facts { request, took, received, route, .. } = *facts;
        let path = request.map(|request| request.path_and_query());
        let pool = route.and_then(Routed::destination).filter(|_| !facts.answered);
        log.write(&Entry {
            at: SystemTime::now().checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH),
            request_id: facts.id,
            client_ip: facts.client_ip,
            listener: &facts.listener.name,
            proto: request.map(|request| match request.version() {
                Version::Http10 => "HTTP/1.0",
                Version::Http11 => "HTTP/1.1",
            }),
            method: request.map(|request| request.method()),
            host: request.map(|request| request.authority()),
            target: request.map(|request| request.target()),
            path: path.map(|path| path.split(|&byte| byte == b'?').next().unwrap_or(path)),
            status: Some(self.shown_status()),
            bytes_in: received,
            bytes_out: self.sent,
            // As nginx counts: with the framing of chunks.
            body_out: self.sent.saturating_sub(self.head),
            duration: took,
            queue: self.queued,
            connect: self.connect,
            first_byte: self.first_byte,
            route: route.map(|route| route.name.as_str()),
            pool: pool.map(|to| to.pool.name()),
            worker: self.worker.as_ref().map(|worker| worker.name()),
            attempts: self.attempts,
            reason: self.reason.map(Reason::code),
            user_agent: request.and_then(|request| request.value(FieldId::UserAgent)),
            referrer: request.and_then(|request| request.value(FieldId::Referer)),
            authorization: request.and_then(|request| request.value(FieldId::Authorization)),
        });
    }

    /// Of the worker that this lease is of: should the request end so, the log says who it was, and
    /// what was wrong where that has not been said already.
    #[cold]
    pub(crate) fn blame(&mut self, lease: &Lease, words: Option<String>) {
        self.blamed = Some(Arc::clone(lease.target()));
        if let Some(words) = words {
            self.words = Some(words.into());
        }
    }

    /// Of an exchange without an answer: what nginx says when the client left.
    pub(crate) fn shown_status(&self) -> u16 {
        if self.status == 0 { 499 } else { self.status }
    }
}
