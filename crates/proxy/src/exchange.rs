//! One request's life, in the order of the architecture's "one request". Read this first.
//!
//! [`run`] reads the head, finds the route, holds what the shield wants of the body, and then
//! asks the pool for a lease until an attempt is answered or nothing may be tried again. What
//! comes back is forwarded by `forward`. Dropping the [`Exchange`] writes one log line and one
//! set of metrics, however the request ended.

mod out;
mod refusal;
mod shield;

use std::{borrow::Cow, net::IpAddr, sync::Arc, task::Poll, time::Instant};

use isobar_balance::{Failure, Tried, outlier::Asked};
use isobar_http1::{Body, Parsed, Version};
use isobar_pool::{Lease, LeaseError, LeaseRequest, Leased, Pool};
use tokio::time::Instant as Deadline;

use crate::{
    abandon, affinity, answer, asker,
    attempt::{self, Attempt, AttemptLimits},
    client::Client,
    clock::Clock,
    filter::Passed,
    forward,
    h1::Next,
    headers,
    reason::Reason,
    record::Record,
    reply,
    retry::{Again, Tries},
    route::{Destination, Leads, RouteQuery, Routed, path::Slashes},
    scratch::{self, Scratch},
    table::{ClientFin, ListenerPlan, Serve},
    upload::{Incoming, Upload},
};

pub(crate) struct Exchange<'c> {
    pub(crate) client: &'c mut Client,
    pub(crate) listener: Arc<ListenerPlan>,
    pub(crate) route: Option<Routed>,
    /// Path and query that the route was found by, unless that is what the client sent.
    pub(crate) target: Option<Vec<u8>>,
    /// Where there are filters: those the request has passed.
    pub(crate) filters: Option<Passed>,
    pub(crate) scratch: &'c mut Scratch,
    pub(crate) incoming: Incoming,
    /// The client waits for a 100 that the worker has to say.
    pub(crate) expects: Expects,
    pub(crate) started: Instant,
    /// The only source of "now": an instant kept in a variable is wrong behind the next wait.
    pub(crate) clock: Clock,
    pub(crate) record: Record,
    /// Who the client is, past the proxies that are trusted.
    pub(crate) client_ip: Option<IpAddr>,
    /// A head was parsed: the log may speak of it.
    pub(crate) parsed: bool,
}

/// Serves the request whose first bytes are in the client's buffer.
pub(crate) async fn run(client: &mut Client) -> Next {
    let Some(listener) = client.plan() else { return Next::Close };
    let mut clock = Clock::new();
    let mut scratch = Scratch::lend();
    let mut exchange = Exchange {
        client,
        listener,
        route: None,
        target: None,
        filters: None,
        scratch: &mut scratch,
        incoming: Incoming::new(Body::None, 0),
        expects: Expects::Nothing,
        started: clock.now(),
        clock,
        record: Record::default(),
        client_ip: None,
        parsed: false,
    };
    match exchange.serve().await {
        Ok(next) => next,
        Err(reason) => exchange.refuse(reason).await,
    }
}

