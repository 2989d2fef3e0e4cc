//! One timer per connection, re-armed lazily.
//!
//! A phase only names the instant it must not outlive; the runtime's timer is touched when that
//! instant is earlier than what it is armed for, or when it fires too early. A kept-alive
//! connection therefore pays for a timer about once a minute, not once a request.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::{
    task::coop::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

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
            // A task that has used up its share of the runtime would be woken, but not armed.
            ready!(pin!(unconstrained(self.sleep.as_mut())).poll(cx));
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{task::coop::consume_budget, time::timeout};

    use super::*;

    /// The runtime lets no task do more than its share at a time, timers included.
    #[tokio::test(start_paused = true)]
    async fn a_task_that_has_done_its_share_is_still_woken_in_time() {
        let at = Instant::now() + Duration::from_secs(1);
        let mut deadline = Deadline::new(at);
        let passed = std::future::poll_fn(|cx| {
            if deadline.armed {
                return deadline.poll_at(cx, at);
            }
            while pin!(consume_budget()).poll(cx).is_ready() {}
            deadline.poll_at(cx, at)
        });
        timeout(Duration::from_secs(2), passed).await.expect("the deadline passes");
    }
}
