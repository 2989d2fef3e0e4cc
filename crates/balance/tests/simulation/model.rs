//! The model beside the queue: it knows who waits, since when and for whom, and what the queue owes
//! them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use isobar_balance::{Grant, Held, Join, Need, Seat, Seats, Ticket, Waiters, Worker, WorkerId};

const MAX_WAITING: usize = 40;

#[derive(Clone, Copy, PartialEq)]
pub enum Lateness {
    None,
    Random,
}

pub struct Pool {
    pub waiters: Waiters<Chair>,
    pub workers: Vec<Chair>,
    pub published: Vec<u32>,
    /// Of the published: those that take only who waits for them alone.
    pub backups: Vec<u32>,
    /// Of the published: those that take whoever waits while nobody before them has room.
    pub overflow: Vec<u32>,
    pub held: Vec<(Chair, Held)>,
    /// In order of age.
    pub tickets: Vec<Waiting>,
    pub lateness: Lateness,
    pub now: Instant,
    pub rng: fastrand::Rng,
    pub handed_over: usize,
    pub spans: Vec<(Instant, Instant)>,
}

pub struct Waiting {
    pub ticket: Ticket,
    pub bound: Option<u32>,
    pub need: Need,
    pub since: Instant,
    pub woken: Arc<Flag>,
    /// What was true when it was woken.
    pub granted: Option<World>,
}

pub struct World {
    pub open: Vec<u32>,
    /// Had a tunnel slot left.
    pub roomy: Vec<u32>,
    pub backups: Vec<u32>,
    /// Who older went on waiting: for which worker, and what it needs.
    pub older: Vec<(Option<u32>, Need)>,
}

