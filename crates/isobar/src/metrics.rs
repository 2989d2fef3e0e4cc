//! What `/metrics` says: every figure of the process, read when somebody asks.
//!
//! There are no globals and no registry: pools, routes and listeners own their figures, this
//! collects them by name and they die with their owners. Labels come from the configuration only,
//! so a client cannot add a series. Called by the admin API, off the control thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use isobar_balance::Health;
use isobar_balance::stats::HistogramValues;
use isobar_pool::{Pool, PoolFigures, PoolStatus};

use crate::control::Control;
use crate::logging;
use crate::plan::routes::Handles;

mod family;
mod process;
pub(crate) mod quantile;
pub(crate) mod recent;
pub(crate) mod sampler;

use family::Families;

/// The page in Prometheus' text format.
pub(crate) fn encode(control: &Control) -> prometheus::Result<String> {
    let (pools, handles) = control.serving();
    let mut out = Families::default();
    requests(&mut out, &handles);
    listeners(&mut out, control, &handles);
    certificates(&mut out, control);
    pools_and_workers(&mut out, control, &pools);
    of_process(&mut out, control);
    out.encode()
}

fn requests(out: &mut Families, handles: &Handles) {
    const COUNT: (&str, &str) = ("isobar_http_requests_total", "Requests answered.");
    const SECONDS: (&str, &str) =
        ("isobar_http_request_duration_seconds", "From a request's first byte to its end.");
    let mut durations: BTreeMap<(&str, &str), HistogramValues> = BTreeMap::new();
    let mut add = |listener, route, values: HistogramValues| {
        let sum = durations.entry((listener, route)).or_default();
        *sum = [std::mem::take(sum), values].into_iter().sum();
    };
    for ((listener, route, pool), metrics) in &handles.routes {
        for (code, count) in metrics.codes() {
            let labels =
                [("listener", listener.as_str()), ("route", route), ("pool", pool), ("code", code)];
            out.counter(COUNT, &labels, count as f64);
        }
        add(listener, route, metrics.durations());
    }
    for (listener, metrics) in &handles.listeners {
        let unrouted = metrics.without_route();
        for (code, count) in unrouted.codes() {
            let labels =
                [("listener", listener.as_str()), ("route", ""), ("pool", ""), ("code", code)];
            out.counter(COUNT, &labels, count as f64);
        }
        let values = unrouted.durations();
        if values.count > 0 {
            add(listener, "", values);
        }
    }
    for ((listener, route), values) in &durations {
        out.histogram(SECONDS, &[("listener", listener), ("route", route)], values);
    }
}

fn listeners(out: &mut Families, control: &Control, handles: &Handles) {
    const ACTIVE: (&str, &str) = ("isobar_connections_active", "Client connections open now.");
    const BYTES: (&str, &str) = ("isobar_bytes_total", "Bytes from (in) and to (out) clients.");
    const SHARDS: (&str, &str) =
        ("isobar_shard_connections", "Client connections open now, by data-plane thread.");
    for (name, metrics) in &handles.listeners {
        let listener = ("listener", name.as_str());
        out.gauge(ACTIVE, &[listener], metrics.connections() as f64);
        out.counter(BYTES, &[listener, ("direction", "in")], metrics.received() as f64);
        out.counter(BYTES, &[listener, ("direction", "out")], metrics.sent() as f64);
        for (version, result, count) in metrics.handshakes() {
            const SHAKEN: (&str, &str) = (
                "isobar_tls_handshakes_total",
                "TLS handshakes, by version and result; no version = none was agreed on.",
            );
            let labels = [listener, ("version", version), ("result", result)];
            out.counter(SHAKEN, &labels, count as f64);
        }
    }
    for (shard, open) in control.context.shard_connections().into_iter().enumerate() {
        out.gauge(SHARDS, &[("shard", &shard.to_string())], open as f64);
    }
}

fn certificates(out: &mut Families, control: &Control) {
    const EXPIRY: (&str, &str) = (
        "isobar_tls_certificate_expiry_timestamp_seconds",
        "Until when a certificate is good, by its file.",
    );
    const CURRENT: (&str, &str) = (
        "isobar_tls_certificates_current",
        "1 = the files are served as they are; 0 = they changed, are not good, and were not taken over.",
    );
    let secured = control.lock().secured().clone();
    let mut expiries = BTreeMap::new();
    for (listener, secured) in &secured {
        expiries.extend(secured.expiries());
        out.gauge(CURRENT, &[("listener", listener)], f64::from(u8::from(secured.is_current())));
    }
    for (file, expires) in &expiries {
        out.gauge(EXPIRY, &[("certificate", file)], *expires);
    }
}

fn pools_and_workers(out: &mut Families, control: &Control, pools: &[Arc<Pool>]) {
    let fairness = control.recent.fairness();
    for pool in pools {
        let status = pool.status();
        workers(out, &status);
        discovery(out, &status);
        figures(out, &status.name, &pool.figures());
        if let Some(ratio) = fairness.get(&status.name) {
            const FAIRNESS: (&str, &str) = (
                "isobar_pool_fairness_ratio",
                "Jain's index of busy time by capacity over the last minute; 1 = even.",
            );
            out.gauge(FAIRNESS, &[("pool", &status.name)], *ratio);
        }
    }
}

