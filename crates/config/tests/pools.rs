//! Pools in their forms.

mod kit;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use isobar_config::model::*;
use isobar_config::{Colour, load_str, load_str_with};
use kit::{good, registry};

fn with_pool(pool: &str) -> Pool {
    let text =
        format!("listeners: {{ web: {{ bind: 127.0.0.1:0, pool: app }} }}\npools:\n  app:\n{pool}");
    good(&text).config.pools["app"].clone()
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

#[test]
fn slots_bring_a_queue_and_buffers() {
    let pool = with_pool(
        "    slots: 2\n    workers: [127.0.0.1:1, { address: 'unix:/run/b.sock', slots: 3, weight: 7, tier: 1, name: big }, { address: 127.0.0.1:3, slots: off }]",
    );
    assert_eq!(pool.queue, Some(Queue { max: 500, timeout: secs(10) }));
    assert_eq!(pool.buffer, Buffer { request: 65_536, response: 65_536 });
    let slots: Vec<_> = pool.workers.iter().map(|w| w.slots.map(NonZeroU32::get)).collect();
    assert_eq!(slots, [Some(2), Some(3), None]);
    let big = &pool.workers[1];
    assert_eq!((big.name.as_str(), big.tier, big.weight), ("big", 1, NonZeroU32::new(7)));
    assert_eq!(big.address.to_string(), "unix:/run/b.sock");

    let pool =
        with_pool("    slots: 2\n    workers: [127.0.0.1:1]\n    queue: off\n    buffer: false");
    assert_eq!((pool.queue, pool.buffer), (None, Buffer { request: 0, response: 0 }));
    let pool = with_pool(
        "    slots: 2\n    workers: [127.0.0.1:1]\n    queue: { timeout: 1s }\n    buffer: { request: off, spill: false }",
    );
    assert_eq!(pool.queue, Some(Queue { max: 200, timeout: secs(1) }));
    assert_eq!(pool.buffer, Buffer { request: 0, response: 65_536 });
}

#[test]
fn tunnels_are_counted_apart_where_that_is_said() {
    let pool = with_pool(
        "    slots: { requests: 2, tunnels: 50 }\n    workers: [127.0.0.1:1, { address: 127.0.0.1:2, slots: 3 }, \
         { address: 127.0.0.1:3, slots: { requests: 1, tunnels: 7 } }, { address: 127.0.0.1:4, slots: off }]",
    );
    let of = |w: &Worker| (w.slots.map(NonZeroU32::get), w.tunnels.map(NonZeroU32::get));
    let limits: Vec<_> = pool.workers.iter().map(of).collect();
    assert_eq!(limits, [(Some(2), Some(50)), (Some(3), None), (Some(1), Some(7)), (None, None)]);
    assert_eq!((pool.slots, pool.tunnels), (NonZeroU32::new(2), NonZeroU32::new(50)));
    assert_eq!(pool.queue.map(|queue| queue.max), Some(600), "100 for each slot");
    assert_eq!(pool.overflow, OnOff::Off);
    let spilling = "    slots: 1\n    overflow: on\n    workers: [127.0.0.1:1, { address: 127.0.0.1:2, tier: 1 }]";
    assert_eq!(with_pool(spilling).overflow, OnOff::On);
}

#[test]
fn health_in_its_forms() {
    let health =
        |text: &str| with_pool(&format!("    workers: [127.0.0.1:1]\n    health: {text}")).health;
    assert_eq!(health("off"), None);
    assert_eq!(
        health("{ tcp: {}, rise: 1 }"),
        Some(Health {
            check: Check::Tcp,
            interval: secs(2),
            timeout: secs(1),
            rise: 1,
            fall: 3,
            busy_limit: secs(60),
        })
    );
    let http = health("{ http: { path: /h, expect: [200, 300-399], host: App, port: 9000 } }");
    assert_eq!(
        http.unwrap().check,
        Check::Http {
            path: "/h".into(),
            expect: vec![200..=200, 300..=399],
            host: Some("app".into()),
            port: Some(9000)
        }
    );
    let http = health("{ http: { path: /h, port: 0 }, interval: 500ms }").unwrap();
    assert_eq!(http.interval, Duration::from_millis(500));
    assert_eq!(
        http.check,
        Check::Http { path: "/h".into(), expect: vec![200..=299], host: None, port: None }
    );
}

#[test]
fn the_workers_life() {
    let pool = |text: &str| with_pool(&format!("    workers: [127.0.0.1:1]\n    {text}"));
    for (text, outlier) in [
        ("strategy: round_robin", Some(Outlier::default())),
        ("outlier: off\n    warm_up: false\n    slow_start: off", None),
    ] {
        let pool = pool(text);
        assert_eq!((pool.outlier, pool.warm_up), (outlier, None));
        assert_eq!((pool.panic_below, pool.slow_start), (0, secs(0)));
    }
    assert_eq!(pool("outlier: {}").outlier, Some(Outlier::default()));
    // The check that is on by default stays in force beside others.
    let default = Outlier::default();
    assert_eq!((default.transport_failures, default.consecutive_failures), (5, 0));
    let beside = pool("outlier: { consecutive_failures: 3 }").outlier;
    assert_eq!(beside, Some(Outlier { consecutive_failures: 3, ..default }));
    let given = pool(
        "outlier: { transport_failures: off, failures: { count: 4, within: 500ms }, consecutive_failures: off, gateway_failures: 3, failure_rate: 12.5%, window: 1m, min_requests: 5, base_ejection: 10m, max_ejected: 10% }",
    );
    assert_eq!(
        given.outlier,
        Some(Outlier {
            transport_failures: 0,
            consecutive_failures: 0,
            gateway_failures: 3,
            failures: Some(Burst { count: 4, within: Duration::from_millis(500) }),
            failure_rate: 125,
            window: secs(60),
            min_requests: 5,
            base_ejection: secs(600),
            longest_ejection: secs(600),
            max_ejected: 100,
        })
    );
    for (text, thousandths) in [("0", 0), ("0%", 0), ("off", 0), ("50%", 500), ("100%", 1000)] {
        assert_eq!(pool(&format!("panic_below: {text}")).panic_below, thousandths);
    }
    assert_eq!(pool("slow_start: 30s").slow_start, secs(30));
    let warm_up = |text: &str| pool(&format!("warm_up: {{ {text} }}")).warm_up.unwrap();
    let one = warm_up("requests: /warm");
    assert_eq!((&one.requests[..], one.count), (&["/warm".to_owned()][..], 1));
    assert_eq!((one.timeout, one.host), (secs(30), None));
    let more = warm_up("requests: [/a, /b], count: 3, timeout: 5s, host: app");
    assert_eq!((more.requests.len(), more.count), (2, 3));
    assert_eq!((more.timeout, more.host.as_deref()), (secs(5), Some("app")));
    let health = pool("health: { tcp: {}, busy_limit: 5s }").health.unwrap();
    assert_eq!(health.busy_limit, secs(5));
}

#[test]
fn strategies() {
    let strategy = |text: &str| {
        with_pool(&format!("    workers: [127.0.0.1:1]\n    strategy: {text}")).strategy
    };
    assert_eq!(strategy("round_robin").name, "round_robin");
    assert_eq!(strategy("{ round_robin: }").options, BTreeMap::new());
    assert_eq!(strategy("{ round_robin: {} }").options, BTreeMap::new());
    let with = strategy("{ ip_hash: { bounded: 1.25, table: maglev } }");
    let options = [("bounded", "1.25"), ("table", "maglev")].map(|(k, v)| (k.into(), v.into()));
    assert_eq!(with.options, options.into());
}

#[test]
fn a_retry_budget_is_a_share() {
    let budget = |text: &str| {
        let pool = with_pool(&format!("    workers: [127.0.0.1:1]\n{text}"));
        pool.retry_budget.map(NonZeroU32::get)
    };
    assert_eq!(budget(""), Some(200));
    for (text, thousandths) in
        [("20%", Some(200)), ("12.5%", Some(125)), ("100%", Some(1000)), ("off", None)]
    {
        assert_eq!(budget(&format!("    retry_budget: {text}")), thousandths, "{text}");
    }
}

#[test]
fn an_idle_time_is_learned_unless_given() {
    let idle = |text: &str| with_pool(&format!("    workers: [127.0.0.1:1]\n{text}")).keep_alive;
    assert_eq!(idle("    keep_alive: { max_idle: 3 }").idle, IdleTime::Learned);
    assert_eq!(idle("    keep_alive: { idle: 4s }").idle, IdleTime::Fixed(secs(4)));
}

#[test]
fn affinity() {
    let affinity = |text: &str| {
        with_pool(&format!("    workers: [127.0.0.1:1]\n    affinity: {text}")).affinity
    };
    let plain = Affinity {
        cookie: "isobar_app".into(),
        same_site: SameSite::Lax,
        secure: SecureCookie::Auto,
        max_age: secs(0),
        domain: None,
        path: "/".into(),
        wait: secs(1),
        on_lost: OnLost::Rebalance,
        secret: None,
    };
    assert_eq!(affinity("off"), None);
    assert_eq!(affinity("{}"), Some(plain.clone()));
    let given = affinity("{ cookie: srv, wait: off, on_lost: fail }");
    let wanted = Affinity { cookie: "srv".into(), wait: secs(0), on_lost: OnLost::Fail, ..plain };
    assert_eq!(given, Some(wanted.clone()));
    let given = affinity(
        "{ cookie: srv, wait: off, on_lost: fail, same_site: none, secure: on, max_age: 1h, domain: Example.com, path: /app }",
    );
    let wanted = Affinity {
        same_site: SameSite::None,
        secure: SecureCookie::On,
        max_age: secs(3600),
        domain: Some("example.com".into()),
        path: "/app".into(),
        ..wanted
    };
    assert_eq!(given, Some(wanted));
    for (terms, message) in [
        ("same_site: none", "found `same_site: none` without `secure: on`"),
        ("same_site: none, secure: off", "found `same_site: none` without `secure: on`"),
        ("same_site: some", "expected one of lax, strict, none"),
        ("secure: always", "expected one of auto, on, off"),
        ("path: app", "expected a path that begins with `/`"),
        ("path: '/a; Secure'", "expected a path"),
        ("path: '/a;b'", "expected a path without `;`"),
        ("domain: 'a b'", "expected a host without port"),
        ("max_age: 5", "5s"),
    ] {
        let text = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, pool: app }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1], affinity: {{ {terms} }} }} }}"
        );
        let shown = load_str(&text, &registry()).unwrap_err().render(Colour::Never);
        assert!(shown.contains(message), "{terms}: {shown}");
    }
}

