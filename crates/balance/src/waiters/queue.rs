//! The lists behind the lock: who waits for what, in order of age, and which seats there are.
//!
//! One list for those that may use any worker, one per worker for those bound to it, all linked
//! through one slab, so that joining, leaving and handing over cost the same for any length. Who was
//! bound and no longer is belongs somewhere into the middle of the first list; a tree by age beside
//! it finds the place for them without a walk. Single threaded; [`Waiters`](super::Waiters) brings
//! the lock and the handshake.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::idle::Idle;
use super::{Grant, Seat, Seats};
use crate::worker::{Worker, WorkerId};

pub(super) struct Queue<S> {
    /// Sorted by worker id.
    places: Vec<Place<S>>,
    /// Those that may use any worker since they came.
    shared: List,
    /// Those that have come to, by age.
    unbound: BTreeMap<u64, usize>,
    nodes: Vec<Node<S>>,
    free: Vec<usize>,
    waiting: usize,
    /// Age of the next waiter.
    next_age: u64,
    idle: Idle,
    wakes: Wakes,
}

/// Woken once the lock is free. Nearly always one, which costs no allocation.
pub(super) type Wakes = (Option<Waker>, Vec<Waker>);

/// A worker that may be used, and those who wait for it alone.
struct Place<S> {
    seat: S,
    takes: Takes,
    bound: List,
}

/// Whom a worker's free slot goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Everybody,
    /// A backup's: while it does not serve, only to those who wait for this worker.
    Bound,
}

#[derive(Clone, Copy, Default)]
struct List {
    ends: Option<Ends>,
}

#[derive(Clone, Copy)]
struct Ends {
    head: usize,
    tail: usize,
}

enum Node<S> {
    Vacant,
    Waiting(Waiting),
    Granted(Grant<S>),
}

struct Waiting {
    waker: Waker,
    line: Line,
    age: u64,
    since: Instant,
    previous: Option<usize>,
    next: Option<usize>,
}

/// Where a waiter stands.
#[derive(Clone, Copy)]
enum Line {
    Shared,
    Unbound,
    Bound(WorkerId),
}

impl<S> Default for Queue<S> {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            shared: List::default(),
            unbound: BTreeMap::new(),
            nodes: Vec::new(),
            free: Vec::new(),
            waiting: 0,
            next_age: 0,
            idle: Idle::default(),
            wakes: Wakes::default(),
        }
    }
}