fn workers(out: &mut Families, pool: &PoolStatus) {
    const REQUESTS: (&str, &str) = ("isobar_worker_requests_total", "Leases ended, by outcome.");
    const IN_FLIGHT: (&str, &str) = ("isobar_worker_in_flight", "Leases held now.");
    const ABANDONED: (&str, &str) =
        ("isobar_worker_abandoned", "Leases whose client has left while the worker computes.");
    const SLOTS: (&str, &str) = ("isobar_worker_slots", "Leases it may hold; absent = no limit.");
    const TUNNELS: (&str, &str) =
        ("isobar_worker_tunnels", "Leases held now by tunnels and event streams.");
    const TUNNEL_SLOTS: (&str, &str) = (
        "isobar_worker_tunnel_slots",
        "Tunnels and event streams it may hold beside its slots; absent = they take slots.",
    );
    const BUSY: (&str, &str) =
        ("isobar_worker_busy_seconds_total", "Time leases were held, added up.");
    const HEALTH: (&str, &str) = ("isobar_worker_health", "1 for the state it is in.");
    for worker in &pool.workers {
        let labels = [("pool", pool.name.as_str()), ("worker", worker.name.as_str())];
        let [of_pool, of_worker] = labels;
        for (outcome, count) in &worker.requests {
            // One series from the start, so that the first requests show up in a rate.
            if *count > 0 || *outcome == "served" {
                out.counter(REQUESTS, &[of_pool, of_worker, ("outcome", outcome)], *count as f64);
            }
        }
        out.gauge(IN_FLIGHT, &labels, f64::from(worker.in_flight));
        out.gauge(ABANDONED, &labels, f64::from(worker.abandoned));
        out.gauge(TUNNELS, &labels, f64::from(worker.tunnels));
        if let Some(tunnels) = worker.tunnel_slots {
            out.gauge(TUNNEL_SLOTS, &labels, f64::from(tunnels.get()));
        }
        if let Some(slots) = worker.slots {
            out.gauge(SLOTS, &labels, f64::from(slots.get()));
        }
        out.counter(BUSY, &labels, worker.busy.as_secs_f64());
        for state in Health::LABELS {
            let is = f64::from(u8::from(state == worker.health.label()));
            out.gauge(HEALTH, &[of_pool, of_worker, ("state", state)], is);
        }
    }
}

/// Only of pools whose workers come and go.
fn discovery(out: &mut Families, pool: &PoolStatus) {
    const FAILURES: (&str, &str) = (
        "isobar_pool_discovery_failures_total",
        "Looks at a host name or a file of workers that failed; what was found before stays.",
    );
    const FAILING: (&str, &str) =
        ("isobar_pool_discovery_failing", "Host names and files whose last look failed.");
    if pool.discovery.is_empty() {
        return;
    }
    let label = ("pool", pool.name.as_str());
    let failing = pool.discovery.iter().filter(|source| source.problem.is_some()).count();
    out.counter(FAILURES, &[label], pool.discovery_failures as f64);
    out.gauge(FAILING, &[label], failing as f64);
}

fn figures(out: &mut Families, pool: &str, figures: &PoolFigures) {
    const DEPTH: (&str, &str) = ("isobar_pool_queue_depth", "Requests waiting for a slot.");
    const WAIT: (&str, &str) = ("isobar_pool_queue_wait_seconds", "Time requests waited.");
    const DROPS: (&str, &str) =
        ("isobar_pool_queue_drops_total", "Requests that left the queue without a slot.");
    const IDLE: (&str, &str) = (
        "isobar_pool_idle_while_waiting_seconds_total",
        "Time in which a request waited while a slot it could have used was free.",
    );
    const HANDOVER: (&str, &str) =
        ("isobar_pool_handover_seconds", "From a slot granted to the first request byte written.");
    const RESPONSE: (&str, &str) =
        ("isobar_worker_response_seconds", "From the request sent to the response's head.");
    const EJECTIONS: (&str, &str) =
        ("isobar_outlier_ejections_total", "Workers taken out by their own traffic.");
    const RETRIES: (&str, &str) = ("isobar_retries_total", "Attempts after the first.");
    let label = ("pool", pool);
    out.gauge(DEPTH, &[label], figures.queue_depth as f64);
    out.histogram(WAIT, &[label], &figures.queue_wait);
    for (reason, count) in &figures.queue_drops {
        out.counter(DROPS, &[label, ("reason", reason)], *count as f64);
    }
    out.counter(IDLE, &[label], figures.idle_while_waiting.as_secs_f64());
    out.histogram(HANDOVER, &[label], &figures.handover);
    out.histogram(RESPONSE, &[label], &figures.response);
    out.counter(RETRIES, &[label], figures.retries as f64);
    out.counter(EJECTIONS, &[label], figures.ejections as f64);
}

fn of_process(out: &mut Families, control: &Control) {
    const RELOADS: (&str, &str) = ("isobar_config_reloads_total", "Reloads, by result.");
    const LAST: (&str, &str) =
        ("isobar_config_last_reload_successful", "1 unless the last reload was refused.");
    const LOG_DROPS: (&str, &str) =
        ("isobar_log_lines_dropped_total", "Log lines that could not be written in time.");
    const PANICS: (&str, &str) = ("isobar_panics_total", "Requests or tasks ended by a panic.");
    const BUILD: (&str, &str) = ("isobar_build_info", "Always 1; the labels say what runs.");
    let tally = &control.tally;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed) as f64;
    out.counter(RELOADS, &[("result", "success")], count(&tally.succeeded));
    out.counter(RELOADS, &[("result", "failure")], count(&tally.refused));
    let last = u8::from(tally.last_succeeded.load(Ordering::Relaxed));
    out.gauge(LAST, &[], f64::from(last));
    let dropped = control.access_log.dropped() + logging::dropped();
    out.counter(LOG_DROPS, &[], dropped as f64);
    out.counter(PANICS, &[], count(&control.panics));
    out.gauge(BUILD, &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    process::figures(out);
}
