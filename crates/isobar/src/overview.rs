//! What `isobar status` and the admin API's page show: one model, made from the admin API's JSON, so
//! that a terminal, a browser and a script see the same. It decides what is worth a word; how it
//! looks is up to who shows it. Names are cleaned: none can steer a terminal.

use serde_json::Value;

pub(crate) mod text;
mod words;

use words::{after, count, held_by, millis, per_second, plain, these};

/// One process, all that is shown of it.
#[derive(Debug, Default)]
pub(crate) struct Overview {
    /// What it is, a word and a value each; the first has no word.
    pub(crate) head: Vec<(&'static str, String)>,
    pub(crate) listeners: Table,
    pub(crate) pools: Vec<PoolView>,
    /// Below everything.
    pub(crate) notes: Vec<&'static str>,
}

#[derive(Debug)]
pub(crate) struct PoolView {
    pub(crate) name: String,
    /// Beside the name.
    pub(crate) about: String,
    /// A line each, before the table.
    pub(crate) recent: Vec<String>,
    pub(crate) workers: Table,
    /// A line each, after the table.
    pub(crate) discovery: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) head: &'static [&'static str],
    pub(crate) rows: Vec<Vec<Cell>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    pub(crate) text: String,
    pub(crate) tone: Tone,
}

/// What a reader's eye is to be led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Plain,
    /// A heading.
    Faint,
    Good,
    Warning,
    Bad,
}

impl Cell {
    fn of(text: impl Into<String>, tone: Tone) -> Cell {
        Cell { text: text.into(), tone }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell { text, tone: Tone::Plain }
    }
}

const LISTENERS: &[&str] = &["LISTENER", "PROTOCOL", "ADDRESS", "CONNECTIONS"];
const WORKERS: &[&str] = &[
    "WORKER",
    "ADDRESS",
    "HEALTH",
    "IN FLIGHT",
    "SLOTS",
    "WEIGHT",
    "PER S",
    "MEAN",
    "ERRORS",
    "SERVED",
    "FAILED",
    "SLOTS HELD BY",
];

impl Overview {
    /// `process`: as `/v1/process` answers, null where it is not known. `pools`: as those of
    /// `/v1/pools`.
    pub(crate) fn of(process: &Value, pools: &[Value]) -> Overview {
        let overridden =
            |worker: &Value| worker["overrides"].as_object().is_some_and(|o| !o.is_empty());
        let mut workers = pools.iter().filter_map(|pool| pool["workers"].as_array()).flatten();
        let notes = match workers.any(overridden) {
            true => vec![
                "* set at run time. Back to the file: isobar undrain POOL WORKER, isobar weight POOL \
                 WORKER reset, isobar slots POOL WORKER reset",
            ],
            false => Vec::new(),
        };
        Overview {
            head: head(process),
            listeners: listeners(process),
            pools: pools.iter().map(pool).collect(),
            notes,
        }
    }
}

fn head(process: &Value) -> Vec<(&'static str, String)> {
    if process.is_null() {
        return Vec::new();
    }
    let of = |key: &str| plain(process[key].as_str().unwrap_or_default());
    let up = after(process["uptime_seconds"].as_f64().unwrap_or_default());
    let state = of("state");
    let pid = process["pid"].as_u64().unwrap_or_default();
    let file = match process["file"].as_str() {
        Some(file) => plain(file),
        None => String::from("none: started with flags"),
    };
    let mut head = vec![
        ("", format!("isobar {}: {state}, pid {pid}, up {up}", of("version"))),
        ("file", file),
    ];
    for key in ["admin", "metrics"] {
        let addresses = these(&process[key]);
        if !addresses.is_empty() {
            head.push((key, addresses.join(", ")));
        }
    }
    head
}

fn listeners(process: &Value) -> Table {
    let row = |listener: &Value| {
        let of = |key: &str| Cell::from(plain(listener[key].as_str().unwrap_or_default()));
        vec![
            of("name"),
            of("protocol"),
            these(&listener["addresses"]).join(", ").into(),
            count(&listener["connections"]).into(),
        ]
    };
    let rows = process["listeners"].as_array().into_iter().flatten().map(row).collect();
    Table { head: LISTENERS, rows }
}

fn pool(pool: &Value) -> PoolView {
    let of = |key: &str| plain(pool[key].as_str().unwrap_or_default());
    let waiting = pool["queue"]["depth"].as_u64().unwrap_or_default();
    let panic = if pool["panic"] == true { ", panic: ejections are ignored" } else { "" };
    let workers = pool["workers"].as_array().into_iter().flatten();
    let tcp = pool["protocol"] == "tcp";
    PoolView {
        name: of("name"),
        about: format!("{}, {waiting} waiting{panic}", of("strategy")),
        recent: recent(pool, tcp),
        workers: Table { head: WORKERS, rows: workers.map(|worker| row(worker, tcp)).collect() },
        discovery: pool["discovery"].as_array().into_iter().flatten().map(discovered).collect(),
    }
}

