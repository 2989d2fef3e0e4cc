//! The connections of one socket of the control plane. When all places are taken, the connection that has
//! kept us waiting for longest is closed, but never one whose request is being answered.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::task::AbortHandle;

#[derive(Clone)]
pub(super) struct Visitors(Arc<Shared>);

struct Shared {
    most: usize,
    state: Mutex<State>,
    somebody_left: Notify,
}

#[derive(Default)]
struct State {
    /// By when they came in, or were answered.
    inside: BTreeMap<u64, Visitor>,
    last: u64,
}

#[derive(Default)]
struct Visitor {
    is_served: bool,
    task: Option<AbortHandle>,
}

/// Held by whoever serves a visitor: its place is given back on drop.
pub(super) struct Inside(pub(super) Visit);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// One visitor's place, unless it had to make room.
#[derive(Clone)]
pub(super) struct Visit {
    visitors: Visitors,
    id: Arc<Mutex<u64>>,
}

impl Visitors {
    pub(super) fn new(most: usize) -> Visitors {
        let state = Mutex::default();
        Visitors(Arc::new(Shared { most, state, somebody_left: Notify::new() }))
    }

    /// A place, as soon as one is free or a connection can be closed for it.
    pub(super) async fn admit(&self) -> Visit {
        loop {
            if let Some(id) = self.enter() {
                return Visit { visitors: self.clone(), id: Arc::new(Mutex::new(id)) };
            }
            self.0.somebody_left.notified().await;
        }
    }

    fn enter(&self) -> Option<u64> {
        let mut state = self.lock();
        if state.inside.len() >= self.0.most {
            let waits = |(_, one): &(&u64, &Visitor)| !one.is_served && one.task.is_some();
            let oldest = state.inside.iter().find(waits).map(|(id, _)| *id)?;
            if let Some(task) = state.inside.remove(&oldest).and_then(|one| one.task) {
                task.abort();
            }
        }
        state.last += 1;
        let id = state.last;
        state.inside.insert(id, Visitor::default());
        Some(id)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit {
    pub(super) fn can_be_ended_by(&self, task: AbortHandle) {
        self.change(|one| one.task = Some(task.clone()));
    }

    /// Its request is whole: from now on the peer waits for us.
    pub(super) fn is_served(&self) {
        self.change(|one| one.is_served = true);
    }

    /// It has its answer: from now on we wait for the peer to read it.
    pub(super) fn waits(&self) {
        let mut state = self.visitors.lock();
        let mut id = self.id.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(mut one) = state.inside.remove(&id) else { return };
        one.is_served = false;
        state.last += 1;
        *id = state.last;
        state.inside.insert(*id, one);
        self.visitors.0.somebody_left.notify_one();
    }

    fn end(&self) {
        let id = *self.id.lock().unwrap_or_else(PoisonError::into_inner);
        self.visitors.lock().inside.remove(&id);
        self.visitors.0.somebody_left.notify_one();
    }

    fn change(&self, change: impl FnMut(&mut Visitor)) {
        let id = *self.id.lock().unwrap_or_else(PoisonError::into_inner);
        self.visitors.lock().inside.get_mut(&id).into_iter().for_each(change);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn visit(visitors: &Visitors) -> (Visit, tokio::task::JoinHandle<()>) {
        let visit = visitors.admit().await;
        let task = tokio::spawn(std::future::pending());
        visit.can_be_ended_by(task.abort_handle());
        (visit, task)
    }

    #[tokio::test]
    async fn the_longest_silent_one_makes_room_and_nobody_who_is_served() {
        let visitors = Visitors::new(2);
        let (served, of_served) = visit(&visitors).await;
        let (_silent, of_silent) = visit(&visitors).await;
        served.is_served();
        let (third, of_third) = visit(&visitors).await;
        assert!(of_silent.await.unwrap_err().is_cancelled());
        third.is_served();
        assert!(visitors.enter().is_none(), "both are being served");
        // One has its answer, and does not read it.
        served.waits();
        let (_fourth, of_fourth) = visit(&visitors).await;
        assert!(of_served.await.unwrap_err().is_cancelled());
        third.end();
        assert!(visitors.enter().is_some());
        assert!(!of_third.is_finished() && !of_fourth.is_finished());
    }
}
