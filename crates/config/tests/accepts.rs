//! What a good file means: defaults, short forms, environment, includes.

mod kit;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use isobar_config::model::*;
use isobar_config::{Colour, Config, Loaded, load, load_str, load_str_with};
use kit::{good, registry};

fn with_listener(listener: &str) -> Listener {
    let text = format!(
        "pools: {{ app: {{ workers: [127.0.0.1:1] }}, b: {{ workers: [127.0.0.1:2] }} }}\nlisteners:\n  web:\n{listener}"
    );
    good(&text).config.listeners["web"].clone()
}

fn only_route(listener: &str) -> Route {
    match with_listener(listener).kind {
        ListenerKind::Http { mut routes } if routes.len() == 1 => routes.remove(0),
        other => panic!("{other:?}"),
    }
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn the_smallest_file_has_every_default() {
    let Loaded { config, warnings } = good(
        "listeners: { web: { bind: 0.0.0.0:8080, pool: app } }\npools: { app: { workers: [127.0.0.1:8001] } }",
    );
    assert!(warnings.is_empty(), "{warnings}");
    assert_eq!(config.shards, Shards::Auto);
    assert_eq!((config.grace_period, config.drain_delay), (secs(30), secs(0)));
    assert_eq!(
        config.admin,
        [AdminBind::Unix { path: "/run/isobar/admin.sock".into(), mode: 0o600 }]
    );
    assert_eq!(config.metrics, None);
    assert_eq!(config.log, Log { level: LogLevel::Info, format: LogFormat::Text });
    assert_eq!(config.access_log, None);
    assert!(config.trusted_proxies.is_empty());
    assert_eq!(config.summary().to_string(), "1 listener, 1 route, 1 pool, 1 worker");

    let listener = &config.listeners["web"];
    assert_eq!(listener.timeouts, Timeouts::default());
    assert_eq!(listener.timeouts.keep_alive, secs(75));
    assert_eq!(listener.limits, Limits::default());
    assert_eq!(listener.client_fin, ClientFin::Answer);
    let ListenerKind::Http { routes } = &listener.kind else { panic!() };
    assert_eq!(
        routes[..],
        [Route {
            name: "all".into(),
            matches: vec![],
            action: Action::Pool(Destination {
                pool: "app".into(),
                timeouts: RouteTimeouts {
                    request: None,
                    first_byte: Some(secs(60)),
                    body_idle: Some(secs(60)),
                },
            }),
            filters: vec![],
            retry: Retry {
                attempts: 2,
                per_try: None,
                when: RetryWhen { connect: true, reset: true, statuses: vec![] },
                replay: 65_536,
            },
        }]
    );
    let pool = &config.pools["app"];
    assert_eq!(pool.strategy, Strategy { name: "least_connections".into(), options: [].into() });
    assert_eq!((pool.queue, &pool.health), (None, &None));
    assert_eq!((pool.abandon_after, pool.connect_timeout), (secs(30), secs(1)));
    assert_eq!(pool.buffer, Buffer { request: 0, response: 0 });
    assert_eq!(pool.keep_alive, KeepAlive { idle: IdleTime::Learned, max_idle: 64 });
    let address = Address::Tcp("127.0.0.1:8001".parse().unwrap());
    assert_eq!(
        pool.workers[..],
        [Worker { name: "127.0.0.1:8001".into(), address, weight: None, slots: None, tier: 0 }]
    );
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
fn an_address_is_bound_once() {
    for (first, second, collide) in [
        ("0.0.0.0:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "127.0.0.1:80", true),
        ("127.0.0.1:80", "127.0.0.2:80", false),
        ("0.0.0.0:80", "0.0.0.0:81", false),
        ("0.0.0.0:80", "[::1]:80", false),
        // Both families.
        ("0.0.0.0:80", "[::]:80", true),
        ("[::]:80", "127.0.0.1:80", true),
        ("[::]:80", "[::1]:80", true),
        ("[::]:0", "0.0.0.0:0", false),
    ] {
        let text = format!(
            "listeners: {{ web: {{ bind: ['{first}', '{second}'], pool: app }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1] }} }}\n"
        );
        let found = load_str(&text, &registry());
        assert_eq!(found.is_err(), collide, "{first} and {second}");
        if let (Err(problems), true) = (found, first.starts_with("[::]") || second == "[::]:80") {
            let told = problems.render(Colour::Never);
            assert!(told.contains("`[::]` takes IPv4 connections, too"), "{told}");
        }
    }
}

#[test]
fn binds() {
    let tcp = |a: &str| Bind::Tcp(a.parse().unwrap());
    let unix = |mode| Bind::Unix { path: "/run/x.sock".into(), mode };
    for (text, binds) in [
        ("bind: 0.0.0.0:8080", vec![tcp("0.0.0.0:8080")]),
        ("bind: '[::]:8080'", vec![tcp("[::]:8080")]),
        ("bind: \"[::1]:0\"", vec![tcp("[::1]:0")]),
        ("bind: fd:3", vec![Bind::Fd(3)]),
        ("bind: unix:/run/x.sock", vec![unix(0o660)]),
        ("bind: unix:/run/x.sock\n    mode: \"0600\"", vec![unix(0o600)]),
        ("bind: unix:/run/x.sock\n    mode: 0666", vec![unix(0o666)]),
        (
            "bind: [127.0.0.1:0, 127.0.0.1:0, fd:4]",
            vec![tcp("127.0.0.1:0"), tcp("127.0.0.1:0"), Bind::Fd(4)],
        ),
    ] {
        assert_eq!(with_listener(&format!("    {text}\n    pool: app")).binds, binds, "{text}");
    }
    let addresses = ["0.0.0.0:8080", "unix:/run/x.sock", "fd:3"];
    let shown = [tcp("0.0.0.0:8080"), unix(0), Bind::Fd(3)].map(|b| b.to_string());
    assert_eq!(shown, addresses);
}

#[test]
fn matches_and_labels() {
    let base = "    bind: 127.0.0.1:0\n    routes:\n      - pool: app\n        match: ";
    let route = |text: &str| only_route(&format!("{base}{text}"));
    let r = route(
        "{ host: API.example.com, path_prefix: /v1, method: [post, GET], header: { X-Beta: '1' } }",
    );
    assert_eq!(r.name, "GET,POST api.example.com/v1* [x-beta]");
    assert_eq!(
        r.matches,
        [Match {
            host: Some("api.example.com".into()),
            path: None,
            path_prefix: Some("/v1".into()),
            methods: vec!["GET".into(), "POST".into()],
            headers: vec![("x-beta".into(), ValueMatch::Exact("1".into()))],
            ..Match::default()
        }]
    );
    let r = route("[{ host: '*.example.com' }, { path: /a, method: GET }]");
    assert_eq!((r.name.as_str(), r.matches.len()), ("*.example.com | GET /a", 2));
    let r = route(
        "{ path: / }\n        name: front\n        retry: off\n        timeouts: { request: 5s, first_byte: off, body_idle: off }",
    );
    assert_eq!((r.name.as_str(), r.retry.attempts), ("front", 1));
    let timeouts = RouteTimeouts { request: Some(secs(5)), first_byte: None, body_idle: None };
    assert_eq!(r.action, Action::Pool(Destination { pool: "app".into(), timeouts }));
    let r = route("{ path: / }\n        retry: { attempts: 3, per_try: 1s, when: connect }");
    let when = RetryWhen { connect: true, reset: false, statuses: vec![] };
    assert_eq!(r.retry, Retry { attempts: 3, per_try: Some(secs(1)), when, replay: 65_536 });
    let r = route("{ path: / }\n        retry: { when: [503, reset, 502, 503], replay: 1MiB }");
    let when = RetryWhen { connect: false, reset: true, statuses: vec![502, 503] };
    assert_eq!(r.retry, Retry { attempts: 2, per_try: None, when, replay: 1 << 20 });
    let r = route("{ path: / }\n        retry: { per_try: off, when: [], replay: off }");
    let when = RetryWhen { connect: false, reset: false, statuses: vec![] };
    assert_eq!(r.retry, Retry { attempts: 2, per_try: None, when, replay: 0 });
}

#[test]
fn unnamed_routes_have_different_labels() {
    let l = with_listener(
        "    bind: 127.0.0.1:0\n    routes:\n      - { match: { header: { a: '1' } }, pool: app }\n      - { match: { header: { a: '2' } }, pool: b }",
    );
    let ListenerKind::Http { routes } = l.kind else { panic!() };
    let names: Vec<_> = routes.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["[a]", "[a] #2"]);
}

#[test]
fn a_pools_timeouts_hold_where_a_route_says_nothing() {
    let config = good(
        "listeners: { web: { bind: 127.0.0.1:0, routes: [{ pool: app, timeouts: { first_byte: 3s } }] } }\n\
         pools: { app: { timeouts: { request: 9s, first_byte: 8s, body_idle: 7s }, workers: [127.0.0.1:1] } }",
    )
    .config;
    let ListenerKind::Http { routes } = &config.listeners["web"].kind else { panic!() };
    let timeouts = RouteTimeouts {
        request: Some(secs(9)),
        first_byte: Some(secs(3)),
        body_idle: Some(secs(7)),
    };
    assert_eq!(routes[0].action, Action::Pool(Destination { pool: "app".into(), timeouts }));
}

#[test]
fn listeners_in_their_forms() {
    let l = with_listener(
        "    bind: 127.0.0.1:0\n    pool: app\n    client_fin: abort\n    timeouts: { header: 5s, idle: off, keep_alive: 0s }\n    limits: { connections: off, header_bytes: 1MiB, uri: 16KiB, body: 1MB }",
    );
    assert_eq!(l.client_fin, ClientFin::Abort);
    assert_eq!((l.timeouts.header, l.timeouts.keep_alive), (secs(5), secs(0)));
    assert_eq!(l.timeouts.idle, Duration::from_secs(365 * 24 * 3600));
    assert_eq!((l.limits.connections, l.limits.header_bytes), (0, 1 << 20));
    assert_eq!((l.limits.uri, l.limits.body), (16 * 1024, 1_000_000));
    let l = with_listener("    bind: 127.0.0.1:0\n    protocol: tcp\n    pool: app");
    assert_eq!(l.kind, ListenerKind::Tcp { pool: "app".into() });
}

#[test]
fn sites_are_shared() {
    let config = good(
        "sites: { main: [{ pool: app }] }\n\
         listeners: { a: { bind: 127.0.0.1:0, routes: main }, b: { bind: 127.0.0.1:0, routes: main } }\n\
         pools: { app: { workers: [127.0.0.1:1] } }",
    )
    .config;
    assert_eq!(config.listeners["a"].kind, config.listeners["b"].kind);
    assert_eq!(config.summary().routes, 2);
}

#[test]
fn the_rest_of_the_top() {
    let config = good(
        "shards: 4\ngrace_period: 1m\ndrain_delay: off\nadmin: { bind: [127.0.0.1:9000, 'unix:/tmp/a.sock'], mode: '0600' }\n\
         metrics: { bind: 127.0.0.1:9464 }\nlog: { level: debug, format: json }\n\
         access_log: { format: combined, path: /var/log/isobar.log }\ntrusted_proxies: [10.0.0.0/8, '::1']\n\
         listeners: { web: { bind: 127.0.0.1:0, pool: app } }\npools: { app: { workers: [127.0.0.1:1] } }",
    )
    .config;
    assert_eq!(config.shards, Shards::Count(NonZeroUsize::new(4).unwrap()));
    let unix = AdminBind::Unix { path: "/tmp/a.sock".into(), mode: 0o600 };
    assert_eq!(config.admin, [AdminBind::Tcp("127.0.0.1:9000".parse().unwrap()), unix]);
    assert_eq!(config.metrics, Some("127.0.0.1:9464".parse().unwrap()));
    assert_eq!(config.log, Log { level: LogLevel::Debug, format: LogFormat::Json });
    let path = AccessLogPath::File("/var/log/isobar.log".into());
    assert_eq!(config.access_log, Some(AccessLog { format: AccessLogFormat::Combined, path }));
    let nets = [("10.0.0.0", 8), ("::1", 128)];
    assert_eq!(config.trusted_proxies, nets.map(|(a, len)| Cidr { addr: a.parse().unwrap(), len }));

    let off = good(
        "admin: off\nmetrics: false\naccess_log: off\ntrusted_proxies: off\n\
         listeners: { web: { bind: 127.0.0.1:0, pool: app } }\npools: { app: { workers: [127.0.0.1:1] } }",
    )
    .config;
    assert!(off.admin.is_empty() && off.metrics.is_none() && off.trusted_proxies.is_empty());
}

#[test]
fn what_is_not_built_may_be_off() {
    good(
        "dns: off\nlisteners: { web: { bind: 127.0.0.1:0, pool: app, tls: off, filters: [], proxy_protocol: off } }\n\
         pools: { app: { workers: [127.0.0.1:1], slow_start: 0, panic_below: 0, outlier: false, affinity: off,\n\
         retry_budget: off, warm_up: off, protocol: http1, tls: off, send_proxy_protocol: false } }",
    );
}

#[test]
fn the_environment_fills_scalars_and_never_becomes_yaml() {
    let env = |name: &str| match name {
        "PORT" => Some("8001".to_owned()),
        "SLOTS" => Some("4".to_owned()),
        "YAML" => Some("{ a: b }".to_owned()),
        _ => None,
    };
    let text = "listeners: { web: { bind: '127.0.0.1:${NONE:-0}', pool: app } }\n\
                pools: { app: { slots: ${SLOTS}, workers: [{ address: \"127.0.0.1:${PORT}\", name: 'a$$b' }] } }";
    // A flow collection needs the quotes; a block does not.
    let text = text.replace("${SLOTS}", "'${SLOTS}'");
    let config = load_str_with(&text, &registry(), &env).unwrap().config;
    let worker = &config.pools["app"].workers[0];
    assert_eq!((worker.name.as_str(), worker.slots), ("a$b", NonZeroU32::new(4)));
    assert_eq!(worker.address.to_string(), "127.0.0.1:8001");

    let text = "listeners: { web: { bind: 127.0.0.1:0, pool: app } }\npools:\n  app:\n    workers: [127.0.0.1:1]\n    health: ${YAML}";
    let problems = load_str_with(text, &registry(), &env).unwrap_err().render(Colour::Never);
    assert!(problems.contains("5:13: error: found `${YAML}`"), "{problems}");
    assert!(!problems.contains("a: b"), "the environment is never shown: {problems}");
}

#[test]
fn anchors_and_aliases_are_plain_yaml() {
    let config = good(
        "listeners: { web: { bind: 127.0.0.1:0, pool: a }, x: { bind: 127.0.0.1:0, pool: b } }\n\
         pools:\n  a: &same { workers: [127.0.0.1:1] }\n  b: *same\n",
    )
    .config;
    assert_eq!(config.pools["a"].workers, config.pools["b"].workers);
}

#[test]
fn warnings_do_not_refuse() {
    for (text, warning) in [
        (
            "pools: { app: { workers: [127.0.0.1:1] }, idle: { workers: [127.0.0.1:2] } }",
            "the pool `idle` is never used",
        ),
        ("pools: { app: { workers: [127.0.0.1:1], queue: { max: 5 } } }", "nothing ever queues"),
        (
            "trusted_proxies: [10.1.2.3/8]\npools: { app: { workers: [127.0.0.1:1] } }",
            "bits behind its length",
        ),
        (
            "include: [does-not-exist/*.yaml]\npools: { app: { workers: [127.0.0.1:1] } }",
            "matches no file",
        ),
        (
            "sites: { s: [{ pool: app }] }\npools: { app: { workers: [127.0.0.1:1] } }",
            "the site `s` is never used",
        ),
    ] {
        let loaded =
            good(&format!("{text}\nlisteners: {{ web: {{ bind: 127.0.0.1:0, pool: app }} }}"));
        assert!(loaded.warnings.to_string().contains(warning), "{text}\n{}", loaded.warnings);
        assert_eq!(loaded.warnings.len(), 1);
    }
    let loaded = good(
        "listeners: { web: { bind: 127.0.0.1:0, routes: [{ pool: app }, { pool: b }] } }\n\
         pools: { app: { slots: 1, workers: [127.0.0.1:1] }, b: { slots: 1, workers: [127.0.0.1:1] } }",
    );
    let text = loaded.warnings.to_string();
    assert!(text.contains("the pool `app` has this address too"), "{text}");
    assert!(text.contains("routes before this one take all that it matches"), "{text}");
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("isobar-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(dir.join("conf.d")).unwrap();
        Dir(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn includes_are_merged() {
    let dir = Dir::new("merged");
    let main = dir.write(
        "isobar.yaml",
        "include: [conf.d/*.yaml]\nlisteners: { web: { bind: 127.0.0.1:0, pool: app } }\n",
    );
    dir.write("conf.d/a.yaml", "pools: { app: { workers: [127.0.0.1:1] } }\ninclude: more.yml\n");
    dir.write("conf.d/more.yml", "pools: { b: { workers: [127.0.0.1:2] } }\nshards: 2\n");
    dir.write("conf.d/.hidden.yaml", "broken");
    dir.write("conf.d/b.yaml", "listeners: { x: { bind: 127.0.0.1:0, pool: b } }\n");
    let config = load(&main, &registry()).unwrap_or_else(|p| panic!("{p}")).config;
    assert_eq!(config.summary().to_string(), "2 listeners, 2 routes, 2 pools, 2 workers");
    assert_eq!(config.shards, Shards::Count(NonZeroUsize::new(2).unwrap()));
}

#[test]
fn includes_that_go_wrong_say_where() {
    let dir = Dir::new("wrong");
    let main = dir.write(
        "isobar.yaml",
        "include: [conf.d/*.yaml, gone.yaml, 'c*/x.yaml', conf.d]\nshards: 1\npools: { app: { workers: [127.0.0.1:1] } }\n",
    );
    dir.write(
        "conf.d/a.yaml",
        "include: ../isobar.yaml\nshards: 2\npools: { app: { workers: [127.0.0.1:1] } }\n",
    );
    dir.write("conf.d/b.yaml", "a: [\n");
    let text = load(&main, &registry()).unwrap_err().render(Colour::Never);
    for part in [
        "a.yaml:1:10: error: ",
        "includes itself",
        "a.yaml:2:9: error: `shards` is given in more than one file",
        "a.yaml:3:10: error: found the pool `app` a second time",
        "it is given at",
        "b.yaml:1:4: error: not valid YAML",
        "isobar.yaml:1:26: error: cannot read",
        "isobar.yaml:1:37: error: cannot include `c*/x.yaml`",
        "it is a directory",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
    assert!(!text.contains("found no listener"), "what is missing may only look missing:\n{text}");
}

#[test]
fn proxy_from_flags() {
    let to = ["127.0.0.1:8001".to_owned(), "unix:/run/a.sock".to_owned()];
    let config =
        Config::proxy("127.0.0.1:8080", &to, Some("round_robin"), NonZeroU32::new(2), &registry())
            .unwrap_or_else(|p| panic!("{p}"));
    assert_eq!(config.summary().to_string(), "1 listener, 1 route, 1 pool, 2 workers");
    let pool = &config.pools["app"];
    assert_eq!(pool.strategy.name, "round_robin");
    assert_eq!(pool.queue, Some(Queue { max: 400, timeout: secs(10) }));

    let to = ["127.0.0.1".to_owned(), "http://127.0.0.1:1".to_owned(), "app:0".to_owned()];
    let problems = Config::proxy(":8080", &to, Some("raund_robin"), None, &registry()).unwrap_err();
    let text = problems.render(Colour::Never);
    for part in [
        "--from: error: found `:8080`",
        "--to: error: found `127.0.0.1`",
        "hint: the port is missing",
        "an address has no `http://`",
        "a worker's port is 1 to 65535",
        "--strategy: error: there is no strategy `raund_robin`",
        "did you mean `round_robin`?",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
    assert_eq!(problems.len(), 5, "{text}");
    assert!(Config::proxy("127.0.0.1:1", &[], None, None, &registry()).is_err());
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

/// Two YAML parsers agree on what a good file says.
#[test]
fn the_tree_reads_yaml_as_serde_yaml_does() {
    let text = "listeners:\n  web:\n    bind: 127.0.0.1:0 # here\n    pool: 'a'\npools:\n  a:\n    workers:\n    - 127.0.0.1:1\n    - {address: \"127.0.0.1:2\", name: two}\n";
    let value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let config = good(text).config;
    let pool = &value["pools"]["a"]["workers"];
    assert_eq!(pool[0], config.pools["a"].workers[0].name);
    assert_eq!(pool[1]["address"], config.pools["a"].workers[1].address.to_string());
}

fn only_filter(filter: &str) -> Filter {
    let listener = format!("    bind: 127.0.0.1:0\n    pool: app\n    filters: [ {filter} ]");
    let mut filters = with_listener(&listener).filters;
    assert_eq!(filters.len(), 1, "{filters:?}");
    filters.remove(0)
}

#[test]
fn filters_are_in_the_order_of_the_file_on_listeners_and_routes() {
    let listener = with_listener(
        "    bind: 127.0.0.1:0
    filters: [ { max_body: 1KiB }, { deny: 10.0.0.0/8 }, { deny: [10.0.0.0/8, \"::1\"] } ]
    routes:
      - { pool: app, filters: [ { allow: 127.0.0.1 } ] }
      - { match: { path: /x }, pool: b, filters: off }",
    );
    let net = |addr: &str, len| Cidr { addr: addr.parse().unwrap(), len };
    let ten = net("10.0.0.0", 8);
    assert_eq!(
        listener.filters,
        [Filter::MaxBody(1024), Filter::Deny(vec![ten]), Filter::Deny(vec![ten, net("::1", 128)])]
    );
    let ListenerKind::Http { routes } = listener.kind else { panic!() };
    assert_eq!(routes[0].filters, [Filter::Allow(vec![net("127.0.0.1", 32)])]);
    assert_eq!(routes[1].filters, []);
}

#[test]
fn header_edits_keep_their_spelling() {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let filter = "{ headers: { request: { remove: Cookie, set: { X-Env: prod } },
        response: { remove: [Server, X-Powered-By], add: { Set-Cookie: a=1; b, X-Frame-Options: DENY } } } }";
    let request = FieldEdits {
        remove: vec!["Cookie".to_owned()],
        set: vec![pair("X-Env", "prod")],
        add: vec![],
    };
    let response = FieldEdits {
        remove: vec!["Server".to_owned(), "X-Powered-By".to_owned()],
        set: vec![],
        add: vec![pair("Set-Cookie", "a=1; b"), pair("X-Frame-Options", "DENY")],
    };
    assert_eq!(only_filter(filter), Filter::Headers { request, response });
}

#[test]
fn filters_have_their_defaults() {
    let Filter::RateLimit(limit) = only_filter("{ rate_limit: { rate: 60/m } }") else { panic!() };
    assert_eq!((limit.key, limit.count, limit.unit), (RateKey::ClientIp, 60, secs(60)));
    assert_eq!((limit.burst, limit.keys), (60, 65_536));
    let Filter::Compression(compression) = only_filter("{ compression: {} }") else { panic!() };
    assert_eq!(compression.encodings, [Coding::Zstd, Coding::Br, Coding::Gzip]);
    assert_eq!((compression.min_size, compression.max_active), (1024, 1000));
    assert!(compression.types.iter().any(|kind| kind == "text/*"));
    let Filter::BasicAuth(auth) = only_filter("{ basic_auth: { users: { file: tests/users } } }")
    else {
        panic!()
    };
    let names: Vec<_> = auth.users.iter().map(|user| &*user.name).collect();
    assert_eq!((&names[..], &*auth.realm), (&["ann", "bob"][..], "restricted"));
    assert_eq!(auth.authorization, Forwarding::Remove);
    assert!(!format!("{auth:?}").contains('$'), "{auth:?}");
}
