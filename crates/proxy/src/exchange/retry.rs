//! Whether a request is tried again, and how often.
//!
//! `exchange` asks here after every attempt that did not become an answer, and before an answer is
//! passed on that the route would rather not have. Nothing is tried twice of which a byte has gone
//! to the client, whose body is gone, or which a second execution could harm; and what was sent to
//! a worker before draws on the pool's retry budget. What an attempt is, is not known here.

use isobar_pool::Pool;

use crate::{
    reason::{Cause, Reason},
    route::RetryPolicy,
    upstream::unconnected::FREE_TRIES,
};

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

/// What of a request decides whether it can be tried again.
pub(super) struct Facts {
    /// Its own time is over.
    pub(super) late: bool,
    /// All of it is still here, and not one byte has gone to its client, interim responses included.
    pub(super) untouched: bool,
    /// Twice is the same as once.
    pub(super) repeatable: bool,
}

/// The attempts made so far.
#[derive(Default)]
pub(crate) struct Tries {
    counted: u32,
    free: u32,
}

impl Tries {
    /// Whether the attempt that failed for `reason` is followed by another one; if so, it counts.
    pub(super) fn again(
        &mut self,
        policy: &RetryPolicy,
        facts: &Facts,
        pool: &Pool,
        reason: Reason,
        again: Again,
    ) -> bool {
        match again {
            Again::Never => return false,
            Again::Free => {
                self.free += 1;
                self.counted += u32::from(self.free > FREE_TRIES);
            }
            Again::Unsent | Again::Unanswered => self.counted += 1,
        }
        let wanted = match reason.again() {
            Cause::Connect => policy.connect,
            Cause::Reset => policy.reset,
            Cause::Always => true,
            Cause::Never => false,
        };
        let possible = wanted && self.counted < policy.attempts && !facts.late && facts.untouched;
        match again {
            _ if !possible => false,
            Again::Unanswered => facts.repeatable && pool.try_retry(),
            _ => {
                pool.count_retry();
                true
            }
        }
    }

    /// Whether an answer with this status is dropped and another attempt made.
    pub(super) fn instead(
        &mut self,
        policy: &RetryPolicy,
        facts: &Facts,
        pool: &Pool,
        status: u16,
    ) -> bool {
        if policy.statuses.is_empty() || !policy.statuses.contains(&status) {
            return false;
        }
        let before = self.counted;
        let again = self.again(policy, facts, pool, Reason::NoWorker, Again::Unanswered);
        if !again {
            // It is passed on: should that fail before its first byte, it counts there.
            self.counted = before;
        }
        again
    }
}