/// The last minute, in words.
fn recent(pool: &Value, tcp: bool) -> Vec<String> {
    let minute = &pool["last_minute"];
    let Some(seconds) = minute["seconds"].as_f64() else { return Vec::new() };
    // A young process or pool has less than a minute.
    let span = match seconds {
        seconds if seconds < 55.0 => format!("last {seconds:.0}s"),
        _ => String::from("last minute"),
    };
    let what = if tcp { "connections" } else { "requests" };
    let mut line = format!("{span}: {} {what}/s", per_second(&minute["per_second"]));
    if let (Some(p50), Some(p99)) = (minute["p50_ms"].as_f64(), minute["p99_ms"].as_f64()) {
        line += &format!(", p50 {}, p99 {}", millis(p50), millis(p99));
    }
    line += &format!(", {} errors", count(&minute["errors"]));
    let counts = |map: &Value| {
        let each = map.as_object().into_iter().flatten();
        each.map(|(what, n)| format!("{}: {n}", plain(what))).collect::<Vec<_>>().join(", ")
    };
    let codes = counts(&minute["codes"]);
    if !codes.is_empty() {
        line += &format!(" ({codes})");
    }
    let mut lines = vec![line];
    let queue = &minute["queue"];
    let (waited, dropped) = (queue["waited"].as_u64().unwrap_or(0), counts(&queue["dropped"]));
    if waited > 0 || !dropped.is_empty() {
        let mut line = format!("queue: {waited} waited for a slot");
        if let Some(p99) = queue["p99_ms"].as_f64() {
            line += &format!(", p99 {}", millis(p99));
        }
        if !dropped.is_empty() {
            line += &format!(", left without one: {dropped}");
        }
        lines.push(line);
    }
    lines
}

fn row(worker: &Value, tcp: bool) -> Vec<Cell> {
    let of = |key: &str| Cell::from(plain(worker[key].as_str().unwrap_or_default()));
    let number = |value: &Value| Cell::from(count(value));
    // A value set at run time is marked: it differs from the file.
    let marked = |key: &str| if worker["overrides"][key].is_null() { "" } else { "*" };
    let limit = |key: &str| {
        let value = worker[key].as_u64().map_or_else(|| String::from("-"), |n| n.to_string());
        format!("{value}{}", marked(key))
    };
    let slots = match worker["tunnels"].as_u64() {
        Some(_) => format!("{} + {} tunnels", limit("slots"), limit("tunnels")),
        None => limit("slots"),
    };
    let minute = &worker["last_minute"];
    let errors = match minute["errors"].as_u64() {
        Some(n) if n > 0 => Cell::of(n.to_string(), Tone::Bad),
        _ => number(&minute["errors"]),
    };
    let mean = minute["mean_ms"].as_f64().map_or_else(|| String::from("-"), millis);
    vec![
        of("name"),
        of("address"),
        health(worker, marked("state")),
        number(&worker["in_flight"]),
        slots.into(),
        limit("weight").into(),
        per_second(&minute["per_second"]).into(),
        mean.into(),
        errors,
        number(&worker["served"]),
        number(&worker["failed"]),
        held_by(worker, tcp).into(),
    ]
}

fn health(worker: &Value, mark: &str) -> Cell {
    let mut why: Vec<String> = worker["cause"].as_str().map(plain).into_iter().collect();
    if let Some(seconds) = worker["ejection"]["ends_in_seconds"].as_f64() {
        why.push(format!("for {seconds:.0}s"));
    }
    let share = worker["share_percent"].as_u64().filter(|share| *share < 100);
    if let Some(share) = share {
        why.push(format!("slow start, {share}%"));
    }
    if let Some(cause) = worker["failed_warm_ups"]["last"].as_str() {
        why.push(format!("warm-up failed: {}", plain(cause)));
    }
    let health = worker["health"].as_str().unwrap_or_default();
    let tone = match health {
        "up" if share.is_none() => Tone::Good,
        "down" | "ejected" => Tone::Bad,
        _ => Tone::Warning,
    };
    match why.is_empty() {
        true => Cell::of(format!("{}{mark}", plain(health)), tone),
        false => Cell::of(format!("{}{mark} ({})", plain(health), why.join(", ")), tone),
    }
}

/// A problem may have many lines; the first says what it is.
fn discovered(source: &Value) -> String {
    let name = plain(source["name"].as_str().unwrap_or_default());
    let workers = source["workers"].as_u64().unwrap_or_default();
    match source["problem"].as_str() {
        None => format!("{name}: {workers} found"),
        Some(problem) => {
            let problem = plain(problem.lines().next().unwrap_or_default());
            format!("{name}: {problem}; {workers} found before")
        }
    }
}

#[cfg(test)]
mod tests;
