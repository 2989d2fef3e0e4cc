//! An answer that its client takes more slowly than the worker gives it: what does not fit into
//! memory waits in an unlinked temporary file, so that a slow download holds no worker.
//!
//! First in, first out: the file's unread bytes, then those in memory that are still to be written.
//! `forward` fills it and empties it while the answer goes out. If the disk is full, or a bound is
//! reached, it takes no more, and the worker is read as slowly as the client reads.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use isobar_pool::Spill;
use tokio::task::JoinHandle;

use super::kept::{Kept, complain};
use crate::scratch::BUFFER;

pub(crate) struct Overflow {
    spill: Arc<Spill>,
    file: State,
    /// Where the file's unread bytes begin and end.
    read: u64,
    written: u64,
    /// Behind the file's bytes.
    pending: Vec<u8>,
    writing: Option<JoinHandle<(Vec<u8>, io::Result<()>)>>,
    reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

enum State {
    /// Nothing had to be kept so far.
    None,
    Making(JoinHandle<io::Result<Kept>>),
    Open(Kept),
    /// It takes no more; what it has is still to be read.
    Closed(Option<Kept>),
}

impl Overflow {
    pub(crate) fn new(spill: Arc<Spill>) -> Self {
        Self {
            spill,
            file: State::None,
            read: 0,
            written: 0,
            pending: Vec::new(),
            writing: None,
            reading: None,
        }
    }

    /// What comes next must go out first.
    pub(crate) fn is_empty(&self) -> bool {
        self.read == self.written
            && self.pending.is_empty()
            && self.writing.is_none()
            && self.reading.is_none()
    }

    /// More may be put into it.
    pub(crate) fn has_room(&self) -> bool {
        self.pending.len() < BUFFER && !matches!(self.file, State::Closed(_))
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Moves what is there on its way: to disk, and from there behind `out` while that holds less
    /// than `window`. True if something moved. `Err`: what was on disk cannot be read.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut Vec<u8>,
        sent: usize,
        window: usize,
    ) -> io::Result<bool> {
        let mut moved = self.poll_written(cx)?;
        moved |= self.poll_read(cx, out)?;
        let room = out.len() - sent < window;
        if room && self.reading.is_none() && self.read < self.written {
            self.start_read();
            moved |= self.poll_read(cx, out)?;
        }
        if self.read == self.written && self.writing.is_none() && self.reading.is_none() {
            // All of the file was read: it is filled from the beginning again.
            (self.read, self.written) = (0, 0);
            if room && !self.pending.is_empty() {
                out.append(&mut self.pending);
                moved = true;
            }
        }
        Ok(moved | self.start_write(cx)?)
    }

    fn start_read(&mut self) {
        let (State::Open(kept) | State::Closed(Some(kept))) = &self.file else { return };
        let most = usize::try_from(self.written - self.read).unwrap_or(BUFFER).min(BUFFER);
        self.reading = Some(kept.read(most, self.read));
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut Vec<u8>) -> io::Result<bool> {
        let Some(read) = ended(&mut self.reading, cx) else { return Ok(false) };
        let piece = read.map_err(io::Error::other)??;
        self.read += piece.len() as u64;
        out.extend_from_slice(&piece);
        Ok(true)
    }

    /// Pieces of a buffer's size, each behind the one before.
    fn start_write(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        if self.writing.is_some() || self.pending.is_empty() {
            return Ok(false);
        }
        let mut moved = false;
        if let State::None = self.file {
            self.file = State::Making(Kept::make(Arc::clone(&self.spill)));
        }
        if let State::Making(making) = &mut self.file {
            let Poll::Ready(made) = Pin::new(making).poll(cx) else { return Ok(false) };
            let made = made.map_err(io::Error::other).flatten().inspect_err(complain);
            self.file = made.map_or(State::Closed(None), State::Open);
            moved = true;
        }
        let State::Open(kept) = &self.file else { return Ok(moved) };
        let end = self.written + self.pending.len() as u64;
        if let Err(full) = kept.reach(end) {
            complain(&full);
            self.close();
            return Ok(true);
        }
        self.writing = Some(kept.write(std::mem::take(&mut self.pending), self.written));
        self.poll_written(cx)?;
        Ok(true)
    }

