//! What the embedded workers of one pool write down: when each was free, when it began and ended a
//! request, and how long ago that request had been sent.
//!
//! From this alone it is judged whether a request waited while a worker was free. Nothing here asks
//! the proxy: a journal that believed it would prove nothing. A moment in which the machine was
//! busy elsewhere, so that the demo's own threads could not run, is nobody's free time. It knows no
//! HTTP and no clock.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The way through the proxy and this machine's scheduler is no wait: only what is longer counts.
pub(super) const GRACE: Duration = Duration::from_millis(10);
/// Free spans remembered per worker; a request that waits longer than they reach is judged by them.
const SPANS: usize = 4096;
/// A stall is known this much later at the latest; until then nobody is judged.
pub(super) const SETTLED: Duration = Duration::from_millis(100);

pub(super) struct Journal(Mutex<Pages>);

#[derive(Default)]
struct Pages {
    workers: Vec<Page>,
    /// When each request was sent and begun, the oldest first.
    unjudged: VecDeque<Span>,
    /// When a thread of the demo could not run.
    stalls: VecDeque<Span>,
    stalled: Duration,
    waited: u64,
    waited_while_free: u64,
    strangers: u64,
}

/// What one worker wrote.
#[derive(Default)]
struct Page {
    served: u64,
    busy: Duration,
    serving_since: Option<Instant>,
    /// Up, known to be up, and serving nobody.
    free_since: Option<Instant>,
    /// Earlier times of that kind, in order.
    free: VecDeque<Span>,
}

type Span = (Instant, Instant);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// The demo's own load, which says when it sent the request.
    Load { sent: Instant },
    /// The user, with curl or a browser.
    Stranger,
}

/// A journal at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    /// Requests begun later than `GRACE` after they were sent.
    pub(super) waited: u64,
    /// Of these: some worker was free for longer than `GRACE` at a stretch meanwhile.
    pub(super) waited_while_free: u64,
    /// Requests that the demo's load did not send.
    pub(super) strangers: u64,
    /// Left out: the machine was busy elsewhere.
    pub(super) stalled: Duration,
    pub(super) workers: Vec<WorkerAccount>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct WorkerAccount {
    pub(super) served: u64,
    /// Time spent serving, what is being served included.
    pub(super) busy: Duration,
}

impl Journal {
    pub(super) fn new(workers: usize) -> Journal {
        let workers = (0..workers).map(|_| Page::default()).collect();
        Journal(Mutex::new(Pages { workers, ..Pages::default() }))
    }

    /// The worker is up and the proxy can know it.
    pub(super) fn available(&self, worker: usize, now: Instant) {
        let mut pages = self.lock();
        let page = &mut pages.workers[worker];
        if page.serving_since.is_none() && page.free_since.is_none() {
            page.free_since = Some(now);
        }
    }

    /// The worker takes no more requests.
    pub(super) fn gone(&self, worker: usize, now: Instant) {
        self.lock().workers[worker].close(now);
    }

    /// The worker begins this request.
    pub(super) fn began(&self, worker: usize, asker: Asker, now: Instant) {
        let mut pages = self.lock();
        pages.workers[worker].close(now);
        pages.workers[worker].serving_since = Some(now);
        match asker {
            Asker::Load { sent } => pages.unjudged.push_back((sent, now)),
            Asker::Stranger => pages.strangers += 1,
        }
    }

    /// The worker has answered, or whoever asked has left; it is free if it is still `up`.
    pub(super) fn ended(&self, worker: usize, up: Up, now: Instant) {
        let mut pages = self.lock();
        let page = &mut pages.workers[worker];
        if let Some(since) = page.serving_since.take() {
            page.busy += now.saturating_duration_since(since);
            page.served += 1;
        }
        if up == Up::Yes {
            page.free_since = Some(now);
        }
    }

    /// A thread of the demo that wanted to run could not.
    pub(super) fn stalled(&self, from: Instant, to: Instant) {
        let mut pages = self.lock();
        if pages.stalls.len() == SPANS {
            pages.stalls.pop_front();
        }
        pages.stalls.push_back((from, to));
        pages.stalled += to.saturating_duration_since(from);
    }

    /// Judges the requests of which all is known by now.
    pub(super) fn judge(&self, now: Instant) {
        let mut pages = self.lock();
        let known = |(_, began): &mut Span| *began + SETTLED <= now;
        while let Some((sent, began)) = pages.unjudged.pop_front_if(known) {
            if began.saturating_duration_since(sent) > GRACE {
                pages.waited += 1;
                pages.waited_while_free += u64::from(pages.anybody_free(sent, began));
            }
        }
    }