/// The first line of the file, or the variable; and never a word of it in a message.
#[test]
fn secrets() {
    let dir = std::env::temp_dir().join(format!("isobar-secrets-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let (good_file, short) = (dir.join("good"), dir.join("short"));
    std::fs::write(&good_file, "0123456789abcdef\nmore\n").unwrap();
    std::fs::write(&short, "hunter2\n").unwrap();
    let text = |secret: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, pool: app }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1], affinity: {{ secret: {secret} }} }} }}"
        )
    };
    let load = |secret: &str| {
        let env = |name: &str| match name {
            "LONG" => Some("0123456789abcdef0".to_owned()),
            "SHORT" => Some("hunter2".to_owned()),
            _ => None,
        };
        load_str_with(&text(secret), &registry(), &env)
    };
    let secret = |given: &str| {
        let loaded = load(given).unwrap_or_else(|p| panic!("{}", p.render(Colour::Never)));
        let pool = &loaded.config.pools["app"];
        assert!(!format!("{pool:?}").contains("0123"), "{pool:?}");
        pool.affinity.clone().and_then(|affinity| affinity.secret).map(|Secret(bytes)| bytes)
    };
    let file = |path: &std::path::Path| format!("{{ file: {} }}", path.display());
    assert_eq!(secret(&file(&good_file)).as_deref(), Some(&b"0123456789abcdef"[..]));
    assert_eq!(secret("{ env: LONG }").as_deref(), Some(&b"0123456789abcdef0"[..]));
    for (given, part) in [
        (file(&short), "found a secret of 7 bytes"),
        (file(&dir), "it is a directory"),
        (file(&dir.join("none")), "cannot read the secret"),
        ("{ env: SHORT }".to_owned(), "at least 16 bytes on its first line"),
        ("{ env: NONE }".to_owned(), "the environment variable `NONE` is not set"),
        ("{}".to_owned(), "found no secret"),
        ("{ env: LONG, file: /x }".to_owned(), "found both `file` and `env`"),
        ("hunter2hunter2hunter2".to_owned(), "a secret: a map of file, env"),
    ] {
        let shown = load(&given).unwrap_err().render(Colour::Never);
        assert!(shown.contains(part), "{given}\n{shown}");
        let source = shown.lines().filter(|line| !line.starts_with("2 |"));
        let told: Vec<&str> = source.collect();
        assert!(!told.join("").contains("hunter2 "), "{shown}");
    }
    std::fs::remove_dir_all(&dir).unwrap();
}

