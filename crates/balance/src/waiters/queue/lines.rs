//! The slab of waiters and the lists through it: linking, unlinking, walking. Who stands in which
//! list, and why, is the queue's.

use std::task::Waker;
use std::time::Instant;

use crate::need::Need;
use crate::waiters::seat::Grant;
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

/// Every waiter there is, in any list.
pub(super) struct Slab<S> {
    pub(super) nodes: Vec<Node<S>>,
    free: Vec<usize>,
}

impl<S> Default for Slab<S> {
    fn default() -> Self {
        Self { nodes: Vec::new(), free: Vec::new() }
    }
}

impl<S> Slab<S> {
    /// Into no list yet.
    pub(super) fn occupy(&mut self, waiting: Waiting) -> usize {
        match self.free.pop() {
            Some(node) => {
                self.nodes[node] = Node::Waiting(waiting);
                node
            }
            None => {
                self.nodes.push(Node::Waiting(waiting));
                self.nodes.len() - 1
            }
        }
    }

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

    /// To the end of this list.
    pub(super) fn link(&mut self, list: &mut List, node: usize) {
        let last = list.ends.map(|ends| ends.tail);
        if let Some(waiting) = self.waiting_mut(node) {
            waiting.previous = last;
        }
        if let Some(last) = last.and_then(|last| self.waiting_mut(last)) {
            last.next = Some(node);
        }
        let head = list.ends.map_or(node, |ends| ends.head);
        list.ends = Some(Ends { head, tail: node });
    }

    /// Out of this list, which it stands in.
    pub(super) fn unlink(&mut self, list: &mut List, node: usize) {
        let Some(&Waiting { previous, next, .. }) = self.waiting(node) else { return };
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
