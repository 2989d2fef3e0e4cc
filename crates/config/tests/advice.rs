//! What is told about a mistake: all of it at once, each once, with what to try.

mod kit;

use isobar_config::{Colour, load_str};
use kit::{file, good, one, refused, registry, warned};

#[test]
fn a_ceiling_is_told_and_never_silently_in_force() {
    let limits = |text: &str| file(&format!(", limits: {{ {text} }}"), "");
    let large = "a size of at most `1MiB`";
    for (text, found, expected, hint) in [
        ("header_bytes: 10GiB", "2:64: error: found `10GiB`", large, "`1MiB` is the ceiling"),
        ("uri: 1048577", "error: found `1048577`", large, "`1MiB` is the ceiling"),
        ("headers: 10001", "error: found `10001`", "from 1 to 10000", ""),
    ] {
        one(&limits(text), &[found, expected, hint]);
    }
    for (none, most) in [
        ("header_bytes: 0", "1MiB"),
        ("header_bytes: 0KiB", "1MiB"),
        ("uri: off", "1MiB"),
        ("headers: 0", "10000"),
    ] {
        let there = format!("there always is such a limit: it is `{most}` now");
        warned(&limits(none), &[there.as_str(), "say how much it should be"]);
    }
    warned(&limits("uri: 64KiB"), &["`uri` is larger than `header_bytes`", "at most 32768 bytes"]);
    warned(&limits("uri: 8KiB, header_bytes: 4KiB"), &["`uri` is larger than `header_bytes`"]);
    good(&limits("headers: 10000, header_bytes: 1MiB, uri: 1024KiB, body: 0, per_client: off"));
    let replay = |size: &str| {
        "listeners: { web: { bind: 127.0.0.1:0, routes: [{ pool: app, retry: { replay: SIZE } }] } }\n\
         pools: { app: { workers: [127.0.0.1:1] } }"
            .replace("SIZE", size)
    };
    one(&replay("65MiB"), &["found `65MiB`", "at most `64MiB`"]);
    good(&replay("64MiB"));
    good(&replay("off"));
    one(&file("", ", slots: 1, buffer: { request: 2GiB }"), &["found `2GiB`", "at most `1GiB`"]);
    good(&file("", ", slots: 1, buffer: { request: 1GiB, response: 0 }"));
}

#[test]
fn every_option_of_a_strategy_that_is_wrong_is_told() {
    let told = refused(&file("", ", strategy: { ip_hash: { table: x, bounded: 99, tabel: y } }"));
    assert_eq!(told.matches("error: ").count(), 3, "{told}");
    for part in ["found `x`", "found `99`", "has no option `tabel`", "did you mean `table`?"] {
        assert!(told.contains(part), "{told}");
    }
    let told = refused(&file("", ", strategy: { ip_hash: { table: [], bounded: {}, x: y } }"));
    assert_eq!(told.matches("error: ").count(), 3, "{told}");
    // The key that is wrong is not missing as well.
    one(&file("", ", strategy: { hash: { key: url } }"), &["found `url`"]);
    one(&file("", ", strategy: { hash: { key: [uri] } }"), &["found a list"]);
}

/// Each error of these files, however many others there are.
#[test]
fn an_error_elsewhere_hides_nothing() {
    let elsewhere = "shards: none\n";
    for (text, part) in [
        (
            "listeners: { web: { bind: [], pool: app } }\npools: { app: { workers: [127.0.0.1:1] } }",
            "2:27: error: found no address",
        ),
        (
            &file("", "").replace("[127.0.0.1:1]", "[]"),
            "5:19: error: the pool `app` has no workers",
        ),
        (&file(", filters: [{}]", ""), "3:50: error: found a filter without a name"),
        (&file(", filters: [{ rewrite: {} }]", ""), "3:61: error: found nothing to rewrite"),
        (&file(", filters: [{ basic_auth: { users: {} } }]", ""), "3:73: error: found no secret"),
    ] {
        one(text, &[part.split_once(": ").expect("a message").1]);
        let told = refused(&format!("{elsewhere}{text}"));
        assert!(told.contains(part), "{told}\nmisses {part}");
        assert_eq!(told.matches("error: ").count(), 2, "{told}");
    }
}

