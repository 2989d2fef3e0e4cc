//! What in a pool only HTTP has a use for: told once a TCP listener leads there.

use crate::problem::Draft;
use crate::read::Cx;
use crate::source::Span;

/// What in a pool only HTTP has a use for.
#[derive(Default)]
pub(super) struct HttpOnly {
    pub(super) barrier: Option<Barrier>,
    /// Keys that mean nothing to TCP, and harm nobody.
    pub(super) idle: Vec<(&'static str, Span)>,
    /// It is known that no worker has slots.
    pub(super) without_slots: bool,
    /// Some worker has one number for requests and tunnels.
    pub(super) counts_tunnels_as_requests: bool,
}

/// What keeps a pool from serving TCP.
pub(super) struct Barrier {
    pub(super) at: Span,
    pub(super) what: String,
    pub(super) instead: &'static str,
}

impl HttpOnly {
    /// The pool serves TCP.
    pub(super) fn report(&self, listener: &str, cx: &mut Cx<'_>) {
        let hint = || format!("the listener `{listener}` uses this pool for TCP");
        if let Some(Barrier { at, what, instead }) = &self.barrier {
            let message = format!("{what} goes by what only HTTP requests have");
            let expected = format!("{instead} in a pool that serves TCP");
            cx.report(Draft::error(*at, message).expected(expected).hint(hint()));
        }
        for (key, at) in &self.idle {
            let message = format!("`{key}` means nothing in a pool that serves TCP");
            cx.report(Draft::warning(*at, message).hint(hint()));
        }
    }
}
