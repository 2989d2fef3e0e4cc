//! The lists behind the lock: who waits for what, in order of age, and which seats there are.
//!
//! One list for those that may use any worker, one per worker for those bound to it, and each of
//! them once for every need, all linked through one slab, so that joining, leaving and handing over
//! cost the same for any length: whoever waits for a tunnel slot stands in nobody's way. Who was
//! bound and no longer is belongs somewhere into the middle of the first list; a tree by age beside
//! it finds the place for them without a walk. Single threaded; [`Waiters`](super::Waiters) brings
//! the lock and the handshake.

mod lines;

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use self::lines::{Line, List, Node, Slab, Waiting};
use super::idle::Idle;
use super::seat::{Grant, Seat, Seats};
use crate::need::{Held, Need};
use crate::worker::{Worker, WorkerId};

pub(super) struct Queue<S> {
    /// Sorted by worker id.
    places: Vec<Place<S>>,
    /// Those that may use any worker since they came.
    shared: ByNeed<List>,
    /// Those that have come to, by age.
    unbound: ByNeed<BTreeMap<u64, usize>>,
    slab: Slab<S>,
    waiting: ByNeed<usize>,
    /// Age of the next waiter.
    next_age: u64,
    idle: Idle,
    wakes: Wakes,
}

/// In the order of [`Need::ALL`].
type ByNeed<T> = [T; Need::ALL.len()];

/// Woken once the lock is free. Nearly always one, which costs no allocation.
pub(super) type Wakes = (Option<Waker>, Vec<Waker>);

/// A worker that may be used, and those who wait for it alone.
struct Place<S> {
    seat: S,
    takes: Takes,
    bound: ByNeed<List>,
}

/// Whom a worker's free slot goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Everybody,
    /// The same, while nobody of the lower tiers has one.
    Overflow,
    /// A backup's: while it does not serve, only to those who wait for this worker.
    Bound,
}

impl<S> Default for Queue<S> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            shared: ByNeed::default(),
            unbound: ByNeed::default(),
            slab: Slab::default(),
            waiting: ByNeed::default(),
            next_age: 0,
            idle: Idle::default(),
            wakes: Wakes::default(),
        }
    }
}

impl<S: Seat> Queue<S> {
    pub(super) fn len(&self) -> usize {
        self.waiting.iter().sum()
    }

    pub(super) fn len_of(&self, need: Need) -> usize {
        self.waiting[need as usize]
    }

    pub(super) fn observe(&mut self, now: Instant) {
        self.idle.observe(now);
    }

    pub(super) fn idle_while_waiting(&self) -> Duration {
        self.idle.total()
    }

    pub(super) fn wakes(&mut self) -> impl IntoIterator<Item = Waker> + use<S> {
        let (first, more) = std::mem::take(&mut self.wakes);
        first.into_iter().chain(more)
    }

    pub(super) fn knows(&self, worker: WorkerId) -> bool {
        self.place_of(worker).is_some()
    }

    /// Somebody older waits for what this newcomer would take. Who needs a slot alone does not stand
    /// behind those that miss a tunnel slot; what is free for these [`Queue::settle_others`] finds.
    pub(super) fn has_rivals(&self, bound: Option<WorkerId>, need: Need) -> bool {
        let needs = || Need::ALL.into_iter().filter(|&rival| rival <= need);
        let bound = bound.and_then(|worker| self.place_of(worker)).map(|at| &self.places[at]);
        let shared = needs().any(|need| {
            !self.shared[need as usize].is_empty() || !self.unbound[need as usize].is_empty()
        });
        match bound {
            Some(place) => {
                needs().any(|need| !place.bound[need as usize].is_empty())
                    || shared && place.takes != Takes::Bound
            }
            None => shared,
        }
    }

    /// What the newcomer needs, of whom `pick` chooses or of anybody it may use.
    pub(super) fn serve(
        &mut self,
        bound: Option<WorkerId>,
        need: Need,
        now: Instant,
        pick: impl FnOnce() -> Option<S>,
    ) -> Option<S> {
        // The pick may have seen an older snapshot than this queue has; then the queue itself knows
        // better, and nobody waits beside a free slot.
        let seat = pick().or_else(|| self.reserve(bound, need))?;
        if need == Need::Tunnel && !seat.worker().tunnels().try_reserve() {
            // Their limit was lowered just now.
            self.pass_on(&seat, Held::Request, now);
            return None;
        }
        Some(seat)
    }