/// What a key that is misspelt would have given is not missed as well.
#[test]
fn one_misspelt_key_is_one_error() {
    let filter = |filter: &str| file(&format!(", filters: [{{ {filter} }}]"), "");
    let route = |route: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, routes: [{{ {route} }}] }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1] }} }}"
        )
    };
    for text in [
        &file("", "").replace("bind", "bnid"),
        &file("", "").replace(" pool:", " pol:"),
        &file("", "").replace("listeners", "listners"),
        &file("", "").replace("pools", "pool"),
        &file("", "").replace("workers", "worker"),
        &file("", "").replace("[127.0.0.1:1]", "[{ addres: 127.0.0.1:1 }]"),
        &format!("metrics: {{ bnd: 127.0.0.1:1 }}\n{}", file("", "")),
        &file("", ", health: { htp: { path: / } }"),
        &file("", ", health: { http: { pth: / } }"),
        &file("", ", warm_up: { request: [/] }"),
        &file("", ", affinity: { secret: { fiel: x } }"),
        &filter("headrs: {}"),
        &filter("rate_limit: { rat: 1/s }"),
        &filter("rewrite: { pth: /x }"),
        &filter("basic_auth: { user: { file: x } }"),
        &filter("basic_auth: { users: { fiel: x } }"),
        &route("pol: app"),
        &route("match: { header: { a: { regx: b } } }, pool: app"),
        &route("redirect: { too: /x }"),
        &route("respond: { stats: 200 }"),
    ] {
        one(text, &["unknown key", "hint: did you mean"]);
    }
    for (text, part) in [
        (file("", ", slot: 1, queue: { max: 5 }"), "did you mean `slots`?"),
        (file("", ", slots: none, queue: { max: 5 }"), "found `none`"),
        (file(", mode: '0600'", "").replace("127.0.0.1:0", "nowhere"), "found `nowhere`"),
    ] {
        one(&text, &[part]);
        assert!(!refused(&text).contains("warning: "), "{text}");
    }
    // A key that is like none may stand for one that is missing.
    one(
        &file("", "").replace("bind", "colour"),
        &["unknown key `colour`", "hint: a listener lacks `bind`"],
    );
    one(&file("", "").replace("workers", "things"), &["lacks one of `workers`, `discover`"]);
}

#[test]
fn what_is_about_requests_means_nothing_to_tcp() {
    let tcp = |listener: &str, pool: &str| file(&format!(", protocol: tcp{listener}"), pool);
    for (listener, key) in [
        (", client_fin: abort", "client_fin"),
        (", timeouts: { header: 5s }", "header"),
        (", timeouts: { body_idle: 5s }", "body_idle"),
        (", timeouts: { write_stall: 5s }", "write_stall"),
        (", timeouts: { keep_alive: 5s }", "keep_alive"),
        (", limits: { headers: 5 }", "headers"),
        (", limits: { header_bytes: 1KiB }", "header_bytes"),
        (", limits: { uri: 1KiB }", "uri"),
        (", limits: { body: 1KiB }", "body"),
    ] {
        let message = format!("warning: `{key}` means nothing on a TCP listener");
        warned(&tcp(listener, ""), &[&message, "`protocol: tcp` has none"]);
        assert!(good(&file(listener, "")).warnings.is_empty());
    }
    for (pool, key) in [
        (", timeouts: { request: 5s }", "timeouts"),
        (", retry_budget: 10%", "retry_budget"),
        (", abandon_after: 5s", "abandon_after"),
        (", slots: 1, buffer: { request: 1KiB }", "buffer"),
        (", keep_alive: { idle: 4s }", "keep_alive"),
    ] {
        let message = format!("warning: `{key}` means nothing in a pool that serves TCP");
        warned(&tcp("", pool), &[&message, "the listener `web` uses this pool for TCP"]);
        assert!(good(&file("", pool)).warnings.is_empty());
    }
    let meant = ", timeouts: { idle: 1h }, limits: { connections: 5, per_client: 1, body: off }";
    let pool = ", slots: 1, outlier: { gateway_failures: 3 }, buffer: off, keep_alive: off";
    assert!(good(&tcp(meant, pool)).warnings.is_empty());
}

