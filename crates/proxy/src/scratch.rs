//! What a request needs only while it is under way, reused from request to request.
//!
//! Each shard keeps a small stock; an idle connection holds none of it, which is what keeps it
//! at a few hundred bytes.

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
};

use isobar_http1::{RequestHead, ResponseHead};

/// Capacity of a read or write buffer: one read of a large body, and the most a client's
/// pipelined bytes or a head may take.
pub(crate) const BUFFER: usize = 64 * 1024;

/// Stock kept per shard; a burst's surplus goes back to the allocator.
const STOCK: usize = 256;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    // Boxed: taking and giving moves a pointer, not a kilobyte.
    #[expect(clippy::vec_box, reason = "moved twice per request")]
    static SCRATCHES: RefCell<Vec<Box<Scratch>>> = const { RefCell::new(Vec::new()) };
}

/// One request's working memory.
#[derive(Default)]
pub(crate) struct Scratch {
    pub(crate) request: RequestHead,
    pub(crate) response: ResponseHead,
    /// The request's body as far as it was read before the lease, decoded.
    pub(crate) body: Vec<u8>,
    /// Towards the worker.
    pub(crate) up: Vec<u8>,
    /// From the worker, not yet parsed or decoded.
    pub(crate) down: Vec<u8>,
    /// So much of `down` was the head.
    pub(crate) parsed: usize,
    /// Towards the client.
    pub(crate) out: Vec<u8>,
    /// Our own fields towards the worker, the same for every attempt.
    pub(crate) lines: Vec<u8>,
    /// The request's id; empty until somebody asks for it.
    pub(crate) id: Vec<u8>,
}

/// Working memory on loan from the shard's stock; its drop gives it back.
pub(crate) struct Loan(Option<Box<Scratch>>);

impl Scratch {
    pub(crate) fn lend() -> Loan {
        Loan(Some(SCRATCHES.with_borrow_mut(Vec::pop).unwrap_or_default()))
    }
}

impl Deref for Loan {
    type Target = Scratch;

    fn deref(&self) -> &Scratch {
        self.0.as_ref().expect(LENT)
    }
}

impl DerefMut for Loan {
    fn deref_mut(&mut self) -> &mut Scratch {
        self.0.as_mut().expect(LENT)
    }
}

const LENT: &str = "it is given back by the drop alone";

impl Drop for Loan {
    fn drop(&mut self) {
        let Some(mut scratch) = self.0.take() else { return };
        let Scratch { body, up, down, out, lines, id, .. } = &mut *scratch;
        [body, up, down, out].into_iter().for_each(recycle);
        lines.clear();
        id.clear();
        SCRATCHES.with_borrow_mut(|stock| {
            if stock.len() < STOCK {
                stock.push(scratch);
            }
        });
    }
}

/// An empty buffer of [`BUFFER`] capacity.
pub(crate) fn buffer() -> Vec<u8> {
    let stocked = BUFFERS.with_borrow_mut(Vec::pop);
    stocked.unwrap_or_else(|| Vec::with_capacity(BUFFER))
}

/// Makes sure `buffer` has room without an allocation on a warm shard.
pub(crate) fn furnish(buffer: &mut Vec<u8>) {
    if buffer.capacity() == 0 {
        *buffer = self::buffer();
    }
}

/// Takes the memory out of `buffer` and stocks it.
pub(crate) fn recycle(buffer: &mut Vec<u8>) {
    let mut memory = std::mem::take(buffer);
    if memory.capacity() == BUFFER {
        memory.clear();
        BUFFERS.with_borrow_mut(|stock| {
            if stock.len() < STOCK {
                stock.push(memory);
            }
        });
    }
}
