//! One connection to a worker, in use or idle. It knows the shard whose runtime it is registered
//! with, how long it has been idle, and it counts among its worker's open ones until it is gone.
//! It decides whether it may be used again; where it rests meanwhile is `idle`'s business.

use std::time::{Duration, Instant};

use isobar_balance::shard;

use crate::idle::Open;
use crate::idle::learned::Learned;
use crate::stream::{Seen, Stream};

/// How sure one must be that the worker still listens at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// The request can be sent again: what the runtime knows is enough.
    Any,
    /// It cannot: only a connection idle for a second at most, after a real look into the socket.
    Live,
}

/// Longest idle time of a connection for a request that cannot be sent twice.
const LIVE: Duration = Duration::from_secs(1);

/// Boxed inside: taking it from its resting place and putting it back moves one pointer.
#[derive(Debug)]
pub struct Connection(Box<Inner>);

#[derive(Debug)]
struct Inner {
    stream: Stream,
    shard: usize,
    epoch: u32,
    /// When its last exchange ended, and when it was last seen alive since.
    rests: Option<Rest>,
    /// For how long it rested before the exchange under way, if it did.
    rested: Option<Duration>,
    /// Held for its drop, which counts the connection out.
    _open: Open,
}

#[derive(Clone, Copy, Debug)]
struct Rest {
    since: Instant,
    seen: Instant,
}

impl Connection {
    /// `epoch`: which of the ways to its worker it was opened by.
    pub(crate) fn new(stream: Stream, open: Open, epoch: u32) -> Connection {
        let shard = shard::current();
        let (rests, rested) = (None, None);
        Connection(Box::new(Inner { stream, shard, epoch, rests, rested, _open: open }))
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.0.epoch
    }

    /// For how long it rested after the exchange it carried before, if it did: the worker may have
    /// closed it unseen.
    pub fn rested(&self) -> Option<Duration> {
        self.0.rested
    }

    pub fn stream(&self) -> &Stream {
        &self.0.stream
    }

    pub fn stream_mut(&mut self) -> &mut Stream {
        &mut self.0.stream
    }

    /// For what outlives HTTP on it: a tunnel.
    pub fn into_stream(self) -> Stream {
        self.0.stream
    }

    pub(crate) fn rest(&mut self, now: Instant) {
        self.0.rests = Some(Rest { since: now, seen: now });
    }

    pub(crate) fn idle_for(&self, now: Instant) -> Duration {
        self.0.rests.map_or(Duration::ZERO, |rest| now.saturating_duration_since(rest.since))
    }

    /// Good enough for another request, perhaps, but not for one like this.
    pub(crate) fn is_too_cold(&self, reuse: Reuse, now: Instant) -> bool {
        reuse == Reuse::Live && self.idle_for(now) >= LIVE
    }

    /// Whether it may rest on: not if the worker has ended it, which teaches something, nor if it
    /// holds bytes nobody asked for, which would be read as the next client's answer.
    pub(crate) fn rests_well(&mut self, learned: &Learned, now: Instant) -> bool {
        // What the runtime of another shard has seen tells nothing here: look for ourselves.
        let seen = match self.0.shard == shard::current() {
            true => self.0.stream.glance(),
            false => self.0.stream.look(),
        };
        self.judge(seen, learned, now)
    }

    fn judge(&mut self, seen: Seen, learned: &Learned, now: Instant) -> bool {
        if let Some(rest) = &mut self.0.rests {
            match seen {
                Seen::Nothing => rest.seen = now,
                Seen::Bytes => {}
                Seen::End => {
                    let alive = rest.seen.saturating_duration_since(rest.since);
                    learned.closed(alive, now.saturating_duration_since(rest.since));
                }
            }
        }
        seen == Seen::Nothing
    }

    /// Back to work on this shard, or `None` (and closed): idle too long, or it did not rest well.
    pub(crate) fn wake(
        mut self,
        reuse: Reuse,
        max_idle: Duration,
        learned: &Learned,
        now: Instant,
    ) -> Option<Connection> {
        let idle = self.idle_for(now);
        let here = shard::current();
        let usable = match reuse {
            Reuse::Any => idle < max_idle && self.rests_well(learned, now),
            Reuse::Live => {
                idle < max_idle && !self.is_too_cold(reuse, now) && {
                    let seen = self.0.stream.look();
                    self.judge(seen, learned, now)
                }
            }
        };
        if !usable {
            return None;
        }
        if self.0.shard != here {
            let inner = *self.0;
            let stream = inner.stream.rehome().ok()?;
            self = Connection(Box::new(Inner { stream, shard: here, ..inner }));
        }
        self.0.rests = None;
        self.0.rested = Some(idle);
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tokio::net::UnixStream;

    use super::*;
    use crate::idle::OpenCount;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn up_16_idle_time_limits_reuse() {
        let count = OpenCount::default();
        let now = Instant::now();
        let cases = [
            (Reuse::Any, 59_999, true),
            (Reuse::Any, 60_000, false),
            (Reuse::Live, 999, true),
            (Reuse::Live, 1_000, false),
        ];
        for (reuse, idle, lives) in cases {
            let (ours, _theirs) = UnixStream::pair().expect("a pair");
            let mut connection = Connection::new(ours.into(), count.enter(), 0);
            connection.rest(now);
            let now = now + Duration::from_millis(idle);
            let woken = connection.wake(reuse, MINUTE, &Learned::new(), now);
            let rested = woken.and_then(|c| c.rested());
            assert_eq!(rested.is_some(), lives, "{reuse:?} {idle}");
        }
        assert_eq!(count.value(), 0);
    }

    #[tokio::test]
    async fn only_a_silent_connection_is_reused_here_or_elsewhere() {
        let count = OpenCount::default();
        let now = Instant::now();
        for (reuse, elsewhere) in [(Reuse::Any, false), (Reuse::Any, true), (Reuse::Live, false)] {
            for talks in [false, true] {
                let (ours, theirs) = UnixStream::pair().expect("a pair");
                let mut theirs = theirs.into_std().expect("a plain socket");
                let mut connection = Connection::new(ours.into(), count.enter(), 0);
                connection.rest(now);
                match talks {
                    true => assert_eq!(theirs.write(b"x").expect("sent"), 1),
                    false => drop(theirs),
                }
                // For the cheap check the runtime must have heard of it.
                connection.stream().readable().await.expect("an event");
                shard::enter(usize::from(elsewhere));
                assert!(connection.wake(reuse, MINUTE, &Learned::new(), now).is_none());
                shard::enter(0);
            }
        }
    }
}
