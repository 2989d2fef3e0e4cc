//! The promise: no request waits while a worker is free. Four `gunicorn -w 1`, open-loop Poisson
//! arrivals at 70 % load, judged by the workers' own journals against an ideal FIFO queue over the
//! same arrivals and the same work. `ISOBAR_PROMISE_SECONDS=120` for the long run.

use isobar_tests::access_log::{self, Entry};
use isobar_tests::apps::{App, Kind, Occupied, Python, served};
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{Shot, failures, get, open_loop, poisson};
use isobar_tests::machine::Lateness;
use isobar_tests::queueing::{Span, fifo_waits, idle_while_queued, mean, quantile};

const WORKERS: usize = 4;
const LOAD: f64 = 0.70;
const SHORT_MS: u64 = 20;
const LONG_MS: u64 = 200;
const SEED: u64 = 20_261_123;

#[test]
fn no_request_waits_while_a_worker_is_free_with_1_shard() {
    promise(1);
}

#[test]
fn no_request_waits_while_a_worker_is_free_with_4_shards() {
    promise(4);
}

/// What was seen, in seconds unless it says otherwise.
#[derive(Debug, Default)]
struct Seen {
    requests: usize,
    waits: Vec<f64>,
    ideal: Vec<f64>,
    queued: f64,
    idle_while_queued: f64,
    handover_p99: f64,
    /// How late a thread that was due was run meanwhile.
    late_p99: f64,
    /// By the proxy's own metric.
    metric_idle: f64,
}

fn promise(shards: usize) {
    let Some(python) = Python::find("promise") else { return };
    let apps: Vec<App> = (0..WORKERS).map(|_| App::start(&python, Kind::Gunicorn)).collect();
    let isobar = Isobar::start(&config(shards, &apps));
    let target = isobar.address("web");

    // One in twenty is slow. The cost of python itself counts as work, too: see `occupied`.
    let mut rng = fastrand::Rng::with_seed(SEED);
    let seconds = seconds();
    let service = (0.95 * SHORT_MS as f64 + 0.05 * LONG_MS as f64) / 1e3;
    let arrivals = poisson(LOAD * WORKERS as f64 / service, seconds, SEED);
    let slow: Vec<bool> = arrivals.iter().map(|_| rng.f64() < 0.05).collect();
    let path = |id: usize| format!("/r/{id}?ms={}", if slow[id] { LONG_MS } else { SHORT_MS });
    let lateness = Lateness::watch();
    let shots = open_loop(target, &arrivals, 256, |id| get(path(id)));
    let late_p99 = lateness.p99();
    assert_eq!(failures(&shots, 200), [""; 0]);

    let metrics = isobar.metrics();
    let pool = [("pool", "app")];
    let handover_p99 = metrics.quantile("isobar_pool_handover_seconds", &pool, 0.99);
    let metric_idle = metrics.sum("isobar_pool_idle_while_waiting_seconds_total", &pool);
    let log = read_whole_log(&isobar, shots.len());
    let occupied = served(&apps, shots.len());
    let handover_p99 = handover_p99.unwrap_or(0.0);
    let judged = judge(&shots, &occupied, &log);
    let seen = Seen { handover_p99, late_p99, metric_idle, ..judged };
    report(shards, seconds, &seen);
    seen.check();
}

fn config(shards: usize, apps: &[App]) -> String {
    let workers: Vec<String> = apps.iter().map(|app| app.address().to_string()).collect();
    format!(
        "shards: {shards}\n\
         access_log: {{ format: json, path: ./access.log }}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ slots: 1, workers: [{}] }} }}\n",
        workers.join(", ")
    )
}

