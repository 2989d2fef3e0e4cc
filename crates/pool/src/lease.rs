//! The right to use one slot of one worker once. It reaches the worker (a resting connection or a
//! new one), and ends in exactly one outcome: `finish`, or its drop, which means that the client
//! has gone. What is sent over the connection is unknown here.

mod error;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use isobar_balance::outlier::Asked;
use isobar_balance::{Failure, Held, Outcome};
use tokio::sync::futures::OwnedNotified;
use tower::ServiceExt;

pub use self::error::LeaseError;
use crate::affinity::Cookie;
use crate::connect::{ConnectError, connector};
use crate::connection::{Connection, Reuse};
use crate::idle::local;
use crate::settings::{Asker, Policy};
use crate::snapshot::local::with_snapshot;
use crate::target::{Place, Target};

#[derive(Debug)]
#[must_use = "a lease holds a slot"]
pub struct Lease {
    place: Place,
    /// Of the snapshot that granted it.
    policy: Policy,
    /// What it has taken of its worker.
    held: Held,
    queued: Option<Duration>,
    granted_at: Instant,
    /// The worker's timing waits to hear how it ends.
    timed: bool,
    abandoned: bool,
    /// What its end says of the worker is known already.
    noted: bool,
    /// Whose request it is, once the worker has failed it.
    asked: Asked,
    /// When its tunnel gave its slot back: it keeps the worker busy no longer.
    slot_freed_at: Option<Instant>,
    /// A stream that nobody announced waits for a tunnel slot.
    awaits_tunnel: Option<Pin<Box<OwnedNotified>>>,
    ended: bool,
}

impl Lease {
    /// `queued`: how long it waited, if it had to.
    pub(crate) fn new(
        place: Place,
        policy: Policy,
        held: Held,
        queued: Option<Duration>,
        granted_at: Instant,
    ) -> Lease {
        let timed = place.0.worker().stats().timing().asked(granted_at);
        Lease {
            place,
            policy,
            held,
            queued,
            granted_at,
            timed,
            abandoned: false,
            noted: false,
            asked: Asked::by(None),
            slot_freed_at: None,
            awaits_tunnel: None,
            ended: false,
        }
    }

    pub fn target(&self) -> &Arc<Target> {
        &self.place.0
    }

