//! Thousands of connections at once: a crowd of clients and the origin they are sent to, all on one
//! runtime, because a thread for each would measure the threads.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, watch};

use crate::wait;

/// So many connections are opened side by side.
const AT_ONCE: usize = 200;
const PATIENCE: Duration = Duration::from_secs(60);

/// What every client of a crowd does, and then stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Upgrades, and has a message of 16 KiB echoed.
    WebSocket,
    /// Reads the head and the first event.
    EventStream,
    /// Has sent a request that the worker does not answer yet.
    SlowWorker,
    /// Has got its answer; the connection is idle.
    KeepAlive,
}

pub struct Crowd {
    runtime: Runtime,
    origin: SocketAddr,
    /// Grows when the slow workers are to answer.
    answer: watch::Sender<u64>,
    /// Requests that they have got.
    asked: Arc<AtomicUsize>,
}

/// Connections that are held open.
pub struct Held(Vec<TcpStream>);

impl Crowd {
    pub fn start() -> Crowd {
        let serving = runtime();
        let listener = serving.block_on(TcpListener::bind("127.0.0.1:0")).expect("binds");
        let origin = listener.local_addr().expect("its address");
        let (answer, answers) = watch::channel(0);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = asked.clone();
        // A runtime of its own, or nobody would serve while the clients are not looked after.
        std::thread::spawn(move || {
            serving.block_on(async {
                let (mut crowd, answers) = (answers.clone(), answers);
                loop {
                    tokio::select! {
                        Ok((stream, _)) = listener.accept() => {
                            tokio::spawn(serve(stream, answers.clone(), count.clone()));
                        }
                        gone = crowd.changed() => if gone.is_err() { return },
                    }
                }
            });
        });
        Crowd { runtime: runtime(), origin, answer, asked }
    }

    pub fn origin(&self) -> SocketAddr {
        self.origin
    }

    /// Opens so many connections and brings each to where it stays.
    pub fn open(&self, target: SocketAddr, kind: Kind, count: usize) -> Held {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let opening: Vec<_> = (0..count)
            .map(|_| {
                let places = places.clone();
                self.runtime.spawn(async move {
                    let _place = places.acquire().await;
                    let opened = tokio::time::timeout(PATIENCE, open(target, kind)).await;
                    opened.expect("in time").expect("opens")
                })
            })
            .collect();
        let all = async {
            let mut held = Vec::with_capacity(count);
            for one in opening {
                held.push(one.await.expect("no client fails"));
            }
            held
        };
        let held = Held(self.runtime.block_on(all));
        if kind == Kind::SlowWorker {
            wait::until(|| (self.asked.load(Ordering::Relaxed) == count).then_some(()));
        }
        held
    }

    /// The slow workers answer, and every client reads to the end of its answer; then all close.
    pub fn close(&self, mut held: Held, kind: Kind) {
        self.runtime.block_on(async {
            if kind == Kind::SlowWorker {
                self.asked.store(0, Ordering::Relaxed);
                self.answer.send_modify(|turn| *turn += 1);
                for stream in &mut held.0 {
                    let answered = tokio::time::timeout(PATIENCE, read_to(stream, b"done"));
                    answered.await.expect("in time").expect("answered");
                }
            }
            // A silent stream's end is then noticed whatever a FIN is taken for.
            if kind == Kind::EventStream {
                held.0.iter().for_each(|stream| stream.set_zero_linger().expect("a setting"));
            }
            drop(held);
        });
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

async fn open(target: SocketAddr, kind: Kind) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(target).await?;
    let head = |path: &str, fields: &str| format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    match kind {
        Kind::WebSocket => {
            let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
            stream.write_all(head("/websocket", fields).as_bytes()).await?;
            read_to(&mut stream, b"\r\n\r\n").await?;
            let message = [b'm'; 16 << 10];
            stream.write_all(&message).await?;
            stream.read_exact(&mut [0; 16 << 10]).await?;
        }
        Kind::EventStream => {
            stream.write_all(head("/events", "").as_bytes()).await?;
            read_to(&mut stream, b"data: 1\n\n").await?;
        }
        Kind::SlowWorker => stream.write_all(head("/slow", "").as_bytes()).await?,
        Kind::KeepAlive => {
            stream.write_all(head("/", "").as_bytes()).await?;
            read_to(&mut stream, b"done").await?;
        }
    }
    Ok(stream)
}

async fn serve(
    mut stream: TcpStream,
    mut answers: watch::Receiver<u64>,
    asked: Arc<AtomicUsize>,
) -> io::Result<()> {
    const DONE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone";
    const EVENTS: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";
    const SWITCH: &[u8] =
        b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    loop {
        let head = read_to(&mut stream, b"\r\n\r\n").await?;
        if head.starts_with(b"GET /websocket") {
            stream.write_all(SWITCH).await?;
            return echo(stream).await;
        }
        if head.starts_with(b"GET /events") {
            stream.write_all(EVENTS).await?;
            return stream.read_u8().await.map(drop);
        }
        if head.starts_with(b"GET /slow") {
            answers.mark_unchanged();
            asked.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                _ = answers.changed() => {}
                gone = stream.read_u8() => return gone.map(drop),
            }
        }
        stream.write_all(DONE).await?;
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    loop {
        stream.readable().await?;
        let mut piece = [0; 4096];
        match stream.try_read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => stream.write_all(&piece[..read]).await?,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn read_to(stream: &mut TcpStream, end: &[u8]) -> io::Result<Vec<u8>> {
    let mut read = Vec::with_capacity(512);
    while !read.windows(end.len()).any(|part| part == end) {
        if stream.read_buf(&mut read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(read)
}
