//! One timer per connection, re-armed lazily.
//!
//! A phase only names the instant it must not outlive; the runtime's timer is touched when that
//! instant is earlier than what it is armed for, or when it fires too early. A kept-alive
//! connection therefore pays for a timer about once a minute, not once a request.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) struct Deadline {
    sleep: Pin<Box<Sleep>>,
    /// The timer knows whom to wake. It is always the connection's task, so once is enough.
    armed: bool,
}

impl Deadline {
    pub(crate) fn new(first: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(first)), armed: false }
    }

    /// Ready once `at` has passed.
    pub(crate) fn poll_at(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        if self.sleep.deadline() > at {
            self.reset(at);
        }
        loop {
            if self.armed && !self.sleep.is_elapsed() {
                return Poll::Pending;
            }
            self.armed = true;
            ready!(self.sleep.as_mut().poll(cx));
            if Instant::now() >= at {
                return Poll::Ready(());
            }
            self.reset(at);
        }
    }

    fn reset(&mut self, at: Instant) {
        self.sleep.as_mut().reset(at);
        self.armed = false;
    }

    /// Drives `step` until it is ready, or gives `None` when `at` passes first.
    pub(crate) async fn within<T>(
        &mut self,
        at: Instant,
        mut step: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<T> {
        std::future::poll_fn(|cx| match step(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_at(cx, at).map(|()| None),
        })
        .await
    }
}
