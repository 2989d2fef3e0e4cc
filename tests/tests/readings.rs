//! Two readings, one route: no rule on a path is passed by bytes that a worker may read otherwise.

use std::time::Duration;

use isobar_tests::http::Response;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after, echo};
use serde_json::{Value, json};

fn start(origin: &Origin, listener: &str) -> Isobar {
    Isobar::start(&format!(
        "listeners:\n\
         \x20 web:\n\
         \x20   bind: 127.0.0.1:0\n\
         \x20   {listener}\n\
         \x20   routes:\n\
         \x20     - {{ name: admin, match: {{ path_prefix: /admin }}, respond: 403 }}\n\
         \x20     - {{ name: secret, match: {{ path_regex: \"/secret/[0-9]+\" }}, respond: 403 }}\n\
         \x20     - {{ name: exact, match: {{ path: /exact/y }}, respond: 403 }}\n\
         \x20     - {{ name: old, match: {{ path_prefix: /old }}, redirect: {{ path_prefix: /new }} }}\n\
         \x20     - name: v1\n\
         \x20       match: {{ path_prefix: /v1 }}\n\
         \x20       pool: app\n\
         \x20       filters: [{{ rewrite: {{ path_prefix: /v2 }} }}]\n\
         \x20     - {{ name: rest, pool: app }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}

/// The status, and what a worker was asked for or where a client is sent.
fn ask(isobar: &Isobar, target: &str) -> (u16, String) {
    let mut connection = isobar.open("web");
    let request = format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    connection.send(request.as_bytes()).expect("sends");
    let answer: Response = connection.response_to("GET").expect("an answer");
    let told = match (answer.status, answer.header("location")) {
        (200, _) => answer.text().split(' ').nth(1).unwrap_or_default().to_owned(),
        (_, Some(location)) => location.to_owned(),
        _ => answer.header("x-isobar-reason").unwrap_or_default().to_owned(),
    };
    (answer.status, told)
}

#[track_caller]
fn table(isobar: &Isobar, rows: &[(&str, u16, &str)]) {
    for &(target, status, told) in rows {
        assert_eq!(ask(isobar, target), (status, told.to_owned()), "{target}");
    }
}

#[test]
fn no_rule_on_a_path_is_passed() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "client_fin: answer");
    table(
        &isobar,
        &[
            ("/admin/x", 403, ""),
            ("/admin%2Fusers", 400, "bad_request"),
            ("/%2Fadmin/users", 400, "bad_request"),
            ("/admin;x", 400, "bad_request"),
            ("/admin;x/y", 400, "bad_request"),
            ("/x/..;/admin", 400, "bad_request"),
            ("/x%5C..%5cadmin", 400, "bad_request"),
            ("/x/..%2f..%2fy", 400, "bad_request"),
            ("/secret%2F7", 400, "bad_request"),
            ("/secret/7;jsessionid=1", 400, "bad_request"),
            ("/exact%2fy", 400, "bad_request"),
            ("/exact/y;", 400, "bad_request"),
            // Both readings of these are for one route: they are forwarded as they were sent.
            ("/@scope%2fname", 200, "/@scope%2Fname"),
            ("/vhost/%2F", 200, "/vhost/%2F"),
            ("/a;b=c/d?e;f=%2Fadmin", 200, "/a;b=c/d?e;f=%2Fadmin"),
            ("/a//b", 200, "/a/b"),
            ("/admin/a;b", 403, ""),
            // What stands behind a replaced prefix stays behind it.
            ("/v1/a%2Fb;c", 200, "/v2/a%2Fb;c"),
            ("/v1/..;/v1/x", 400, "bad_request"),
            ("/old/a%2Fb;c?d", 302, "/new/a%2Fb;c?d"),
            ("/old/..;/old/x", 400, "bad_request"),
            ("/old/..;/x", 400, "bad_request"),
        ],
    );
    assert!(
        origin.log().iter().all(|record| !record.request.target.contains("admin")
            || record.request.target.contains('?'))
    );
}

#[test]
fn a_path_may_be_kept_or_decoded() {
    let origin = Origin::start(echo);
    let keep = start(&origin, "ambiguous_paths: keep");
    table(
        &keep,
        &[
            ("/admin%2fusers;x", 200, "/admin%2Fusers;x"),
            ("/v1/..;/x", 200, "/v2/..;/x"),
            ("/..;/x", 200, "/..;/x"),
        ],
    );
    let decode = start(&origin, "ambiguous_paths: decode");
    table(
        &decode,
        &[
            ("/admin%2Fusers", 403, ""),
            ("/x/..;a/admin", 403, ""),
            ("/a%2Fb%5Cc;d/e;?f;g=%2F", 200, "/a/b/c/e?f;g=%2F"),
            ("/v1%2Fx;y", 200, "/v2/x"),
            ("/old%2F%2Fevil.example/x", 302, "/new/evil.example/x"),
            ("/..;/x", 400, "bad_request"),
        ],
    );
}

#[test]
fn slashes_are_kept_where_they_are_asked_for() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "merge_slashes: off");
    table(
        &isobar,
        &[
            ("/a//b///c", 200, "/a//b///c"),
            ("//admin", 400, "bad_request"),
            ("/x/;/../admin//", 200, "/x/admin//"),
            ("/admin//x", 403, ""),
            ("/v1//x", 200, "/v2//x"),
            ("/old//evil.example", 302, "/new//evil.example"),
        ],
    );
    let moved = Isobar::start(
        "listeners: { web: { bind: \"127.0.0.1:0\", merge_slashes: off, routes: [\n\
         { redirect: { path_prefix: / } } ] } }\npools: {}\n",
    );
    table(&moved, &[("//evil.example/x//y", 302, "/evil.example/x//y")]);
}

#[test]
fn thousands_of_odd_bytes_cost_little() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = start(&origin, "limits: { uri: 1MiB, header_bytes: 1MiB }");
    for part in [";", "%2F", "%5C;", "/;a%2F"] {
        let target = format!("/a{}", part.repeat(60_000 / part.len()));
        let began = std::time::Instant::now();
        let (status, _) = ask(&isobar, &target);
        assert!(matches!(status, 200 | 400), "{part}: {status}");
        assert!(began.elapsed() < Duration::from_secs(2), "{part}: {:?}", began.elapsed());
    }
}

#[test]
fn explain_shows_the_readings() {
    let origin = Origin::start(echo);
    let isobar = start(&origin, "client_fin: answer");
    let explain = |url: &str| -> Value {
        let asked = ["explain", "--format", "json", "-c", "isobar.yaml", "GET", url];
        let done = isobar.command(&asked);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).expect("JSON")
    };
    let said = explain("http://h/admin%2fx");
    assert_eq!(said["refused"]["status"], 400);
    let readings = json!([
        { "path": "/admin%2Fx", "route": "rest" },
        { "path": "/admin/x", "route": "admin" },
    ]);
    assert_eq!(said["readings"], readings);
    let said = explain("http://h/a;b");
    assert_eq!(
        (&said["route"], said["readings"].as_array().map(Vec::len)),
        (&"rest".into(), Some(2))
    );
    assert_eq!(explain("http://h/a/b")["readings"], json!([]));
    let text = isobar.command(&["explain", "GET", "http://h/..;/x", "-c", "isobar.yaml"]);
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("read as   the path leaves the root\n"), "{text}");
}
