//! Where large bodies may wait on disk, and how much of it there is. The proxy writes the files; here
//! is only the account, which outlives a reload that does not change it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

/// Where nothing else is said: of all pools of the process together.
const TOTAL: u64 = 4 << 30;
/// On disk at most this part of what is free; in memory at most that of what the process may have.
const OF_DISK: u64 = 10;
const OF_MEMORY: u64 = 8;

#[derive(Debug)]
pub struct Spill {
    /// `None`: the first of the usual ones that can be written to.
    dir: Option<PathBuf>,
    /// Bytes of one request or answer.
    max: u64,
    /// Bytes of all of the pool together; `None`: as the place allows, with every other pool.
    total: Option<u64>,
    /// Looked for when it is first needed.
    place: OnceLock<Result<Place, NoPlace>>,
    used: AtomicU64,
}

/// A directory that can be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub dir: PathBuf,
    /// The default of `total` there.
    total: u64,
}

/// Nothing can be spilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no directory for temporary files that can be written to")]
pub struct NoPlace;

/// Bytes that pools without a `total` of their own have on disk.
static USED: AtomicU64 = AtomicU64::new(0);

impl Spill {
    pub fn new(dir: Option<PathBuf>, max: u64, total: Option<u64>) -> Spill {
        Spill { dir, max, total, place: OnceLock::new(), used: AtomicU64::new(0) }
    }

    /// Where files are made. The first time it looks, which may take the disk a while.
    pub fn place(&self) -> Result<&Place, NoPlace> {
        let place = self.place.get_or_init(|| match &self.dir {
            Some(dir) => Ok(Place::at(dir.clone())),
            None => {
                usual().into_iter().find(|dir| can_be_written(dir)).map(Place::at).ok_or(NoPlace)
            }
        });
        place.as_ref().map_err(|&none| none)
    }

    pub fn used(&self) -> u64 {
        self.used.load(Relaxed)
    }

    /// What counts against which bound.
    fn account(&self) -> (&AtomicU64, u64) {
        let place = self.place.get().and_then(|place| place.as_ref().ok());
        match self.total {
            Some(total) => (&self.used, total),
            None => (&USED, place.map_or(TOTAL, |place| place.total)),
        }
    }
}

/// Its use is no part of what it is.
impl PartialEq for Spill {
    fn eq(&self, other: &Spill) -> bool {
        (&self.dir, self.max, self.total) == (&other.dir, other.max, other.total)
    }
}

impl Place {
    fn at(dir: PathBuf) -> Place {
        let total = match memory::is_in_memory(&dir) {
            true => memory::allowed().map_or(TOTAL, |memory| memory / OF_MEMORY),
            false => memory::free_at(&dir).map_or(TOTAL, |free| free / OF_DISK),
        };
        Place { dir, total: total.min(TOTAL) }
    }
}

fn usual() -> Vec<PathBuf> {
    let named = std::env::var_os("TMPDIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    named.into_iter().chain(["/var/tmp", "/tmp"].map(PathBuf::from)).collect()
}

/// Tried, because permissions do not tell of a file system that is mounted for reading.
fn can_be_written(dir: &Path) -> bool {
    tempfile::tempfile_in(dir).is_ok()
}

mod memory {
    use std::fs;
    use std::path::Path;

    use rustix::fs::statfs;

    const TMPFS: u64 = 0x0102_1994;
    const RAMFS: u64 = 0x8584_58f6;

    /// Files there are taken from the process's memory.
    pub(super) fn is_in_memory(dir: &Path) -> bool {
        statfs(dir).is_ok_and(|found| {
            let kind = found.f_type as u64 & 0xffff_ffff;
            kind == TMPFS || kind == RAMFS
        })
    }

    pub(super) fn free_at(dir: &Path) -> Option<u64> {
        let found = statfs(dir).ok()?;
        Some(found.f_bavail.saturating_mul(u64::try_from(found.f_bsize).ok()?))
    }

    /// What this process may have: its cgroups' least limit, or the machine's memory.
    pub(super) fn allowed() -> Option<u64> {
        let machine = || {
            let text = fs::read_to_string("/proc/meminfo").ok()?;
            let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
        };
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        limits(&own).chain(machine()).min()
    }

    /// Of the cgroup and of those around it, as far as they can be seen from inside of a container.
    fn limits(own: &str) -> impl Iterator<Item = u64> {
        own.lines().flat_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
            let (root, file) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return Vec::new(),
            };
            let path = Path::new(path.trim_start_matches('/'));
            let read = |part: &Path| {
                let text = fs::read_to_string(Path::new(root).join(part).join(file)).ok()?;
                text.trim().parse::<u64>().ok()
            };
            path.ancestors().filter_map(read).collect()
        })
    }
}

/// One body's share of the room; its drop gives it back.
#[derive(Debug)]
pub struct Room {
    spill: Arc<Spill>,
    /// Grown by the body's owner alone, and given back by whoever closes the file.
    taken: AtomicU64,
}

/// Why a body gets no more room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Full {
    #[error("it is longer than `buffer.spill.max`")]
    Max,
    #[error("`buffer.spill.total` is reached")]
    Total,
}

impl Room {
    /// Once the spill's place is known.
    pub fn empty(spill: Arc<Spill>) -> Room {
        Room { spill, taken: AtomicU64::new(0) }
    }

    /// Room for so many bytes in all. What it once had, it keeps.
    pub fn reach(&self, length: u64) -> Result<(), Full> {
        let taken = self.taken.load(Relaxed);
        let Some(more) = length.checked_sub(taken).filter(|&more| more > 0) else { return Ok(()) };
        if length > self.spill.max {
            return Err(Full::Max);
        }
        let (used, total) = self.spill.account();
        let fits = |used: u64| used.checked_add(more).filter(|&sum| sum <= total);
        used.fetch_update(Relaxed, Relaxed, fits).map_err(|_| Full::Total)?;
        if !std::ptr::eq(used, &self.spill.used) {
            self.spill.used.fetch_add(more, Relaxed);
        }
        self.taken.store(length, Relaxed);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let taken = *self.taken.get_mut();
        let (used, _) = self.spill.account();
        used.fetch_sub(taken, Relaxed);
        if !std::ptr::eq(used, &self.spill.used) {
            self.spill.used.fetch_sub(taken, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_memory_bounds_what_lies_in_memory() {
        let allowed = memory::allowed().expect("a machine has memory");
        assert!(allowed > 1 << 20, "{allowed}");
        let shm = Path::new("/dev/shm");
        if memory::is_in_memory(shm) {
            let place = Place::at(shm.to_owned());
            assert_eq!(place.total, (allowed / OF_MEMORY).min(TOTAL));
        }
    }

    #[test]
    fn room_is_bounded_twice_and_given_back() {
        let spill = Arc::new(Spill::new(Some(std::env::temp_dir()), 10, Some(15)));
        let (one, other) = (Room::empty(Arc::clone(&spill)), Room::empty(Arc::clone(&spill)));
        assert_eq!(one.reach(8), Ok(()));
        assert_eq!(one.reach(4), Ok(()), "it keeps what it had");
        assert_eq!(one.reach(11), Err(Full::Max));
        assert_eq!(other.reach(8), Err(Full::Total));
        assert_eq!((other.reach(7), spill.used()), (Ok(()), 15));
        drop((one, other));
        assert_eq!(spill.used(), 0);
    }

    #[test]
    fn a_directory_is_looked_for() {
        let spill = Spill::new(None, 1, None);
        let place = spill.place().expect("some directory can be written to");
        assert!(can_be_written(&place.dir));
    }
}
