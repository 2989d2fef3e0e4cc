//! docs/reference.md says what a running isobar prints: no more and no less.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after};
use isobar_tests::scratch::Scratch;
use isobar_tests::tls::{Authority, Client, Wanted};
use isobar_tests::wait::until;

/// Has everything that some metric is absent without: slots and tunnel slots, a file of workers.
const CONFIG: &str = "
access_log: { format: json, path: ./access.log }
metrics: { bind: 127.0.0.1:0 }
listeners:
  web: { bind: 127.0.0.1:0, pool: app }
  secure: { bind: 127.0.0.1:0, pool: app, tls: { certificates: [{ cert: CERT, key: KEY }] } }
  db: { bind: 127.0.0.1:0, protocol: tcp, pool: found }
pools:
  app: { slots: { requests: 1, tunnels: 1 }, workers: [ORIGIN] }
  found: { discover: { file: ./workers.yaml } }
";

#[test]
fn every_metric_is_in_the_reference_with_its_type_and_labels() {
    let (origin, isobar, _files) = start();
    assert_eq!(isobar.open("web").get("/").expect("an answer").status, 200);
    let documented: BTreeMap<String, Family> = rows("Metrics").into_iter().map(family).collect();
    // The request is counted a moment after its answer, the fairness sampled one after the start.
    let late = ["isobar_http_requests_total", "isobar_pool_fairness_ratio"];
    let printed = until(|| {
        let page = families(&isobar.admin("GET", "/metrics", "").text());
        late.iter().all(|name| page.contains_key(*name)).then_some(page)
    });
    for (name, family) in &printed {
        assert_eq!(documented.get(name), Some(family), "{name} in the reference");
    }
    let documented: BTreeSet<&String> = documented.keys().collect();
    assert_eq!(documented, printed.keys().collect(), "documented, printed");
    drop(origin);
}

#[test]
fn every_key_of_the_access_log_is_in_the_reference_in_its_order() {
    let (origin, isobar, _files) = start();
    isobar.open("web").get("/?a=b").expect("an answer");
    // Its pool has no workers yet: the connection is reset, maybe before we see it open, and logged.
    drop(TcpStream::connect(isobar.address("db")));
    let lines = until(|| {
        let log = std::fs::read_to_string(isobar.file("access.log")).unwrap_or_default();
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        (lines.len() == 2).then_some(lines)
    });
    let documented = rows("Access log");
    let documented: Vec<&str> = documented.iter().map(|row| row[0].as_str()).collect();
    for line in lines {
        let object: BTreeMap<String, serde_json::Value> =
            serde_json::from_str(&line).expect("an object");
        let mut keys: Vec<&str> = object.keys().map(String::as_str).collect();
        keys.sort_by_key(|key| line.find(&format!("\"{key}\":")));
        assert_eq!(keys, documented, "{line}");
    }
    drop(origin);
}

#[test]
fn every_path_of_the_admin_api_is_there() {
    let (origin, isobar, _files) = start();
    let worker = origin.address().to_string();
    let rows = rows("Admin API");
    let requests: Vec<(&str, &str)> =
        rows.iter().filter_map(|row| row[0].split_once(' ')).collect();
    assert!(requests.len() >= 10, "{requests:?}");
    // The one that ends it comes last.
    let (last, others): (Vec<_>, Vec<_>) =
        requests.into_iter().partition(|(_, path)| *path == "/v1/shutdown");
    for (method, path) in others.into_iter().chain(last) {
        let path = path.replace("{p}", "app").replace("{w}", &worker);
        let body = if method == "POST" { "{}" } else { "" };
        let status = isobar.admin(method, &path, body).status;
        let expected = if path == "/v1/shutdown" { 202 } else { 200 };
        assert_eq!(status, expected, "{method} {path}");
    }
}

#[test]
fn what_is_not_built_is_said() {
    let (_origin, isobar, _files) = start();
    let answer = isobar.admin("GET", "/v1/requests/01a21f5d-4c65-721a-b5e0-aface244d5e2", "");
    assert_eq!(answer.status, 501, "{}", answer.text());
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    assert!(answer.text().contains("not built yet"), "{}", answer.text());
    assert_eq!(isobar.admin("GET", "/v1/requests", "").status, 404);
}

/// What the metrics listener says it answers, it does, and nothing else.
#[test]
fn the_metrics_listener_answers_the_first_three() {
    let (_origin, isobar, _files) = start();
    for (at, row) in rows("Admin API").into_iter().enumerate() {
        let Some((_, path)) = row[0].split_once(' ').filter(|(method, _)| *method == "GET") else {
            continue;
        };
        let mut connection = Connection::open(isobar.address("metrics")).expect("connects");
        let status = connection.get(path).expect("an answer").status;
        assert_eq!(status, if at < 3 { 200 } else { 404 }, "{path}");
    }
}

type Family = (String, BTreeSet<String>);

/// A row of the reference: name, type, labels.
fn family(row: Vec<String>) -> (String, Family) {
    let labels = row[2].split(", ").filter(|label| !label.is_empty());
    (row[0].clone(), (row[1].clone(), labels.map(str::to_owned).collect()))
}

/// Name, type and labels of what `/metrics` prints; a histogram's own label is not one of ours.
fn families(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut name = String::new();
    for line in page.lines() {
        if let Some((of, kind)) = line.strip_prefix("# TYPE ").and_then(|l| l.split_once(' ')) {
            name = of.to_owned();
            families.insert(name.clone(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((_, labels)) = line.split_once('{').filter(|_| !line.starts_with('#')) {
            let keys = labels.split("\",").flat_map(|pair| pair.split_once("=\""));
            let keys = keys.map(|(key, _)| key.to_owned()).filter(|key| key != "le");
            families.get_mut(&name).expect("a type comes first").1.extend(keys);
        }
    }
    families
}

/// The table rows below that heading that begin with a name, each as its cells without backticks.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference.md");
    let text = std::fs::read_to_string(path).expect("the reference");
    let start = text.find(&format!("\n## {heading}\n")).expect("the heading") + 4;
    let section = text[start..].split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| {
        let inside = line.trim_start_matches('|').trim_end_matches('|');
        inside.split('|').map(|cell| cell.trim().replace('`', "")).collect()
    };
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(!rows.is_empty(), "no table below {heading}");
    rows
}

fn start() -> (Origin, Isobar, Scratch) {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let (files, authority) = (Scratch::new(), Authority::new("root"));
    let pair = authority.issue(files.path(), "a", &Wanted::default());
    let config = CONFIG
        .replace("ORIGIN", &origin.address().to_string())
        .replace("CERT", &pair.cert.display().to_string())
        .replace("KEY", &pair.key.display().to_string());
    let isobar = Isobar::start(&config);
    // Counted only once there was one.
    let client = Client::of(&authority).open(isobar.address("secure"), "a.test");
    drop(client.expect("a session"));
    (origin, isobar, files)
}