#[test]
fn a_star_in_a_path_is_taken_literally() {
    let route = |path: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, routes: [{{ match: {{ {path} }}, pool: app }}] }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1] }} }}"
        )
    };
    for (path, hint) in [
        ("path_prefix: /api/*", "hint: `path_prefix: /api` takes everything below it"),
        ("path: /api/**", "hint: `path_prefix: /api` takes everything below it"),
        ("path_prefix: /*", "hint: without a path every request matches"),
        ("path_prefix: /api*", "hint: `path_regex: /api.*`"),
        ("path: /users/*/files", "hint: `path_regex` takes a pattern"),
    ] {
        let key = path.split_once(':').expect("a key").0;
        let message = format!("warning: `*` in `{key}` is taken literally");
        warned(&route(path), &[&message, hint]);
    }
    assert!(good(&route("path_regex: /users/.*")).warnings.is_empty());
}

/// The same number means the opposite in two places.
#[test]
fn a_filter_that_takes_no_body_says_so() {
    let filter = |size: &str| file(&format!(", filters: [{{ max_body: {size} }}]"), "");
    warned(&filter("0"), &["2:62: warning: this refuses every request", "`limits`, `body: 0`"]);
    assert!(good(&filter("1B")).warnings.is_empty());
    assert!(good(&file(", limits: { body: 0 }", "")).warnings.is_empty());
}

#[test]
fn what_is_no_yaml_is_told_what_to_try() {
    let align = "align this line, by spaces, with those above";
    for (text, hint) in [
        ("listeners:\n  web:\n    bind: 127.0.0.1:0\n   pool: app\n", align),
        ("a:\n  b: 1\n\n # comment\n c: 2\n", align),
        ("a:\n  b: 1\n   c: 2\n", "the line above has its value already"),
        ("a:\n  b:1\n  c: 2\n", "a space is missing after its `:`"),
        ("a: b: 1\n", "needs braces"),
        ("a:\n  - b\n  c\n", "begins with `- `"),
        ("a: { b: 1\nc: 2\n", "is not closed by its own kind"),
        ("a: [b }\n", "is not closed by its own kind"),
        ("a: *b: 1\n", "a value that begins with `*` needs quotes"),
    ] {
        one(text, &["not valid YAML", hint]);
    }
}

#[test]
fn a_short_form_that_is_none_is_shown_an_example() {
    for (text, hint) in [
        (file("", ", health: true"), "like `{ http: { path: /healthz } }`"),
        (file("", ", queue: 5"), "like `{ max: 1000, timeout: 10s }`"),
        (file(", limits: 5", ""), "like `{ connections: 20000, body: 10MiB }`"),
        (file(", filters: [compression]", ""), "like `{ max_body: 10MiB }`"),
        (file(", filters: { max_body: 1 }", ""), "a list of one thing is written `[thing]`"),
        (format!("metrics: on\n{}", file("", "")), "like `{ bind: 127.0.0.1:9464 }`"),
    ] {
        one(&text, &[hint]);
    }
}

#[test]
fn what_is_nearly_right_is_told_what_is_right() {
    let localhost = format!("metrics: {{ bind: localhost:9464 }}\n{}", file("", ""));
    one(&localhost, &["hint: `127.0.0.1:9464`, or \"[::1]:9464\""]);
    let named = file("", "").replace("127.0.0.1:0", "isobar.internal:80");
    one(&named, &["a name is not looked up here"]);
    warned(
        &file("", "").replace("127.0.0.1:1", "Localhost:8001"),
        &["4:20: warning: `localhost` may be two addresses", "`127.0.0.1:8001`"],
    );
    for (share, meant) in [("0.5", "50%"), ("0.125", "12.5%"), ("30", "30%"), ("12.5", "12.5%")] {
        one(&file("", &format!(", panic_below: {share}")), &[&format!("did you mean `{meant}`?")]);
    }
    assert!(!refused(&file("", ", panic_below: 0.0001")).contains("did you mean"));
}

