//! A tree over the elements of a name (`/a/b`, or the labels of a host from the right), which finds
//! the longest stored name that covers a given one. The walk ends where the stored names end, so
//! what a client sends cannot make it long.

use std::collections::HashMap;

pub(super) struct Trie<V> {
    /// The first one is the root; a child stands behind its parent.
    nodes: Vec<Node<V>>,
}

struct Node<V> {
    children: HashMap<Box<[u8]>, usize>,
    value: Option<V>,
    /// The closest node above that has a value, as known once the tree is complete.
    above: Option<usize>,
}

impl<V> Node<V> {
    fn new() -> Self {
        Self { children: HashMap::new(), value: None, above: None }
    }
}

impl<V: Default> Trie<V> {
    pub(super) fn new() -> Self {
        Self { nodes: vec![Node::new()] }
    }

    /// The value stored under `name`, made if there is none.
    pub(super) fn entry<'n>(&mut self, name: impl Iterator<Item = &'n [u8]>) -> &mut V {
        let mut at = 0;
        for element in name {
            at = match self.nodes[at].children.get(element) {
                Some(&child) => child,
                None => {
                    let child = self.nodes.len();
                    self.nodes.push(Node::new());
                    self.nodes[at].children.insert(element.into(), child);
                    child
                }
            };
        }
        self.nodes[at].value.get_or_insert_default()
    }

    /// To be called once, after the last `entry`.
    pub(super) fn complete(&mut self, mut each: impl FnMut(&mut V)) {
        for at in 0..self.nodes.len() {
            let node = &mut self.nodes[at];
            let above = if node.value.is_some() { Some(at) } else { node.above };
            node.value.as_mut().into_iter().for_each(&mut each);
            let children: Vec<_> = node.children.values().copied().collect();
            children.into_iter().for_each(|child| self.nodes[child].above = above);
        }
    }
}

impl<V> Trie<V> {
    /// The values of the names that cover `name`, the longest first.
    pub(super) fn covering<'n>(
        &self,
        name: impl Iterator<Item = &'n [u8]>,
    ) -> impl Iterator<Item = &V> {
        let mut at = 0;
        if !self.nodes[at].children.is_empty() {
            for element in name {
                match self.nodes[at].children.get(element) {
                    Some(&child) => at = child,
                    None => break,
                }
            }
        }
        let mut next = Some(at);
        std::iter::from_fn(move || {
            while let Some(at) = next {
                let node = &self.nodes[at];
                next = node.above;
                if node.value.is_some() {
                    return node.value.as_ref();
                }
            }
            None
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.nodes.len() == 1 && self.nodes[0].value.is_none()
    }
}
