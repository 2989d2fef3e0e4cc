//! One request's life, in the order of the architecture's "one request". Read this first.
//!
//! [`run`] reads the head, finds the route, holds what the shield wants of the body, and then
//! asks the pool for a lease until an attempt is answered or nothing may be tried again. What
//! comes back is forwarded by `forward`. Dropping the [`Exchange`] writes one log line and one
//! set of metrics, however the request ended.

use std::{borrow::Cow, sync::Arc, task::Poll, time::Instant};

use isobar_balance::Tried;
use isobar_http1::Body;
use isobar_pool::{Lease, LeaseError, LeaseRequest, Leased, Pool};
use tokio::time::Instant as Until;

use super::{
    Exchange, Expects, forward, headers,
    next::Next,
    record::Record,
    reply,
    retry::{self, Again, Tries},
};
use crate::{
    asker,
    clock::Clock,
    downstream::{Downstream, Unread, deadline::Deadline, incoming::Incoming, peer::Peer},
    forwarded,
    reason::Reason,
    route::{Destination, Leads, RouteQuery, Routed, host},
    scratch::{self, Scratch},
    table::{ClientFin, Serve},
    upstream::{
        abandon,
        attempt::{self, Attempt},
    },
};

/// Serves the request whose first bytes are in the client's buffer.
pub(crate) async fn run(peer: &Peer, downstream: Downstream<'_>, timer: &mut Deadline) -> Next {
    let Some(listener) = peer.plan() else { return Next::Close };
    let mut clock = Clock::new();
    let mut scratch = Scratch::lend();
    let mut exchange = Exchange {
        peer,
        downstream,
        timer,
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
            if self.peer.context().access_log.enabled() {
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
                Attempt::Answered(answered) if self.try_instead(&mut tries, pool) => {
                    abandon::discard(self.scratch, &self.incoming, answered);
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
            if !self.try_again(&mut tries, pool, reason, again) {
                return Err(reason);
            }
        }
    }

    /// Step 2: the head.
    async fn read_head(&mut self) -> Result<(), Reason> {
        let request = &mut self.scratch.request;
        let read = self.downstream.read_head(self.timer, request, &self.listener).await;
        read.map_err(|Unread { reason, said }| {
            if let Some((status, words)) = said {
                (self.record.status, self.record.words) = (status, Some(words));
            }
            reason
        })?;
        self.parsed = true;
        let body = self.scratch.request.body();
        self.incoming = Incoming::new(body, self.listener.limits.body);
        Ok(())
    }

    /// What no route can allow.
    fn admit(&mut self) -> Result<(), Reason> {
        let request = &self.scratch.request;
        let forwarding = &self.listener.forwarding;
        self.client_ip = forwarded::client_of(request, self.peer.ip, forwarding);
        if headers::ends_here(request) {
            return Err(Reason::MethodNotAllowed);
        }
        if headers::passed_here_before(request, &self.peer.context().pseudonym) {
            return Err(Reason::Loop);
        }
        if let (Some(tls), Some(facts)) = (&self.listener.tls, &self.peer.tls) {
            let server = tls.load();
            if server.has_policies() {
                let host = host::normalise(request.authority());
                let host = str::from_utf8(&host).unwrap_or_default();
                if !server.covers(facts.name.as_deref(), host) {
                    return Err(Reason::Misdirected);
                }
            }
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
        let Self { downstream, timer, .. } = &mut *self;
        let granted = std::future::poll_fn(|cx| {
            if let Poll::Ready(granted) = wait.as_mut().poll(cx) {
                return Poll::Ready(granted.map_err(Reason::from));
            }
            if downstream.poll_left(cx, timer, on_fin).is_ready() {
                return Poll::Ready(Err(Reason::ClientGone));
            }
            match request {
                Some(until) => timer.poll_at(cx, until).map(|()| {
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

    /// Whether the attempt that failed for `reason` is followed by another one.
    fn try_again(&mut self, tries: &mut Tries, pool: &Pool, reason: Reason, again: Again) -> bool {
        let facts = self.retry_facts();
        let Some(route) = &self.route else { return false };
        tries.again(&route.retry, &facts, pool, reason, again)
    }

    /// Whether the answer in `scratch.response` is dropped and another attempt made.
    fn try_instead(&mut self, tries: &mut Tries, pool: &Pool) -> bool {
        // The usual route has none.
        if self.route.as_ref().is_none_or(|route| route.retry.statuses.is_empty()) {
            return false;
        }
        let facts = self.retry_facts();
        let Some(route) = &self.route else { return false };
        tries.instead(&route.retry, &facts, pool, self.scratch.response.status())
    }

    fn retry_facts(&mut self) -> retry::Facts {
        let now = Until::from_std(self.clock.now());
        retry::Facts {
            late: self.limits().request.is_some_and(|until| now >= until),
            untouched: self.record.sent == 0 && self.holds_whole_request(),
            repeatable: self.may_repeat(),
        }
    }

    /// What a FIN means while the request waits in the queue. One that came with its predecessors may
    /// have a FIN behind it all, and its client reads on; if not, the answers before it were reset.
    fn queued_fin(&self) -> ClientFin {
        match self.downstream.came_ahead() {
            true => self.listener.client_fin,
            false => ClientFin::Abort,
        }
    }
}
