//! The load: open loop, Poisson arrivals, the same ones for every pool. A request leaves when it is
//! due whatever the earlier ones do, so that a slow answer cannot hide the wait of those behind it;
//! only a bound on what is outstanding stops it, and what that holds back is counted.
//!
//! One request in twenty is five times the work: workers do not only differ, requests do, too.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::{sleep, sleep_until, timeout};

use super::tally::Tally;
use super::worker::{SENT, WORK, WORKER};

/// Requests that may be outstanding at each pool.
const MOST: usize = 512;
/// An answer that takes longer is a failure.
const PATIENCE: Duration = Duration::from_secs(30);
/// One request in so many is long, and so much longer.
const LONG_ONE_IN: u32 = 20;
const LONG: u32 = 5;

/// The work of the average request, in paces.
pub(super) const MEAN_WORK: f64 = ((LONG_ONE_IN - 1) + LONG) as f64 / LONG_ONE_IN as f64;

/// Where to send it, and who counts.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) tally: Arc<Tally>,
}

/// Arrivals and their work, for ever.
struct Arrivals {
    rng: fastrand::Rng,
    rate: f64,
    next: Duration,
}

/// Sends until `stopped` says so, then waits for what is outstanding, so long.
pub(super) async fn run(
    targets: Vec<Target>,
    rate: f64,
    epoch: Instant,
    mut stopped: watch::Receiver<bool>,
    last: Duration,
) {
    let clients: Vec<Rc<Client>> = targets.iter().map(|t| Client::new(t.clone(), epoch)).collect();
    let mut arrivals = Arrivals::new(rate);
    let start = Instant::now();
    loop {
        let (due, work) = arrivals.next();
        let due = start + due;
        tokio::select! {
            () = sleep_until(due.into()) => {}
            _ = stopped.wait_for(|stopped| *stopped) => break,
        }
        for client in &clients {
            if client.target.tally.send(MOST) {
                spawn_local(client.clone().ask(due, work));
            }
        }
    }
    let outstanding = || targets.iter().any(|target| target.tally.seen().outstanding > 0);
    let all_answered = async {
        while outstanding() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    let _ = timeout(last, all_answered).await;
}

impl Arrivals {
    fn new(rate: f64) -> Arrivals {
        // Always the same, so that two runs can be compared.
        Arrivals { rng: fastrand::Rng::with_seed(7), rate, next: Duration::ZERO }
    }

    fn next(&mut self) -> (Duration, u32) {
        let gap = -(1.0 - self.rng.f64()).ln() / self.rate;
        self.next += Duration::from_secs_f64(gap);
        let long = self.rng.u32(..LONG_ONE_IN) == 0;
        (self.next, if long { LONG } else { 1 })
    }
}

type Sender = SendRequest<Empty<Bytes>>;

/// One target and the connections kept to it.
struct Client {
    target: Target,
    epoch: Instant,
    idle: RefCell<Vec<Sender>>,
}

impl Client {
    fn new(target: Target, epoch: Instant) -> Rc<Client> {
        Rc::new(Client { target, epoch, idle: RefCell::default() })
    }

    async fn ask(self: Rc<Self>, due: Instant, work: u32) {
        let outcome = timeout(PATIENCE, self.exchange(work)).await;
        let tally = &self.target.tally;
        match outcome {
            Ok(Ok(worker)) => {
                let now = Instant::now();
                tally.answered(worker, now - due, now - self.epoch);
            }
            Ok(Err(reason)) => tally.failed(reason),
            Err(_) => tally.failed(String::from("no answer in time")),
        }
    }

    /// Which worker answered; `Err`: why nobody did.
    async fn exchange(&self, work: u32) -> Result<Option<usize>, String> {
        let mut sender = self.connection().await?;
        let sent = Instant::now() - self.epoch;
        let request = Request::get("/")
            .header("host", self.target.address.to_string())
            .header(WORK, work)
            .header(SENT, sent.as_nanos().to_string())
            .body(Empty::new())
            .map_err(|error| error.to_string())?;
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let (head, body) = answer.into_parts();
        body.collect().await.map_err(|error| error.to_string())?;
        if sender.ready().await.is_ok() {
            self.idle.borrow_mut().push(sender);
        }
        let text = |name| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
        match head.status {
            StatusCode::OK => Ok(text(WORKER).and_then(|place| place.parse().ok())),
            status => Err(text("x-isobar-reason").unwrap_or_else(|| status.to_string())),
        }
    }

    async fn connection(&self) -> Result<Sender, String> {
        loop {
            let kept = self.idle.borrow_mut().pop();
            match kept {
                Some(sender) if sender.is_ready() => return Ok(sender),
                Some(_) => {}
                None => break,
            }
        }
        let connect = async {
            let stream = TcpStream::connect(self.target.address).await?;
            stream.set_nodelay(true)?;
            std::io::Result::Ok(stream)
        };
        let stream = connect.await.map_err(|error| error.to_string())?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        spawn_local(async move {
            // How it ended is told to whoever waits for an answer on it.
            let _ = connection.await;
        });
        Ok(sender)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_their_rate_and_their_work() {
        let mut arrivals = Arrivals::new(100.0);
        let all: Vec<_> = (0..100_000).map(|_| arrivals.next()).collect();
        assert!(all.is_sorted_by_key(|(due, _)| *due));
        let seconds = all.last().unwrap().0.as_secs_f64();
        assert!((990.0..1010.0).contains(&seconds), "{seconds}");
        let work: u32 = all.iter().map(|(_, work)| work).sum();
        let mean = f64::from(work) / 1e5;
        assert!((mean - MEAN_WORK).abs() < 0.02, "{mean}");
    }

    #[test]
    fn two_runs_are_the_same() {
        let (mut one, mut other) = (Arrivals::new(10.0), Arrivals::new(10.0));
        assert!((0..100).all(|_| one.next() == other.next()));
    }
}
