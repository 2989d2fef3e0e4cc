//! Numbers as people read them.

use serde_json::Value;

/// Nothing that a name holds may steer a terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// A list of texts.
pub(super) fn these(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(plain).collect()
}

pub(super) fn count(value: &Value) -> String {
    value.as_u64().unwrap_or_default().to_string()
}

pub(super) fn per_second(value: &Value) -> String {
    match value.as_f64() {
        None => String::from("-"),
        Some(0.0) => String::from("0"),
        Some(rate) if rate < 10.0 => format!("{rate:.2}"),
        Some(rate) if rate < 100.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

/// The histograms end at ten seconds: what is slower is only known to be.
pub(super) fn millis(millis: f64) -> String {
    match millis {
        millis if millis >= 10_000.0 => format!("over {:.0}s", millis / 1000.0),
        millis if millis >= 1000.0 => format!("{:.1}s", millis / 1000.0),
        millis if millis >= 10.0 => format!("{millis:.0}ms"),
        millis => format!("{millis:.1}ms"),
    }
}

/// A span of time by its two largest units.
pub(super) fn after(seconds: f64) -> String {
    let seconds = seconds as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match () {
        () if days > 0 => format!("{days}d {}h", hours % 24),
        () if hours > 0 => format!("{hours}h {}m", minutes % 60),
        () if minutes > 0 => format!("{minutes}m {}s", seconds % 60),
        () => format!("{seconds}s"),
    }
}

/// Why its slots are taken.
pub(super) fn held_by(worker: &Value, tcp: bool) -> String {
    let of = |key: &str| worker["holds"][key].as_u64().unwrap_or_default();
    let kinds = [
        (of("requests"), if tcp { "connection" } else { "request" }),
        (of("tunnels"), "tunnel or event stream"),
        (of("abandoned"), "abandoned"),
    ];
    let named = kinds.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| match (n, what) {
        (_, "abandoned") => format!("{n} abandoned (the client has left, the worker still works)"),
        (1, "tunnel or event stream") => String::from("1 tunnel or event stream"),
        (n, "tunnel or event stream") => format!("{n} tunnels and event streams"),
        (1, what) => format!("1 {what}"),
        (n, what) => format!("{n} {what}s"),
    });
    let held = named.collect::<Vec<_>>().join(", ");
    match worker["health"].as_str() {
        Some("draining" | "maintenance" | "down" | "ejected") if !held.is_empty() => {
            format!("{held}, not ended yet")
        }
        _ => held,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn numbers_have_as_many_digits_as_help() {
        let rates = [json!(null), json!(0.0), json!(0.05), json!(12.34), json!(1234.5)];
        assert_eq!(rates.map(|rate| per_second(&rate)), ["-", "0", "0.05", "12.3", "1234"]);
        let times = [0.26, 9.94, 25.0, 1500.0, 10_000.0].map(millis);
        assert_eq!(times, ["0.3ms", "9.9ms", "25ms", "1.5s", "over 10s"]);
        let spans = [3.9, 61.0, 3600.0 * 5.0 + 120.0, 86_400.0 * 2.0 + 3600.0].map(after);
        assert_eq!(spans, ["3s", "1m 1s", "5h 2m", "2d 1h"]);
    }

    #[test]
    fn it_is_said_why_slots_are_held() {
        let worker = |health: &str| json!({ "health": health, "holds": { "requests": 1, "tunnels": 2, "abandoned": 1 } });
        let said = held_by(&worker("up"), false);
        assert!(
            said.starts_with("1 request, 2 tunnels and event streams, 1 abandoned ("),
            "{said}"
        );
        assert!(held_by(&worker("draining"), true).starts_with("1 connection, "));
        assert!(held_by(&worker("draining"), false).ends_with("not ended yet"));
        assert_eq!(held_by(&json!({ "health": "draining" }), false), "");
    }
}