    pub(super) fn account(&self, now: Instant) -> Account {
        let pages = self.lock();
        let of_worker = |page: &Page| {
            let serving = page.serving_since.map(|since| now.saturating_duration_since(since));
            WorkerAccount { served: page.served, busy: page.busy + serving.unwrap_or_default() }
        };
        Account {
            waited: pages.waited,
            waited_while_free: pages.waited_while_free,
            strangers: pages.strangers,
            stalled: pages.stalled,
            workers: pages.workers.iter().map(of_worker).collect(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Does the worker take another request?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Up {
    Yes,
    No,
}

impl Page {
    fn close(&mut self, now: Instant) {
        let Some(since) = self.free_since.take() else { return };
        if self.free.len() == SPANS {
            self.free.pop_front();
        }
        self.free.push_back((since, now));
    }

    /// When it was free between these two instants.
    fn free_between(&self, from: Instant, to: Instant) -> impl Iterator<Item = Span> {
        let open = self.free_since.map(|since| (since, to));
        let recent = self.free.iter().rev().take_while(move |(_, end)| *end > from).copied();
        let spans = open.into_iter().chain(recent);
        spans.map(move |(start, end)| (start.max(from), end.min(to)))
    }
}

impl Pages {
    /// For longer than `GRACE` at a stretch.
    fn anybody_free(&self, from: Instant, to: Instant) -> bool {
        let free = self.workers.iter().flat_map(|page| page.free_between(from, to));
        free.filter(|span| is_long(*span)).any(|span| self.without_stalls(span))
    }

    /// What the stalls leave of it is long enough.
    fn without_stalls(&self, span: Span) -> bool {
        let mut left = vec![span];
        for (from, to) in &self.stalls {
            let split = |(start, end): Span| [(start, end.min(*from)), (start.max(*to), end)];
            left = left.into_iter().flat_map(split).filter(|span| is_long(*span)).collect();
        }
        !left.is_empty()
    }
}

fn is_long((start, end): Span) -> bool {
    end.saturating_duration_since(start) > GRACE
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bench {
        start: Instant,
        journal: Journal,
    }

    /// Two workers, both free from 0 ms.
    fn bench() -> Bench {
        let bench = Bench { start: Instant::now(), journal: Journal::new(2) };
        bench.journal.available(0, bench.at(0));
        bench.journal.available(1, bench.at(0));
        bench
    }

    impl Bench {
        fn at(&self, ms: u64) -> Instant {
            self.start + Duration::from_millis(ms)
        }

        fn began(&self, worker: usize, sent: u64, now: u64) {
            self.journal.began(worker, Asker::Load { sent: self.at(sent) }, self.at(now));
        }

        fn ended(&self, worker: usize, now: u64) {
            self.journal.ended(worker, Up::Yes, self.at(now));
        }

        fn waits(&self) -> (u64, u64) {
            self.journal.judge(self.at(10_000));
            let account = self.journal.account(self.at(10_000));
            (account.waited, account.waited_while_free)
        }
    }

    #[test]
    fn a_wait_behind_busy_workers_is_a_wait_and_no_fault() {
        let bench = bench();
        bench.began(0, 10, 11);
        bench.began(1, 10, 11);
        bench.ended(0, 50);
        // Handed over two milliseconds after the slot was free.
        bench.began(0, 20, 52);
        assert_eq!(bench.waits(), (1, 0));
    }

    #[test]
    fn a_wait_beside_a_free_worker_is_a_fault() {
        let bench = bench();
        bench.began(0, 10, 11);
        bench.ended(0, 50);
        // Worker 1 has been free all the time.
        bench.began(0, 20, 50);
        assert_eq!(bench.waits(), (1, 1));
    }

    #[test]
    fn a_worker_that_was_free_and_took_another_request_is_seen() {
        let bench = bench();
        bench.began(0, 10, 11);
        bench.began(1, 40, 41);
        bench.ended(0, 100);
        // Sent at 20: until 41 worker 1 was free, though it is busy now.
        bench.began(0, 20, 100);
        assert_eq!(bench.waits(), (1, 1));
    }

    #[test]
    fn many_short_gaps_are_hand_overs() {
        let bench = bench();
        bench.began(0, 0, 1);
        bench.began(1, 0, 1);
        for turn in 1..10 {
            bench.ended(1, turn * 20);
            bench.began(1, turn * 20 + 1, turn * 20 + 2);
        }
        bench.ended(0, 300);
        bench.began(0, 3, 301);
        assert_eq!(bench.waits(), (1, 0));
    }

    #[test]
    fn a_worker_that_is_down_is_not_free() {
        let bench = bench();
        bench.journal.gone(1, bench.at(5));
        bench.began(0, 10, 11);
        bench.ended(0, 60);
        bench.began(0, 20, 61);
        assert_eq!(bench.waits(), (1, 0));
        bench.journal.available(1, bench.at(70));
        bench.ended(0, 100);
        bench.began(0, 65, 101);
        assert_eq!(bench.waits(), (2, 1));
    }

    #[test]
    fn a_stall_of_the_machine_is_nobody_s_free_time() {
        let bench = bench();
        bench.began(0, 10, 11);
        bench.ended(0, 60);
        bench.began(0, 20, 60);
        bench.journal.stalled(bench.at(29), bench.at(51));
        assert_eq!(bench.waits(), (1, 0), "twice nine milliseconds are left");
        bench.ended(0, 120);
        bench.began(0, 80, 120);
        bench.journal.stalled(bench.at(91), bench.at(118));
        assert_eq!(bench.waits(), (2, 1), "eleven are left");
    }

    #[test]
    fn nobody_is_judged_before_all_is_known() {
        let bench = bench();
        bench.began(0, 0, 50);
        bench.journal.judge(bench.at(149));
        assert_eq!(bench.journal.account(bench.at(149)).waited, 0);
        assert_eq!(bench.waits(), (1, 1));
    }

    #[test]
    fn busy_time_includes_what_is_being_served() {
        let bench = bench();
        bench.began(0, 0, 0);
        bench.ended(0, 30);
        bench.began(0, 30, 40);
        let account = bench.journal.account(bench.at(100));
        assert_eq!(account.workers[0].busy, Duration::from_millis(90));
        assert_eq!(account.workers[0].served, 1);
    }

    #[test]
    fn strangers_are_counted_and_not_judged() {
        let bench = bench();
        bench.journal.began(0, Asker::Stranger, bench.at(100));
        assert_eq!(bench.journal.account(bench.at(100)).strangers, 1);
        assert_eq!(bench.waits(), (0, 0));
    }
}
