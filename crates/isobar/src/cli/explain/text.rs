//! The dry run for people: what was asked, what was found, and why not something else.

use std::fmt::Write;

use serde_json::Value;

/// More routes that lost are only counted.
const OTHERS: usize = 12;

pub(super) fn render(said: &Value) -> String {
    let mut out = String::new();
    let text = |key: &str| plain(&said[key]);
    let (host, target) = (text("host"), text("target"));
    let mut line = |what: &str, value: String| {
        let _ = writeln!(out, "{what:<9} {value}");
    };
    if !target.is_empty() {
        line("request", format!("{} {host}{target} from {}", text("method"), text("client")));
    }
    let binds: Vec<String> = said["bind"].as_array().into_iter().flatten().map(plain).collect();
    line("listener", format!("{} ({})", text("listener"), binds.join(", ")));
    for reading in said["readings"].as_array().into_iter().flatten() {
        let leads = match (reading["path"].as_str(), reading["route"].as_str()) {
            (None, _) => plain(&reading["refused"]),
            (Some(_), None) => format!("{}  no route", plain(&reading["path"])),
            (Some(_), Some(_)) => {
                format!("{}  {}", plain(&reading["path"]), plain(&reading["route"]))
            }
        };
        line("read as", leads);
    }
    if let Some(why) = said["refused"]["why"].as_str() {
        line("answer", format!("{} {why}", said["refused"]["status"]));
    }
    if said["route"].is_string() {
        line("route", text("route"));
        let filters: Vec<String> =
            said["filters"].as_array().into_iter().flatten().map(plain).collect();
        line("filters", if filters.is_empty() { "none".into() } else { filters.join(", ") });
    }
    for answer in ["redirect", "respond"] {
        if said[answer].is_object() {
            line("answer", format!("{} ({answer})", said[answer]["status"]));
        }
    }
    for pool in said["pools"].as_array().into_iter().flatten() {
        self::pool(&mut out, pool);
    }
    others(&mut out, said);
    out
}

fn pool(out: &mut String, pool: &Value) {
    let share = match pool["share"].as_f64() {
        Some(share) => {
            format!(", {:.4} % of the route's requests", share * 100.0).replace(".0000", "")
        }
        None => String::new(),
    };
    let state = match pool["state"].as_str() {
        Some("running") => format!("as it runs, {} waiting", pool["waiting"]),
        _ => String::from("as in the file: no process that runs it answered"),
    };
    let (name, strategy) = (plain(&pool["pool"]), plain(&pool["strategy"]));
    let _ = writeln!(out, "{:<9} {name}{share}: {strategy} ({state})", "pool");
    let head = ["WORKER", "ADDRESS", "HEALTH", "IN FLIGHT", "SLOTS", "WEIGHT", "TIER", "SCORE", ""];
    let cell = |worker: &Value, key: &str| match &worker[key] {
        Value::Null => String::from("-"),
        Value::String(_) => plain(&worker[key]),
        other => other.to_string(),
    };
    let row = |worker: &Value| {
        let score = format!("{:.2}", worker["score"].as_f64().unwrap_or_default());
        let out = worker["out"].as_str().unwrap_or_default().to_owned();
        let keys = ["worker", "address", "health", "in_flight", "slots", "weight", "tier"];
        keys.iter().map(|key| cell(worker, key)).chain([score, out]).collect::<Vec<String>>()
    };
    let mut rows = vec![head.map(String::from).to_vec()];
    rows.extend(pool["candidates"].as_array().into_iter().flatten().map(row));
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("  {cell:width$}"));
        let _ = writeln!(out, "{}", cells.collect::<String>().trim_end());
    }
    let _ = writeln!(out, "{:<9} {}", "choice", plain(&pool["choice"]));
}

fn others(out: &mut String, said: &Value) {
    let all = said["others"].as_array().map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "others");
    let shown = &all[..all.len().min(OTHERS)];
    let name = |other: &Value| plain(&other["route"]);
    let width = shown.iter().map(|other| name(other).chars().count()).max().unwrap_or(0);
    for other in shown {
        let _ = writeln!(out, "  {:width$}  {}", name(other), plain(&other["lost"]));
    }
    if all.len() > OTHERS {
        let _ = writeln!(out, "  and {} more that came less far", all.len() - OTHERS);
    }
}

/// Nothing that a name holds may steer the terminal.
fn plain(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}