    /// Any free slot the newcomer may use.
    fn reserve(&self, bound: Option<WorkerId>, need: Need) -> Option<S> {
        let has_one = |place: &&Place<S>| {
            let worker = place.seat.worker();
            worker.has_room_for(need) && worker.slots().try_reserve()
        };
        let of = |takes| self.places.iter().filter(move |p| p.takes == takes).find(has_one);
        let free = match bound {
            Some(worker) => self.places.get(self.place_of(worker)?).filter(has_one),
            None => of(Takes::Everybody).or_else(|| of(Takes::Overflow)),
        };
        Some(free?.seat.clone())
    }

    pub(super) fn enqueue(
        &mut self,
        bound: Option<WorkerId>,
        need: Need,
        waker: Waker,
        since: Instant,
    ) -> usize {
        let age = self.next_age;
        self.next_age += 1;
        let place = bound.and_then(|worker| self.place_of(worker));
        let line = bound.filter(|_| place.is_some()).map_or(Line::Shared, Line::Bound);
        let waiting = Waiting { waker, need, line, age, since, previous: None, next: None };
        let node = self.slab.occupy(waiting);
        let list = match place {
            Some(place) => &mut self.places[place].bound[need as usize],
            None => &mut self.shared[need as usize],
        };
        self.slab.link(list, node);
        self.waiting[need as usize] += 1;
        node
    }

    pub(super) fn need_of(&self, node: usize) -> Need {
        match self.slab.nodes.get(node) {
            Some(Node::Waiting(waiting)) => waiting.need,
            Some(Node::Granted(grant)) if grant.held.has_tunnel() => Need::Tunnel,
            _ => Need::Request,
        }
    }

    /// Takes the grant, or leaves this waker for when there is one.
    pub(super) fn take(&mut self, node: usize, waker: &Waker) -> Option<Grant<S>> {
        match self.slab.nodes.get_mut(node)? {
            Node::Vacant => None,
            Node::Waiting(waiting) => {
                waiting.waker.clone_from(waker);
                None
            }
            Node::Granted(_) => self.slab.vacate(node),
        }
    }

    /// The grant, if there is one.
    pub(super) fn granted(&mut self, node: usize) -> Option<Grant<S>> {
        match self.slab.nodes.get(node)? {
            Node::Granted(_) => self.slab.vacate(node),
            Node::Vacant | Node::Waiting(_) => None,
        }
    }

    /// From its worker's list to that of all, behind everybody who is older.
    pub(super) fn unbind(&mut self, node: usize) {
        self.unlink(node);
        let Some(waiting) = self.slab.waiting_mut(node) else { return };
        (waiting.line, waiting.previous, waiting.next) = (Line::Unbound, None, None);
        let (age, need) = (waiting.age, waiting.need);
        self.unbound[need as usize].insert(age, node);
    }

    /// Ends a waiter; what it was granted and did not take comes back.
    pub(super) fn leave(&mut self, node: usize) -> Option<Grant<S>> {
        if let Some(Node::Waiting(Waiting { need, .. })) = self.slab.nodes.get(node) {
            let need = *need;
            self.unlink(node);
            self.ended_waiting(need);
        }
        self.slab.vacate(node)
    }

    /// What is held of this seat's worker goes to the oldest who may use it, and otherwise back.
    pub(super) fn pass_on(&mut self, seat: &S, held: Held, now: Instant) {
        let worker = seat.worker();
        if held.has_tunnel() {
            worker.tunnels().release();
        }
        if held.has_request() {
            let place = self.place_for(worker).filter(|_| worker.slots().load().may_hand_over());
            match place.and_then(|place| Some((place, self.next(place)?))) {
                Some((place, (node, need))) => self.grant(node, need, place, now),
                None => worker.slots().release(),
            }
        }
        self.settle_one(seat, now);
    }

    /// Hands over what this seat's worker has free.
    pub(super) fn settle_one(&mut self, seat: &S, now: Instant) {
        if let Some(place) = self.place_for(seat.worker()) {
            while self.hand_over(place, now) {}
        }
    }

    /// Hands over what anybody has free, in turns, so that no worker is filled before the others.
    pub(super) fn settle(&mut self, now: Instant) {
        for overflow in [false, true] {
            let mut some = self.len() > 0;
            while some {
                some = false;
                for place in 0..self.places.len() {
                    if (self.places[place].takes == Takes::Overflow) == overflow {
                        some |= self.hand_over(place, now);
                    }
                }
            }
        }
    }

    /// The same for those a newcomer does not queue behind, though they are older.
    pub(super) fn settle_others(&mut self, now: Instant) {
        if self.len() == 0 {
            return;
        }
        let tunnels = self.len_of(Need::Tunnel) > 0;
        for place in 0..self.places.len() {
            let some = |this: &Self| this.places[place].bound.iter().any(|list| !list.is_empty());
            while (tunnels || some(self)) && self.hand_over(place, now) {}
        }
    }

