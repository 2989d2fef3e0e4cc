//! `isobar explain` says what the running process would do.

use std::time::Duration;

use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after};
use serde_json::Value;

fn config(origins: &[Origin]) -> String {
    format!(
        "trusted_proxies: [127.0.0.1/32]\n\
         listeners:\n\
         \x20 web:\n\
         \x20   bind: 127.0.0.1:0\n\
         \x20   routes:\n\
         \x20     - {{ name: api, match: {{ host: api.example, path_prefix: /v1 }}, pool: app }}\n\
         \x20     - {{ name: beta, match: {{ path_prefix: /v1, header: {{ x-beta: \"1\" }} }}, pool: app }}\n\
         \x20     - {{ name: near, match: {{ client: 10.0.0.0/8 }}, respond: 204 }}\n\
         \x20     - {{ name: shares, match: {{ path: /split }}, split: {{ app: 3, other: 1 }} }}\n\
         \x20     - {{ name: rest, pool: app }}\n\
         pools:\n\
         \x20 app: {{ workers: [{{ name: a, address: \"{}\" }}, {{ name: b, address: \"{}\" }}] }}\n\
         \x20 other: {{ strategy: ip_hash, workers: [\"{}\", \"{}\"] }}\n",
        origins[0].address(),
        origins[1].address(),
        origins[0].address(),
        origins[1].address()
    )
}

fn explain(isobar: &Isobar, arguments: &[&str]) -> Value {
    let all = [&["explain", "--format", "json", "-c", "isobar.yaml"], arguments].concat();
    let done = isobar.command(&all);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("JSON")
}

#[test]
fn a_dry_run_names_the_route_the_losers_and_the_worker() {
    let origins = [
        Origin::start(after(Duration::from_secs(2), "ok")),
        Origin::start(after(Duration::ZERO, "ok")),
    ];
    let isobar = Isobar::start(&config(&origins));
    let said = explain(&isobar, &["GET", "http://API.example/v1/./x?q", "-H", "X-Beta: 1"]);
    assert_eq!(said["route"], "api");
    assert_eq!(said["target"], "/v1/x?q");
    let lost = |said: &Value, route: &str| {
        let others = said["others"].as_array().cloned().unwrap_or_default();
        let found = others.into_iter().find(|other| other["route"] == route);
        found.map(|other| other["lost"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(lost(&said, "beta").as_deref(), Some("matches, but less specifically"));
    assert_eq!(lost(&said, "near").as_deref(), Some("another client"));
    assert_eq!(lost(&said, "shares").as_deref(), Some("another path"));
    assert_eq!(said["pools"][0]["state"], "running");

    // Whoever is busy is not chosen: it is the running process that says who is.
    let mut busy = isobar.open("web");
    busy.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
    let by = |name: &str, said: &Value| {
        let all = said["pools"][0]["candidates"].as_array().cloned().unwrap_or_default();
        all.into_iter().find(|one| one["worker"] == name).unwrap_or_default()["in_flight"].clone()
    };
    let mut said = Value::Null;
    for _ in 0..50 {
        said = explain(&isobar, &["GET", "http://h/"]);
        if by("a", &said) == 1 || by("b", &said) == 1 {
            break;
        }
        // It went to the quick one and is over.
        if busy.response_to("GET").is_ok() {
            busy.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
        }
    }
    assert_eq!(
        (by("a", &said), &said["pools"][0]["choice"]),
        (1.into(), &Value::from("b")),
        "{said}"
    );

    let said = explain(&isobar, &["GET", "http://h/", "-H", "X-Forwarded-For: 10.1.2.3"]);
    assert_eq!((&said["route"], &said["respond"]["status"]), (&"near".into(), &204.into()));
    assert_eq!(said["client"], "10.1.2.3");
    let said = explain(&isobar, &["GET", "/split", "-H", "Host: h"]);
    assert_eq!(said["pools"][0]["share"], 0.75);
    let chosen = said["pools"][1]["choice"].as_str().unwrap_or_default().to_owned();
    assert!(origins.iter().any(|origin| chosen == origin.address().to_string()), "{chosen}");
    let said = explain(&isobar, &["GET", "http://h/../x"]);
    assert_eq!(said["refused"]["status"], 400);

    let text = isobar.command(&["explain", "GET", "http://api.example/v1", "-c", "isobar.yaml"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    println!("{text}");
    for part in ["route     api", "filters   none", "WORKER", "choice    ", "others"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    for wrong in [&["explain", "GET", "ftp://h/"][..], &["explain", "GET", "http://h/", "-H", "x"]]
    {
        assert!(!isobar.command(wrong).status.success());
    }
}