/// A TCP connection has an address and nothing else to go by.
#[test]
fn a_pool_for_tcp_has_a_key_that_tcp_has() {
    let text = |key: &str| {
        format!(
            "listeners: {{ db: {{ bind: 127.0.0.1:0, protocol: tcp, pool: app }} }}\n\
             pools: {{ app: {{ strategy: {{ hash: {{ key: {key} }} }}, workers: [127.0.0.1:1] }} }}"
        )
    };
    good(&text("client_ip"));
    let affinity = text("client_ip").replace("workers:", "affinity: {}, workers:");
    let shown = load_str(&affinity, &registry()).unwrap_err().render(Colour::Never);
    assert!(shown.contains("`affinity` goes by what only HTTP requests have"), "{shown}");
    let problems = load_str(&text("uri"), &registry()).unwrap_err();
    let shown = problems.render(Colour::Never);
    assert!(shown.contains("2:42: error: `hash` goes by"), "{shown}");
    assert!(shown.contains("the listener `db` uses this pool for TCP"), "{shown}");
    assert_eq!(problems.len(), 1, "{shown}");
}

#[test]
fn a_spill_is_on_or_off_or_says_where() {
    let spill = |text: &str| {
        with_pool(&format!(
            "    slots: 1\n    workers: [127.0.0.1:1]\n    buffer: {{ spill: {text} }}"
        ))
        .spill
    };
    assert_eq!((spill("off"), spill("false")), (None, None));
    assert_eq!(spill("true"), Some(Spill { dir: None, max: 1 << 30, total: None }));
    assert_eq!(
        spill("{ dir: /var/tmp, max: 1MiB, total: 1GiB }"),
        Some(Spill { dir: Some("/var/tmp".into()), max: 1 << 20, total: Some(1 << 30) })
    );
    let pool = |text: &str| {
        let listeners = "listeners: { web: { bind: 127.0.0.1:0, pool: app } }";
        format!("{listeners}\npools: {{ app: {{ workers: [127.0.0.1:1], {text} }} }}")
    };
    let off = good(&pool("slots: 1, buffer: { request: off, response: off, spill: true }"));
    assert!(off.warnings.to_string().contains("nothing is ever spilled here"));
}

