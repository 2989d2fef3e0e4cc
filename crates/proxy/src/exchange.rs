//! One request under way: who asks, what was decided about it, what it needs until it is over.
//!
//! `serve` is its life from the first byte to the log line: read that first. The steps of it are
//! below this folder, and what a worker has to do with it is `upstream`'s. What is here, all of them
//! may ask; it decides nothing.

pub(crate) mod affinity;
mod end;
pub(crate) mod forward;
pub(crate) mod headers;
pub(crate) mod next;
mod out;
mod pass;
pub(crate) mod record;
mod refusal;
mod reply;
pub(crate) mod retry;
pub(crate) mod serve;
mod shield;
pub(crate) mod spool;

use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use isobar_balance::{Failure, outlier::Asked};
use isobar_http1::Version;
use tokio::time::Instant as Until;

use crate::{
    clock::Clock,
    downstream::{Downstream, Meanwhile, deadline::Deadline, incoming::Incoming, peer::Peer},
    filter::Passed,
    forwarded,
    reason::Reason,
    route::{Destination, Routed, path::Slashes, redirect::Scheme},
    scratch::Scratch,
    table::{ListenerPlan, Serve},
};
use record::Record;

pub(crate) struct Exchange<'c> {
    pub(crate) peer: &'c Peer,
    pub(crate) downstream: Downstream<'c>,
    /// The only one of a request: who waits sets it.
    pub(crate) timer: &'c mut Deadline,
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

impl Exchange<'_> {
    /// Where the request goes, once its route is known.
    pub(crate) fn to(&self) -> Option<&Destination> {
        self.route.as_ref().and_then(Routed::destination)
    }

    /// Whether the other end of the client's socket may say who the client is.
    pub(crate) fn trusts_peer(&self) -> bool {
        self.listener.forwarding.trusts(self.peer.ip)
    }

    /// Settles the request's id.
    pub(crate) fn name_request(&mut self) {
        // Of a head that was refused nothing is believed.
        let trusted = self.parsed && self.trusts_peer();
        let Scratch { request, id, .. } = &mut *self.scratch;
        headers::name(request, id, trusted, forwarded::since_epoch());
    }

    /// How the client came.
    pub(crate) fn scheme(&self) -> Scheme {
        let forwarding = &self.listener.forwarding;
        headers::scheme(&self.scratch.request, forwarding, self.trusts_peer(), self.peer.scheme())
    }

    /// Executing it twice is the same as once (RFC 9110 §9.2.2).
    pub(crate) fn may_repeat(&self) -> bool {
        self.scratch.request.is_idempotent()
    }

    /// What `//` in a path is, on this listener.
    pub(crate) fn slashes(&self) -> Slashes {
        match &self.listener.serve {
            Serve::Http(routes) => routes.slashes(),
            Serve::Tcp(_) | Serve::Passthrough(_) => Slashes::Merge,
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
            request: request.map(|after| Until::from_std(self.started + after)),
        }
    }

    /// Lets the client send its body, unless it was told already. No part of a response: another
    /// attempt may follow.
    pub(crate) async fn tell_continue(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.expects) == Expects::Nothing {
            return Ok(());
        }
        let stall = self.listener.timeouts.write_stall;
        self.downstream.go_on(self.timer, stall).await
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
        self.downstream.interim(response, &mut interim);
        let stall = self.listener.timeouts.write_stall;
        let sent = &mut self.record.sent;
        let passed = self.downstream.send(self.timer, &interim, stall, sent, Meanwhile::Keep).await;
        self.scratch.out = interim;
        passed
    }
}

/// The instants an attempt must not outlive.
#[derive(Clone, Copy)]
pub(crate) struct AttemptLimits {
    pub(crate) first_byte: Option<Duration>,
    pub(crate) request: Option<Until>,
}

/// Whether a client holds its body back until it is told to go on (RFC 9110 §10.1.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Expects {
    #[default]
    Nothing,
    /// A worker that says nothing until then does not know what is expected of it: then we do.
    Continue { until: Option<Until> },
}
