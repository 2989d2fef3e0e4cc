//! A file without a name and its share of the room. Everything that touches the disk runs on the
//! runtime's blocking threads, closing as well: that frees what a large file took, which may take
//! the disk a while.

use std::{
    fmt::Display,
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use isobar_pool::{Full, Room, Spill};
use tokio::{
    runtime::Handle,
    task::{JoinHandle, spawn_blocking},
};

const COMPLAIN: Duration = Duration::from_secs(10);

pub(crate) struct Kept {
    /// There until it is dropped. What is under way on the disk holds on to it, too: a request that
    /// ends meanwhile frees no room that the file still takes.
    open: Option<Arc<Open>>,
}

struct Open {
    file: File,
    /// Given back after the file is closed: fields are dropped in this order.
    room: Room,
}

impl Kept {
    /// An empty file in the spill's directory, without a name.
    pub(super) fn make(spill: Arc<Spill>) -> JoinHandle<io::Result<Self>> {
        spawn_blocking(move || {
            let place = spill.place().map_err(io::Error::other)?;
            let file = tempfile::tempfile_in(&place.dir)?;
            Ok(Self::of(file, spill))
        })
    }

    fn of(file: File, spill: Arc<Spill>) -> Self {
        Self { open: Some(Arc::new(Open { file, room: Room::empty(spill) })) }
    }

    /// Takes room for so many bytes in all.
    pub(super) fn reach(&self, length: u64) -> Result<(), Full> {
        self.open.as_ref().map_or(Ok(()), |open| open.room.reach(length))
    }

    /// Writes `bytes` there, and gives them back.
    pub(super) fn write(&self, bytes: Vec<u8>, at: u64) -> JoinHandle<(Vec<u8>, io::Result<()>)> {
        let open = self.open.clone();
        spawn_blocking(move || {
            let wrote = open.map_or(Ok(()), |open| open.file.write_all_at(&bytes, at));
            (bytes, wrote)
        })
    }

    pub(super) fn read(&self, length: usize, at: u64) -> JoinHandle<io::Result<Vec<u8>>> {
        let open = self.open.clone();
        spawn_blocking(move || {
            let mut piece = vec![0; length];
            open.map_or(Ok(()), |open| open.file.read_exact_at(&mut piece, at))?;
            Ok(piece)
        })
    }
}

/// As many files may wait to be closed as there is room for: until then theirs is not given back.
impl Drop for Kept {
    fn drop(&mut self) {
        let open = self.open.take();
        // Without a runtime this is no shard, and may wait.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(move || drop(open));
        }
    }
}

/// Says why bodies are streamed, every ten seconds at most.
pub(super) fn complain(why: &impl Display) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|at| at.elapsed() > COMPLAIN) {
        *said = Some(Instant::now());
        tracing::warn!(%why, "a body is not kept on disk and is streamed: a slow client holds a worker");
    }
}

#[cfg(test)]
impl Kept {
    /// What a full disk says, `/dev/full` says.
    pub(super) fn full(spill: &Arc<Spill>) -> Self {
        let file = File::options().read(true).write(true).open("/dev/full");
        Self::of(file.expect("a full device"), Arc::clone(spill))
    }

    pub(super) fn watch(&self) -> std::sync::Weak<impl Sized + use<>> {
        Arc::downgrade(self.open.as_ref().expect("open"))
    }
}
