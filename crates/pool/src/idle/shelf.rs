//! The idle connections of a worker with a slot limit. Only who holds one of its slots touches the
//! shelf, so nobody ever waits here: a fixed row of cells, the warmest connection in front.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::atomic::AtomicCell;

use crate::connection::Connection;
use crate::idle::learned::Learned;

/// Cells of a shelf at least, so that a limit raised at run time finds room.
const CELLS: usize = 32;

pub(crate) struct Shelf {
    cells: Box<[AtomicCell<Option<Connection>>]>,
    /// At least the number of connections in the cells: counted in before, out after.
    resting: AtomicUsize,
}

impl Shelf {
    pub(crate) fn new(slots: usize) -> Shelf {
        let cells = (0..slots.max(CELLS)).map(|_| AtomicCell::new(None)).collect();
        Shelf { cells, resting: AtomicUsize::new(0) }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.resting.load(Ordering::Acquire) == 0
    }

    /// The connection used last: it is the likeliest to be alive, and the others may go cold.
    pub(crate) fn take(&self) -> Option<Connection> {
        if self.is_empty() {
            return None;
        }
        self.cells.iter().find_map(|cell| self.empty(cell))
    }

    /// To the front; the others move one back, the last one out if there is no room.
    pub(crate) fn put(&self, connection: Connection) {
        self.resting.fetch_add(1, Ordering::AcqRel);
        self.shift_in(connection);
    }

    fn shift_in(&self, connection: Connection) {
        let mut moving = Some(connection);
        for cell in &self.cells {
            moving = cell.swap(moving);
            if moving.is_none() {
                return;
            }
        }
        self.resting.fetch_sub(1, Ordering::AcqRel);
    }

    /// Closes what has rested for longer than `most` or was closed by the worker. The caller holds a
    /// slot like any user, and at most one connection in its hand, so that nobody dials one too many
    /// meanwhile.
    pub(crate) fn sweep(&self, most: Duration, learned: &Learned, now: Instant) {
        for cell in self.cells.iter().rev() {
            if self.is_empty() {
                return;
            }
            let Some(mut connection) = self.empty(cell) else { continue };
            if connection.idle_for(now) < most && connection.rests_well(learned, now) {
                // Somebody may have put one here in the meantime: then this one goes in front.
                self.resting.fetch_add(1, Ordering::AcqRel);
                if let Some(other) = cell.swap(Some(connection)) {
                    self.shift_in(other);
                }
            }
        }
    }

    pub(crate) fn clear(&self) {
        for cell in &self.cells {
            drop(self.empty(cell));
        }
    }

    fn empty(&self, cell: &AtomicCell<Option<Connection>>) -> Option<Connection> {
        let connection = cell.take()?;
        self.resting.fetch_sub(1, Ordering::AcqRel);
        Some(connection)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixStream;

    use super::*;
    use crate::idle::{Open, OpenCount};

    const MINUTE: Duration = Duration::from_secs(60);

    fn connection(open: Open, rests: Instant) -> Connection {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        // A connection whose other end is gone would not rest.
        std::mem::forget(theirs);
        let mut connection = Connection::new(ours.into(), open, 0);
        connection.rest(rests);
        connection
    }

    #[tokio::test]
    async fn the_warmest_comes_first_and_the_coldest_falls_off() {
        let (shelf, count, start) = (Shelf::new(1), OpenCount::default(), Instant::now());
        let at = |i: usize| start + Duration::from_secs(i as u64);
        for i in 0..=CELLS {
            shelf.put(connection(count.enter(), at(i)));
        }
        assert_eq!(count.value() as usize, CELLS);
        for i in (1..=CELLS).rev() {
            let idle = shelf.take().expect("one more").idle_for(at(CELLS));
            assert_eq!(idle, at(CELLS) - at(i));
        }
        assert!(shelf.take().is_none() && shelf.is_empty());
        assert_eq!(count.value(), 0);
    }

    #[tokio::test]
    async fn a_sweep_closes_the_cold_ones_only() {
        let (shelf, count, start) = (Shelf::new(1), OpenCount::default(), Instant::now());
        shelf.put(connection(count.enter(), start));
        shelf.put(connection(count.enter(), start + MINUTE));
        shelf.sweep(MINUTE, &Learned::new(), start + MINUTE);
        assert_eq!(count.value(), 1);
        assert!(shelf.take().is_some() && shelf.is_empty());
    }

    /// As many holders as slots. Who misses a connection that is being moved, and may open none
    /// because of it, finds it at the next look.
    #[test]
    fn no_connection_is_lost_between_threads() {
        const SLOTS: u32 = 3;
        let (shelf, count) = (Shelf::new(SLOTS as usize), OpenCount::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.expect("a runtime");
        let now = Instant::now();
        let hold = || loop {
            if let Some(resting) = shelf.take() {
                return resting;
            }
            if let Some(open) = count.enter_below(SLOTS) {
                return connection(open, now);
            }
            std::thread::yield_now();
        };
        std::thread::scope(|scope| {
            for _ in 0..SLOTS {
                scope.spawn(|| {
                    let _entered = runtime.enter();
                    for round in 0..2000 {
                        let held = hold();
                        assert!(count.value() <= SLOTS);
                        match round % 50 {
                            0 => drop(held),
                            _ => shelf.put(held),
                        }
                    }
                });
            }
        });
        let rest = std::iter::from_fn(|| shelf.take()).count();
        assert!((1..=SLOTS as usize).contains(&rest) && shelf.is_empty() && count.value() == 0);
    }
}