fn judge(shots: &[Shot], occupied: &[Occupied], log: &[Entry]) -> Seen {
    let mut by_id: Vec<Option<Span>> = vec![None; shots.len()];
    for one in occupied {
        if let Ok(id) = one.id.parse::<usize>() {
            by_id[id] = Some(one.span);
        }
    }
    let spans: Vec<Span> = by_id.into_iter().map(|span| span.expect("every id once")).collect();
    let sent: Vec<f64> = shots.iter().map(|shot| shot.sent).collect();
    // The order of arrival is the order of sending.
    let mut order: Vec<usize> = (0..shots.len()).collect();
    order.sort_by(|&a, &b| sent[a].total_cmp(&sent[b]));
    let arrivals: Vec<f64> = order.iter().map(|&id| sent[id]).collect();
    let work: Vec<f64> = order.iter().map(|&id| spans[id].1 - spans[id].0).collect();
    let waits = order.iter().map(|&id| spans[id].0 - sent[id]).collect();

    let idle: Vec<Span> = occupied.iter().map(|one| (one.idle_since, one.span.0)).collect();
    let found = idle_while_queued(&queue_spans(shots, log), &idle);
    Seen {
        requests: shots.len(),
        waits,
        ideal: fifo_waits(&arrivals, &work, WORKERS),
        queued: found.queued,
        idle_while_queued: found.idle,
        ..Seen::default()
    }
}

/// When each request was in the proxy's queue: from its sending (the proxy reads it some 50 µs
/// later; `ts` has only milliseconds) for the `queue_ms` of its line in the access log.
fn queue_spans(shots: &[Shot], log: &[Entry]) -> Vec<Span> {
    let id = |entry: &Entry| -> Option<usize> {
        entry.text("path").split('?').next()?.rsplit('/').next()?.parse().ok()
    };
    let known = log.iter().filter_map(|entry| Some((shots.get(id(entry)?)?, entry)));
    let span = |(shot, entry): (&Shot, &Entry)| (shot.sent, shot.sent + entry.seconds("queue_ms"));
    let spans: Vec<Span> = known.map(span).collect();
    assert_eq!(spans.len(), shots.len(), "one log line each");
    spans
}

/// The log is written behind the requests: wait for its last line.
fn read_whole_log(isobar: &Isobar, lines: usize) -> Vec<Entry> {
    let path = isobar.file("access.log");
    for _ in 0..500 {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        if text.lines().count() >= lines && text.ends_with('\n') {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    access_log::read(&path)
}

fn report(shards: usize, seconds: f64, seen: &Seen) {
    let ms = 1e3;
    let idle_share = 100.0 * seen.idle_while_queued / seen.queued.max(1e-9);
    println!(
        "promise, {shards} shard(s), {seconds} s, {} requests: mean wait {:.2} ms (ideal {:.2}), \
         p95 {:.2} ms (ideal {:.2}); idle while queued {:.1} of {:.1} ms = {idle_share:.2} % \
         (metric {:.3} ms); hand-over p99 ≤ {:.1} ms (a thread that is due: {:.2} ms)",
        seen.requests,
        mean(&seen.waits) * ms,
        mean(&seen.ideal) * ms,
        quantile(&seen.waits, 0.95) * ms,
        quantile(&seen.ideal, 0.95) * ms,
        seen.idle_while_queued * ms,
        seen.queued * ms,
        seen.metric_idle * ms,
        seen.handover_p99 * ms,
        seen.late_p99 * ms,
    );
}

impl Seen {
    fn check(&self) {
        let limit = |ideal: f64| 1.05 * ideal + 0.001;
        let (mean_seen, mean_ideal) = (mean(&self.waits), mean(&self.ideal));
        assert!(mean_seen <= limit(mean_ideal), "mean wait {mean_seen} s, ideal {mean_ideal} s");
        let (p95, ideal) = (quantile(&self.waits, 0.95), quantile(&self.ideal, 0.95));
        assert!(p95 <= limit(ideal), "p95 wait {p95} s, ideal {ideal} s");
        assert!(self.queued > 0.0, "nothing was ever queued: no proof");
        let share = self.idle_while_queued / self.queued;
        assert!(share <= 0.005, "a worker was idle in {:.2} % of the queued time", share * 100.0);
        assert!(self.handover_p99 > 0.0, "the hand-over histogram is empty");
        // A shard's thread has to be run for it: on a machine that lets threads wait, the next step of
        // the histogram.
        let limit = if self.late_p99 > 0.001 { 0.005 } else { 0.002 };
        assert!(self.handover_p99 <= limit, "hand-over p99 {} s", self.handover_p99);
    }
}

fn seconds() -> f64 {
    let wanted = std::env::var("ISOBAR_PROMISE_SECONDS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(30.0)
}