/// On wherever slots are, and an error where none are.
#[test]
fn buffers_need_slots() {
    let by_default = |pool: &str| with_pool(pool).spill;
    let spill = Some(Spill { dir: None, max: 1 << 30, total: None });
    assert_eq!(by_default("    slots: 1\n    workers: [127.0.0.1:1]"), spill);
    assert_eq!(by_default("    workers: [{ address: 127.0.0.1:1, slots: 1 }]"), spill);
    assert_eq!(by_default("    workers: [127.0.0.1:1]"), None);
    assert_eq!(by_default("    slots: 1\n    workers: [127.0.0.1:1]\n    buffer: off"), None);
    let bad = |text: &str| load_str(text, &registry()).unwrap_err().render(Colour::Never);
    let file = |pool: &str, route: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, routes: [{{ pool: app{route} }}] }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1]{pool} }} }}"
        )
    };
    for buffer in ["{ request: 1KiB }", "{ spill: true }", "{ response: off }"] {
        let text = bad(&file(&format!(", buffer: {buffer}"), ""));
        assert!(text.contains("`buffer` has no effect in a pool without slots"), "{text}");
        assert!(text.contains("`slots:` in the pool"), "{text}");
    }
    let text = bad(&file("", ", buffer: { request: 1KiB }"));
    assert!(text.contains("`buffer` has no effect: the pool `app` has no slots"), "{text}");
    // What is off has no effect, and says so.
    good(&file(", buffer: off", ""));
    good(&file("", ", buffer: { request: off, response: off }"));
    let route = good(&file(", slots: 1", ", buffer: { request: off, response: 1KiB }"));
    let ListenerKind::Http { routes } = &route.config.listeners["web"].kind else { panic!() };
    let Action::Pool(to) = &routes[0].action else { panic!() };
    assert_eq!(to.buffer, RouteBuffer { request: Some(0), response: Some(1024) });
    // A file of workers may bring slots.
    good(
        "listeners: { web: { bind: 127.0.0.1:0, pool: app } }\n\
         pools: { app: { discover: { file: workers.yaml }, buffer: { request: 1KiB } } }",
    );
}
