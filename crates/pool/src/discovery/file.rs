//! A file of workers that is looked at twice a second. Looking, unlike waiting to be told, sees
//! every way a file can change: rewritten in place, renamed over, removed and made again, a link in
//! its path pointed elsewhere (as Kubernetes swaps a ConfigMap), on a file system that tells nobody.
//!
//! A file that cannot be read, or holds no list of workers, leaves the last good one in force. What
//! its text means is decided by the `read` it is given.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::task::spawn_blocking;
use tokio::time::sleep;

use super::declared::Declared;
use super::watched::{Registry, Reporter, Watched};

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Whoever writes in place may not be done: a file is read when it has not changed for so long.
const SETTLED: Duration = Duration::from_millis(100);

/// Two changes within one tick of a file system's clock look like one: what is younger than this
/// is read again at the next look.
const YOUNG: Duration = Duration::from_secs(2);

/// Reads and understands the whole file, or says what is wrong with it. May block.
pub type ReadWorkers = Arc<dyn Fn(&Path) -> Result<Vec<Declared>, String> + Send + Sync>;

/// A file that holds more entries.
#[derive(Clone)]
pub struct WorkersFile {
    pub path: PathBuf,
    pub read: ReadWorkers,
}

/// The files that are being watched.
#[derive(Default)]
pub(crate) struct Files(Registry<PathBuf, Vec<Declared>>);

impl Files {
    pub(crate) fn watch(&self, file: WorkersFile) -> Arc<Watched<Vec<Declared>>> {
        self.0.watch(file.path, |path, reporter| follow(path, file.read, reporter))
    }
}

async fn follow(path: PathBuf, read: ReadWorkers, reporter: Reporter<Vec<Declared>>) {
    let path: Arc<Path> = path.into();
    let mut last = None;
    let mut young = false;
    let mut said = None;
    loop {
        let seen = stamp(&path).await;
        if young || last.as_ref() != Some(&seen) {
            let seen = match last {
                // Nothing is in force yet: nobody waits for a writer.
                None => seen,
                Some(_) => settled(&path, seen).await,
            };
            let (place, read) = (path.clone(), read.clone());
            let result = spawn_blocking(move || read(&place)).await;
            match result.unwrap_or_else(|panic| Err(panic.to_string())) {
                Ok(workers) => {
                    said = None;
                    reporter.report(Some(workers), None);
                }
                Err(problem) if said.as_ref() == Some(&problem) => {}
                Err(problem) => {
                    said = Some(problem.clone());
                    reporter.report(None, Some(problem));
                }
            }
            young = seen.is_young();
            last = Some(seen);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What tells a changed file from the same one.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stamp {
    File { device: u64, inode: u64, length: u64, modified: (i64, i64), changed: (i64, i64) },
    Unreadable(io::ErrorKind),
}

impl Stamp {
    fn of(path: &Path) -> Stamp {
        match std::fs::metadata(path) {
            Ok(meta) => Stamp::File {
                device: meta.dev(),
                inode: meta.ino(),
                length: meta.len(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                changed: (meta.ctime(), meta.ctime_nsec()),
            },
            Err(error) => Stamp::Unreadable(error.kind()),
        }
    }

    fn is_young(&self) -> bool {
        let Stamp::File { changed: (seconds, _), .. } = self else { return false };
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs((*seconds).max(0) as u64);
        // A clock that is behind the file system's tells nothing.
        changed.elapsed().is_ok_and(|age| age < YOUNG)
    }
}

async fn stamp(path: &Arc<Path>) -> Stamp {
    let path = path.clone();
    let looked = spawn_blocking(move || Stamp::of(&path)).await;
    looked.unwrap_or(Stamp::Unreadable(io::ErrorKind::Other))
}

async fn settled(path: &Arc<Path>, mut seen: Stamp) -> Stamp {
    loop {
        sleep(SETTLED).await;
        let now = stamp(path).await;
        if now == seen {
            return now;
        }
        seen = now;
    }
}
