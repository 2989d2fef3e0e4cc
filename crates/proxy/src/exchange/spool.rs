//! A request's body on disk: what is larger than the shield holds waits in an unlinked temporary
//! file until its last byte is there, so that a slow upload holds no worker.
//!
//! `exchange` fills it ahead of the lease, `upload` reads it, from the beginning for every attempt.
//! The disk is touched on the runtime's blocking threads only, for closing as well ([`Kept`]).
//! Nothing here refuses a request: if the disk is full, or a bound is reached, the rest is streamed,
//! as if nothing were spilled.

mod kept;
pub(crate) mod overflow;

use std::{
    io,
    sync::Arc,
    task::{Context, Poll, ready},
};

use isobar_pool::Spill;
use tokio::task::JoinHandle;

use crate::scratch::BUFFER;
pub(crate) use kept::Kept;
use kept::complain;

pub(crate) struct Spool {
    kept: Arc<Kept>,
    /// Bytes in the file.
    length: u64,
    /// Bytes of it that this attempt has taken.
    taken: u64,
    /// What could not be written, and what the disk has no room for: it follows the file's bytes.
    rest: Vec<u8>,
    rest_taken: bool,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
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
        let made = Kept::make(Arc::clone(spill)).await;
        let kept = made.map_err(io::Error::other).flatten().inspect_err(complain)?;
        Ok(Self {
            kept: Arc::new(kept),
            length: 0,
            taken: 0,
            rest: Vec::new(),
            rest_taken: false,
            reading: None,
        })
    }

    pub(crate) fn len(&self) -> u64 {
        self.length + self.rest.len() as u64
    }

    /// Puts `piece` behind what is there, in the file or, if that cannot be, in memory.
    pub(crate) async fn push(&mut self, piece: &mut Vec<u8>) -> io::Result<Spilled> {
        let more = piece.len() as u64;
        if let Err(full) = self.kept.reach(self.length + more) {
            complain(&full);
            self.rest = std::mem::take(piece);
            return Ok(Spilled::No);
        }
        let written = self.kept.write(std::mem::take(piece), self.length);
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
        let (kept, at) = (&self.kept, self.taken);
        let reading = self.reading.get_or_insert_with(|| {
            let most = usize::try_from(self.length - at).unwrap_or(BUFFER).min(BUFFER);
            kept.read(most, at)
        });
        let read = ready!(std::pin::Pin::new(reading).poll(cx));
        self.reading = None;
        let piece = read.map_err(io::Error::other)??;
        self.taken += piece.len() as u64;
        Poll::Ready(Ok(piece))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spill(max: u64, total: u64) -> Arc<Spill> {
        Arc::new(Spill::new(Some(std::env::temp_dir()), max, Some(total)))
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
    }

    /// The one blocking thread is busy: what would be closed on the shard would be closed by now.
    #[test]
    fn a_file_is_closed_beside_the_shard() {
        let (runtime, spill) = (one_blocking_thread(), spill(100, 100));
        runtime.block_on(async {
            let mut spool = Spool::create(&spill).await.expect("a file");
            spool.push(&mut b"12345678".to_vec()).await.expect("kept");
            let busy = Busy::now();
            drop(spool);
            assert_eq!(spill.used(), 8, "open, and its room is taken");
            busy.end().await;
            assert_eq!(spill.used(), 0);
        });
    }

    /// The request is cancelled while a piece is on its way to the disk.
    #[test]
    fn a_write_under_way_keeps_the_file_and_its_room() {
        let (runtime, spill) = (one_blocking_thread(), spill(100, 100));
        runtime.block_on(async {
            let mut spool = Spool::create(&spill).await.expect("a file");
            let file = spool.kept.watch();
            let busy = Busy::now();
            let mut piece = b"12345678".to_vec();
            let mut writing = Box::pin(spool.push(&mut piece));
            let cx = &mut Context::from_waker(std::task::Waker::noop());
            assert!(writing.as_mut().poll(cx).is_pending());
            drop(writing);
            drop(spool);
            assert_eq!((file.strong_count() > 0, spill.used()), (true, 8));
            busy.end().await;
            assert_eq!((file.strong_count(), spill.used()), (0, 0));
        });
    }

    fn one_blocking_thread() -> tokio::runtime::Runtime {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.max_blocking_threads(1).build().expect("a runtime")
    }

    /// Something that keeps the blocking thread until it is ended.
    struct Busy(std::sync::mpsc::Sender<()>);

    impl Busy {
        fn now() -> Self {
            let (end, ended) = std::sync::mpsc::channel();
            tokio::task::spawn_blocking(move || ended.recv());
            Self(end)
        }

        /// Everything that came after it is done as well.
        async fn end(self) {
            drop(self.0);
            tokio::task::spawn_blocking(|| ()).await.expect("ran");
        }
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
        let full = Arc::new(Kept::full(&spill(100, 100)));
        let written = std::mem::replace(&mut spool.kept, full);
        assert_eq!(spool.push(&mut b"in memory".to_vec()).await.expect("kept"), Spilled::No);
        spool.kept = written;
        assert_eq!(read_all(&mut spool).await, b"on disk, in memory");
    }

    #[tokio::test]
    async fn without_its_directory_there_is_no_spool() {
        let spill = Arc::new(Spill::new(Some("/nowhere/at/all".into()), 1, Some(1)));
        assert!(Spool::create(&spill).await.is_err());
    }
}
