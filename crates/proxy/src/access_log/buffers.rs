//! Where lines wait for the writer: two buffers for each shard, so that one of them is always free
//! when the writer holds the other. A shard only ever tries a lock.

use std::sync::{Mutex, PoisonError, TryLockError};

use crossbeam_utils::CachePadded;
use isobar_balance::shard;

/// Threads beyond this share buffers, and give way to each other into their neighbours'.
const CELLS: usize = 64;
/// What one buffer holds at most; then lines are lost.
pub(super) const MOST: usize = 4 * 1024 * 1024;
/// The writer is called before its time when a buffer grows to this.
const FULL: usize = 256 * 1024;

type Buffer = CachePadded<Mutex<Vec<u8>>>;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Waiting,
    /// So much waits that the writer should come now.
    Full,
    Lost,
}

pub(super) struct Buffers(Box<[[Buffer; 2]]>);

impl Buffers {
    pub(super) fn new() -> Self {
        Self((0..CELLS).map(|_| Default::default()).collect())
    }

    /// Lets `line` append itself to a buffer of this shard, or to the next one that nobody holds.
    pub(super) fn write(&self, line: impl FnOnce(&mut Vec<u8>)) -> Written {
        let own = shard::current() % CELLS;
        let mut nearest = self.0[own..].iter().chain(&self.0[..own]).flatten();
        let free = nearest.find_map(|buffer| match buffer.try_lock() {
            Ok(buffer) => Some(buffer),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        });
        let Some(mut buffer) = free else { return Written::Lost };
        if buffer.len() >= MOST {
            return Written::Lost;
        }
        let before = buffer.len();
        line(&mut buffer);
        if before < FULL && buffer.len() >= FULL { Written::Full } else { Written::Waiting }
    }

    /// Moves what waits into `batch`, up to about [`MOST`] for each buffer; false if it was nothing.
    pub(super) fn collect(&self, batch: &mut Vec<u8>) -> bool {
        let mut any = false;
        for buffer in self.0.iter().flatten() {
            let mut buffer = buffer.lock().unwrap_or_else(PoisonError::into_inner);
            if buffer.is_empty() {
                continue;
            }
            any = true;
            if batch.is_empty() {
                // The shard goes on with the memory of the last batch.
                std::mem::swap(batch, &mut *buffer);
            } else {
                let taken = std::mem::take(&mut *buffer);
                drop(buffer);
                batch.extend_from_slice(&taken);
            }
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_whose_buffers_are_both_held_loses_nothing() {
        let buffers = Buffers::new();
        let held: Vec<_> = buffers.0[0].iter().map(|buffer| buffer.lock().unwrap()).collect();
        let written = buffers.write(|line| line.extend_from_slice(b"one\n"));
        drop(held);
        let mut batch = Vec::new();
        assert!(buffers.collect(&mut batch));
        assert_eq!((written, batch.as_slice()), (Written::Waiting, b"one\n".as_slice()));
    }
}
