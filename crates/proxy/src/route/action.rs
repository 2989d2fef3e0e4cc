//! What a route does with the requests it takes.
//!
//! Chosen once per request by `exchange`, right after the route is found. A split decides here, by
//! weight alone: whether a pool has a worker to give is asked later, of that pool, and a pool that
//! has none answers 503 for its share. Moving its share elsewhere would hide that it is gone.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crossbeam_utils::CachePadded;
use isobar_pool::Pool;

use super::redirect::Redirect;
use crate::metrics::RouteMetrics;

/// What a route does.
pub enum Action {
    Pool(Destination),
    Split(Box<Split>),
    /// We answer ourselves.
    Answer(Box<Answer>),
}

/// An answer without a worker, and where it is counted.
pub struct Answer {
    pub reply: Reply,
    pub metrics: Arc<RouteMetrics>,
}

pub enum Reply {
    Redirect(Redirect),
    Respond(Respond),
}

/// What the configuration answers.
pub struct Respond {
    pub status: u16,
    /// Names and values; of the connection and the framing they say nothing.
    pub headers: Box<[(String, String)]>,
    pub body: Vec<u8>,
}

/// What one request's way is, once a split has taken its turn.
pub(crate) enum Leads<'a> {
    To(&'a Destination),
    Nowhere(&'a Answer),
}

/// A pool, on one route's terms.
pub struct Destination {
    pub pool: Arc<Pool>,
    /// From the request's first byte to the response's last one.
    pub request_timeout: Option<Duration>,
    /// From the request's last byte to the response's first; also how long the worker may take
    /// nothing of the request.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the response's body.
    pub body_idle: Option<Duration>,
    /// Instead of the pool's.
    pub buffer: RouteBuffer,
    /// Where the requests that the route sends there are counted.
    pub metrics: Arc<RouteMetrics>,
}

/// Bytes read ahead of worker and client, 0 = off; `None`: as the pool says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RouteBuffer {
    pub request: Option<usize>,
    pub response: Option<usize>,
}

/// Several pools and their shares of a route's requests.
pub struct Split {
    members: Box<[Destination]>,
    turns: Turns,
}

impl Split {
    /// Weights are shares of their sum, exact while the sum in lowest terms is at most 65,536.
    /// `None`: nobody has a share.
    pub fn new(members: Vec<(Destination, NonZeroU32)>) -> Option<Box<Self>> {
        let (members, weights): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let turns = Turns::new(weights);
        (!members.is_empty()).then(|| Box::new(Self { members: members.into(), turns }))
    }
}

/// One cursor for all shards over a precomputed sequence: the shares are exact over every round of
/// it, however the requests fall on the shards, and the turns of one member are spread evenly.
struct Turns {
    sequence: Box<[u32]>,
    cursor: CachePadded<AtomicU64>,
}

impl Turns {
    fn new(weights: Vec<NonZeroU32>) -> Self {
        let sequence = isobar_balance::strategy::smooth_sequence(weights);
        Self { sequence, cursor: CachePadded::default() }
    }

    fn next(&self) -> usize {
        let turn = self.cursor.fetch_add(1, Ordering::Relaxed);
        let at = turn.checked_rem(self.sequence.len() as u64);
        at.map_or(0, |at| self.sequence[at as usize] as usize)
    }
}

impl Action {
    /// Which of the action's destinations the next request goes to. A split takes a turn.
    pub(super) fn choose(&self) -> usize {
        match self {
            Action::Pool(_) | Action::Answer(_) => 0,
            Action::Split(split) => split.turns.next(),
        }
    }

    /// `at` as `choose` gave it.
    pub(super) fn leads(&self, at: usize) -> Leads<'_> {
        match self {
            Action::Pool(only) => Leads::To(only),
            Action::Split(split) => Leads::To(&split.members[at]),
            Action::Answer(answer) => Leads::Nowhere(answer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(weights: &[u32]) -> Vec<NonZeroU32> {
        weights.iter().filter_map(|&weight| NonZeroU32::new(weight)).collect()
    }

    #[test]
    fn shares_are_exact_over_all_threads() {
        let turns = Turns::new(weights(&[95, 5]));
        let count = || (0..5_000).map(|_| turns.next()).filter(|&to| to == 1).count();
        let canary: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
        });
        assert_eq!(canary, 1_000);
    }

    #[test]
    fn a_small_share_comes_at_even_distances() {
        let turns = Turns::new(weights(&[99, 1]));
        let order: Vec<_> = (0..1_000).map(|_| turns.next()).collect();
        let at: Vec<_> = (0..1_000).filter(|&at| order[at] == 1).collect();
        assert_eq!(at.len(), 10);
        assert!(at.windows(2).all(|pair| pair[1] - pair[0] == 100), "{at:?}");
    }
}
