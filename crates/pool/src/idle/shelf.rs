//! The idle connections of a worker with a slot limit. Only who holds one of its slots touches the
//! shelf, so nobody ever waits here: a fixed row of cells, the warmest connection in front.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::atomic::AtomicCell;

use crate::connection::Connection;

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

    /// Closes what has rested for longer than `most`. The caller holds a slot like any user, and at
    /// most one connection in its hand, so that nobody dials one too many meanwhile.
    pub(crate) fn sweep(&self, most: Duration, now: Instant) {
        for cell in self.cells.iter().rev() {
            if self.is_empty() {
                return;
            }
            match self.empty(cell) {
                Some(connection) if connection.idle_for(now) < most => {
                    // Somebody may have put one here in the meantime: then this one goes in front.
                    self.resting.fetch_add(1, Ordering::AcqRel);
                    if let Some(other) = cell.swap(Some(connection)) {
                        self.shift_in(other);
                    }
                }
                _ => {}
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
