//! A worker for tests: answers each `q` with one byte, on as many connections as come, and counts
//! them. `x` makes it close, `e` makes it say more than it was asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

use isobar_pool::Address;

pub struct Origin {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    open: AtomicUsize,
    most: AtomicUsize,
    busy: AtomicUsize,
    most_busy: AtomicUsize,
}

impl Origin {
    pub fn start() -> Origin {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let counts = Arc::new(Counts::default());
        let shared = counts.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming() {
                let counts = shared.clone();
                counts.accepted.fetch_add(1, SeqCst);
                thread::spawn(move || serve(stream.expect("a connection"), &counts));
            }
        });
        Origin { address, counts }
    }

    pub fn address(&self) -> Address {
        Address::Tcp(self.address)
    }

    pub fn accepted(&self) -> usize {
        self.counts.accepted.load(SeqCst)
    }

    /// Most connections open at a time.
    pub fn most_open(&self) -> usize {
        self.counts.most.load(SeqCst)
    }

    /// Most questions being answered at a time.
    pub fn most_busy(&self) -> usize {
        self.counts.most_busy.load(SeqCst)
    }
}

fn serve(mut stream: impl Read + Write, counts: &Counts) {
    counts.most.fetch_max(counts.open.fetch_add(1, SeqCst) + 1, SeqCst);
    let mut question = [0];
    while matches!(stream.read(&mut question), Ok(1)) {
        counts.most_busy.fetch_max(counts.busy.fetch_add(1, SeqCst) + 1, SeqCst);
        thread::yield_now();
        counts.busy.fetch_sub(1, SeqCst);
        let answer: &[u8] = match &question {
            b"e" => b"a+",
            _ => b"a",
        };
        if stream.write_all(answer).is_err() || &question == b"x" {
            break;
        }
    }
    counts.open.fetch_sub(1, SeqCst);
}
