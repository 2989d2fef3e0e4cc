//! Where large request bodies may wait on disk, and how much of it there is. The proxy writes the
//! files; here is only the account, which outlives a reload that does not change it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

#[derive(Debug)]
pub struct Spill {
    pub dir: PathBuf,
    /// Bytes of one request.
    max: u64,
    /// Bytes of all requests of the pool together.
    total: u64,
    used: AtomicU64,
}

impl Spill {
    pub fn new(dir: PathBuf, max: u64, total: u64) -> Spill {
        Spill { dir, max, total, used: AtomicU64::new(0) }
    }

    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }
}

/// Its use is no part of what it is.
impl PartialEq for Spill {
    fn eq(&self, other: &Spill) -> bool {
        (&self.dir, self.max, self.total) == (&other.dir, other.max, other.total)
    }
}

/// One request's share of the room; its drop gives it back.
#[derive(Debug)]
pub struct Room {
    spill: Arc<Spill>,
    /// Grown by the request alone, and given back by whoever closes the file.
    taken: AtomicU64,
}

impl Room {
    pub fn empty(spill: Arc<Spill>) -> Room {
        Room { spill, taken: AtomicU64::new(0) }
    }

    /// So many bytes more; false if one of the bounds forbids it.
    pub fn grow(&self, more: u64) -> bool {
        let grown = self.taken.load(Relaxed).saturating_add(more);
        let Spill { max, total, used, .. } = &*self.spill;
        let fits = |used: u64| used.checked_add(more).filter(|sum| sum <= total);
        let taken = grown <= *max && used.fetch_update(Relaxed, Relaxed, fits).is_ok();
        if taken {
            self.taken.store(grown, Relaxed);
        }
        taken
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.spill.used.fetch_sub(*self.taken.get_mut(), Relaxed);
    }
}