/// Whatever stands where only the place of a secret should, no message and no line shows it.
#[test]
fn what_may_be_a_secret_is_not_shown() {
    let filter = |filter: &str| file(&format!(", filters: [{{ {filter} }}]"), "");
    let block = "listeners:\n  web:\n    bind: 127.0.0.1:0\n    pool: app\n    filters:\n      - basic_auth:\n          users:\n            USERS\n\
                 pools: { app: { workers: [127.0.0.1:1] } }\n";
    for text in [
        &filter("basic_auth: { users: { ann: hunter2 } }"),
        &filter("basic_auth: { users: { ann: { hash: hunter2 } }, realmm: x }"),
        &filter("basic_auth: { users: { ann: x, bob: hunter2 } }"),
        &filter("basic_auth: { users: { 'ann:hunter2' } }"),
        &filter("basic_auth: { users: { fiel: hunter2 } }"),
        &filter("basic_auth: { users: hunter2 }"),
        &filter("basic_auth: { users: [ann:hunter2] }"),
        &filter("basic_auth: { user: hunter2 }"),
        &filter("basic_auth: { ann: hunter2 }"),
        &filter("basic_auth: hunter2"),
        &block.replace("USERS", "ann: hunter2\n            bob: hunter2"),
        &block.replace("USERS", "- ann:hunter2"),
        &block.replace("USERS", "ann:hunter2"),
        &block.replace("USERS", "ann: >\n              hunter2"),
        &file("", ", affinity: { secret: hunter2 }"),
        &file("", ", affinity: { secret: { key: hunter2, x: hunter2 } }"),
        &filter("basic_auth: { users: { file: $2y$05$hunter2 } }"),
        &filter("allow: $2y$05$hunter2"),
    ] {
        let problems = load_str(text, &registry()).expect_err(text);
        let told = problems.render(Colour::Never);
        assert!(!told.contains("hunter") && !problems.to_json().contains("hunter"), "{told}");
        assert!(told.contains("error: ") && told.contains('*'), "{told}");
    }
    let told = refused(&filter("basic_auth: { users: { fiel: /etc/users } }"));
    assert!(told.contains("unknown key `fiel`") && told.contains("did you mean `file`"), "{told}");
}

/// One mistake does not hide another, and what speaks HTTP is not sent to a database.
#[test]
fn every_mistake_of_a_pool_is_told() {
    let pool = "workers: [127.0.0.1:1], warm_up: { requests: [/], count: 1 }";
    let told = |listener: &str, pool: &str| {
        let text = format!(
            "listeners: {{ web: {{ bind: '127.0.0.1:0', pool: app{listener} }} }}\n\
             pools: {{ app: {{ {pool} }} }}\n"
        );
        load_str(&text, &registry()).err().map(|problems| problems.render(Colour::Never))
    };
    let bad = "strategy: leastconn, workers: [127.0.0.1:1], health: { http: { path: / }, tcp: {} }";
    let both = told("", bad).expect("two mistakes");
    assert_eq!(both.matches("error: ").count(), 2, "{both}");
    assert_eq!(told("", pool), None);
    let tcp = told(", protocol: tcp", pool).expect("no warming up of a database");
    assert!(tcp.contains("`warm_up`") && tcp.contains("serves TCP"), "{tcp}");
}