impl Pool {
    pub fn new(seed: u64, workers: u32, lateness: Lateness) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut pool = Self {
            waiters: Waiters::new(),
            workers: (0..workers).map(|id| Chair::new(id, rng.u32(1..4))).collect(),
            published: Vec::new(),
            backups: Vec::new(),
            overflow: Vec::new(),
            held: Vec::new(),
            tickets: Vec::new(),
            lateness,
            now: Instant::now(),
            rng,
            handed_over: 0,
            spans: Vec::new(),
        };
        pool.publish_all();
        pool
    }

    pub fn step(&mut self) {
        self.now += Duration::from_micros(self.rng.u64(1..2000));
        let before = self.taken();
        let worker = self.rng.usize(..self.workers.len());
        let event = match self.lateness {
            Lateness::None => self.now,
            Lateness::Random => self.now - Duration::from_micros(self.rng.u64(0..6000)),
        };
        self.waiters.observe(self.now);
        match self.rng.u32(0..100) {
            0..46 => {
                let bound = (self.rng.u32(0..4) == 0).then_some(worker as u32);
                let need = if self.rng.u32(0..3) == 0 { Need::Tunnel } else { Need::Request };
                self.arrive(bound, need);
            }
            46..72 if !self.held.is_empty() => {
                let (seat, held) = self.held.swap_remove(self.rng.usize(..self.held.len()));
                self.waiters.release(&seat, held, event);
            }
            72..78 if !self.held.is_empty() => self.go_on(event),
            78..84 if !self.tickets.is_empty() => {
                let left = self.tickets.remove(self.rng.usize(..self.tickets.len()));
                self.waiters.leave(left.ticket, event);
            }
            84..88 => {
                self.workers[worker].slots().set_limit(NonZeroU32::new(self.rng.u32(1..5)));
                let tunnels = NonZeroU32::new(self.rng.u32(0..4));
                self.workers[worker].0.tunnels().set_limit(tunnels);
                self.waiters.changed(event);
            }
            88..91 => self.workers[worker].slots().close(),
            91..95 => {
                self.workers[worker].slots().open();
                self.waiters.changed(event);
            }
            95..97 => {
                self.published =
                    (0..self.workers.len() as u32).filter(|_| self.rng.u32(0..4) > 0).collect();
                let backup = |_: &u32| self.rng.u32(0..3) == 0;
                self.backups = self.published.iter().copied().filter(backup).collect();
                let overflow = |_: &u32| self.rng.u32(0..3) == 0;
                self.overflow = self.published.iter().copied().filter(overflow).collect();
                self.publish(event);
            }
            97 if !self.tickets.is_empty() => {
                let at = self.rng.usize(..self.tickets.len());
                self.unbind(at);
            }
            98 => {
                self.published = (0..self.workers.len() as u32).collect();
                self.backups.clear();
                self.overflow.clear();
                self.publish(event);
            }
            _ => {}
        }
        self.notice_grants(event);
        self.take_some_grants();
        self.check(&before);
    }

    /// The head of an answer came: a tunnel begins, or turns out to be none; or what nobody had
    /// announced turns out to be one.
    pub fn go_on(&mut self, event: Instant) {
        let at = self.rng.usize(..self.held.len());
        let (seat, held) = &mut self.held[at];
        let (now, released) = match held {
            Held::Both if self.rng.bool() => (Held::Tunnel, Held::Request),
            Held::Both => (Held::Request, Held::Tunnel),
            Held::Request if self.waiters.take_tunnel(seat) => (Held::Tunnel, Held::Request),
            Held::Request | Held::Tunnel => return,
        };
        *held = now;
        self.waiters.release(seat, released, event);
    }

    pub fn publish_all(&mut self) {
        self.published = (0..self.workers.len() as u32).collect();
        self.publish(self.now);
    }

    pub fn publish(&mut self, event: Instant) {
        let mut seats: Vec<_> =
            self.published.iter().map(|&id| self.workers[id as usize].clone()).collect();
        self.rng.shuffle(&mut seats);
        let (backups, seats): (Vec<_>, Vec<_>) =
            seats.into_iter().partition(|seat| self.backups.contains(&seat.id()));
        let (overflow, serving) =
            seats.into_iter().partition(|seat| self.overflow.contains(&seat.id()));
        self.waiters.publish(Seats { serving, overflow, backups }, event);
        for waiting in &mut self.tickets {
            waiting.bound = waiting.bound.filter(|id| self.published.contains(id));
        }
    }

    /// As the pool does: the gate, the pick, the queue. Now and then the snapshot is too old to
    /// know any free worker.
    pub fn arrive(&mut self, bound: Option<u32>, need: Need) {
        let stale = self.rng.u32(0..10) == 0;
        let pick = || if stale { None } else { self.reserve(bound, need) };
        if need == Need::Request
            && self.waiters.is_open()
            && let Some(seat) = pick()
        {
            return self.held.push((seat, need.held()));
        }
        let bound_now = bound.filter(|id| self.published.contains(id));
        let woken = Arc::new(Flag(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let waiting = self.waiting().filter(|other| other.need == need).count();
        match self.waiters.join(bound.map(WorkerId), need, MAX_WAITING, &waker, self.now, pick) {
            Join::Granted(seat) => {
                assert!(self.may_use(bound_now, seat.id()));
                let overtaken = self.waiting().any(|other| {
                    let competes = other.need <= need || seat.has_tunnel_room();
                    competes && self.may_use(other.bound, seat.id())
                });
                assert!(!overtaken, "a newcomer overtook a waiter it competes with");
                self.held.push((seat, need.held()));
            }
            Join::Waiting(ticket) => {
                assert!(waiting < MAX_WAITING);
                let since = self.now;
                let bound = bound_now;
                self.tickets.push(Waiting { ticket, bound, need, since, woken, granted: None });
            }
            Join::Full => assert_eq!(waiting, MAX_WAITING),
        }
    }

    /// One that waited for its worker takes any: at once if some are free, else at its age.
    pub fn unbind(&mut self, at: usize) {
        let mut waiting = self.tickets.remove(at);
        let granted = waiting.woken.0.load(SeqCst);
        let need = waiting.need;
        let free = self
            .published
            .iter()
            .any(|&id| self.workers[id as usize].has_room(need) && self.may_use(None, id));
        match self.waiters.unbind(waiting.ticket, self.now, || self.reserve(None, need)) {
            Ok(Grant { seat, held, .. }) => {
                assert!(granted || free);
                self.held.push((seat, held));
            }
            Err(ticket) => {
                assert!(!granted && !free, "it waits beside a free slot");
                waiting.ticket = ticket;
                waiting.bound = None;
                self.tickets.insert(at, waiting);
            }
        }
    }

    pub fn reserve(&self, bound: Option<u32>, need: Need) -> Option<Chair> {
        let bound = bound.filter(|id| self.published.contains(id));
        let usable = self.published.iter().filter(|&&id| self.may_use(bound, id));
        let mut seats = usable.map(|&id| &self.workers[id as usize]);
        seats.find(|seat| seat.has_room(need) && seat.slots().try_reserve()).cloned()
    }

    /// First come, first served: nobody is woken before an older one who would have taken just
    /// that slot. Which slot it was shows when the grant is taken.
    pub fn notice_grants(&mut self, event: Instant) {
        let open = |&id: &u32| !self.workers[id as usize].slots().load().is_closed();
        let usable: Vec<u32> = self.published.iter().copied().filter(open).collect();
        let roomy = |&id: &u32| self.workers[id as usize].has_tunnel_room();
        let roomy: Vec<u32> = self.published.iter().copied().filter(roomy).collect();
        let mut older: Vec<(Option<u32>, Need)> = Vec::new();
        let mut spans = Vec::new();
        for waiting in &mut self.tickets {
            if waiting.granted.is_some() {
                continue;
            }
            if !waiting.woken.0.load(SeqCst) {
                older.push((waiting.bound, waiting.need));
                continue;
            }
            let backups = waiting.bound.is_some_and(|id| self.backups.contains(&id));
            let any = (None, Need::Request);
            assert!(backups || !older.contains(&any), "one who may use any was passed over");
            if waiting.bound.is_some() {
                let same = (waiting.bound, Need::Request);
                assert!(!older.contains(&same), "one bound to the same was passed over");
            }
            spans.push((waiting.since.max(event), self.now));
            let mut usable = usable.clone();
            if waiting.bound.is_none() {
                usable.retain(|id| !self.backups.contains(id));
            }
            let (roomy, backups, older) = (roomy.clone(), self.backups.clone(), older.clone());
            waiting.granted = Some(World { open: usable, roomy, backups, older });
        }
        self.handed_over += spans.len();
        self.spans.append(&mut spans);
    }

    /// Some are polled at once, some later, and some leave before they are.
    pub fn take_some_grants(&mut self) {
        let mut kept = Vec::new();
        for mut waiting in std::mem::take(&mut self.tickets) {
            let granted = waiting.woken.0.load(SeqCst);
            if self.rng.bool() {
                kept.push(waiting);
                continue;
            }
            let waker = Waker::from(waiting.woken.clone());
            match self.waiters.poll(&mut waiting.ticket, &mut Context::from_waker(&waker)) {
                Poll::Pending => {
                    assert!(!granted);
                    kept.push(waiting);
                }
                Poll::Ready(Grant { seat, held, at }) => {
                    let World { open, roomy, backups, older } = waiting.granted.expect("was woken");
                    assert_eq!(held, waiting.need.held());
                    assert!(waiting.bound.is_none_or(|id| id == seat.id()));
                    assert!(open.contains(&seat.id()), "a worker that is closed or not published");
                    for (bound, need) in older {
                        let competes = need <= waiting.need || roomy.contains(&seat.id());
                        let it = bound == Some(seat.id())
                            || bound.is_none() && !backups.contains(&seat.id());
                        assert!(!(it && competes), "one who could use it was passed over");
                    }
                    assert!(at >= waiting.since && at <= self.now);
                    let again = self
                        .waiters
                        .poll(&mut waiting.ticket, &mut Context::from_waker(Waker::noop()));
                    assert!(again.is_pending(), "a grant is taken once");
                    self.waiters.leave(waiting.ticket, self.now);
                    self.held.push((seat, held));
                }
            }
        }
        self.tickets = kept;
    }

    pub fn check(&self, before: &[(u32, u32)]) {
        assert_eq!(self.waiters.len(), self.waiting().count());
        let requests = self.waiting().filter(|waiting| waiting.need == Need::Request).count();
        assert_eq!(self.waiters.is_open(), requests == 0);
        let granted = self.tickets.iter().filter(|waiting| waiting.woken.0.load(SeqCst));
        let granted = granted.map(|waiting| waiting.need.held());
        let held: Vec<_> = self.held.iter().map(|(_, held)| *held).chain(granted).collect();
        let sum = self.taken().iter().fold((0, 0), |sum, of| (sum.0 + of.0, sum.1 + of.1));
        assert_eq!(sum.0 as usize, held.iter().filter(|held| held.has_request()).count());
        assert_eq!(sum.1 as usize, held.iter().filter(|held| held.has_tunnel()).count());
        for (seat, (slots, tunnels)) in self.workers.iter().zip(before) {
            // A grant left and handed on keeps the count; only a reserve raises it.
            for (word, before) in [(seat.slots(), slots), (seat.0.tunnels(), tunnels)] {
                let word = word.load();
                let limit = word.limit().unwrap_or(u32::MAX);
                assert!(word.in_flight() <= limit.max(*before), "above the limit: {word:?}");
            }
            if self.published.contains(&seat.id()) {
                let waits = self.waiting().find(|waiting| {
                    seat.has_room(waiting.need) && self.may_use(waiting.bound, seat.id())
                });
                assert!(waits.is_none(), "a waiter beside a free slot");
            }
        }
    }

    /// All leave, all leases end: nothing is held, nobody waits.
    pub fn end(mut self) {
        self.notice_grants(self.now);
        for waiting in std::mem::take(&mut self.tickets) {
            self.waiters.leave(waiting.ticket, self.now);
        }
        for (seat, held) in std::mem::take(&mut self.held) {
            self.waiters.release(&seat, held, self.now);
        }
        assert_eq!(self.waiters.len(), 0);
        assert!(self.taken().iter().all(|taken| *taken == (0, 0)));
    }

    /// The length of the union of all spans in which a waiter and its slot could have met.
    pub fn idle(&self) -> Duration {
        let mut spans = self.spans.clone();
        spans.sort();
        let mut until = None;
        let mut total = Duration::ZERO;
        for (from, to) in spans {
            let from = until.map_or(from, |until| from.max(until));
            total += to.saturating_duration_since(from);
            until = until.max(Some(to));
        }
        total
    }

    pub fn waiting(&self) -> impl Iterator<Item = &Waiting> {
        self.tickets.iter().filter(|waiting| !waiting.woken.0.load(SeqCst))
    }

    pub fn may_use(&self, bound: Option<u32>, id: u32) -> bool {
        bound.map_or(!self.backups.contains(&id), |bound| bound == id)
    }

    /// Slots and tunnel slots of each worker.
    pub fn taken(&self) -> Vec<(u32, u32)> {
        let of = |seat: &Chair| (seat.in_flight(), seat.0.tunnels().load().in_flight());
        self.workers.iter().map(of).collect()
    }
}

#[derive(Clone)]
pub struct Chair(pub Arc<Worker>);

impl Chair {
    pub fn new(id: u32, limit: u32) -> Self {
        Self(Arc::new(Worker::new(WorkerId(id), "w", NonZeroU32::new(limit), 1)))
    }

    pub fn slots(&self) -> &isobar_balance::Slots {
        self.0.slots()
    }

    pub fn id(&self) -> u32 {
        self.0.id().0
    }

    pub fn in_flight(&self) -> u32 {
        self.slots().load().in_flight()
    }

    pub fn has_tunnel_room(&self) -> bool {
        self.0.tunnels().load().has_room()
    }

    pub fn has_room(&self, need: Need) -> bool {
        self.slots().load().has_room() && (need == Need::Request || self.has_tunnel_room())
    }
}

impl Seat for Chair {
    fn worker(&self) -> &Worker {
        &self.0
    }
}

pub struct Flag(pub AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}
