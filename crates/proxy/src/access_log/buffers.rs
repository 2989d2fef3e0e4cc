//! Where lines wait for the writer: two buffers for each shard, so that one of them is always free
//! when the writer holds the other. A shard only ever tries a lock.

use std::sync::{Mutex, PoisonError, TryLockError};

use crossbeam_utils::CachePadded;
use isobar_balance::shard;

/// Threads beyond this share buffers.
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

    /// Lets `line` append itself to a buffer of this shard.
    pub(super) fn write(&self, line: impl FnOnce(&mut Vec<u8>)) -> Written {
        let pair = &self.0[shard::current() % CELLS];
        let free = pair.iter().find_map(|buffer| match buffer.try_lock() {
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