#[test]
fn one_mistake_is_one_problem() {
    let base = "listeners: { web: { bind: 127.0.0.1:0, pool: app } }\n";
    for (pools, part) in [
        ("{ app: { workers: [127.0.0.1:1, 127.0.0.1:1] } }", "2:40: error: found this address"),
        (
            "{ app: { workers: [{ name: a, address: 127.0.0.1:1 }, { name: a, address: 127.0.0.1:2 }] } }",
            "2:70: error: found this worker name",
        ),
        ("{ app: { workers: [127.0.0.1:0] } }", "a worker's port is 1 to 65535"),
        ("{ app: { run: { command: [x] } } }", "`run` is not built yet"),
        (
            "{ app: { strategy: least_tine, workers: [127.0.0.1:1] } }",
            "there is no strategy `least_tine`",
        ),
        (
            "{ app: { strategy: { round_robin: { x: 1 } }, workers: [127.0.0.1:1] } }",
            "2:44: error: the strategy `round_robin` has no option `x`",
        ),
        (
            "{ app: { strategy: { hash: { tabel: ring, key: uri } }, workers: [127.0.0.1:1] } }",
            "2:37: error: the strategy `hash` has no option `tabel`",
        ),
        (
            "{ app: { strategy: { hash: { key: url } }, workers: [127.0.0.1:1] } }",
            "2:42: error: found `url`",
        ),
        ("{ app: { strategy: hash, workers: [127.0.0.1:1] } }", "2:27: error: found no `key`"),
        ("{ app: { workers: [] } }", "the pool `app` has no workers"),
        ("{ app: { workers: [127.0.0.1:1], health: { rise: 1 } } }", "found no kind of check"),
        (
            "{ app: { workers: [127.0.0.1:1], health: { http: {} } } }",
            "found a check without a path",
        ),
        ("{ app: { workers: [{ weight: 1 }] } }", "found a worker without an address"),
        ("{ app: { workers: [127.0.0.1:1], slots: 4294967296 } }", "from 1 to 1000000"),
    ] {
        let text = format!("{base}pools: {pools}");
        let problems = load_str(&text, &registry()).unwrap_err();
        let shown = problems.render(Colour::Never);
        assert!(shown.contains(part), "{text}\n{shown}");
        assert_eq!(problems.len(), 1, "{shown}");
    }
}

/// What is told about a file that is taken.
#[track_caller]
fn warnings(text: &str) -> String {
    load_str(text, &registry()).unwrap_or_else(|p| panic!("{text}\n{p}")).warnings.to_string()
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    let told = warnings(text);
    assert_eq!(told.matches("warning: ").count(), 1, "{text}\n{told}");
    for part in parts {
        assert!(told.contains(part), "{text}\n{told}\nmisses {part}");
    }
}

/// What is right to read, and cannot work.
#[test]
fn what_can_never_work_is_told() {
    let web = |bind: &str, worker: &str| {
        format!(
            "listeners: {{ web: {{ bind: \"{bind}\", pool: app }} }}\n\
             pools: {{ app: {{ workers: [\"{worker}\"] }} }}"
        )
    };
    for (bind, worker) in [
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("0.0.0.0:8080", "127.0.0.1:8080"),
        ("[::]:8080", "127.0.0.1:8080"),
        ("[::]:8080", "[::1]:8080"),
        ("127.0.0.1:8080", "0.0.0.0:8080"),
        ("unix:/tmp/isobar.sock", "unix:/tmp/isobar.sock"),
    ] {
        says(&web(bind, worker), &["warning: this worker is the listener `web` itself"]);
    }
    let told = warnings(&web("0.0.0.0:8080", "localhost:8080"));
    assert!(told.contains("this worker is the listener `web` itself"), "{told}");
    for (bind, worker) in [
        ("127.0.0.1:8080", "127.0.0.1:8081"),
        ("127.0.0.1:8080", "127.0.0.2:8080"),
        ("127.0.0.1:0", "127.0.0.1:1"),
        ("0.0.0.0:8080", "10.0.0.5:8080"),
        ("0.0.0.0:8080", "[::1]:8080"),
        ("unix:/tmp/isobar.sock", "unix:/tmp/other.sock"),
    ] {
        assert_eq!(warnings(&web(bind, worker)), "", "{bind} {worker}");
    }
    // Through another listener, and not merely to one.
    let two = |second: &str| {
        format!(
            "listeners:\n  a: {{ bind: 127.0.0.1:8081, pool: b }}\n  b: {{ bind: 127.0.0.1:8082, pool: {second} }}\n\
             pools: {{ b: {{ workers: [127.0.0.1:8082] }}, a: {{ workers: [127.0.0.1:8081] }}, c: {{ workers: [127.0.0.1:1] }} }}"
        )
    };
    let told = warnings(&two("a"));
    assert_eq!(told.matches("which leads back here").count(), 2, "{told}");
    assert!(!warnings(&two("c")).contains("leads back"));

    let route = |matches: &str| {
        file("", "").replace(
            "pool: app }",
            &format!("routes: [{{ match: {{ {matches} }}, pool: app }}] }}"),
        )
    };
    for expression in ["^/img", "^/(img|css)", "^/imgs?", "^/users/[0-9]"] {
        one(
            &route(&format!("path_regex: '{expression}'")),
            &["found `^` before an expression that has no end"],
        );
    }
    for expression in ["^/img$", "^/img/.*", "^/users/[0-9]+", "/(img|css)", "/img/.*"] {
        assert_eq!(warnings(&route(&format!("path_regex: '{expression}'"))), "");
    }
    says(&route("path_regex: /img"), &["this expression matches `/img` alone"]);
    one(&route(r"path_regex: '\.php$'"), &[r"`/.*\.php`"]);
    says(&route("path: /../admin"), &["no request has this path"]);
    says(&route("path_prefix: /50%"), &["no request has this path"]);
    says(&route("method: [GET, TRACE]"), &["no route takes TRACE"]);
    assert_eq!(warnings(&route("path: /a/../b%20c")), "");
}