    pub(super) fn publish(&mut self, Seats { serving, overflow, backups }: Seats<S>) {
        let place = |takes| move |seat| Place { seat, takes, bound: ByNeed::default() };
        let serving = serving.into_iter().map(place(Takes::Everybody));
        let overflow = overflow.into_iter().map(place(Takes::Overflow));
        let backups = backups.into_iter().map(place(Takes::Bound));
        let mut places: Vec<_> = serving.chain(overflow).chain(backups).collect();
        places.sort_by_key(|place| place.seat.worker().id());
        places.dedup_by_key(|place| place.seat.worker().id());
        let before = std::mem::replace(&mut self.places, places);
        let mut stranded = Vec::new();
        for Place { seat, bound, .. } in before {
            match self.place_of(seat.worker().id()) {
                Some(place) => self.places[place].bound = bound,
                None => stranded.extend(bound.into_iter().flat_map(|list| self.slab.walk(list))),
            }
        }
        // Those whose worker is gone join the others in order of age.
        for node in stranded {
            self.unbind(node);
        }
    }

    /// Reserves what the oldest needs who may use it.
    fn hand_over(&mut self, place: usize, now: Instant) -> bool {
        let word = self.places[place].seat.worker().slots();
        // Most have nothing free: looked at before the lists are.
        if !word.load().has_room() {
            return false;
        }
        let Some((node, need)) = self.next(place) else { return false };
        let worker = self.places[place].seat.worker();
        if worker.slots().try_reserve() {
            self.grant(node, need, place, now);
            return true;
        }
        if need == Need::Tunnel {
            worker.tunnels().release();
        }
        false
    }

    /// Who is next to get a slot of this worker: the oldest who lacks nothing else. The tunnel slot
    /// that it may need is reserved with this.
    fn next(&self, place: usize) -> Option<(usize, Need)> {
        let [request, tunnel] = Need::ALL.map(|need| self.oldest(place, need));
        if let Some((age, node)) = tunnel
            && request.is_none_or(|(other, _)| age < other)
            && self.places[place].seat.worker().tunnels().try_reserve()
        {
            return Some((node, Need::Tunnel));
        }
        request.map(|(_, node)| (node, Need::Request))
    }

    /// The oldest head of those who may use any worker and those who wait for this one, with its age.
    fn oldest(&self, place: usize, need: Need) -> Option<(u64, usize)> {
        let need = need as usize;
        let head = |list: List| list.ends.map(|ends| ends.head);
        let aged = |node: usize| self.slab.waiting(node).map(|waiting| (waiting.age, node));
        let place = &self.places[place];
        let bound = head(place.bound[need]);
        if place.takes == Takes::Bound {
            return aged(bound?);
        }
        let unbound = self.unbound[need].first_key_value().map(|(_, &node)| node);
        let heads = [head(self.shared[need]), bound, unbound].into_iter().flatten();
        heads.filter_map(aged).min()
    }

    fn grant(&mut self, node: usize, need: Need, place: usize, event: Instant) {
        self.unlink(node);
        let seat = self.places[place].seat.clone();
        let before = std::mem::replace(&mut self.slab.nodes[node], Node::Vacant);
        let Node::Waiting(waiting) = before else { return };
        // The slot and the waiter could have met as soon as both were there.
        let at = waiting.since.max(event);
        self.idle.count_from(at);
        self.slab.nodes[node] = Node::Granted(Grant { seat, held: need.held(), at });
        self.ended_waiting(need);
        match self.wakes.0 {
            None => self.wakes.0 = Some(waiting.waker),
            Some(_) => self.wakes.1.push(waiting.waker),
        }
    }

    /// Out of whatever list it stands in.
    fn unlink(&mut self, node: usize) {
        let Some(&Waiting { need, line, age, .. }) = self.slab.waiting(node) else { return };
        let list = match line {
            Line::Unbound => {
                self.unbound[need as usize].remove(&age);
                return;
            }
            Line::Shared => &mut self.shared[need as usize],
            Line::Bound(worker) => match self.place_of(worker) {
                Some(place) => &mut self.places[place].bound[need as usize],
                // Its list went with its worker.
                None => return,
            },
        };
        self.slab.unlink(list, node);
    }

    fn ended_waiting(&mut self, need: Need) {
        self.waiting[need as usize] -= 1;
        if self.len() == 0 {
            self.idle.nobody_waits();
        }
    }

    /// The published place of this very worker: one that left and came back under the same id
    /// would have another slot word.
    fn place_for(&self, worker: &Worker) -> Option<usize> {
        let place = self.place_of(worker.id())?;
        std::ptr::eq(self.places[place].seat.worker(), worker).then_some(place)
    }

    fn place_of(&self, worker: WorkerId) -> Option<usize> {
        self.places.binary_search_by_key(&worker, |place| place.seat.worker().id()).ok()
    }
}
