//! What a request needs only while it is under way, reused from request to request.
//!
//! Each shard keeps a small stock; an idle connection holds none of it, which is what keeps it
//! at a few hundred bytes. What of the stock nobody needed for a while goes back to the allocator,
//! and so to the system: [`tidy`].

use std::{
    cell::RefCell,
    ops::{Deref, DerefMut},
    time::Duration,
};

use isobar_http1::{RequestHead, ResponseHead};

/// Capacity of a read or write buffer: one read of a large body, and the most a client's
/// pipelined bytes or a head may take.
pub(crate) const BUFFER: usize = 64 * 1024;

/// Stock kept per shard; a burst's surplus goes back to the allocator.
const STOCK: usize = 256;

/// A head that took more than this gives its memory back: a stock of such heads would be large.
const HEAD: usize = 16 * 1024;

thread_local! {
    static BUFFERS: RefCell<Stock<Vec<u8>>> = const { RefCell::new(Stock::new()) };
    // Boxed: taking and giving moves a pointer, not a kilobyte.
    static SCRATCHES: RefCell<Stock<Box<Scratch>>> = const { RefCell::new(Stock::new()) };
}

/// What is ready to be lent.
struct Stock<T> {
    ready: Vec<T>,
    /// The fewest that were ready since the last [`Stock::tidy`]: nobody needed those.
    spare: usize,
}

impl<T> Stock<T> {
    const fn new() -> Self {
        Self { ready: Vec::new(), spare: 0 }
    }

    fn take(&mut self) -> Option<T> {
        let taken = self.ready.pop();
        self.spare = self.spare.min(self.ready.len());
        taken
    }

    fn give(&mut self, one: T) {
        if self.ready.len() < STOCK {
            self.ready.push(one);
        }
    }

    fn tidy(&mut self) {
        let spare = self.spare.min(self.ready.len());
        // The oldest: the latest ones are still in the processor's caches.
        self.ready.drain(..spare);
        self.spare = self.ready.len();
        if self.ready.is_empty() {
            self.ready = Vec::new();
        }
    }
}

/// Gives back, every two seconds, what of the calling shard's stock nobody needed meanwhile.
pub(crate) async fn tidy() {
    const PERIOD: Duration = Duration::from_secs(2);
    loop {
        tokio::time::sleep(PERIOD).await;
        tidy_once();
    }
}

fn tidy_once() {
    BUFFERS.with_borrow_mut(Stock::tidy);
    SCRATCHES.with_borrow_mut(Stock::tidy);
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
        Loan(Some(SCRATCHES.with_borrow_mut(Stock::take).unwrap_or_default()))
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
        let Scratch { request, response, body, up, down, out, lines, id, .. } = &mut *scratch;
        [body, up, down, out].into_iter().for_each(recycle);
        lines.clear();
        id.clear();
        if request.capacity() > HEAD {
            *request = RequestHead::default();
        }
        if response.capacity() > HEAD {
            *response = ResponseHead::default();
        }
        SCRATCHES.with_borrow_mut(|stock| stock.give(scratch));
    }
}

/// An empty buffer of [`BUFFER`] capacity.
pub(crate) fn buffer() -> Vec<u8> {
    let stocked = BUFFERS.with_borrow_mut(Stock::take);
    stocked.unwrap_or_else(|| Vec::with_capacity(BUFFER))
}

/// Gives `buffer` memory if it has none, out of the stock where there is some.
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
        BUFFERS.with_borrow_mut(|stock| stock.give(memory));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_needs_goes_back() {
        let mut stock = Stock::new();
        (0..10).for_each(|one| stock.give(one));
        stock.tidy();
        // Of ten, four were needed at once: they stay.
        let lent: Vec<_> = (0..4).filter_map(|_| stock.take()).collect();
        lent.into_iter().for_each(|one| stock.give(one));
        stock.tidy();
        assert_eq!(stock.ready.len(), 4);
        stock.tidy();
        assert_eq!(stock.ready.len(), 0);
        assert_eq!(stock.take(), None);
    }

    #[test]
    fn a_stock_is_bounded() {
        let mut stock = Stock::new();
        (0..STOCK + 10).for_each(|one| stock.give(one));
        assert_eq!(stock.ready.len(), STOCK);
    }
}