impl Exchange<'_> {
    async fn serve(&mut self) -> Result<Next, Reason> {
        self.read_head().await?;
        self.admit()?;
        let found = self.find_route();
        let chain = match &found {
            Ok(route) => route.filters.as_ref(),
            Err(Reason::NoRoute) => self.listener.filters.as_ref(),
            Err(_) => None,
        };
        if let Some(chain) = chain {
            let chain = Arc::clone(chain);
            self.pass(chain).await?;
        }
        let route = found?;
        let Destination { pool, .. } = match route.leads() {
            Leads::To(destination) => destination,
            Leads::Nowhere(answer) => return reply::run(self, answer).await,
        };
        if self.incoming.ended() {
            self.hold_nothing();
        } else {
            self.hold_body(pool).await?;
        }
        let mut tried = Tried::default();
        let mut tries = Tries::default();
        let mut last = Reason::NoWorker;
        loop {
            let lease = self.lease(pool, &tried, last).await?;
            if self.client.context.access_log.enabled() {
                self.record.worker = Some(Arc::clone(lease.target()));
            }
            let worker = lease.target().id();
            self.record.attempts += 1;
            if self.record.attempts == 1 {
                pool.count_request();
            }
            let attempt = attempt::run(self, lease).await;
            if !tried.is_empty() && matches!(attempt, Attempt::Answered(_)) {
                pool.answered_elsewhere(&tried, worker, self.asked());
            }
            let (reason, again) = match attempt {
                Attempt::Answered(answered) if tries.instead(self, pool) => {
                    abandon::discard(self, answered);
                    last = Reason::NoWorker;
                    tried.insert(worker);
                    continue;
                }
                Attempt::Answered(answered) => match forward::run(self, answered).await {
                    Ok(next) => return Ok(next),
                    // Not one byte of this answer went out yet.
                    Err(reason) => (reason, Again::Unanswered),
                },
                Attempt::Failed(reason, again) => (reason, again),
            };
            last = reason;
            // Who refused is closed to all; it need not be remembered.
            if again != Again::Free {
                tried.insert(worker);
            }
            if !tries.again(self, pool, reason, again) {
                return Err(reason);
            }
        }
    }

    /// Step 2: the head, whole, within `header_timeout` of its first byte.
    async fn read_head(&mut self) -> Result<(), Reason> {
        let limits = self.listener.limits.of_heads();
        let header = self.listener.timeouts.header;
        let Client { stream, inbuf, deadline, fin, .. } = &mut *self.client;
        let request = &mut self.scratch.request;
        request.reset();
        request.set_underscores(self.listener.underscores);
        let mut until = None;
        let used = loop {
            match request.parse(inbuf, &limits) {
                Ok(Parsed::Complete(used)) => break used,
                Ok(Parsed::Partial) => {}
                Err(error) => {
                    self.record.status = error.status();
                    self.record.words = Some(error.to_string().into());
                    return Err(Reason::of(error.reason()));
                }
            }
            let until = *until.get_or_insert_with(|| Deadline::now() + header);
            let read = deadline.within(until, |cx| stream.poll_recv(cx, inbuf)).await;
            match read {
                Some(Ok(1..)) => {}
                Some(_) => {
                    *fin = true;
                    return Err(Reason::ClientGone);
                }
                None => return Err(Reason::HeaderTimeout),
            }
        };
        if used == inbuf.len() {
            inbuf.clear();
        } else {
            inbuf.drain(..used);
        }
        self.parsed = true;
        let body = request.body();
        self.incoming = Incoming::new(body, self.listener.limits.body);
        Ok(())
    }

    /// What no route can allow.
    fn admit(&mut self) -> Result<(), Reason> {
        let request = &self.scratch.request;
        let forwarding = &self.listener.forwarding;
        self.client_ip = crate::forwarded::client_of(request, self.client.ip, forwarding);
        if headers::ends_here(request) {
            return Err(Reason::MethodNotAllowed);
        }
        if headers::passed_here_before(request, &self.client.context.pseudonym) {
            return Err(Reason::Loop);
        }
        let limit = self.listener.limits.body;
        if let Body::Length(length) = request.body()
            && limit != 0
            && length > limit
        {
            return Err(Reason::BodyTooLarge);
        }
        Ok(())
    }

    /// Step 3: host and path in their normal form, which is also the form that is forwarded.
    fn find_route(&mut self) -> Result<Routed, Reason> {
        let Serve::Http(routes) = &self.listener.serve else { return Err(Reason::Internal) };
        let request = &mut self.scratch.request;
        let target = request.path_and_query();
        let query = RouteQuery { target, client: self.client_ip, head: request };
        let found = routes.lead(&query).map_err(|error| {
            self.record.words = Some(error.to_string().into());
            Reason::BadRequest
        })?;
        let route = found.route.ok_or(Reason::NoRoute)?;
        if let Cow::Owned(target) = found.target {
            request.set_path(&target);
            self.target = Some(target);
        }
        self.route = Some(route.clone());
        Ok(route)
    }

    /// Step 5: a slot, at once or through the queue; in the queue only for as long as the client
    /// is there. `last`: how the attempt before ended.
    async fn lease(
        &mut self,
        pool: &Arc<Pool>,
        tried: &Tried,
        last: Reason,
    ) -> Result<Lease, Reason> {
        let asker = asker::Request { client_ip: self.client_ip, head: &self.scratch.request };
        let (now, waited) = (self.clock.now(), self.record.queued);
        let asked = match pool.lease(&LeaseRequest { asker: &asker, tried, now, waited }) {
            // Everybody was tried: the same worker again rather than nobody.
            Err(LeaseError::NoOther) => {
                let tried = &Tried::new();
                pool.lease(&LeaseRequest { asker: &asker, tried, now, waited })
            }
            asked => asked,
        };
        let wait = match asked {
            Ok(Leased::Ready(lease)) => return Ok(lease),
            Ok(Leased::Queued(wait)) => wait,
            // Nobody is left to try: say what the last one said.
            Err(LeaseError::NoWorker | LeaseError::NoOther) => return Err(last),
            Err(error) => return Err(error.into()),
        };
        // Of an attempt before; a wait in the queue holds neither.
        scratch::recycle(&mut self.scratch.up);
        scratch::recycle(&mut self.scratch.down);
        let mut wait = std::pin::pin!(wait);
        let queued = Instant::now();
        let request = self.limits().request;
        let on_fin = self.queued_fin();
        let client = &mut *self.client;
        let granted = std::future::poll_fn(|cx| {
            if let Poll::Ready(granted) = wait.as_mut().poll(cx) {
                return Poll::Ready(granted.map_err(Reason::from));
            }
            if client.poll_left(cx, on_fin).is_ready() {
                return Poll::Ready(Err(Reason::ClientGone));
            }
            match request {
                Some(until) => client.deadline.poll_at(cx, until).map(|()| {
                    wait.as_mut().give_up();
                    Err(Reason::RequestTimeout)
                }),
                None => Poll::Pending,
            }
        })
        .await;
        self.record.queued += match &granted {
            Ok(lease) => lease.queued(),
            Err(_) => queued.elapsed(),
        };
        granted
    }

    /// What a FIN means while the request waits in the queue. One that came with its predecessors may
    /// have a FIN behind it all, and its client reads on; if not, the answers before it were reset.
    fn queued_fin(&self) -> ClientFin {
        match self.client.pipelined {
            true => self.listener.client_fin,
            false => ClientFin::Abort,
        }
    }

    /// The request as this lease's worker gets it, in `scratch.up`.
    pub(crate) fn compose(&mut self, lease: &Lease) -> Upload {
        // A body that is held whole goes out with its length, however it came.
        let framing = match (self.scratch.request.body(), self.incoming.length(&self.scratch.body))
        {
            // Trailers need chunks to stand behind.
            (Body::Chunked, Some(length)) if self.incoming.trailers().is_empty() => {
                Body::Length(length)
            }
            (body, _) => body,
        };
        scratch::furnish(&mut self.scratch.up);
        self.scratch.up.clear();
        self.scratch.down.clear();
        // Half a head of the attempt before is no part of this one's.
        self.scratch.response.reset();
        self.scratch.parsed = 0;
        if lease.policy().sticky {
            affinity::hide(&mut self.scratch.request, lease);
        }
        headers::compose(self, framing, lease);
        let keep = match &self.route {
            Some(route) if !self.incoming.ended() && self.may_repeat() => route.retry.replay,
            _ => 0,
        };
        let Self { scratch, incoming, .. } = self;
        Upload::start(framing, &scratch.body, incoming, keep, &mut scratch.up)
    }

    /// Where the request goes, once its route is known.
    pub(crate) fn to(&self) -> Option<&Destination> {
        self.route.as_ref().and_then(Routed::destination)
    }

    /// Whether the other end of the client's socket may say who the client is. Who reaches a unix
    /// socket is as near to us as we are.
    pub(crate) fn trusts_peer(&self) -> bool {
        self.client.ip.is_none_or(|ip| self.listener.forwarding.trusted.contains(ip))
    }

    /// Executing it twice is the same as once (RFC 9110 §9.2.2).
    pub(crate) fn may_repeat(&self) -> bool {
        self.scratch.request.is_idempotent()
    }

    /// What `//` in a path is, on this listener.
    pub(crate) fn slashes(&self) -> Slashes {
        match &self.listener.serve {
            Serve::Http(routes) => routes.slashes(),
            Serve::Tcp(_) => Slashes::Merge,
        }
    }

    pub(crate) fn holds_whole_request(&self) -> bool {
        self.incoming.is_kept()
    }

    /// Whose request a worker has failed.
    pub(crate) fn asked(&self) -> Asked {
        Asked::by(self.client_ip)
    }

    /// Which failure it is of a worker that is late: `first_byte` is for all alike, another deadline
    /// is for this request.
    pub(crate) fn lateness(&self, reason: Reason) -> Failure {
        let first_byte = self.to().and_then(|to| to.first_byte);
        let per_try = self.route.as_ref().and_then(|route| route.retry.per_try);
        let ours = first_byte.is_some_and(|first| per_try.is_none_or(|one| first <= one));
        match reason {
            Reason::FirstByteTimeout if ours => Failure::FirstByte,
            _ => Failure::Timeout,
        }
    }

    pub(crate) fn limits(&self) -> AttemptLimits {
        let to = self.to();
        let per_try = self.route.as_ref().and_then(|route| route.retry.per_try);
        let request = to.and_then(|to| to.request_timeout);
        AttemptLimits {
            first_byte: match (per_try, to.and_then(|to| to.first_byte)) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            },
            request: request.map(|after| Deadline::from_std(self.started + after)),
        }
    }

    /// Lets the client send its body, unless it was told already. No part of a response: another
    /// attempt may follow.
    pub(crate) async fn tell_continue(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.expects) == Expects::Nothing {
            return Ok(());
        }
        let stall = self.listener.timeouts.write_stall;
        self.client.write_all(answer::CONTINUE, stall, &mut 0).await
    }

    /// Passes an interim response on (not to HTTP/1.0 clients, RFC 9110 §15.2).
    pub(crate) async fn pass_interim(&mut self) -> std::io::Result<()> {
        let Scratch { request, response, out, .. } = &mut *self.scratch;
        if response.status() == 100 {
            return self.tell_continue().await;
        }
        if request.version() == Version::Http10 {
            return Ok(());
        }
        let mut interim = std::mem::take(out);
        interim.clear();
        response.encode_interim(&mut interim);
        let stall = self.listener.timeouts.write_stall;
        let passed = self.client.write_all(&interim, stall, &mut self.record.sent).await;
        self.scratch.out = interim;
        passed
    }
}

/// Whether a client holds its body back until it is told to go on (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expects {
    #[default]
    Nothing,
    /// A worker that says nothing until then does not know what is expected of it: then we do.
    Continue { until: Option<Deadline> },
}

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.break_off();
        }
        Record::write(self);
    }
}
