//! Sets the scene: unequal workers, the proxy before them, the load before that; each on threads of
//! its own, as they would be processes of their own. Says what is seen now, when asked.
//!
//! With a comparison there are two of everything but the load, whose every arrival goes to both
//! sides at the same time with the same work.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use isobar_pool::Pool;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::sleep;

use super::front::Front;
use super::journal::{Journal, SETTLED};
use super::load::{self, Target};
use super::tally::Tally;
use super::view::{Kind, Side, View};
use super::worker::{Restarts, Spec, Worker};
use super::{Compare, pulse, view};

/// Every one of them could keep up with a quarter of the default load.
const WORKERS: [Spec; 4] = [
    Spec { name: "quick", pace: Duration::from_millis(15), restarts: None },
    Spec { name: "steady", pace: Duration::from_millis(20), restarts: None },
    Spec { name: "slow", pace: Duration::from_millis(30), restarts: None },
    Spec {
        name: "restarts",
        pace: Duration::from_millis(20),
        restarts: Some(Restarts {
            first: Duration::from_millis(5_000),
            every: Duration::from_millis(12_000),
            down: Duration::from_millis(1_200),
            cold: 20,
            slower: 4,
        }),
    },
];
/// Requests per second.
pub(super) const RATE: f64 = 100.0;
/// Where the proxy listens if it can.
const PORTS: std::ops::RangeInclusive<u16> = 8080..=8099;
/// "Busy" is measured over so much of the past.
const LATELY: Duration = Duration::from_secs(5);
/// How long requests under way may take once the demo ends.
const LAST: Duration = Duration::from_secs(3);
/// Longer than a beat of the pulse.
const MOMENT: Duration = Duration::from_millis(20);
/// Seconds of history kept.
const HISTORY: usize = 240;

pub(super) struct Scene {
    epoch: Instant,
    rate: f64,
    sides: Vec<Part>,
    stop_load: watch::Sender<bool>,
    load: Option<JoinHandle<()>>,
    stop_workers: watch::Sender<bool>,
    /// The workers' thread and the one that watches all threads.
    staff: Vec<JoinHandle<()>>,
    _front: Front,
}

/// One pool with all around it.
struct Part {
    title: &'static str,
    address: SocketAddr,
    pool: Arc<Pool>,
    workers: Vec<Arc<Worker>>,
    journal: Arc<Journal>,
    tally: Arc<Tally>,
    /// Busy times of the last seconds, the oldest first.
    samples: VecDeque<(Instant, Vec<Duration>)>,
    /// The most requests seen waiting in each second, the oldest first.
    waiting: VecDeque<usize>,
    second: u64,
}

impl Scene {
    pub(super) fn set(compare: Compare, rate: f64) -> Result<Scene, String> {
        let epoch = Instant::now();
        let mut sides = vec![("isobar", "Isobar: slots 1, one queue")];
        if compare == Compare::Yes {
            sides.push(("private", "round robin, private queues"));
        }
        let mut listeners = Vec::new();
        let mut staff = Vec::new();
        for _ in &sides {
            let journal = Arc::new(Journal::new(WORKERS.len()));
            let bind =
                |(place, spec): (usize, &Spec)| Worker::bind(*spec, place, journal.clone(), epoch);
            let bound = WORKERS.iter().enumerate().map(bind).collect::<io::Result<Vec<_>>>();
            let bound = bound.map_err(|error| format!("no port for a worker: {error}"))?;
            let workers: Vec<_> = bound.iter().map(|(worker, _)| worker.clone()).collect();
            listeners.extend(bound);
            staff.push((journal, workers));
        }
        let journals: Vec<_> = staff.iter().map(|(journal, _)| journal.clone()).collect();
        let (stop_workers, stopped) = watch::channel(false);
        let until = stopped.clone();
        let beating = journals.clone();
        let workers = spawn("workers", move || employ(listeners, beating, stopped))?;

        let pools: Vec<(&str, &[Arc<Worker>])> = sides
            .iter()
            .zip(&staff)
            .map(|((name, _), (_, workers))| (*name, &workers[..]))
            .collect();
        let ports = PORTS.chain([0]);
        let front = Front::start(ports.map(|port| configuration(&pools, port)).collect())?;

        let mut parts = Vec::new();
        for ((name, title), (journal, workers)) in sides.into_iter().zip(staff) {
            let pool = front.pools.get(name).ok_or("the pool is missing")?.clone();
            let address = *front.addresses.get(name).ok_or("the listener is missing")?;
            let tally = Arc::new(Tally::new(workers.len()));
            let (samples, waiting) = (VecDeque::new(), VecDeque::from([0]));
            parts.push(Part {
                title,
                address,
                pool,
                workers,
                journal,
                tally,
                samples,
                waiting,
                second: 0,
            });
        }
        let targets: Vec<Target> = parts.iter().map(Part::target).collect();
        let (stop_load, stopped) = watch::channel(false);
        let watched = journals.clone();
        let run = move || {
            run_local(async move {
                spawn_local(pulse::beat(journals));
                load::run(targets, rate, epoch, stopped, LAST).await;
                // By then all of them are judged.
                sleep(SETTLED + MOMENT).await;
            });
        };
        let load = spawn("load", run)?;
        // The last one: the others are there to be watched.
        let watch = spawn("pulse", move || pulse::watch_threads(&watched, &until))?;
        Ok(Scene {
            epoch,
            rate,
            sides: parts,
            stop_load,
            load: Some(load),
            stop_workers,
            staff: vec![workers, watch],
            _front: front,
        })
    }

