//! The idle connections of workers without a slot limit: a last-in-first-out list per worker in the
//! shard's own thread. A small task of the shard closes what rested too long or was closed by the
//! worker, and forgets workers that have gone; it lives only while something rests.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::connection::{Connection, Reuse};
use crate::idle::learned::Learned;
use crate::target::Target;

/// Also how exactly it is learned when a worker closes a resting connection.
const SWEEP: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Store {
    /// By the target's serial number.
    lists: BTreeMap<u64, List>,
    swept: bool,
}

struct List {
    target: Weak<Target>,
    /// The warmest at the back.
    connections: VecDeque<Connection>,
}

thread_local! {
    static STORE: RefCell<Store> = RefCell::default();
}

pub(crate) fn take(
    target: &Target,
    reuse: Reuse,
    most: Duration,
    now: Instant,
) -> Option<Connection> {
    STORE.with_borrow_mut(|store| {
        let list = store.lists.get_mut(&target.serial())?;
        while let Some(connection) = list.connections.pop_back() {
            if connection.is_too_cold(reuse, now) {
                // So are the others, which are older.
                list.connections.push_back(connection);
                return None;
            }
            if let Some(connection) = target.wake(connection, reuse, most, now) {
                return Some(connection);
            }
        }
        None
    })
}

pub(crate) fn put(target: &Arc<Target>, connection: Connection, room: usize) {
    if room == 0 || target.is_retired() {
        return;
    }
    let start_sweeper = STORE.with_borrow_mut(|store| {
        let list = store.lists.entry(target.serial()).or_insert_with(|| List {
            target: Arc::downgrade(target),
            connections: VecDeque::new(),
        });
        list.connections.push_back(connection);
        while list.connections.len() > room {
            list.connections.pop_front();
        }
        !std::mem::replace(&mut store.swept, true)
    });
    if start_sweeper {
        tokio::spawn(async {
            loop {
                tokio::time::sleep(SWEEP).await;
                if !STORE.with_borrow_mut(|store| store.sweep(Instant::now())) {
                    return;
                }
            }
        });
    }
}

impl Store {
    /// True while anything is left to sweep next time.
    fn sweep(&mut self, now: Instant) -> bool {
        self.lists.retain(|_, list| {
            let Some(target) = list.target.upgrade() else { return false };
            if target.is_retired() || target.is_limited() {
                return false;
            }
            let most = Learned::resting(target.idle_time());
            list.connections.retain_mut(|connection| {
                connection.idle_for(now) < most && connection.rests_well(&target.learned, now)
            });
            !list.connections.is_empty()
        });
        self.swept = !self.lists.is_empty();
        self.swept
    }
}