    fn poll_written(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        let Some(wrote) = ended(&mut self.writing, cx) else { return Ok(false) };
        // The blocking thread is no more: the piece is lost, and with it the answer.
        match wrote.map_err(io::Error::other)? {
            (mut bytes, Ok(())) => {
                self.written += bytes.len() as u64;
                if self.pending.is_empty() {
                    bytes.clear();
                    self.pending = bytes;
                }
            }
            (mut bytes, Err(error)) => {
                complain(&error);
                bytes.append(&mut self.pending);
                self.pending = bytes;
                self.close();
            }
        }
        Ok(true)
    }

    fn close(&mut self) {
        let file = std::mem::replace(&mut self.file, State::Closed(None));
        if let State::Open(kept) = file {
            self.file = State::Closed(Some(kept));
        }
    }
}

/// The result of what is under way, once it is there.
fn ended<T>(
    under_way: &mut Option<JoinHandle<T>>,
    cx: &mut Context<'_>,
) -> Option<Result<T, tokio::task::JoinError>> {
    let Poll::Ready(done) = Pin::new(under_way.as_mut()?).poll(cx) else { return None };
    *under_way = None;
    Some(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spill(max: u64) -> Arc<Spill> {
        Arc::new(Spill::new(Some(std::env::temp_dir()), max, Some(1 << 30)))
    }

    /// Puts `bytes` in, as far as there is room, and takes them out; says how many it took.
    async fn through(overflow: &mut Overflow, bytes: &[u8]) -> (usize, Vec<u8>) {
        let (mut put, mut got, mut out) = (0, Vec::new(), Vec::new());
        std::future::poll_fn(|cx| {
            while put < bytes.len() && overflow.has_room() {
                let piece = &bytes[put..(put + 10_000).min(bytes.len())];
                overflow.push(piece);
                put += piece.len();
                // A client that reads nothing so far.
                overflow.poll(cx, &mut out, 0, 0).expect("it can be read");
            }
            let full = put == bytes.len() || matches!(overflow.file, State::Closed(_));
            if !full {
                overflow.poll(cx, &mut out, 0, 0).expect("it can be read");
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            overflow.poll(cx, &mut out, 0, 1).expect("it can be read");
            got.append(&mut out);
            if overflow.is_empty() {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        (put, got)
    }

    #[tokio::test]
    async fn what_goes_in_comes_out_in_order() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let spill = spill(1 << 30);
        let mut overflow = Overflow::new(Arc::clone(&spill));
        for _ in 0..2 {
            let (put, got) = through(&mut overflow, &bytes).await;
            assert!(put == bytes.len() && got == bytes);
        }
        assert!(spill.used() > 500_000, "it was on disk: {}", spill.used());
        assert!(spill.used() <= 1_000_000, "the file is used again: {}", spill.used());
    }

    #[tokio::test]
    async fn beyond_its_bound_it_takes_no_more_and_loses_nothing() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut overflow = Overflow::new(spill(300_000));
        let (put, got) = through(&mut overflow, &bytes).await;
        assert!((200_000..700_000).contains(&put), "{put}");
        assert!(got == bytes[..put]);
        assert!(!overflow.has_room());
    }

    #[tokio::test]
    async fn a_full_disk_loses_nothing() {
        let bytes = vec![b'x'; 200_000];
        let spill = spill(1 << 30);
        let mut overflow = Overflow::new(Arc::clone(&spill));
        overflow.file = State::Open(Kept::full(&spill));
        let (put, got) = through(&mut overflow, &bytes).await;
        assert!(put < bytes.len() && got == bytes[..put], "{put}");
    }

    #[tokio::test]
    async fn without_a_directory_it_takes_one_buffer() {
        let spill = Arc::new(Spill::new(Some("/nowhere/at/all".into()), 1 << 30, None));
        let mut overflow = Overflow::new(spill);
        let bytes = vec![b'x'; 200_000];
        let (put, got) = through(&mut overflow, &bytes).await;
        assert!(put < 100_000 && got == bytes[..put], "{put}");
    }
}
