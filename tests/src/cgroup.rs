//! A cgroup with little memory for a process of a test. What needs more is killed, as in a container.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removed when it goes out of scope; the process in it must have ended by then.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// `None` where none can be made: it needs root and a hierarchy that can be written to.
    pub fn with_memory(bytes: u64) -> Option<Cgroup> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "isobar-test-{}-{}",
            std::process::id(),
            NUMBER.fetch_add(1, Ordering::Relaxed)
        );
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        own.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, place) = (parts.next()?, parts.next()?.trim_start_matches('/'));
            let (root, limit) = match controllers {
                "" => ("/sys/fs/cgroup", "memory.max"),
                "memory" => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                _ => return None,
            };
            let path = Path::new(root).join(place).join(&name);
            fs::create_dir(&path).ok()?;
            let cgroup = Cgroup { path };
            fs::write(cgroup.path.join(limit), bytes.to_string()).ok()?;
            Some(cgroup)
        })
    }

    /// Moves the process into it.
    pub fn take(&self, process: u32) {
        let procs = self.path.join("cgroup.procs");
        fs::write(procs, process.to_string()).expect("moves the process");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}
