//! A line of the access log says what was sent, to whom, and who asked.

use std::time::Duration;

use isobar_tests::access_log;
use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after};
use isobar_tests::wait::until;

#[test]
fn combined_is_nginxs() {
    let origin = Origin::start(after(Duration::ZERO, "0123456789"));
    let isobar = start("combined", &origin, "");
    let mut connection = isobar.open("web");
    for (request, fields) in [
        ("GET /app/x?a=b&c", "Referer: https://r.example/?q\r\nUser-Agent: curl/8\r\n"),
        // ann:secret
        ("GET /app//y/../z?", "Authorization: Basic YW5uOnNlY3JldA==\r\n"),
        ("HEAD /app/", ""),
        ("GET /none", ""),
        ("HEAD /none", ""),
        ("GET /said", ""),
        ("HEAD /said", ""),
        ("GET /moved?a=b", ""),
    ] {
        let head = format!("{request} HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        connection.ask(&head);
    }
    let log = lines(&isobar, 8);
    let log: Vec<String> = log.iter().map(|line| without_time(line)).collect();
    assert_eq!(
        log,
        [
            "127.0.0.1 - - \"GET /app/x?a=b&c HTTP/1.1\" 200 10 \"https://r.example/?q\" \"curl/8\"",
            "127.0.0.1 - ann \"GET /app//y/../z? HTTP/1.1\" 200 10 \"-\" \"-\"",
            "127.0.0.1 - - \"HEAD /app/ HTTP/1.1\" 200 0 \"-\" \"-\"",
            "127.0.0.1 - - \"GET /none HTTP/1.1\" 404 24 \"-\" \"-\"",
            "127.0.0.1 - - \"HEAD /none HTTP/1.1\" 404 0 \"-\" \"-\"",
            "127.0.0.1 - - \"GET /said HTTP/1.1\" 200 5 \"-\" \"-\"",
            "127.0.0.1 - - \"HEAD /said HTTP/1.1\" 200 0 \"-\" \"-\"",
            "127.0.0.1 - - \"GET /moved?a=b HTTP/1.1\" 302 0 \"-\" \"-\"",
        ]
    );
}

/// The JSON leaves the query out.
#[test]
fn json_has_no_query() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start("json", &origin, "");
    isobar.open("web").get("/app/x?secret=1").expect("an answer");
    let log = lines(&isobar, 1);
    assert!(!log[0].contains("secret"), "{}", log[0]);
    assert_eq!(access_log::read(&isobar.file("access.log"))[0].text("path"), "/app/x");
}

/// Also where the head was refused, or the client left before it had an answer.
#[test]
fn every_line_has_a_request_id_and_the_clients_address() {
    let origin = Origin::start(after(Duration::from_secs(60), "late"));
    let isobar = start("json", &origin, "slots: 1, ");
    let mut refused = isobar.open("web");
    refused.send(b"GARBAGE\r\n\r\n").expect("sends");
    assert_eq!(refused.response_to("GET").expect("an answer").status, 400);
    let holds = ask(&isobar);
    until(|| (origin.connections() == 1).then_some(()));
    let waits = ask(&isobar);
    let queued = || isobar.metrics().sum("isobar_pool_queue_depth", &[]);
    until(|| (queued() == 1.0).then_some(()));
    drop(waits);
    drop(holds);
    lines(&isobar, 3);
    for line in access_log::read(&isobar.file("access.log")) {
        assert_eq!(line.text("request_id").len(), 36, "{line:?}");
        assert_eq!(line.text("client_ip"), "127.0.0.1", "{line:?}");
    }
}

/// A connection that its client has one too many of is on record, whatever its listener speaks.
#[test]
fn who_is_turned_away_is_on_record() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = Isobar::start(&format!(
        "
shards: 1
access_log: {{ format: json, path: ./access.log }}
listeners:
  web: {{ bind: 127.0.0.1:0, limits: {{ per_client: 1 }}, pool: app }}
  db: {{ bind: 127.0.0.1:0, limits: {{ per_client: 1 }}, protocol: tcp, pool: db }}
pools: {{ app: {{ workers: [{0}] }}, db: {{ workers: [{0}] }} }}
",
        origin.address()
    ));
    let kept = [isobar.open("web"), isobar.open("db")];
    until(|| (isobar.metrics().sum("isobar_connections_active", &[]) == 2.0).then_some(()));
    let answer = isobar.open("web").response_to("GET").expect("an answer");
    assert_eq!(answer.status, 429);
    assert!(isobar.open("db").read_to_end().is_ok_and(|said| said.is_empty()));
    let turned_away = || {
        let log = access_log::read(&isobar.file("access.log"));
        let reason = |line: &access_log::Entry| line.text("reason") == "connection_limit";
        log.into_iter().filter(reason).collect::<Vec<_>>()
    };
    let log = until(|| Some(turned_away()).filter(|lines| lines.len() == 2));
    let of = |listener| log.iter().find(|line| line.text("listener") == listener);
    let (web, db) = (of("web").expect("a line"), of("db").expect("a line"));
    assert_eq!((web.number("status"), web.text("client_ip")), (Some(429.0), "127.0.0.1"));
    assert_eq!((db.text("proto"), db.text("client_ip")), ("tcp", "127.0.0.1"));
    let counted = isobar.metrics().sum("isobar_http_requests_total", &[("code", "429")]);
    assert_eq!(counted, 1.0);
    drop(kept);
}

fn ask(isobar: &Isobar) -> Connection {
    let mut connection = isobar.open("web");
    connection.send(b"GET /app/ HTTP/1.1\r\nHost: h\r\n\r\n").expect("sends");
    connection
}

fn start(format: &str, origin: &Origin, slots: &str) -> Isobar {
    let address = origin.address();
    Isobar::start(&format!(
        "
access_log: {{ format: {format}, path: ./access.log }}
listeners:
  web:
    bind: 127.0.0.1:0
    client_fin: abort
    routes:
      - {{ match: {{ path: /said }}, respond: {{ body: hello }} }}
      - {{ match: {{ path: /moved }}, redirect: /new }}
      - {{ match: {{ path_prefix: /app }}, pool: app }}
pools:
  app: {{ {slots}workers: [{address}] }}
"
    ))
}

/// So many lines, once they are there.
fn lines(isobar: &Isobar, count: usize) -> Vec<String> {
    let path = isobar.file("access.log");
    until(|| {
        let log = std::fs::read_to_string(&path).unwrap_or_default();
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        (lines.len() == count).then_some(lines)
    })
}

fn without_time(line: &str) -> String {
    let (before, rest) = line.split_once('[').expect("a time");
    let (time, after) = rest.split_once("] ").expect("its end");
    assert_eq!(time.len(), "23/Nov/2026:12:15:08 +0000".len(), "{line}");
    format!("{before}{after}")
}
