//! The slab of waiters and the lists through it: linking, unlinking, walking. Who stands in which
//! list, and why, is the queue's.

use std::task::Waker;
use std::time::Instant;

use super::Queue;
use crate::need::Need;
use crate::waiters::seat::{Grant, Seat};
use crate::worker::WorkerId;

#[derive(Clone, Copy, Default)]
pub(super) struct List {
    pub(super) ends: Option<Ends>,
}

#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) head: usize,
    pub(super) tail: usize,
}

pub(super) enum Node<S> {
    Vacant,
    Waiting(Waiting),
    Granted(Grant<S>),
}

pub(super) struct Waiting {
    pub(super) waker: Waker,
    pub(super) need: Need,
    pub(super) line: Line,
    pub(super) age: u64,
    pub(super) since: Instant,
    pub(super) previous: Option<usize>,
    pub(super) next: Option<usize>,
}

/// Where a waiter stands.
#[derive(Clone, Copy)]
pub(super) enum Line {
    Shared,
    Unbound,
    Bound(WorkerId),
}

impl<S: Seat> Queue<S> {
    pub(super) fn vacate(&mut self, node: usize) -> Option<Grant<S>> {
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
    pub(super) fn link(&mut self, node: usize, place: Option<usize>) {
        let Some(need) = self.waiting(node).map(|waiting| waiting.need) else { return };
        let last = self.list(place, need).ends.map(|ends| ends.tail);
        if let Some(waiting) = self.waiting_mut(node) {
            waiting.previous = last;
        }
        if let Some(last) = last.and_then(|last| self.waiting_mut(last)) {
            last.next = Some(node);
        }
        let list = self.list(place, need);
        let head = list.ends.map_or(node, |ends| ends.head);
        list.ends = Some(Ends { head, tail: node });
    }

    pub(super) fn unlink(&mut self, node: usize) {
        let Some(&Waiting { need, line, age, previous, next, .. }) = self.waiting(node) else {
            return;
        };
        let list = match line {
            Line::Unbound => {
                self.unbound[need as usize].remove(&age);
                return;
            }
            Line::Shared => self.list(None, need),
            Line::Bound(worker) => match self.place_of(worker) {
                Some(place) => self.list(Some(place), need),
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

    pub(super) fn list(&mut self, place: Option<usize>, need: Need) -> &mut List {
        match place {
            Some(place) => &mut self.places[place].bound[need as usize],
            None => &mut self.shared[need as usize],
        }
    }

    pub(super) fn walk(&self, list: List) -> impl Iterator<Item = usize> + '_ {
        let next = |&node: &usize| self.waiting(node).and_then(|waiting| waiting.next);
        std::iter::successors(list.ends.map(|ends| ends.head), next)
    }

    pub(super) fn waiting(&self, node: usize) -> Option<&Waiting> {
        match self.nodes.get(node) {
            Some(Node::Waiting(waiting)) => Some(waiting),
            _ => None,
        }
    }

    pub(super) fn waiting_mut(&mut self, node: usize) -> Option<&mut Waiting> {
        match self.nodes.get_mut(node) {
            Some(Node::Waiting(waiting)) => Some(waiting),
            _ => None,
        }
    }
}

impl List {
    pub(super) fn is_empty(self) -> bool {
        self.ends.is_none()
    }
}
