//! A request's body on disk: what is larger than the shield holds waits in an unlinked temporary
//! file until its last byte is there, so that a slow upload holds no worker.
//!
//! `exchange` fills it ahead of the lease, `upload` reads it, from the beginning for every attempt.
//! The disk is touched on the runtime's blocking threads only. Nothing here refuses a request: if
//! the disk is full, or a bound is reached, the rest is streamed, as if nothing were spilled.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use isobar_pool::{Room, Spill};
use tokio::task::JoinHandle;

use crate::scratch::BUFFER;

const COMPLAIN: Duration = Duration::from_secs(10);

pub(crate) struct Spool {
    file: Arc<File>,
    /// Bytes in the file.
    length: u64,
    /// Bytes of it that this attempt has taken.
    taken: u64,
    /// What could not be written, and what the disk has no room for: it follows the file's bytes.
    rest: Vec<u8>,
    rest_taken: bool,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    /// Given back with the file.
    room: Room,
}

/// Whether more can be spilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spilled {
    Yes,
    No,
}

impl Spool {
    /// An empty file without a name.
    pub(crate) async fn create(spill: &Arc<Spill>) -> io::Result<Self> {
        let place = Arc::clone(spill);
        let made = tokio::task::spawn_blocking(move || tempfile::tempfile_in(&place.dir));
        let file = made.await.map_err(io::Error::other).flatten().inspect_err(complain)?;
        Ok(Self {
            file: Arc::new(file),
            length: 0,
            taken: 0,
            rest: Vec::new(),
            rest_taken: false,
            reading: None,
            room: Room::empty(Arc::clone(spill)),
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.length + self.rest.len() as u64
    }

    /// Puts `piece` behind what is there, in the file or, if that cannot be, in memory.
    pub(crate) async fn push(&mut self, piece: &mut Vec<u8>) -> io::Result<Spilled> {
        if !self.room.grow(piece.len() as u64) {
            self.rest = std::mem::take(piece);
            return Ok(Spilled::No);
        }
        let (file, at, bytes) = (Arc::clone(&self.file), self.length, std::mem::take(piece));
        let written = tokio::task::spawn_blocking(move || {
            let wrote = file.write_all_at(&bytes, at);
            (bytes, wrote)
        });
        Ok(match written.await {
            Ok((mut bytes, Ok(()))) => {
                self.length += bytes.len() as u64;
                bytes.clear();
                *piece = bytes;
                Spilled::Yes
            }
            Ok((bytes, Err(error))) => {
                complain(&error);
                self.rest = bytes;
                Spilled::No
            }
            // The blocking thread is no more: the piece is lost, and with it the request.
            Err(error) => return Err(io::Error::other(error)),
        })
    }

    /// The next attempt begins at the beginning.
    pub(crate) fn rewind(&mut self) {
        self.taken = 0;
        self.rest_taken = false;
        self.reading = None;
    }

    /// All of it was taken by this attempt.
    pub(crate) fn is_drained(&self) -> bool {
        self.taken == self.length && (self.rest_taken || self.rest.is_empty())
    }

    /// The next piece.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Vec<u8>>> {
        if self.taken == self.length {
            self.rest_taken = true;
            // A copy: another attempt may want it.
            return Poll::Ready(Ok(self.rest.clone()));
        }
        let reading = self.reading.get_or_insert_with(|| {
            let (file, at) = (Arc::clone(&self.file), self.taken);
            let most = usize::try_from(self.length - at).unwrap_or(BUFFER).min(BUFFER);
            tokio::task::spawn_blocking(move || {
                let mut piece = vec![0; most];
                file.read_exact_at(&mut piece, at)?;
                Ok(piece)
            })
        });
        let read = ready!(std::pin::Pin::new(reading).poll(cx));
        self.reading = None;
        let piece = read.map_err(io::Error::other)??;
        self.taken += piece.len() as u64;
        Poll::Ready(Ok(piece))
    }
}

/// Says what is wrong with the disk, every ten seconds at most.
fn complain(error: &io::Error) {
    static SAID: Mutex<Option<Instant>> = Mutex::new(None);
    let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
    if said.is_none_or(|at| at.elapsed() > COMPLAIN) {
        *said = Some(Instant::now());
        tracing::warn!(%error, "request bodies cannot be spilled to disk and are streamed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spill(max: u64, total: u64) -> Arc<Spill> {
        Arc::new(Spill::new(std::env::temp_dir(), max, total))
    }

    async fn read_all(spool: &mut Spool) -> Vec<u8> {
        let mut all = Vec::new();
        while !spool.is_drained() {
            all.extend(std::future::poll_fn(|cx| spool.poll_next(cx)).await.expect("read"));
        }
        all
    }

    #[tokio::test]
    async fn every_attempt_reads_what_was_written() {
        let spill = spill(1 << 20, 1 << 20);
        let mut spool = Spool::create(&spill).await.expect("a file");
        let body: Vec<u8> = (0..300_000).map(|i| (i % 251) as u8).collect();
        for piece in body.chunks(70_000) {
            assert_eq!(spool.push(&mut piece.to_vec()).await.expect("kept"), Spilled::Yes);
        }
        assert_eq!((spool.len(), spill.used()), (300_000, 300_000));
        for _ in 0..2 {
            spool.rewind();
            assert!(read_all(&mut spool).await == body);
        }
        drop(spool);
        assert_eq!(spill.used(), 0);
    }

    #[tokio::test]
    async fn beyond_its_bounds_a_body_is_kept_to_be_streamed() {
        for (max, total) in [(10, 100), (100, 10)] {
            let spill = spill(max, total);
            let mut spool = Spool::create(&spill).await.expect("a file");
            assert_eq!(spool.push(&mut b"12345678".to_vec()).await.expect("kept"), Spilled::Yes);
            assert_eq!(spool.push(&mut b"9abc".to_vec()).await.expect("kept"), Spilled::No);
            assert_eq!(read_all(&mut spool).await, b"123456789abc");
            assert_eq!((spool.len(), spill.used()), (12, 8));
        }
    }

    /// `/dev/full` says what a full disk says.
    #[tokio::test]
    async fn a_full_disk_loses_nothing() {
        let mut spool = Spool::create(&spill(100, 100)).await.expect("a file");
        assert_eq!(spool.push(&mut b"on disk, ".to_vec()).await.expect("kept"), Spilled::Yes);
        let written = std::mem::replace(
            &mut spool.file,
            Arc::new(File::options().write(true).open("/dev/full").expect("a full device")),
        );
        assert_eq!(spool.push(&mut b"in memory".to_vec()).await.expect("kept"), Spilled::No);
        spool.file = written;
        assert_eq!(read_all(&mut spool).await, b"on disk, in memory");
    }

    #[tokio::test]
    async fn without_its_directory_there_is_no_spool() {
        let spill = Arc::new(Spill::new("/nowhere/at/all".into(), 1, 1));
        assert!(Spool::create(&spill).await.is_err());
    }
}
