//! All connections of a shard, as far as others need to know of them: which are idle and since when.
//! Here they are asked to end, because the process or the listener does, or because another client
//! needs the place.

use std::{
    cell::{Cell, OnceCell, RefCell},
    net::IpAddr,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::deadline::Deadline;
use crate::{
    connections::{Admission, Connections},
    context::ProxyContext,
    metrics::ListenerMetrics,
    table::{ListenerId, ListenerPlan},
};

/// Asks every connection of this shard to leave: at once where it is between two requests and has
/// not sent another, else with the answer under way.
pub(crate) fn ask_to_leave() {
    leave(|_| true, None);
}

/// Asks those that came in by this listener, which was `plan`, to leave.
pub(crate) fn ask_to_leave_of(listener: ListenerId, plan: &Arc<ListenerPlan>) {
    leave(|standing| standing.listener == listener, Some(plan));
}

fn leave(wanted: impl Fn(&Standing) -> bool, last_plan: Option<&Arc<ListenerPlan>>) {
    STANDINGS.with_borrow(|standings| {
        for standing in standings.all.iter().flatten().filter(|standing| wanted(standing)) {
            if let Some(plan) = last_plan {
                *standing.last_plan.borrow_mut() = Some(Arc::clone(plan));
            }
            standing.ask(End::Leave);
        }
    });
}

/// Since when the longest idle one of them has been.
pub(crate) fn longest_idle(
    context: &ProxyContext,
    connections: Option<&Arc<Connections>>,
) -> Option<std::time::Instant> {
    let oldest = idle_of(context, connections).into_iter().map(|(since, _)| since).min();
    oldest.map(Instant::into_std)
}

fn idle_of(
    context: &ProxyContext,
    connections: Option<&Arc<Connections>>,
) -> Vec<(Instant, Rc<Standing>)> {
    between_requests(|one| match (connections, context.listener(one.listener)) {
        (None, _) => true,
        (Some(connections), plan) => {
            plan.is_some_and(|plan| Arc::ptr_eq(&plan.connections, connections))
        }
    })
}

/// Makes room for others: ends those of a listener's connections (or of all) on this shard that have
/// been between two requests for longest. Several at a time, because finding them looks at all.
pub(crate) fn evict_idle(context: &ProxyContext, connections: Option<&Arc<Connections>>) {
    const PART: usize = 64;
    let mut idle = idle_of(context, connections);
    if idle.is_empty() {
        return;
    }
    let count = (idle.len() / PART).max(1);
    idle.select_nth_unstable_by_key(count - 1, |&(since, _)| since);
    idle[..count].iter().for_each(|(_, standing)| standing.ask(End::MakeRoom));
}

/// Which of these connections are between two requests, and since when.
fn between_requests(wanted: impl Fn(&Standing) -> bool) -> Vec<(Instant, Rc<Standing>)> {
    STANDINGS.with_borrow(|standings| {
        let wanted = standings.all.iter().flatten().filter(|standing| wanted(standing));
        wanted
            .filter_map(|standing| Some((standing.idle_since.get()?, Rc::clone(standing))))
            .collect()
    })
}

/// What others need to know of a connection: whether it is idle, and how to wake and end it.
pub(super) struct Standing {
    listener: ListenerId,
    /// Since when it is idle (between two requests, or before the first one). The connection that is
    /// idle for longest makes room first, however long each of them may still be idle.
    pub(super) idle_since: Cell<Option<Instant>>,
    /// Whether it is to end. A request that has arrived already is answered first.
    pub(super) end: Cell<End>,
    /// Wakes it while it is between two requests.
    pub(super) waker: OnceCell<Waker>,
    /// What that request is served by, if its listener is no more.
    pub(super) last_plan: RefCell<Option<Arc<ListenerPlan>>>,
}

impl Standing {
    fn ask(&self, end: End) {
        // Who leaves need not make room as well.
        if self.end.get() != End::Leave {
            self.end.set(end);
        }
        if let Some(waker) = self.waker.get().filter(|_| self.idle_since.get().is_some()) {
            waker.wake_by_ref();
        }
    }
}

/// Whether a connection is asked to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    No,
    /// No further request will be served: the client is told so, and may read what was sent.
    Leave,
    /// Somebody else needs its place now. A connection that is no longer idle stays.
    MakeRoom,
}

thread_local! {
    static STANDINGS: RefCell<Standings> = RefCell::default();
}

#[derive(Default)]
struct Standings {
    all: Vec<Option<Rc<Standing>>>,
    free: Vec<usize>,
}

/// A connection's place in every count; leaving is its drop, however the task ends.
pub(crate) struct Place {
    context: Arc<ProxyContext>,
    shard: usize,
    index: usize,
    pub(super) standing: Rc<Standing>,
    admitted: Option<(Admission, Arc<ListenerMetrics>)>,
}

impl Place {
    pub(crate) fn take(context: &Arc<ProxyContext>, shard: usize, listener: ListenerId) -> Self {
        let standing = Rc::new(Standing {
            listener,
            idle_since: Cell::default(),
            end: Cell::new(End::No),
            waker: OnceCell::new(),
            last_plan: RefCell::default(),
        });
        let index = STANDINGS.with_borrow_mut(|standings| {
            let index = standings.free.pop().unwrap_or_else(|| {
                standings.all.push(None);
                standings.all.len() - 1
            });
            standings.all[index] = Some(Rc::clone(&standing));
            index
        });
        Self { context: Arc::clone(context), shard, index, standing, admitted: None }
    }

    pub(crate) fn admitted(mut self, admission: Admission, metrics: Arc<ListenerMetrics>) -> Self {
        metrics.opened();
        self.admitted = Some((admission, metrics));
        self
    }

    /// Counts the connection as this client's; false: it has as many open as one may have.
    pub(crate) fn count(&mut self, client: Option<IpAddr>, per_client: usize) -> bool {
        let Some((admission, _)) = &mut self.admitted else { return true };
        admission.count(client, per_client)
    }

    /// Drives `step` while the client is idle, and may be asked to make room; `None` after `until`, a
    /// step that is pending if it was asked to.
    pub(crate) async fn idle_while<T>(
        &self,
        timer: &mut Deadline,
        until: Instant,
        mut step: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Option<Poll<T>> {
        let standing = &self.standing;
        standing.idle_since.set(Some(Instant::now()));
        let done = timer.within(until, |cx| {
            let done = step(cx);
            if done.is_ready() || standing.end.get() != End::No {
                return Poll::Ready(done);
            }
            standing.waker.get_or_init(|| cx.waker().clone());
            Poll::Pending
        });
        let done = done.await;
        standing.idle_since.set(None);
        done
    }

    pub(super) fn context(&self) -> &ProxyContext {
        &self.context
    }

    /// Of a connection whose listener was removed meanwhile: one request is served by its last plan.
    pub(crate) fn served_last_by(&self, plan: Arc<ListenerPlan>) {
        *self.standing.last_plan.borrow_mut() = Some(plan);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        STANDINGS.with_borrow_mut(|standings| {
            standings.all[self.index] = None;
            standings.free.push(self.index);
        });
        if let Some((_, metrics)) = &self.admitted {
            metrics.closed();
        }
        self.context.closed(self.shard);
    }
}