/// Where the process would fail at its start, or would have nowhere to write.
#[test]
fn a_folder_that_is_not_there_is_told() {
    let log = |path: &str| format!("access_log: {{ path: {path} }}\n{}", file("", ""));
    one(&log("/does/not/exist/access.log"), &["1:21: error: there is no folder `/does/not/exist`"]);
    one(&log("/tmp/."), &["`/tmp/.` is a folder"]);
    says(&log("logs-of-nobody/access.log"), &["there is no folder `logs-of-nobody`"]);
    assert_eq!(warnings(&log("/tmp/access.log")), "");
    let socket = file("", "").replace("127.0.0.1:0", "\"unix:/does/not/exist/web.sock\"");
    says(&socket, &["there is no folder `/does/not/exist` yet"]);
    let spill = file("", ", slots: 1, buffer: { spill: { dir: /does/not/exist } }");
    says(&spill, &["there is no folder `/does/not/exist`"]);
}

#[test]
fn a_variable_of_a_shell_is_none_here() {
    one(
        &file("", "").replace("127.0.0.1:1", "127.0.0.1:$PORT"),
        &["a variable is written `${PORT}`"],
    );
    let text = file("", ", affinity: { cookie: $NAME }");
    says(&text, &["`$NAME` stands for itself here", "`${NAME}`"]);
    for literal in ["$$NAME", "a$1", "$name"] {
        let text = file("", &format!(", affinity: {{ cookie: '{literal}' }}"));
        assert_eq!(warnings(&text), "", "{literal}");
    }
}

/// The words of other tools, each with ours: that every row names a key that exists is tested beside
/// the tables.
#[test]
fn a_word_of_another_tool_is_answered_with_ours() {
    for (from, to, parts) in [
        ("bind: 127.0.0.1:0", "listen: 80", &["did you mean `bind`? write `bind: 0.0.0.0:80`"][..]),
        ("bind: 127.0.0.1:0", "host: 127.0.0.1", &["did you mean `bind`?"]),
        ("pool: app", "backend: app", &["did you mean `pool`? write `pool: app`"]),
        ("workers: [127.0.0.1:1]", "servers: ['http://a:1/']", &["write `workers: [a:1]`"]),
        ("127.0.0.1:1]", "{ url: 'http://127.0.0.1:1/' }]", &["write `address: 127.0.0.1:1`"]),
        ("workers:", "balance: leastconn, workers:", &["write `strategy: least_connections`"]),
        ("workers:", "maxconn: 4, workers:", &["write `slots: 4`"]),
        ("workers:", "strategy: round-robin, workers:", &["did you mean `round_robin`?"]),
        ("workers:", "connect_timeout: 500, workers:", &["did you mean `500ms` or `500s`?"]),
        ("workers:", "slots: none, workers:", &["did you mean `off`?"]),
    ] {
        one(&file("", "").replace(from, to), parts);
    }
}

