//! Which route a request takes, and that what was matched is what is forwarded.

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Request, Visit, respond};

const ROUTES: &str = r#"
trusted_proxies: [127.0.0.1/32]
listeners:
  web:
    bind: 127.0.0.1:0
    routes:
      - { match: { path_regex: '/users/[0-9]+' }, respond: { body: regex } }
      - { match: { path_regex: '/users/[0-9]+', method: DELETE }, respond: { body: regex-delete } }
      - { match: { path_prefix: /users }, respond: { body: prefix } }
      - { match: { path: /users/7 }, respond: { body: exact } }
      - { match: { query: { tab: new } }, respond: { body: query } }
      - { match: { cookie: { beta: { regex: "[1-9]" } } }, respond: { body: cookie } }
      - { match: { header: { x-team: { present: true } } }, respond: { body: header } }
      - { match: { client: [10.0.0.0/8, "2001:db8::/32"] }, respond: { body: client } }
      - { respond: { body: all } }
"#;

#[test]
fn the_most_specific_match_takes_a_request() {
    let isobar = Isobar::start(ROUTES);
    let mut connection = isobar.open("web");
    let mut wrong = Vec::new();
    for (request, headers, expected) in [
        ("GET /users/7", "", "exact"),
        ("GET /users/8", "", "regex"),
        ("GET /users/%38", "", "regex"),
        ("GET /users/x/../8", "", "regex"),
        ("DELETE /users/8", "", "regex-delete"),
        ("GET /users/8/", "", "prefix"),
        ("GET /users/8x", "", "prefix"),
        ("GET /x/users/8", "", "all"),
        ("GET /?tab=new", "", "query"),
        ("GET /?a&t%61b=ne%77", "", "query"),
        ("GET /?tab=newer", "", "all"),
        ("GET /", "Cookie: a=b; beta=3\r\n", "cookie"),
        ("GET /", "Cookie: beta=30\r\n", "all"),
        ("GET /", "X-Team: \r\n", "header"),
        ("GET /?tab=new", "X-Team: a\r\n", "header"),
        ("GET /?tab=new", "Cookie: beta=1\r\n", "query"),
        ("GET /", "X-Forwarded-For: 10.1.2.3\r\n", "client"),
        ("GET /", "X-Forwarded-For: 10.1.2.3, 1.2.3.4\r\n", "all"),
        ("GET /", "X-Forwarded-For: 2001:db8::7\r\n", "client"),
        ("GET /", "", "all"),
    ] {
        let head = format!("{request} HTTP/1.1\r\nHost: h\r\n{headers}\r\n");
        connection.send(head.as_bytes()).expect("sends");
        let got = connection.response_to("GET").expect("an answer").text();
        if got != expected {
            wrong.push(format!("{request} {headers:?}: {got} instead of {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A path with everything in it that servers have read differently.
fn odd_path(rng: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 24] = [
        "/", "/", "//", "/.", "/..", "/./", "/../", ".", "..", "a", "secret", "S", "%2e", "%2E",
        "%2f", "%2F", "%5c", "%73", "%53", "%25", ";", "%252e", "~", "%7e",
    ];
    let mut path = String::from("/");
    for _ in 0..rng.usize(..9) {
        path += PIECES[rng.usize(..PIECES.len())];
    }
    path
}

/// Routes are told apart by the path the worker sees, for any spelling of it: behind the rule for
/// `/secret` lies every path that begins with it, and no other. The parser of paths has a property
/// test of its own; here it is the binary that is asked.
#[test]
fn a_random_path_is_matched_as_it_is_forwarded() {
    const PATHS: usize = 20_000;
    const BATCH: usize = 200;
    let app = Origin::start(|request, visit| echo_target("app", request, visit));
    let secret = Origin::start(|request, visit| echo_target("secret", request, visit));
    let isobar = Isobar::start(&format!(
        "listeners:\n\
         \x20 web:\n\
         \x20   bind: 127.0.0.1:0\n\
         \x20   routes: [{{ match: {{ path_prefix: /secret }}, pool: secret }}, {{ pool: app }}]\n\
         pools:\n\
         \x20 app: {{ workers: [\"{}\"] }}\n\
         \x20 secret: {{ workers: [\"{}\"] }}\n",
        app.address(),
        secret.address()
    ));
    let mut rng = fastrand::Rng::with_seed(5);
    let (mut refused, mut behind, mut wrong) = (0, 0, Vec::new());
    let mut connection = isobar.open("web");
    for _ in 0..PATHS / BATCH {
        let paths: Vec<String> = (0..BATCH).map(|_| odd_path(&mut rng)).collect();
        for path in &paths {
            connection
                .send(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes())
                .expect("sends");
            let answer = connection.response_to("GET").expect("an answer");
            if answer.status == 400 {
                refused += 1;
                // A client that is not understood is parted from.
                connection = isobar.open("web");
                continue;
            }
            let said = answer.text();
            let (who, seen) = said.split_once(' ').unwrap_or_default();
            let hidden = seen == "/secret" || seen.starts_with("/secret/");
            behind += usize::from(hidden);
            if hidden != (who == "secret") || seen.contains("//") || seen.contains("/../") {
                wrong.push(format!("{path}: {who} saw {seen}"));
            }
        }
    }
    println!("{PATHS} paths: {refused} refused, {behind} behind the rule, {} wrong", wrong.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(refused < PATHS / 2 && behind > 100, "{refused} refused, {behind} behind the rule");
}

fn echo_target(who: &str, request: &Request, visit: &mut Visit) -> Next {
    let body = format!("{who} {}", request.target);
    match visit.write(&respond(200, body.as_bytes())) {
        Ok(()) => Next::Keep,
        Err(_) => Next::Close,
    }
}

/// The series there are do not depend on what clients send.
#[test]
fn a_hundred_thousand_host_names_make_no_metric() {
    const NAMES: usize = 100_000;
    const BATCH: usize = 500;
    let isobar = Isobar::start(
        "listeners:\n\
         \x20 web:\n\
         \x20   bind: 127.0.0.1:0\n\
         \x20   routes:\n\
         \x20     - { match: { host: a.example }, respond: 204 }\n\
         \x20     - { match: { host: \"*.b.example\" }, respond: 204 }\n\
         pools: {}\n",
    );
    let warm = |connection: &mut Connection| {
        for host in ["a.example", "x.b.example", "c.example"] {
            let head = format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n");
            connection.send(head.as_bytes()).expect("sends");
            connection.response_to("GET").expect("an answer");
        }
    };
    let mut connection = isobar.open("web");
    warm(&mut connection);
    let before = series(&isobar);
    let mut rng = fastrand::Rng::with_seed(11);
    let mut statuses = [0; 3];
    for _ in 0..NAMES / BATCH {
        let mut batch = String::new();
        for _ in 0..BATCH {
            let name: String = (0..rng.usize(1..20)).map(|_| rng.alphanumeric()).collect();
            let suffix = ["", ".b.example", ".a.example", ".example:8080"][rng.usize(..4)];
            batch += &format!("GET / HTTP/1.1\r\nHost: {name}{suffix}\r\n\r\n");
        }
        connection.send(batch.as_bytes()).expect("sends");
        for _ in 0..BATCH {
            match connection.response_to("GET").expect("an answer").status {
                204 => statuses[0] += 1,
                404 => statuses[1] += 1,
                _ => statuses[2] += 1,
            }
        }
    }
    assert_eq!(statuses[2], 0);
    assert!(statuses[0] > NAMES / 10 && statuses[1] > NAMES / 10, "{statuses:?}");
    let after = series(&isobar);
    println!("{NAMES} host names: {statuses:?} answers, {} series before and after", before.len());
    assert_eq!(before, after);
    assert_eq!(isobar.metrics().sum("isobar_http_requests_total", &[]), (NAMES + 3) as f64);
}

/// Every name and its labels, without the values.
fn series(isobar: &Isobar) -> Vec<String> {
    let text = isobar.admin("GET", "/metrics", "").text();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let mut series: Vec<String> =
        lines.filter_map(|line| Some(line.rsplit_once(' ')?.0.to_owned())).collect();
    series.sort();
    series
}
