//! Whether a request is tried again, and how often.
//!
//! `exchange` asks here after every attempt that did not become an answer, and before an answer is
//! passed on that the route would rather not have. Nothing is tried twice of which a byte has gone
//! to the client, whose body is gone, or which a second execution could harm; and what was sent to
//! a worker before draws on the pool's retry budget. What an attempt is, is not known here.

use std::time::Duration;

use isobar_pool::Pool;
use tokio::time::Instant as Deadline;

use crate::{exchange::Exchange, reason::Reason};

/// How often a request may find a worker that has just gone down before that costs attempts, too.
/// Each such worker is found once, so this only ends what would never end.
pub(crate) const FREE_TRIES: u32 = 1000;

/// When a request is tried again.
pub struct RetryPolicy {
    /// The first one included.
    pub attempts: u32,
    /// From the request sent (one without a body: from its lease) to the response's head; what
    /// takes longer is tried again.
    pub per_try: Option<Duration>,
    /// No connection came about.
    pub connect: bool,
    /// The connection broke before the response's first byte went to the client.
    pub reset: bool,
    /// Responses that are not passed on while another attempt may be made.
    pub statuses: Box<[u16]>,
    /// Bytes of a request's body that are kept to be sent again; what was held ahead of the lease
    /// or came with the head is kept anyway.
    pub replay: usize,
}

impl RetryPolicy {
    /// One attempt, whatever comes of it.
    pub fn never() -> Self {
        Self {
            attempts: 1,
            per_try: None,
            connect: false,
            reset: false,
            statuses: Box::default(),
            replay: 0,
        }
    }
}

/// May the request be tried again, on another worker?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    Never,
    /// Not one byte was written to a worker that is known to be down: costs no attempt.
    Free,
    /// Not one byte was written.
    Unsent,
    /// Written and not answered, or not as wished: only for what may be executed twice.
    Unanswered,
}

/// The attempts made so far.
#[derive(Default)]
pub(crate) struct Tries {
    counted: u32,
    free: u32,
}

impl Tries {
    /// Whether the attempt that failed for `reason` is followed by another one; if so, it counts.
    pub(crate) fn again(
        &mut self,
        exchange: &mut Exchange<'_>,
        pool: &Pool,
        reason: Reason,
        again: Again,
    ) -> bool {
        let Some(policy) = exchange.route.as_ref().map(|route| &route.retry) else { return false };
        match again {
            Again::Never => return false,
            Again::Free => {
                self.free += 1;
                self.counted += u32::from(self.free > FREE_TRIES);
            }
            Again::Unsent | Again::Unanswered => self.counted += 1,
        }
        let wanted = match reason {
            Reason::ConnectRefused
            | Reason::ConnectTimeout
            | Reason::Unreachable
            | Reason::Exhausted => policy.connect,
            Reason::ResetBeforeHead
            | Reason::ResetMidBody
            | Reason::SilentMidBody
            | Reason::BadResponse => policy.reset,
            Reason::FirstByteTimeout | Reason::NoWorker => true,
            // The client's doing, or ours: another worker would not help.
            _ => false,
        };
        let now = Deadline::from_std(exchange.clock.now());
        let late = exchange.limits().request.is_some_and(|until| now >= until);
        let possible = wanted
            && self.counted < policy.attempts
            && !late
            // Not one byte has gone to the client, interim responses included.
            && exchange.record.sent == 0
            && exchange.holds_whole_request();
        match again {
            _ if !possible => false,
            Again::Unanswered => exchange.may_repeat() && pool.try_retry(),
            _ => {
                pool.count_retry();
                true
            }
        }
    }

    /// Whether the answer in `scratch.response` is dropped and another attempt made.
    pub(crate) fn instead(&mut self, exchange: &mut Exchange<'_>, pool: &Pool) -> bool {
        let Some(route) = &exchange.route else { return false };
        let status = exchange.scratch.response.status();
        if route.retry.statuses.is_empty() || !route.retry.statuses.contains(&status) {
            return false;
        }
        let before = self.counted;
        let again = self.again(exchange, pool, Reason::NoWorker, Again::Unanswered);
        if !again {
            // It is passed on: should that fail before its first byte, it counts there.
            self.counted = before;
        }
        again
    }
}
