//! What is written of a request when it is over, however it ended: its line in the access log, its
//! metrics, and in our own log what was wrong with a worker or with the request.

use std::time::Instant;

use super::{Exchange, record::Facts};
use crate::{
    complaint::{Fault, Refused},
    reason::Reason,
};

impl Drop for Exchange<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.break_off();
        }
        self.write();
    }
}

impl Exchange<'_> {
    /// A fault of ours took this request's task, and its connection with it (LC-08): no part of an
    /// answer may pass for the whole of it.
    fn break_off(&mut self) {
        let reason = Reason::Internal;
        self.record.reason = Some(reason);
        if !self.record.forwarding {
            self.record.status = reason.status();
        }
        self.downstream.break_off();
    }

    /// One log line and one set of metrics for one request.
    fn write(&mut self) {
        if self.record.taken {
            return;
        }
        // A connection that closed before it said anything was no request.
        if !self.parsed && self.record.reason == Some(Reason::ClientGone) {
            return;
        }
        if self.peer.context().access_log.enabled() && self.scratch.id.is_empty() {
            // It ended before anybody had to be told its name.
            self.name_request();
        }
        if self.record.reason.is_some() {
            self.complain();
        }
        let ended = Instant::now();
        self.downstream.over(ended, self.listener.timeouts.keep_alive);
        let Self { peer, listener, route, scratch, incoming, started, record, .. } = self;
        let took = ended - *started;
        let received = incoming.received() + record.received;
        record.count(&listener.metrics, incoming.received());
        let status = record.shown_status();
        // What a filter answered is its route's, and no pool's.
        let answered = self.filters.as_ref().filter(|passed| passed.answered);
        match (&*route, answered) {
            (Some(_), Some(passed)) => passed.chain.answered.observe(status, took),
            (Some(route), None) => route.metrics().observe(status, took),
            (None, _) => listener.metrics.unrouted(status, took),
        }
        if !peer.context().access_log.enabled() {
            return;
        }
        record.log(
            &peer.context().access_log,
            &Facts {
                request: self.parsed.then_some(&scratch.request),
                id: &scratch.id,
                // Of a head that was refused only the socket's is known.
                client_ip: self.client_ip.or(peer.ip),
                listener,
                route: route.as_ref(),
                received,
                took,
                answered: answered.is_some(),
            },
        );
    }

    /// Says in our own log what was wrong with the worker, or with the request.
    #[cold]
    fn complain(&self) {
        let Self { record, scratch, listener, peer, incoming, .. } = self;
        let Some(reason) = record.reason else { return };
        let words = record.words.as_deref().or(incoming.wrong.as_deref());
        let request_id = &scratch.id;
        if reason.is_the_workers()
            && let (Some(worker), Some(to)) = (&record.blamed, self.to())
        {
            let (pool, worker) = (to.pool.name(), worker.name());
            let words = words.unwrap_or(reason.words());
            Fault { pool, worker, request_id, reason, words }.log();
        } else if reason.is_of_the_request()
            && let Some(words) = words
        {
            let (listener, status) = (listener.name.as_str(), record.status);
            let client = self.client_ip.or(peer.ip);
            Refused { listener, client, request_id, status, reason, words }.log();
        }
    }
}