    /// The policy of the snapshot that made this lease.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn limited(&self) -> bool {
        self.target().is_limited()
    }

    pub fn was_queued(&self) -> bool {
        self.queued.is_some()
    }

    pub fn queued(&self) -> Duration {
        self.queued.unwrap_or_default()
    }

    pub fn granted_at(&self) -> Instant {
        self.granted_at
    }

    /// A resting connection that passes the check, or `None`: dial. To be asked as soon as the lease is
    /// granted. The ones that fail are closed, but for those that only a request like this one cannot use.
    pub fn reuse(&mut self, reuse: Reuse) -> Option<Connection> {
        let target = self.target();
        let most = target.learned.usable(self.policy.keep_alive.idle);
        if !target.is_limited() {
            return local::take(target, reuse, most, self.granted_at);
        }
        let now = self.granted_at;
        loop {
            // At most one in the hand: closed or put back before the next is taken.
            let connection = target.shelf.take()?;
            if connection.is_too_cold(reuse, now) {
                target.shelf.put(connection);
                return None;
            }
            if let Some(connection) = target.wake(connection, reuse, most, now) {
                return Some(connection);
            }
        }
    }

    /// A new connection. A worker that refuses gets no further request from this moment on.
    pub async fn dial(&mut self) -> Result<Connection, ConnectError> {
        let target = self.target();
        let open = target.room().await;
        let (dial, epoch) = target.dial();
        let connect = connector(self.policy.connect_timeout);
        let mut connected = pin!(connect.oneshot(dial));
        // The first poll sends the SYN; what this worker may still wait for goes right behind it.
        let begun = poll_fn(|cx| Poll::Ready(connected.as_mut().poll(cx))).await;
        target.close_parting();
        let connected = match begun {
            Poll::Ready(connected) => connected,
            Poll::Pending => connected.await,
        };
        match connected {
            Ok(stream) => {
                target.accepts();
                Ok(Connection::new(stream, open, epoch))
            }
            Err(error) => {
                target.unreachable(&error);
                Err(error)
            }
        }
    }

    /// Lays an idle connection, at the clean end of an exchange, aside for the next lease. Where
    /// slots are limited it goes beside the slot and on with it.
    pub fn keep(&mut self, mut connection: Connection, now: Instant) {
        let target = self.target();
        connection.rest(now);
        let word = target.slots().load();
        match word.limit() {
            // It holds no slot any more that it could lie beside.
            _ if self.held == Held::Tunnel => {}
            _ if target.is_retired()
                || word.is_closed()
                || self.policy.keep_alive.idle.is_zero() => {}
            None => local::put(target, connection, self.policy.keep_alive.max_idle),
            // The limit was lowered: this slot is going away, and its connection with it.
            Some(limit) if word.in_flight() > limit => {}
            Some(_) => {
                target.shelf.put(connection);
                if target.is_retired() {
                    target.shelf.clear();
                }
            }
        }
    }

    /// The worker says that it closes a connection after this idle time.
    pub fn announced(&self, idle: Duration) {
        self.target().learned.announced(idle);
    }

    /// A connection that had rested this long turned out to be closed when it was used.
    pub fn was_closed(&self, rested: Duration) {
        self.target().learned.closed(rested, rested);
    }

    /// The worker has closed its side of this connection and may linger until we close ours
    /// (RFC 9112 §9.6). If somebody waits for its slot, that close follows their connect instead of
    /// preceding it, so the worker never looks for its next request before that is there. True if
    /// so: the caller sees to it that [`Target::close_parting`] is called, should nobody connect.
    pub fn part(&mut self, connection: Connection) -> bool {
        let target = self.target();
        let awaited = !target.shared.waiters.is_empty();
        if awaited {
            target.part(connection.into_stream());
        }
        awaited
    }

    /// The cookie that names this worker, unless the client brought it; only where the
    /// [`Policy`] is sticky.
    pub fn new_cookie(&self, asker: &dyn Asker) -> Option<Cookie> {
        with_snapshot(&self.target().shared, |snapshot, _| {
            let cookies = snapshot.cookies.as_ref()?;
            let ours = self.target().id();
            if snapshot.named_by(asker) == Some(ours) {
                return None;
            }
            let terms = &cookies.terms;
            Some(Cookie {
                name: terms.cookie.clone(),
                attributes: terms.attributes.clone(),
                secure: terms.secure,
                value: cookies.value(ours)?,
            })
        })
    }

    /// The name of the cookie that is between us and the client, and no worker's business.
    pub fn cookie_name(&self) -> Option<Arc<str>> {
        with_snapshot(&self.target().shared, |snapshot, _| {
            Some(snapshot.cookies.as_ref()?.terms.cookie.clone())
        })
    }

    /// The head of the worker's answer came at `now`: how long it took is known.
    #[inline]
    pub fn answered(&mut self, status: u16, now: Instant) {
        if std::mem::take(&mut self.timed) {
            let took = now.saturating_duration_since(self.granted_at);
            self.target().worker().stats().timing().answered(status, took, now);
        }
    }

    /// A tunnel or an event stream begins: where the worker counts these apart, its slot is free from
    /// `now` on. One that nobody announced keeps it until there is a tunnel slot, and takes that as
    /// soon as [`Lease::poll_tunnel`] is polled.
    pub fn begin_tunnel(&mut self, now: Instant) {
        let target = &self.place.0;
        if self.held == Held::Request {
            if !target.shared.waiters.take_tunnel(&self.place) {
                self.awaits_tunnel = Some(Box::pin(target.tunnel_freed.clone().notified_owned()));
                return;
            }
            self.held = Held::Both;
        }
        if self.held == Held::Both && target.worker().counts_tunnels_apart() {
            self.held = Held::Tunnel;
            self.slot_freed_at = Some(now);
            target.worker().stats().stands_apart();
            self.give_back(Held::Request, now);
        }
    }

    /// To be polled while a stream has begun and nothing moves: it may have to take a tunnel slot.
    pub fn poll_tunnel(&mut self, cx: &mut Context<'_>) {
        while let Some(freed) = &mut self.awaits_tunnel {
            // Registered before it looks: what comes free after that wakes it.
            let woken = freed.as_mut().poll(cx).is_ready();
            if !woken && !self.place.0.worker().tunnels().load().has_room() {
                return;
            }
            self.awaits_tunnel = None;
            self.begin_tunnel(Instant::now());
        }
    }

    /// The answer is neither a tunnel nor an event stream: the tunnel slot is not needed.
    pub fn give_up_tunnel(&mut self, now: Instant) {
        if self.held == Held::Both {
            self.held = Held::Request;
            self.give_back(Held::Tunnel, now);
        }
    }

    /// It holds one of its worker's slots, not a tunnel slot alone.
    pub fn holds_slot(&self) -> bool {
        self.held.has_request()
    }

    fn give_back(&self, held: Held, now: Instant) {
        let target = &self.place.0;
        target.shared.waiters.release(&self.place, held, now);
        if held.has_tunnel() {
            target.tunnel_freed.notify_waiters();
        }
    }

    /// Client or deadline gave up while the worker computes: the slot stays taken until it is done.
    pub fn abandon(&mut self) {
        if !std::mem::replace(&mut self.abandoned, true) {
            self.target().worker().stats().abandon();
        }
    }

    /// The worker has missed a deadline with this request, and is not done with it.
    pub fn blame(&mut self, failure: Failure, asked: Asked) {
        self.asked = asked;
        self.note(Outcome::Failed(failure), Instant::now());
    }

    fn note(&mut self, outcome: Outcome, now: Instant) {
        if !std::mem::replace(&mut self.noted, true)
            && self.place.0.worker().stats().noted(outcome, self.asked, now)
        {
            self.place.0.suspect();
        }
    }

    /// The worker is done, and has failed this request.
    pub fn fail(mut self, failure: Failure, asked: Asked) {
        self.asked = asked;
        self.finish(Outcome::Failed(failure));
    }

    /// Closes the connection, then gives the slot back: it is free only once that is gone.
    pub fn close(self, connection: Connection, outcome: Outcome) {
        drop(connection);
        self.finish(outcome);
    }

    /// The worker is done.
    pub fn finish(self, outcome: Outcome) {
        self.finish_at(outcome, Instant::now());
    }

    /// The worker was done at `now`, the caller's latest look at the clock.
    pub fn finish_at(mut self, outcome: Outcome, now: Instant) {
        self.end(outcome, now);
    }

    fn end(&mut self, outcome: Outcome, now: Instant) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        self.note(outcome, now);
        let stats = self.place.0.worker().stats();
        let held = now.saturating_duration_since(self.granted_at);
        if std::mem::take(&mut self.timed) {
            stats.timing().unanswered(outcome, held, now);
        }
        let busy = self.slot_freed_at.unwrap_or(now).saturating_duration_since(self.granted_at);
        stats.finished(outcome, busy, now);
        if self.abandoned {
            stats.abandoned_ended();
        }
        if self.slot_freed_at.is_some() {
            stats.apart_ended();
        }
        #[cfg(feature = "delay-handover")]
        if !self.place.0.shared.waiters.is_empty() {
            // On purpose: the build that the promise's test must catch.
            std::thread::sleep(Duration::from_millis(20));
        }
        self.give_back(self.held, now);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.ended {
            let outcome = if self.abandoned { Outcome::Abandoned } else { Outcome::ClientGone };
            self.end(outcome, Instant::now());
        }
    }
}
