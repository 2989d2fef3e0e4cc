//! Commands that change the running process: `reload`, and the state, weight or slots of workers. Each
//! prints what is true now, what is not as in the file, and how to take that back.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::client::{Process, Reach, block_on};
use super::failed::ErrorText;
use super::output::{Format, complain, plain, say};
use crate::admin::path;

/// How often a drain that is waited for is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Prints what the running process itself says about the new configuration.
pub(crate) fn reload(reach: &Reach, format: Format) -> Result<(), ErrorText> {
    let process = reach.find_the_files()?;
    let answer = process.post("/v1/reload", &json!({}))?;
    if let Format::Json = format {
        let succeeded = answer.status.is_success();
        say(&answer.json());
        return if succeeded { Ok(()) } else { Err(ErrorText::new()) };
    }
    let answer = answer.accepted()?;
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        complain(warning.as_str().unwrap_or_default());
    }
    let summary = answer["summary"].as_str().unwrap_or("ok");
    match process.file() {
        Some(file) => say(&format_args!("reloaded {}: {summary}", plain(file))),
        None => say(&format_args!("reloaded: {summary}")),
    }
    Ok(())
}

/// What is wanted of whom.
pub(crate) struct Order<'a> {
    pub(crate) pool: &'a str,
    /// `None`: of every worker of the pool.
    pub(crate) worker: Option<&'a str>,
    /// As the admin API wants it.
    pub(crate) wanted: &'a Value,
}

/// How long to wait for workers to hold no lease.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    /// `None`: for ever.
    pub(crate) limit: Option<Duration>,
}

/// Changes one worker or all of a pool, and says what they are now.
pub(crate) fn members(
    reach: &Reach,
    order: &Order<'_>,
    patience: Option<Patience>,
    format: Format,
) -> Result<(), ErrorText> {
    let process = reach.find()?;
    let path = match order.worker {
        Some(worker) => path::worker(order.pool, worker),
        None => path::pool(order.pool),
    };
    let mut now = process.post(&path, order.wanted)?.accepted()?;
    if let Some(patience) = patience {
        now = block_on(wait(&process, order, patience))??;
    }
    match format {
        Format::Json => {
            if order.worker.is_some() {
                now["pool"] = json!(order.pool);
            }
            say(&now);
        }
        Format::Text => say(&report(order, &now).trim_end()),
    }
    Ok(())
}

/// Until none of them holds a lease. Whatever ends the wait before that, the drain stays in force, and
/// the message says so.
async fn wait(
    process: &Process,
    order: &Order<'_>,
    Patience { limit }: Patience,
) -> Result<Value, ErrorText> {
    let caught = |error| format!("cannot catch signals: {error}");
    let mut int = signal(SignalKind::interrupt()).map_err(caught)?;
    let mut term = signal(SignalKind::terminate()).map_err(caught)?;
    let until = limit.map(|limit| Instant::now() + limit);
    let mut announced = false;
    loop {
        let pool = process.get(&path::pool(order.pool)).await?.accepted()?;
        let now = match order.worker {
            None => pool,
            Some(name) => {
                let mut workers = pool["workers"].as_array().cloned().unwrap_or_default();
                workers.retain(|worker| worker["name"] == name);
                workers.pop().ok_or_else(|| {
                    format!(
                        "{} {} has left its pool while it drained; what it still did then is not \
                         known",
                        order.pool, name
                    )
                })?
            }
        };
        let left = in_flight(&now);
        if left == 0 {
            return Ok(now);
        }
        if !all_drained(&now) {
            return Err(format!(
                "somebody has given {} requests again: it does not drain any more",
                order.whom()
            ));
        }
        let still = |why: &str| {
            format!(
                "{why}: {} still holds {left} ({}). The drain stays in force; back with: {}",
                order.whom(),
                if left == 1 { "one lease" } else { "leases" },
                order.back("undrain")
            )
        };
        if !announced {
            announced = true;
            complain(&format!(
                "waiting for {}: {left} in flight (Ctrl-C ends the waiting, not the drain)",
                order.whom()
            ));
        }
        let out_of_time = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep(LOOK) => {}
            () = out_of_time => return Err(still("out of time")),
            _ = int.recv() => return Err(still("interrupted")),
            _ = term.recv() => return Err(still("interrupted")),
        }
    }
}

/// The workers of an answer: itself, if it is one.
fn workers(answer: &Value) -> Vec<&Value> {
    match answer["workers"].as_array() {
        Some(workers) => workers.iter().collect(),
        None => vec![answer],
    }
}

fn in_flight(answer: &Value) -> u64 {
    workers(answer).iter().filter_map(|worker| worker["in_flight"].as_u64()).sum()
}

fn all_drained(answer: &Value) -> bool {
    let idle = |worker: &Value| worker["in_flight"] == 0;
    let out = |worker: &Value| worker["health"] == "draining" || worker["health"] == "maintenance";
    workers(answer).into_iter().all(|worker| out(worker) || idle(worker))
}

