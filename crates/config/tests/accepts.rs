//! What a good file means: defaults, short forms, warnings.

mod kit;

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use isobar_config::model::*;
use isobar_config::{Colour, Config, Loaded, load_str};
use kit::{good, registry, with_listener};

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
                buffer: RouteBuffer::default(),
            }),
            filters: vec![],
            ambiguous_paths: None,
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
        [Worker {
            name: "127.0.0.1:8001".into(),
            address,
            weight: None,
            slots: None,
            tunnels: None,
            tier: 0
        }]
    );
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
    assert_eq!(r.action, Action::Pool(to_app(timeouts)));
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
    assert_eq!(routes[0].action, Action::Pool(to_app(timeouts)));
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
fn warnings_do_not_refuse() {
    for (text, warning) in [
        (
            "pools: { app: { workers: [127.0.0.1:1] }, idle: { workers: [127.0.0.1:2] } }",
            "the pool `idle` is never used",
        ),
        (
            "pools: { app: { workers: [127.0.0.1:1], queue: { max: 5, hold: 0s } } }",
            "nothing ever queues",
        ),
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

fn to_app(timeouts: RouteTimeouts) -> Destination {
    Destination { pool: "app".into(), timeouts, buffer: RouteBuffer::default() }
}