    pub(super) fn view(&mut self) -> View {
        let now = Instant::now();
        let elapsed = now - self.epoch;
        View {
            elapsed,
            rate: self.rate,
            capacity: WORKERS.iter().map(|w| 1.0 / w.pace.as_secs_f64() / load::MEAN_WORK).sum(),
            sides: self.sides.iter_mut().map(|part| part.side(now, elapsed)).collect(),
        }
    }

    /// No more requests; returns when those under way are answered, or have had their time.
    pub(super) fn end_load(&mut self) {
        self.stop_load.send_replace(true);
        if let Some(load) = self.load.take() {
            let _ = load.join();
        }
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.end_load();
        self.stop_workers.send_replace(true);
        for thread in self.staff.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Part {
    fn target(&self) -> Target {
        Target { address: self.address, tally: self.tally.clone() }
    }

    fn side(&mut self, now: Instant, elapsed: Duration) -> Side {
        let status = self.pool.status();
        let figures = self.pool.figures();
        let seen = self.tally.seen();
        let account = self.journal.account(now);
        let busy: Vec<Duration> = account.workers.iter().map(|worker| worker.busy).collect();
        let lately = self.lately(now, &busy);
        let limited = self.pool.limited();
        let workers = self.workers.iter().enumerate().map(|(place, worker)| {
            let name = worker.spec.name;
            let known = status.workers.iter().find(|known| known.name == name);
            let served =
                known.and_then(|known| known.requests.iter().find(|(o, _)| *o == "served"));
            view::Worker {
                name,
                pace: worker.spec.pace,
                mood: worker.mood(),
                health: known.map_or("unknown", |known| known.health.label()),
                slots: known.and_then(|known| known.slots).map(Into::into),
                in_flight: known.map_or(0, |known| known.in_flight),
                requests: served.map_or(0, |(_, count)| *count),
                busy: lately[place],
                busy_always: busy[place].as_secs_f64() / elapsed.as_secs_f64().max(1e-3),
                p50: seen.workers[place].quantile(0.50),
                p99: seen.workers[place].quantile(0.99),
            }
        });
        let workers: Vec<view::Worker> = workers.collect();
        let inside = workers.iter().map(|worker| worker.in_flight.saturating_sub(1) as usize);
        let waiting = if limited { figures.queue_depth } else { inside.sum() };
        self.note_waiting(waiting, elapsed);
        Side {
            title: self.title,
            address: format!("http://{}", self.address),
            waiting,
            most_waiting: self.waiting.iter().copied().collect(),
            kind: match limited {
                true => Kind::OneQueue { idle_while_waiting: figures.idle_while_waiting },
                false => Kind::PrivateQueues,
            },
            workers,
            sent: seen.sent,
            answered: seen.answered,
            unsent: seen.unsent,
            unanswered: seen.outstanding,
            p50: seen.latencies.quantile(0.50),
            p99: seen.latencies.quantile(0.99),
            failures: seen.failed.into_iter().collect(),
            slowest: seen.slowest.into(),
            waited: account.waited,
            waited_while_free: account.waited_while_free,
            strangers: account.strangers,
            stalled: account.stalled,
        }
    }

    fn note_waiting(&mut self, waiting: usize, elapsed: Duration) {
        while self.second < elapsed.as_secs() {
            self.second += 1;
            self.waiting.push_back(0);
        }
        while self.waiting.len() > HISTORY {
            self.waiting.pop_front();
        }
        if let Some(most) = self.waiting.back_mut() {
            *most = waiting.max(*most);
        }
    }

    /// Each worker's busy share since the oldest sample, which this one may push out.
    fn lately(&mut self, now: Instant, busy: &[Duration]) -> Vec<f64> {
        self.samples.push_back((now, busy.to_vec()));
        while self.samples.get(1).is_some_and(|(then, _)| now - *then >= LATELY) {
            self.samples.pop_front();
        }
        let (then, before) = &self.samples[0];
        let span = (now - *then).as_secs_f64().max(1e-3);
        let share = |(now, then): (&Duration, &Duration)| (*now - *then).as_secs_f64() / span;
        busy.iter().zip(before).map(share).collect()
    }
}

/// What the user would write.
fn configuration(pools: &[(&str, &[Arc<Worker>])], port: u16) -> String {
    let mut listeners = String::from("listeners:\n");
    let mut text = String::from("pools:\n");
    for (place, (name, workers)) in pools.iter().enumerate() {
        let port = if place == 0 { port } else { 0 };
        listeners += &format!("  {name}: {{ bind: \"127.0.0.1:{port}\", pool: {name} }}\n");
        // Without slots a request goes to the worker whose turn it is, and waits inside it.
        let policy = if place == 0 { "slots: 1" } else { "strategy: round_robin" };
        text += &format!("  {name}:\n    {policy}\n    workers:\n");
        for worker in *workers {
            let (name, address) = (worker.spec.name, worker.address);
            text += &format!("      - {{ name: {name}, address: \"{address}\" }}\n");
        }
    }
    listeners + &text
}

fn employ(
    workers: Vec<(Arc<Worker>, std::net::TcpListener)>,
    journals: Vec<Arc<Journal>>,
    mut stopped: watch::Receiver<bool>,
) {
    run_local(async move {
        spawn_local(pulse::beat(journals));
        for (worker, listener) in workers {
            spawn_local(worker.run(listener));
        }
        let _ = stopped.wait_for(|stopped| *stopped).await;
    });
}

fn run_local(task: impl Future<Output = ()>) {
    match Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
        Ok(runtime) => runtime.block_on(task),
        Err(error) => tracing::error!(%error, "a thread of the demo has no runtime"),
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, String> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
    thread.map_err(|error| format!("no thread: {error}"))
}
