//! What a filter is, and what it may say.

use std::{future::Future, pin::Pin};

use super::context::{RequestCx, ResponseCx};
use crate::{answer::Fields, reason::Reason};

/// Shared by all shards and by every request of a route: what changes is atomic or briefly locked.
///
/// A filter judges what the client and the worker sent: it reads the head as received, whatever a
/// filter before it has edited. Whoever sees a request also sees its response, whoever made that,
/// in the opposite order.
pub trait Filter: Send + Sync {
    /// Before the route's pool is asked for anything. No I/O, no waiting: that is `Step::Wait`.
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        let _ = cx;
        Step::Next
    }

    /// Before the head of the final response is sent: once, for the one that is really sent, whoever
    /// made it; not called for interim ones (1xx).
    fn response(&self, cx: &mut ResponseCx<'_>) {
        let _ = cx;
    }
}

/// What a filter makes of a request.
pub enum Step {
    /// On to the next filter, or to the pool.
    Next,
    /// The request ends here; it never takes a lease.
    Answer(Answer),
    /// Decided later, and nothing else happens to the request until then. Polled on the shard: what
    /// computes does it elsewhere. Dropped when the client leaves or the request's time is over.
    Wait(Waiting),
}

pub type Waiting = Pin<Box<dyn Future<Output = Step>>>;

/// A filter's answer: the reason decides the status, as for every answer of the proxy's own.
#[derive(Debug)]
pub struct Answer {
    pub(crate) reason: Reason,
    /// Beside those every answer has.
    pub(crate) fields: Fields,
}

impl Answer {
    pub(crate) fn new(reason: Reason) -> Self {
        Self { reason, fields: Fields::default() }
    }
}

/// One line of the table.
pub struct Entry {
    /// As a configuration spells it.
    pub name: &'static str,
    pub about: &'static str,
    /// Some of every kind it can be configured to, for the conformance suite.
    #[cfg_attr(not(test), expect(dead_code, reason = "only the suite builds them"))]
    pub(super) samples: fn() -> Vec<Box<dyn Filter>>,
}
