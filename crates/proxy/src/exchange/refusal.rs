//! The proxy's own answer to a request that has none, and what it leaves of the connection.

use super::{Exchange, next::Next};
use crate::{answer::Refusal, reason::Reason, scratch::Scratch};

impl Exchange<'_> {
    /// The connection may serve another request after an answer of our own: it is certain that what
    /// follows is one.
    pub(crate) fn may_keep(&self) -> bool {
        let request = &self.scratch.request;
        self.parsed
            && self.incoming.ended()
            && self.downstream.may_stay()
            && request.keep_alive()
            && request.upgrade().is_none()
            && !self.may_have_switched()
            && self.client_may_stay()
    }

    /// The bytes behind this request may be another protocol's, sent in the hope that we switch to
    /// it: never read as the next request (RFC 9931). A client of CONNECT may send them at any time.
    pub(crate) fn may_have_switched(&self) -> bool {
        let request = &self.scratch.request;
        request.method() == b"CONNECT" || (request.mentions_upgrade() && self.downstream.has_more())
    }

    /// As far as we are concerned the connection goes on after this request.
    pub(crate) fn client_may_stay(&self) -> bool {
        !self.listener.timeouts.keep_alive.is_zero() && !self.peer.is_leaving()
    }

    /// The proxy's own answer, and what it leaves of the connection.
    pub(super) async fn refuse(&mut self, reason: Reason) -> Next {
        self.record.reason = Some(reason);
        if self.record.forwarding {
            return Next::Reset;
        }
        if self.record.status == 0 {
            self.record.status = reason.status();
        }
        if reason == Reason::ClientGone || reason == Reason::WriteTimeout {
            return Next::Close;
        }
        // Who sends what cannot be understood is not understood again (adversaries probe this way).
        let keep = reason != Reason::BadRequest && self.may_keep();
        self.name_request();
        let status = self.record.status;
        let fields = self.filters.as_mut().map(|passed| std::mem::take(&mut passed.fields));
        let mut fields = fields.unwrap_or_default();
        if status == 503 && !fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("retry-after"))
        {
            let after = match (reason, self.to()) {
                (Reason::QueueFull | Reason::QueueTimeout, Some(to)) => to.pool.retry_after(),
                // A worker may be back, or the process replaced, at any moment.
                _ => 1,
            };
            fields.push(("Retry-After", after.to_string()));
        }
        // What is wrong with its request a client may know; what is wrong with a worker it may not.
        let words = self.record.words.as_deref().or(self.incoming.wrong.as_deref());
        let words = words.filter(|_| reason.is_of_the_request());
        let refusal = Refusal { status, reason, words, fields: &fields };
        let Scratch { request, response, id, .. } = &mut *self.scratch;
        let method = if self.parsed { request.method() } else { b"" };
        let body = refusal.build(response, id, method);
        let wrote = self.send(body.as_bytes(), keep).await;
        match wrote {
            Err(_) => Next::Close,
            Ok(()) if keep => Next::Request,
            Ok(()) if reason == Reason::BadRequest => Next::Linger,
            // It was slow to send what we wanted: what nobody wants is not waited for as well.
            Ok(()) if matches!(reason, Reason::HeaderTimeout | Reason::BodyTimeout) => Next::Part,
            Ok(()) => self.last_words(),
        }
    }

    /// What an answer leaves of a connection that does not go on.
    pub(crate) fn last_words(&self) -> Next {
        match self.parsed && self.incoming.ended() {
            true => Next::Part,
            false => Next::Linger,
        }
    }
}
