//! Workers made of threads: they record what reached them and when, and misbehave as told.
//!
//! [`Origin::start`] answers each request with a function; [`Origin::visits`] leaves a whole
//! connection to one. An origin serves every connection at once, or (`one_at_a_time`) one kept
//! connection until it closes, as a single-threaded server does.

mod answer;
mod visit;

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use answer::{after, echo, raw, respond, websocket, websocket_with};
pub use visit::{Next, Request, Visit};

use crate::queueing::{Span, most_at_once};
use crate::sockets;

pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// One request as the origin saw it; instants are monotonic seconds.
#[derive(Clone, Debug)]
pub struct Record {
    pub connection: u64,
    pub request: Request,
    pub read_at: f64,
    /// Just before its latest bytes were written.
    pub written_at: f64,
}

#[derive(Default)]
pub(crate) struct Shared {
    pub(crate) log: Mutex<Vec<Record>>,
    connections: AtomicU64,
    closing: AtomicBool,
    open: Mutex<Vec<(u64, TcpStream)>>,
}

#[derive(Clone, Copy, PartialEq)]
enum Service {
    EveryConnection,
    OneConnection,
}

impl Origin {
    pub fn start(answer: impl Fn(&Request, &mut Visit) -> Next + Send + Sync + 'static) -> Origin {
        Origin::listen(Service::EveryConnection, move |visit| visit.serve(&answer))
    }

    /// At this address: several may share a port where their IP addresses differ.
    pub fn start_at(
        address: SocketAddr,
        answer: impl Fn(&Request, &mut Visit) -> Next + Send + Sync + 'static,
    ) -> std::io::Result<Origin> {
        let listener = TcpListener::bind(address)?;
        Ok(Origin::accept(listener, Service::EveryConnection, move |visit| visit.serve(&answer)))
    }

    /// Accepts the next connection only when the one it serves has closed.
    pub fn one_at_a_time(
        answer: impl Fn(&Request, &mut Visit) -> Next + Send + Sync + 'static,
    ) -> Origin {
        Origin::listen(Service::OneConnection, move |visit| visit.serve(&answer))
    }

    pub fn visits(visit: impl Fn(&mut Visit) + Send + Sync + 'static) -> Origin {
        Origin::listen(Service::EveryConnection, visit)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn log(&self) -> Vec<Record> {
        self.shared.log.lock().expect("log").clone()
    }

    pub fn served(&self) -> usize {
        self.shared.log.lock().expect("log").len()
    }

    pub fn clear(&self) {
        self.shared.log.lock().expect("log").clear();
    }

    /// How many connections were ever accepted.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    pub fn most_at_once(&self) -> usize {
        let spans: Vec<Span> = self.log().iter().map(|r| (r.read_at, r.written_at)).collect();
        most_at_once(&spans)
    }

    /// Waits until that many requests were recorded.
    pub fn wait_for(&self, count: usize, patience: Duration) -> bool {
        let until = Instant::now() + patience;
        while self.served() < count {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn listen(service: Service, visit: impl Fn(&mut Visit) + Send + Sync + 'static) -> Origin {
        Origin::accept(sockets::listen(), service, visit)
    }

    fn accept(
        listener: TcpListener,
        service: Service,
        visit: impl Fn(&mut Visit) + Send + Sync + 'static,
    ) -> Origin {
        let address = listener.local_addr().expect("its address");
        let shared = Arc::new(Shared::default());
        let (accepting, visit) = (shared.clone(), Arc::new(visit));
        let accept = move || {
            for stream in listener.incoming() {
                if accepting.closing.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let mut met = accepting.meet(stream);
                let visit = visit.clone();
                let mut run = move || visit(&mut met);
                match service {
                    Service::OneConnection => run(),
                    Service::EveryConnection => start_thread(run),
                }
            }
        };
        start_thread(accept);
        Origin { address, shared }
    }
}

impl Shared {
    fn meet(self: &Arc<Shared>, stream: TcpStream) -> Visit {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        if let Ok(twin) = stream.try_clone() {
            self.open.lock().expect("open").push((number, twin));
        }
        Visit::new(number, stream, self.clone())
    }

    /// A twin left in the list would keep the socket open after its visit ended.
    pub(crate) fn forget(&self, number: u64) {
        self.open.lock().expect("open").retain(|(other, _)| *other != number);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        for (_, stream) in self.shared.open.lock().expect("open").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

fn start_thread(run: impl FnOnce() + Send + 'static) {
    let builder = std::thread::Builder::new().stack_size(256 << 10);
    builder.spawn(run).expect("a thread");
}