impl<S: Seat> Queue<S> {
    pub(super) fn len(&self) -> usize {
        self.waiting
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

    /// Somebody older waits for what this newcomer would take.
    pub(super) fn has_rivals(&self, bound: Option<WorkerId>) -> bool {
        let bound = bound.and_then(|worker| self.place_of(worker)).map(|at| &self.places[at]);
        let shared = !self.shared.is_empty() || !self.unbound.is_empty();
        match bound {
            Some(place) => !place.bound.is_empty() || shared && place.takes == Takes::Everybody,
            None => shared,
        }
    }

    /// Any free slot the newcomer may use.
    pub(super) fn reserve(&self, bound: Option<WorkerId>) -> Option<S> {
        let has_one = |place: &&Place<S>| place.seat.worker().slots().try_reserve();
        let free = match bound {
            Some(worker) => self.places.get(self.place_of(worker)?).filter(has_one),
            None => self.places.iter().filter(|p| p.takes == Takes::Everybody).find(has_one),
        };
        Some(free?.seat.clone())
    }

    pub(super) fn enqueue(
        &mut self,
        bound: Option<WorkerId>,
        waker: Waker,
        since: Instant,
    ) -> usize {
        let age = self.next_age;
        self.next_age += 1;
        let place = bound.and_then(|worker| self.place_of(worker));
        let line = bound.filter(|_| place.is_some()).map_or(Line::Shared, Line::Bound);
        let waiting = Waiting { waker, line, age, since, previous: None, next: None };
        let node = match self.free.pop() {
            Some(node) => {
                self.nodes[node] = Node::Waiting(waiting);
                node
            }
            None => {
                self.nodes.push(Node::Waiting(waiting));
                self.nodes.len() - 1
            }
        };
        self.link(node, place);
        self.waiting += 1;
        node
    }

    /// Takes the grant, or leaves this waker for when there is one.
    pub(super) fn take(&mut self, node: usize, waker: &Waker) -> Option<Grant<S>> {
        match self.nodes.get_mut(node)? {
            Node::Vacant => None,
            Node::Waiting(waiting) => {
                waiting.waker.clone_from(waker);
                None
            }
            Node::Granted(_) => self.vacate(node),
        }
    }

    /// The grant, if there is one.
    pub(super) fn granted(&mut self, node: usize) -> Option<Grant<S>> {
        match self.nodes.get(node)? {
            Node::Granted(_) => self.vacate(node),
            Node::Vacant | Node::Waiting(_) => None,
        }
    }

    /// From its worker's list to that of all, behind everybody who is older.
    pub(super) fn unbind(&mut self, node: usize) {
        self.unlink(node);
        let Some(waiting) = self.waiting_mut(node) else { return };
        (waiting.line, waiting.previous, waiting.next) = (Line::Unbound, None, None);
        let age = waiting.age;
        self.unbound.insert(age, node);
    }

    /// Ends a waiter; what it was granted and did not take comes back.
    pub(super) fn leave(&mut self, node: usize) -> Option<Grant<S>> {
        if let Some(Node::Waiting(_)) = self.nodes.get(node) {
            self.unlink(node);
            self.ended_waiting();
        }
        self.vacate(node)
    }

    /// One held slot of this seat's worker goes to the oldest who may use it, and otherwise back.
    pub(super) fn pass_on(&mut self, seat: &S, now: Instant) {
        let worker = seat.worker();
        let place = self.place_for(worker).filter(|_| worker.slots().load().may_hand_over());
        match place.and_then(|place| Some((place, self.oldest(place)?))) {
            Some((place, node)) => self.grant(node, place, now),
            None => worker.slots().release(),
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
        let mut some = self.waiting > 0;
        while some {
            some = false;
            for place in 0..self.places.len() {
                some |= self.hand_over(place, now);
            }
        }
    }

    /// The same for those workers somebody is bound to.
    pub(super) fn settle_bound(&mut self, now: Instant) {
        if self.waiting == 0 {
            return;
        }
        for place in 0..self.places.len() {
            while !self.places[place].bound.is_empty() && self.hand_over(place, now) {}
        }
    }

    pub(super) fn publish(&mut self, Seats { serving, backups }: Seats<S>) {
        let place = |takes| move |seat| Place { seat, takes, bound: List::default() };
        let serving = serving.into_iter().map(place(Takes::Everybody));
        let backups = backups.into_iter().map(place(Takes::Bound));
        let mut places: Vec<_> = serving.chain(backups).collect();
        places.sort_by_key(|place| place.seat.worker().id());
        places.dedup_by_key(|place| place.seat.worker().id());
        let before = std::mem::replace(&mut self.places, places);
        let mut stranded = Vec::new();
        for Place { seat, bound, .. } in before {
            match self.place_of(seat.worker().id()) {
                Some(place) => self.places[place].bound = bound,
                None => stranded.extend(self.walk(bound)),
            }
        }
        // Those whose worker is gone join the others in order of age.
        for node in stranded {
            self.unbind(node);
        }
    }

    /// Reserves one slot for the oldest who may use it.
    fn hand_over(&mut self, place: usize, now: Instant) -> bool {
        let Some(node) = self.oldest(place) else { return false };
        if !self.places[place].seat.worker().slots().try_reserve() {
            return false;
        }
        self.grant(node, place, now);
        true
    }

    /// The oldest head of those who may use any worker and those who wait for this one.
    fn oldest(&self, place: usize) -> Option<usize> {
        let head = |list: List| list.ends.map(|ends| ends.head);
        let place = &self.places[place];
        let bound = head(place.bound);
        if place.takes == Takes::Bound {
            return bound;
        }
        let unbound = self.unbound.first_key_value().map(|(_, &node)| node);
        let heads = [head(self.shared), bound, unbound].into_iter().flatten();
        heads.min_by_key(|&head| self.waiting(head).map(|waiting| waiting.age))
    }

    fn grant(&mut self, node: usize, place: usize, event: Instant) {
        self.unlink(node);
        let seat = self.places[place].seat.clone();
        let before = std::mem::replace(&mut self.nodes[node], Node::Vacant);
        let Node::Waiting(waiting) = before else { return };
        // The slot and the waiter could have met as soon as both were there.
        let at = waiting.since.max(event);
        self.idle.count_from(at);
        self.nodes[node] = Node::Granted(Grant { seat, at });
        self.ended_waiting();
        match self.wakes.0 {
            None => self.wakes.0 = Some(waiting.waker),
            Some(_) => self.wakes.1.push(waiting.waker),
        }
    }

    fn ended_waiting(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
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

    fn vacate(&mut self, node: usize) -> Option<Grant<S>> {
        let before = std::mem::replace(self.nodes.get_mut(node)?, Node::Vacant);
        if !matches!(before, Node::Vacant) {
            self.free.push(node);
        }
        match before {
            Node::Granted(grant) => Some(grant),
            Node::Vacant | Node::Waiting(_) => None,
        }
    }

    /// To the end of the list of this place, or of that of all.
    fn link(&mut self, node: usize, place: Option<usize>) {
        let last = self.list(place).ends.map(|ends| ends.tail);
        if let Some(waiting) = self.waiting_mut(node) {
            waiting.previous = last;
        }
        if let Some(last) = last.and_then(|last| self.waiting_mut(last)) {
            last.next = Some(node);
        }
        let list = self.list(place);
        let head = list.ends.map_or(node, |ends| ends.head);
        list.ends = Some(Ends { head, tail: node });
    }

    fn unlink(&mut self, node: usize) {
        let Some(waiting) = self.waiting(node) else { return };
        let (line, age) = (waiting.line, waiting.age);
        let (previous, next) = (waiting.previous, waiting.next);
        let list = match line {
            Line::Unbound => {
                self.unbound.remove(&age);
                return;
            }
            Line::Shared => self.list(None),
            Line::Bound(worker) => match self.place_of(worker) {
                Some(place) => self.list(Some(place)),
                // Its list went with its worker.
                None => return,
            },
        };
        list.ends = list.ends.and_then(|ends| {
            Some(Ends {
                head: if ends.head == node { next? } else { ends.head },
                tail: if ends.tail == node { previous? } else { ends.tail },
            })
        });
        if let Some(before) = previous.and_then(|node| self.waiting_mut(node)) {
            before.next = next;
        }
        if let Some(after) = next.and_then(|node| self.waiting_mut(node)) {
            after.previous = previous;
        }
    }

    fn list(&mut self, place: Option<usize>) -> &mut List {
        match place {
            Some(place) => &mut self.places[place].bound,
            None => &mut self.shared,
        }
    }

    fn walk(&self, list: List) -> impl Iterator<Item = usize> + '_ {
        let next = |&node: &usize| self.waiting(node).and_then(|waiting| waiting.next);
        std::iter::successors(list.ends.map(|ends| ends.head), next)
    }

    fn waiting(&self, node: usize) -> Option<&Waiting> {
        match self.nodes.get(node) {
            Some(Node::Waiting(waiting)) => Some(waiting),
            _ => None,
        }
    }

    fn waiting_mut(&mut self, node: usize) -> Option<&mut Waiting> {
        match self.nodes.get_mut(node) {
            Some(Node::Waiting(waiting)) => Some(waiting),
            _ => None,
        }
    }
}

impl List {
    fn is_empty(self) -> bool {
        self.ends.is_none()
    }
}
