use super::*;
use isobar_config::Colour;
use serde_json::json;

fn shown(overview: &Overview) -> Vec<String> {
    text::lines(overview).iter().map(|line| text::written(line, Colour::Never)).collect()
}

#[test]
fn columns_line_up_and_overrides_are_marked() {
    let pools = [json!({
        "name": "app", "strategy": "least_connections", "queue": { "depth": 2 },
        "discovery": [
            { "name": "app.internal", "workers": 2, "problem": null },
            { "name": "w.yaml", "workers": 1, "problem": "w.yaml:1:1: error: no\nmore" },
        ],
        "workers": [
            { "name": "a", "address": "unix:/run/a.sock", "health": "up", "in_flight": 1,
              "slots": 3, "overrides": { "slots": 3 }, "served": 10, "failed": 0,
              "holds": { "requests": 1 } },
            { "name": "b\u{1b}[2J", "address": "unix:/b", "health": "down",
              "cause": "connect_refused" },
            { "name": "c", "health": "ejected", "cause": "5 failures in a row",
              "ejection": { "ends_in_seconds": 9.7 }, "share_percent": 100 },
            { "name": "d", "health": "up", "share_percent": 30 },
            { "name": "e", "health": "draining", "overrides": { "state": "drain" } },
        ],
    })];
    let overview = Overview::of(&Value::Null, &pools);
    let lines = shown(&overview);
    assert_eq!(lines[0], "app  least_connections, 2 waiting");
    let health = lines[1].find("HEALTH").unwrap();
    assert_eq!(lines[2].find("up"), Some(health));
    assert!(lines[2].contains("3*") && lines[2].ends_with("1 request"), "{}", lines[2]);
    assert_eq!(lines[3].find("down (connect_refused)"), Some(health));
    assert!(lines[4].contains("ejected (5 failures in a row, for 10s)"));
    assert!(lines[5].contains("up (slow start, 30%)"));
    assert!(lines[6].contains("draining*"));
    assert!(!lines.concat().contains('\u{1b}'));
    assert_eq!(lines[7].trim(), "app.internal: 2 found");
    assert_eq!(lines[8].trim(), "w.yaml: w.yaml:1:1: error: no; 1 found before");
    assert!(lines.last().unwrap().starts_with("* set at run time."));
    let tones: Vec<Tone> = overview.pools[0].workers.rows.iter().map(|row| row[2].tone).collect();
    assert_eq!(tones, [Tone::Good, Tone::Bad, Tone::Bad, Tone::Warning, Tone::Warning]);
}

#[test]
fn the_process_and_its_last_minute_are_said() {
    let process = json!({
        "version": "1.2.3", "pid": 7, "state": "ready", "uptime_seconds": 61.0,
        "file": "/etc/isobar/isobar.yaml", "admin": ["unix:/a"], "metrics": [],
        "listeners": [{ "name": "web", "protocol": "http", "addresses": ["127.0.0.1:80", "unix:/w"],
                        "connections": 12 }],
    });
    let pools = [json!({
        "name": "app", "strategy": "p2c", "queue": { "depth": 0 }, "protocol": "http",
        "last_minute": {
            "seconds": 61.0, "per_second": 12.5, "p50_ms": 4.0, "p99_ms": 10000.0, "errors": 3,
            "codes": { "502": 1, "503": 2 },
            "queue": { "waited": 4, "p99_ms": 120.0, "dropped": { "queue_full": 2 } },
        },
        "workers": [{ "name": "a", "last_minute": { "per_second": 12.5, "errors": 3, "mean_ms": 5.0 } }],
    })];
    let lines = shown(&Overview::of(&process, &pools));
    assert_eq!(lines[0], "isobar 1.2.3: ready, pid 7, up 1m 1s");
    assert_eq!(lines[1], "  file    /etc/isobar/isobar.yaml");
    assert_eq!(lines[2], "  admin   unix:/a");
    assert_eq!(
        lines[5].split_whitespace().collect::<Vec<_>>(),
        ["web", "http", "127.0.0.1:80,", "unix:/w", "12"]
    );
    assert_eq!(
        lines[8],
        "  last minute: 12.5 requests/s, p50 4.0ms, p99 over 10s, 3 errors (502: 1, 503: 2)"
    );
    assert_eq!(
        lines[9],
        "  queue: 4 waited for a slot, p99 120ms, left without one: queue_full: 2"
    );
}

#[test]
fn a_young_process_says_how_young_and_a_script_gets_no_colour() {
    let pools = [json!({
        "name": "db", "protocol": "tcp", "workers": [{ "name": "a", "health": "down" }],
        "last_minute": { "seconds": 7.2, "per_second": 0.0, "errors": 0, "p50_ms": null },
    })];
    let overview = Overview::of(&Value::Null, &pools);
    assert_eq!(shown(&overview)[1], "  last 7s: 0 connections/s, 0 errors");
    let lines = text::lines(&overview);
    let coloured: Vec<String> =
        lines.iter().map(|line| text::written(line, Colour::Always)).collect();
    assert!(coloured[3].contains("\u{1b}[31m  down"), "{coloured:?}");
}
