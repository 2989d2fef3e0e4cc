//! `isobar status` and `isobar healthcheck`: the running process as it sees itself.

use std::fmt::Write;

use serde_json::Value;

use super::Told;
use super::client::Reach;
use super::output::say;

pub(crate) fn run(reach: &Reach, json: bool) -> Result<(), Told> {
    let answer = reach.fetch("/v1/pools")?;
    if json && answer.status.is_success() {
        say(&String::from_utf8_lossy(&answer.body).trim_end());
        return Ok(());
    }
    say(&table(&answer.accepted()?).trim_end());
    Ok(())
}

pub(crate) fn healthcheck(reach: &Reach) -> Result<(), Told> {
    let answer = reach.fetch("/ready")?;
    let text = String::from_utf8_lossy(&answer.body).trim_end().to_owned();
    match answer.status.is_success() {
        true => {
            say(&text);
            Ok(())
        }
        false => Err(format!("not ready: {text}")),
    }
}

const HEAD: [&str; 8] =
    ["WORKER", "ADDRESS", "HEALTH", "IN FLIGHT", "SLOTS", "WEIGHT", "SERVED", "FAILED"];

/// One block per pool; columns as wide as their widest cell.
fn table(answer: &Value) -> String {
    let mut out = String::new();
    for pool in answer["pools"].as_array().into_iter().flatten() {
        let name = pool["name"].as_str().unwrap_or_default();
        let strategy = pool["strategy"].as_str().unwrap_or_default();
        let waiting = pool["queue"]["depth"].as_u64().unwrap_or_default();
        let panic = if pool["panic"] == true { ", panic" } else { "" };
        let _ = writeln!(out, "{}  {strategy}, {waiting} waiting{panic}", plain(name));
        let workers = pool["workers"].as_array().into_iter().flatten();
        let rows: Vec<[String; 8]> = workers.map(row).collect();
        let head = HEAD.map(String::from);
        let widths: [usize; 8] = std::array::from_fn(|column| {
            let cells = rows.iter().chain([&head]).map(|row| row[column].chars().count());
            cells.max().unwrap_or_default()
        });
        for row in [&head].into_iter().chain(&rows) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(line, "  {cell:width$}");
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        for source in pool["discovery"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  {}", discovered(source));
        }
        out.push('\n');
    }
    out
}

fn row(worker: &Value) -> [String; 8] {
    let text = |key: &str| plain(worker[key].as_str().unwrap_or_default());
    let count = |key: &str| worker[key].as_u64().unwrap_or_default().to_string();
    // A value set at run time is marked: it differs from the file.
    let limit = |key: &str, none: &str| {
        let mark = if worker["overrides"][key].is_null() { "" } else { "*" };
        let value = worker[key].as_u64().map_or_else(|| none.to_owned(), |n| n.to_string());
        format!("{value}{mark}")
    };
    let mut why: Vec<String> = worker["cause"].as_str().map(plain).into_iter().collect();
    if let Some(seconds) = worker["ejection"]["ends_in_seconds"].as_f64() {
        why.push(format!("for {seconds:.0}s"));
    }
    if let Some(share) = worker["share_percent"].as_u64().filter(|share| *share < 100) {
        why.push(format!("slow start, {share}%"));
    }
    if let Some(cause) = worker["failed_warm_ups"]["last"].as_str() {
        why.push(format!("warm-up failed: {}", plain(cause)));
    }
    let health = match why.is_empty() {
        true => text("health"),
        false => format!("{} ({})", text("health"), why.join(", ")),
    };
    [
        text("name"),
        text("address"),
        health,
        count("in_flight"),
        limit("slots", "-"),
        limit("weight", "-"),
        count("served"),
        count("failed"),
    ]
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

/// Nothing a name holds may steer the terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_line_up_and_overrides_are_marked() {
        let answer = json!({ "pools": [{
            "name": "app", "strategy": "least_connections", "queue": { "depth": 2 },
            "discovery": [
                { "name": "app.internal", "workers": 2, "problem": null },
                { "name": "w.yaml", "workers": 1, "problem": "w.yaml:1:1: error: no\nmore" },
            ],
            "workers": [
                { "name": "a", "address": "unix:/run/a.sock", "health": "up", "in_flight": 1,
                  "slots": 3, "overrides": { "slots": 3 }, "served": 10, "failed": 0 },
                { "name": "b\u{1b}[2J", "address": "unix:/b", "health": "down",
                  "cause": "connect_refused" },
                { "name": "c", "health": "ejected", "cause": "5 failures in a row",
                  "ejection": { "ends_in_seconds": 9.7 }, "share_percent": 100 },
                { "name": "d", "health": "up", "share_percent": 30 },
            ],
        }]});
        let text = table(&answer);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "app  least_connections, 2 waiting");
        let health = lines[1].find("HEALTH").unwrap();
        assert_eq!(lines[2].find("up"), Some(health));
        assert_eq!(lines[3].find("down (connect_refused)"), Some(health));
        assert!(lines[2].contains("3*"));
        assert!(lines[4].contains("ejected (5 failures in a row, for 10s)"));
        assert!(lines[5].contains("up (slow start, 30%)"));
        assert!(!text.contains('\u{1b}'));
        assert_eq!(lines[6].trim(), "app.internal: 2 found");
        assert_eq!(lines[7].trim(), "w.yaml: w.yaml:1:1: error: no; 1 found before");
    }
}
