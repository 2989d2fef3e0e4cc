//! An embedded worker: a real HTTP origin on a loopback port that serves one request at a time, at
//! its own pace. Requests that come meanwhile wait inside it: its private queue.
//!
//! One kind restarts now and then: it finishes what it has, is gone for a while, comes back on the
//! same port and is cold, which means slow, for its first requests. It writes its own journal and
//! does not know who sends the requests.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use super::journal::{Asker, Journal, Up};
use crate::plan::socket;

/// How much work a request is, in paces: a header of the demo's load.
pub(super) const WORK: &str = "x-demo-work";
/// When a request was sent, in nanoseconds after the demo's start.
pub(super) const SENT: &str = "x-demo-sent";
/// Which worker answered, by its place.
pub(super) const WORKER: &str = "x-demo-worker";
/// More work than this nobody may ask for.
const MOST_WORK: u32 = 20;
/// How long a worker that restarts may take over what it has accepted.
const LAST: Duration = Duration::from_secs(3);

/// How a worker behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    /// How long an ordinary request takes.
    pub(super) pace: Duration,
    pub(super) restarts: Option<Restarts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Restarts {
    /// After the demo's start, and from then on.
    pub(super) first: Duration,
    pub(super) every: Duration,
    pub(super) down: Duration,
    /// So many requests take `slower` times as long after each start.
    pub(super) cold: u32,
    pub(super) slower: u32,
}

pub(super) struct Worker {
    pub(super) spec: Spec,
    pub(super) address: SocketAddr,
    place: usize,
    journal: Arc<Journal>,
    epoch: Instant,
    /// It has one pair of hands.
    hands: Semaphore,
    up: AtomicBool,
    /// Requests until it is warm.
    cold: AtomicU32,
}

/// What the worker itself knows of its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Warm,
    Cold,
    Restarting,
}

impl Worker {
    /// On a port of its own, deaf until it is run.
    pub(super) fn bind(
        spec: Spec,
        place: usize,
        journal: Arc<Journal>,
        epoch: Instant,
    ) -> std::io::Result<(Arc<Worker>, std::net::TcpListener)> {
        let listener = socket::tcp(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let worker = Worker {
            spec,
            address: listener.local_addr()?,
            place,
            journal,
            epoch,
            hands: Semaphore::new(1),
            up: AtomicBool::new(true),
            cold: AtomicU32::new(spec.restarts.map_or(0, |restarts| restarts.cold)),
        };
        Ok((Arc::new(worker), listener))
    }

    pub(super) fn mood(&self) -> Mood {
        match (self.up.load(Relaxed), self.cold.load(Relaxed)) {
            (false, _) => Mood::Restarting,
            (true, 0) => Mood::Warm,
            (true, _) => Mood::Cold,
        }
    }

    /// For as long as the runtime.
    pub(super) async fn run(self: Arc<Self>, listener: std::net::TcpListener) {
        let Ok(mut listener) = TcpListener::from_std(listener) else { return };
        // The proxy was told of it: that is as good as a connection.
        self.journal.available(self.place, Instant::now());
        let Some(restarts) = self.spec.restarts else {
            return self.live(listener, pending()).await;
        };
        let mut end = self.epoch + restarts.first;
        loop {
            self.live(listener, sleep_until(end.into())).await;
            sleep(restarts.down).await;
            listener = self.bind_again().await;
            self.cold.store(restarts.cold, Relaxed);
            self.up.store(true, Relaxed);
            end += restarts.every;
        }
    }

    async fn bind_again(&self) -> TcpListener {
        loop {
            // Somebody may have taken the port meanwhile; the worker is down until it is free.
            if let Ok(Ok(listener)) = socket::tcp(self.address).map(TcpListener::from_std) {
                return listener;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Serves until `end`, then finishes what it has.
    async fn live(self: &Arc<Self>, listener: TcpListener, end: impl Future<Output = ()>) {
        let (stop, stopped) = watch::channel(());
        let mut conversations = JoinSet::new();
        let mut end = pin!(end);
        loop {
            tokio::select! {
                () = end.as_mut() => break,
                Ok((stream, _)) = listener.accept() => {
                    self.journal.available(self.place, Instant::now());
                    conversations.spawn(self.clone().converse(stream, stopped.clone()));
                }
                Some(_) = conversations.join_next() => {}
            }
        }
        drop(listener);
        self.up.store(false, Relaxed);
        self.journal.gone(self.place, Instant::now());
        drop(stop);
        let all_said = async { while conversations.join_next().await.is_some() {} };
        let _ = timeout(LAST, all_said).await;
    }

    async fn converse(self: Arc<Self>, stream: TcpStream, mut stopped: watch::Receiver<()>) {
        let _ = stream.set_nodelay(true);
        let service = service_fn(|request: Request<Incoming>| {
            let worker = self.clone();
            async move { Ok::<_, Infallible>(worker.answer(request.headers()).await) }
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            _ = connection.as_mut() => {}
            // The sender is gone: this life ends after the request under way.
            _ = stopped.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
    }

    async fn answer(&self, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let came = Instant::now();
        let number = |name| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
        let sent = number(SENT).map(|nanos| self.epoch + Duration::from_nanos(nanos));
        let work = number(WORK).map_or(1, |work| work.clamp(1, MOST_WORK.into()) as u32);
        // First come, first served. The semaphore is never closed.
        let _hands = self.hands.acquire().await;
        let waited = came.elapsed();
        let asker = sent.map_or(Asker::Stranger, |sent| Asker::Load { sent });
        self.journal.began(self.place, asker, Instant::now());
        let _visit = Visit(self);
        let time = self.spec.pace * work * self.slower();
        sleep(time).await;
        let name = self.spec.name;
        let text = format!(
            "{name} worked {} ms on this; it had waited {} ms inside the worker\n",
            time.as_millis(),
            waited.as_millis()
        );
        let mut answer = Response::new(Full::new(Bytes::from(text)));
        let headers = answer.headers_mut();
        headers.insert("content-type", HeaderValue::from_static("text/plain"));
        headers.insert(WORKER, HeaderValue::from(self.place));
        answer
    }

    /// The factor of a request that begins now.
    fn slower(&self) -> u32 {
        let one_less = |left: u32| left.checked_sub(1);
        let cold = self.cold.fetch_update(Relaxed, Relaxed, one_less).is_ok();
        self.spec.restarts.filter(|_| cold).map_or(1, |restarts| restarts.slower)
    }
}

/// Ends in the journal however the request ends.
struct Visit<'a>(&'a Worker);

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let up = if self.0.up.load(Relaxed) { Up::Yes } else { Up::No };
        self.0.journal.ended(self.0.place, up, Instant::now());
    }
}
