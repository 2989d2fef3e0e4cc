//! The time, read from the system once per poll of a task (a turn).
//!
//! Reading the clock costs as much as parsing half a head. A poll never waits, so one reading is exact
//! enough for all of it. After every wait the next call reads the clock again: an instant that was read
//! before a wait is never used after it.

use std::{cell::Cell, future::Future, pin::Pin, time::Instant};

thread_local! {
    /// The turn of whichever task this shard runs now.
    static TURN: Cell<u64> = const { Cell::new(0) };
}

/// Runs `task`; each of its polls is a turn.
pub(crate) fn in_turns<F: Future + Unpin>(mut task: F) -> impl Future<Output = F::Output> {
    std::future::poll_fn(move |cx| {
        TURN.set(TURN.get() + 1);
        Pin::new(&mut task).poll(cx)
    })
}

/// One task's clock.
pub(crate) struct Clock {
    seen: Instant,
    /// `None`: to be looked at again in any case.
    turn: Option<u64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self { seen: Instant::now(), turn: Some(TURN.get()) }
    }

    /// The time, as it was at some moment of this turn.
    pub(crate) fn now(&mut self) -> Instant {
        if self.turn != Some(TURN.get()) {
            *self = Self::new();
        }
        self.seen
    }

    /// This turn takes long: the next call reads the clock again.
    pub(crate) fn outdate(&mut self) {
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Until the time is another one.
    fn pass(seen: Instant) {
        while Instant::now() <= seen {
            std::hint::spin_loop();
        }
    }

    #[tokio::test]
    async fn the_clock_is_looked_at_behind_a_wait_and_only_then() {
        in_turns(Box::pin(async {
            let mut clock = Clock::new();
            let first = clock.now();
            pass(first);
            assert_eq!(clock.now(), first, "nothing was waited for");
            clock.outdate();
            let second = clock.now();
            assert!(second > first);
            tokio::task::yield_now().await;
            pass(second);
            assert!(clock.now() > second);
        }))
        .await;
    }

    /// Another task's turn between two of ours only costs a look.
    #[tokio::test]
    async fn a_turn_of_another_task_does_no_harm() {
        let ours = in_turns(Box::pin(async {
            let mut clock = Clock::new();
            let first = clock.now();
            pass(first);
            tokio::task::yield_now().await;
            assert!(clock.now() > first);
        }));
        let theirs = in_turns(Box::pin(async { Clock::new().now() }));
        tokio::join!(ours, theirs);
    }
}