/// What is promised and not there is neither unknown nor ignored.
#[test]
fn what_is_to_come_says_so() {
    let top = |key: &str| format!("{key}\n{}", file("", ""));
    let listener = |key: &str| file(&format!(", {key}"), "");
    let pool = |key: &str| file("", &format!(", {key}"));
    let route = |key: &str| {
        file("", "").replace("pool: app }", &format!("routes: [{{ pool: app, {key} }}] }}"))
    };
    let worker = |key: &str| {
        file("", "").replace("[127.0.0.1:1]", &format!("[{{ address: 127.0.0.1:1, {key} }}]"))
    };
    for text in [
        top("access_log: { fields: [ts] }"),
        top("access_log: { only: errors }"),
        top("access_log: { sample: 10% }"),
        top("access_log: { path: journald }"),
        top("access_log: { path: 'syslog:local0' }"),
        listener("http2: { max_streams: 100 }"),
        listener("udp: { per_source: 1 }"),
        listener("errors: { 503: { file: x } }"),
        route("errors: { 503: { file: x } }"),
        route("retry: { when: [grpc_unavailable] }"),
        pool("send_proxy_protocol: v2"),
        pool("connections: 4"),
        pool("cancel_grace: 1s"),
        pool("shadow: least_time"),
        pool("health: { http: { path: /, method: HEAD } }"),
        pool("health: { http: { path: /, body: ok } }"),
        pool("health: { grpc: { service: x } }"),
        worker("state: drain"),
        worker("tls: { ca: x }"),
    ] {
        one(&text, &["is not built yet"]);
    }
}

/// What has no effect is said, and what is meant by it.
/// A client of both pools is moved with every request, whatever port it asks.
#[test]
fn two_pools_with_one_cookie_on_one_host_are_pointed_out() {
    let two = |one: &str, other: &str, matches: [&str; 2]| {
        let worker = |affinity: &str| format!("{{ workers: [127.0.0.1:1], affinity: {affinity} }}");
        format!(
            "listeners:\n  a: {{ bind: 127.0.0.1:8081, routes: [{{ pool: a{} }}] }}\n  \
             b: {{ bind: 127.0.0.1:8082, routes: [{{ pool: b{} }}] }}\n\
             pools: {{ a: {}, b: {} }}",
            matches[0],
            matches[1],
            worker(one),
            worker(other)
        )
    };
    let host = |host: &str| format!(", match: {{ host: \"{host}\" }}");
    let (x, y, any) = (host("x.example"), host("y.example"), host("*.example"));
    let one = "{ cookie: c }";
    let says = |text: &str, other: &str| {
        let told = warnings(text);
        let said = format!("the pool `{other}` has a cookie of this name on the same host");
        assert_eq!(told.matches(&said).count(), 1, "{text}: {told}");
    };
    for matches in [["", ""], [&x, &x], [&x, ""], [&x, &any]] {
        says(&two(one, one, matches), "a");
    }
    says(&two("{ cookie: isobar_b }", "{}", ["", ""]), "b");
    says(&two("{ cookie: c, domain: example }", one, [&x, &y]), "a");
    says(&two("{ cookie: c, path: /x }", "{ cookie: c, path: /x/y }", ["", ""]), "a");
    for (one, other, matches) in [
        ("{}", "{}", ["", ""]),
        (one, "{ cookie: d }", ["", ""]),
        (one, one, [&*x, &*y]),
        ("{ cookie: c, path: /x }", "{ cookie: c, path: /xy }", ["", ""]),
    ] {
        let told = warnings(&two(one, other, matches));
        assert!(!told.contains("cookie of this name"), "{one} {other} {matches:?}: {told}");
    }
}