impl Order<'_> {
    fn whom(&self) -> String {
        match self.worker {
            Some(worker) => format!("{} {}", plain(self.pool), plain(worker)),
            None => format!("pool {}", plain(self.pool)),
        }
    }

    /// The command that undoes something.
    fn back(&self, command: &str) -> String {
        match self.worker {
            Some(worker) => format!("isobar {command} {} {}", quoted(self.pool), quoted(worker)),
            None => format!("isobar {command} {}", quoted(self.pool)),
        }
    }
}

/// What is true now, a line for each worker; below it what is not as in the file.
fn report(order: &Order<'_>, now: &Value) -> String {
    let mut out = String::new();
    let mut usable = order.worker.is_some();
    for worker in workers(now) {
        usable |= matches!(worker["health"].as_str(), Some("up" | "starting" | "warming"));
        out += &state_of(order.pool, worker);
        if order.worker.is_some() {
            out += &overrides_of(order, worker);
        }
    }
    if order.worker.is_none() {
        if workers(now).iter().any(|worker| worker["overrides"]["state"].is_string()) {
            out += &format!("  set at run time; back with: {}\n", order.back("undrain"));
        }
        if !usable {
            let what = match now["protocol"].as_str() {
                Some("tcp") => "its connections are reset",
                _ => "its requests get 503",
            };
            out += &format!("  no worker of this pool may be used now: {what}\n");
        }
    }
    out
}

fn state_of(pool: &str, worker: &Value) -> String {
    let name = plain(worker["name"].as_str().unwrap_or_default());
    let health = worker["health"].as_str().unwrap_or("unknown");
    let cause = worker["cause"].as_str().map(|cause| format!(" ({})", plain(cause)));
    let or = |key: &str, none: &str| {
        worker[key].as_u64().map_or_else(|| none.to_owned(), |n| format!("{key} {n}"))
    };
    let tunnels = worker["tunnels"].as_u64().map(|n| format!(", tunnels {n}"));
    format!(
        "{} {name}: {health}{}, {} in flight, {}{}, {}\n",
        plain(pool),
        cause.unwrap_or_default(),
        worker["in_flight"].as_u64().unwrap_or_default(),
        or("slots", "no limit of slots"),
        tunnels.unwrap_or_default(),
        or("weight", "weight not set"),
    )
}

fn overrides_of(order: &Order<'_>, worker: &Value) -> String {
    let mut out = String::new();
    if worker["overrides"]["state"].is_string() {
        out += &format!("  state: set at run time; back with: {}\n", order.back("undrain"));
    }
    for (key, back) in [("weight", "weight"), ("slots", "slots"), ("tunnels", "slots")] {
        if worker["overrides"][key].is_null() {
            continue;
        }
        let file = match worker["file"][key].as_u64() {
            Some(n) => format!("the file says {n}"),
            None => String::from("the file says nothing"),
        };
        let option = if key == back { "" } else { " --tunnels" };
        let back = order.back(back);
        out += &format!("  {key}: set at run time, {file}; back with: {back}{option} reset\n");
    }
    out
}

/// As a shell reads it.
fn quoted(name: &str) -> String {
    let safe = |c: char| c.is_alphanumeric() || "-_./:@%+=,".contains(c);
    match !name.is_empty() && name.chars().all(safe) {
        true => name.to_owned(),
        false => format!("'{}'", name.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_at_run_time_is_said_with_the_way_back() {
        let wanted = json!({});
        let order = Order { pool: "app", worker: Some("unix:/a b"), wanted: &wanted };
        let now = json!({
            "name": "unix:/a b", "health": "draining", "in_flight": 3, "slots": 7, "weight": 2,
            "file": { "slots": 4, "weight": null },
            "overrides": { "state": "drain", "slots": 7, "weight": 2 },
        });
        assert_eq!(
            report(&order, &now),
            "app unix:/a b: draining, 3 in flight, slots 7, weight 2\n  \
             state: set at run time; back with: isobar undrain app 'unix:/a b'\n  \
             weight: set at run time, the file says nothing; back with: isobar weight app \
             'unix:/a b' reset\n  \
             slots: set at run time, the file says 4; back with: isobar slots app 'unix:/a b' \
             reset\n"
        );
    }

    #[test]
    fn a_pool_without_a_worker_says_what_its_requests_get() {
        let wanted = json!({});
        let order = Order { pool: "app", worker: None, wanted: &wanted };
        let worker = json!({
            "name": "a", "health": "draining", "in_flight": 0, "overrides": { "state": "drain" },
        });
        let said =
            report(&order, &json!({ "workers": [worker, { "name": "b", "health": "down" }] }));
        assert!(said.starts_with("app a: draining, 0 in flight"), "{said}");
        assert!(said.contains("back with: isobar undrain app\n"), "{said}");
        assert!(said.contains("requests get 503"), "{said}");
    }
}
