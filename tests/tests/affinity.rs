//! Clients that come back to their worker by a cookie, end to end, with one shard and with four.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isobar_tests::http::{Connection, Response};
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, Request, Visit, respond};

/// A client with its cookies, as a browser has them.
struct Client {
    connection: Connection,
    cookie: Option<String>,
}

impl Client {
    fn new(isobar: &Isobar) -> Client {
        Client { connection: isobar.open("web"), cookie: None }
    }

    fn ask(&mut self, lines: &str) -> Response {
        let cookie =
            self.cookie.as_ref().map(|value| format!("Cookie: a=1; isobar_app={value}; b=2\r\n"));
        let cookie = cookie.unwrap_or_default();
        let request = format!("GET / HTTP/1.1\r\nHost: test\r\n{cookie}{lines}\r\n");
        self.connection.send(request.as_bytes()).expect("sends");
        let answer = self.connection.response_to("GET").expect("an answer");
        if let Some(told) = answer.header("set-cookie") {
            let value = told.strip_prefix("isobar_app=").and_then(|rest| rest.split(';').next());
            self.cookie = Some(value.expect("ours").to_owned());
        }
        answer
    }

    fn worker(&mut self) -> u8 {
        let answer = self.ask("");
        assert_eq!(answer.status, 200, "{:?}", answer.headers);
        answer.body[0]
    }
}

#[test]
fn a_client_keeps_its_worker_over_reloads_and_is_told_once() {
    for shards in [1, 4] {
        let origins: Vec<Origin> = (0..4).map(|i| Origin::start(numbered(i))).collect();
        let config = config(shards, &origins, "affinity: {}");
        let isobar = Isobar::start(&config);
        let mut client = Client::new(&isobar);
        let answer = client.ask("");
        let told = answer.header("set-cookie").expect("a new client is told").to_owned();
        let value = client.cookie.clone().expect("a value");
        assert_eq!(told, format!("isobar_app={value}; Path=/; HttpOnly; SameSite=Lax"));
        assert!(!told.contains(&origins[0].address().port().to_string()) || value.len() == 32);
        assert_eq!(answer.header("cache-control"), Some("private"));
        let home = answer.body[0];
        for round in 0..40 {
            if round % 10 == 0 {
                let reload = isobar.command(&["reload"]);
                assert!(reload.status.success(), "{reload:?}");
            }
            // Each time another connection, and so another shard.
            client.connection = isobar.open("web");
            let answer = client.ask("");
            assert_eq!(answer.body[0], home, "{shards} shard(s), round {round}");
            assert!(answer.header("set-cookie").is_none(), "told twice");
        }
        // The worker sees the other cookies only, and one who forges ours is a stranger.
        let log = origins[usize::from(home - b'0')].log();
        let seen = log.last().expect("a request").request.header("cookie").map(str::to_owned);
        assert_eq!(seen.as_deref(), Some("a=1; b=2"));
        client.cookie = Some(format!("{}0", &value[..31]));
        if client.cookie.as_ref() != Some(&value) {
            assert!(client.ask("").header("set-cookie").is_some());
        }
        // Behind a proxy that speaks HTTPS and is trusted the cookie is for HTTPS.
        client.cookie = None;
        let secure = client.ask("X-Forwarded-Proto: https\r\n");
        assert!(secure.header("set-cookie").is_some_and(|told| told.ends_with("; Secure")));
    }
}

/// Two pools on one host do not move each other's clients.
#[test]
fn each_pool_has_a_cookie_of_its_own() {
    for shards in [1, 4] {
        let origins: Vec<Origin> = (0..8).map(|i| Origin::start(numbered(i))).collect();
        let addresses: Vec<String> = origins.iter().map(|o| o.address().to_string()).collect();
        let isobar = Isobar::start(&format!(
            "shards: {shards}\n\
             listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [\
             {{ match: {{ path_prefix: /a }}, pool: one.a }}, {{ pool: two-b }}] }} }}\n\
             pools:\n  one.a: {{ strategy: random, workers: [{}], affinity: {{}} }}\n\
             \x20 two-b: {{ strategy: random, workers: [{}], affinity: {{ max_age: 1h, path: /, \
             domain: example.com, same_site: strict, secure: on }} }}\n",
            addresses[..4].join(", "),
            addresses[4..].join(", ")
        ));
        let mut connection = isobar.open("web");
        let (mut jar, mut homes) = (Vec::new(), Vec::new());
        for round in 0..20 {
            for (at, path) in ["/a", "/b"].into_iter().enumerate() {
                let cookies = jar.join("; ");
                let answer = connection
                    .ask(&format!("GET {path} HTTP/1.1\r\nHost: h\r\nCookie: {cookies}\r\n\r\n"));
                let told = answer.header("set-cookie");
                assert_eq!(told.is_some(), round == 0, "{round} {path}: {told:?}");
                if let Some(told) = told {
                    let (pair, attributes) = told.split_once("; ").expect("attributes");
                    let (name, wanted) = [
                        ("isobar_one.a=", "Path=/; HttpOnly; SameSite=Lax"),
                        (
                            "isobar_two-b=",
                            "Path=/; Domain=example.com; Max-Age=3600; HttpOnly; SameSite=Strict; Secure",
                        ),
                    ][at];
                    assert!(pair.starts_with(name), "{told}");
                    assert_eq!(attributes, wanted);
                    jar.push(pair.to_owned());
                    homes.push(answer.body[0]);
                }
                assert_eq!(answer.body[0], homes[at]);
            }
        }
    }
}

/// Two processes that share a secret know each other's cookies.
#[test]
fn a_shared_secret_is_a_shared_memory() {
    let origins: Vec<Origin> = (0..4).map(|i| Origin::start(numbered(i))).collect();
    let config = config(1, &origins, "affinity: { secret: { env: SECRET } }");
    let start = || {
        let isobar =
            Isobar::spawn(&config, |command| command.env("SECRET", "correct horse battery staple"));
        isobar.wait_until_ready();
        isobar
    };
    let (one, other) = (start(), start());
    for _ in 0..8 {
        let mut client = Client::new(&one);
        let home = client.worker();
        client.connection = other.open("web");
        let answer = client.ask("");
        assert_eq!((answer.body[0], answer.header("set-cookie")), (home, None));
    }
}

/// One whose worker is killed, and one whose worker is drained, go on without a failure.
#[test]
fn a_killed_and_a_drained_worker_are_left_without_a_failure() {
    for shards in [1, 4] {
        let mut origins: Vec<Option<Origin>> =
            (0..4).map(|i| Some(Origin::start(numbered(i)))).collect();
        let all: Vec<&Origin> = origins.iter().flatten().collect();
        let addresses: Vec<String> = all.iter().map(|o| o.address().to_string()).collect();
        let isobar = Isobar::start(&config_of(shards, &addresses, "affinity: {}"));
        let mut clients: Vec<Client> = (0..24).map(|_| Client::new(&isobar)).collect();
        let homes: Vec<u8> = clients.iter_mut().map(Client::worker).collect();
        let (killed, drained) = (homes[0], *homes.iter().find(|h| **h != homes[0]).expect("two"));
        let stop = AtomicBool::new(false);
        let asked = std::thread::scope(|scope| {
            let threads: Vec<_> = clients
                .iter_mut()
                .map(|client| {
                    scope.spawn(|| {
                        let mut asked = 0;
                        while !stop.load(Ordering::SeqCst) {
                            client.worker();
                            asked += 1;
                        }
                        asked
                    })
                })
                .collect();
            std::thread::sleep(Duration::from_millis(100));
            origins[usize::from(killed - b'0')] = None;
            let change = isobar.command(&["drain", "app", &addresses[usize::from(drained - b'0')]]);
            assert!(change.status.success(), "{change:?}");
            std::thread::sleep(Duration::from_millis(300));
            stop.store(true, Ordering::SeqCst);
            threads.into_iter().map(|thread| thread.join().expect("no failure")).sum::<usize>()
        });
        let now: Vec<u8> = clients.iter_mut().map(Client::worker).collect();
        let again: Vec<u8> = clients.iter_mut().map(Client::worker).collect();
        println!("affinity, {shards} shard(s): {asked} requests, 0 failed, a kill and a drain");
        assert_eq!(now, again, "each has a worker of its own again");
        for (before, after) in homes.iter().zip(&now) {
            assert!(![killed, drained].contains(after));
            let stays = ![killed, drained].contains(before);
            assert!(!stays || before == after, "it had no reason to move");
        }
    }
}

/// A worker of one slot is busy: its client waits for it, for `wait`, though others are free.
#[test]
fn a_busy_worker_is_waited_for_as_long_as_told() {
    for (on_lost, status) in [("rebalance", 200), ("fail", 503)] {
        let origins: Vec<Origin> = (0..3).map(|i| Origin::start(slow_if_asked(i))).collect();
        let terms = format!("slots: 1, affinity: {{ wait: 300ms, on_lost: {on_lost} }}");
        let isobar = Isobar::start(&config(4, &origins, &terms));
        let mut client = Client::new(&isobar);
        let home = client.worker();
        let cookie = client.cookie.clone();
        let busy_for = |millis: u32| {
            let mut other = Client { connection: isobar.open("web"), cookie: cookie.clone() };
            std::thread::spawn(move || other.ask(&format!("X-Busy: {millis}\r\n")).status)
        };
        let until_busy = || {
            let patience = Instant::now() + Duration::from_secs(5);
            while isobar.pool("app")["workers"]
                .as_array()
                .is_none_or(|all| all.iter().all(|worker| worker["in_flight"] == 0))
            {
                assert!(Instant::now() < patience, "nobody is busy");
            }
        };
        let short = busy_for(100);
        until_busy();
        assert_eq!(client.worker(), home, "it came free in time");
        assert_eq!(short.join().expect("answered"), 200);

        let long = busy_for(900);
        until_busy();
        let begin = Instant::now();
        let answer = client.ask("");
        let waited = begin.elapsed();
        assert_eq!(answer.status, status, "{:?}", answer.headers);
        let range = Duration::from_millis(250)..Duration::from_millis(800);
        assert!(range.contains(&waited), "{on_lost}: waited {waited:?}");
        match on_lost {
            "fail" => assert_eq!(answer.header("x-isobar-reason"), Some("queue_timeout")),
            _ => assert!(answer.body[0] != home && answer.header("set-cookie").is_some()),
        }
        assert_eq!(long.join().expect("answered"), 200);
    }
}

fn numbered(number: u8) -> impl Fn(&Request, &mut Visit) -> Next {
    move |_, visit| match visit.write(&respond(200, &[b'0' + number])) {
        Ok(()) => Next::Keep,
        Err(_) => Next::Close,
    }
}

fn slow_if_asked(number: u8) -> impl Fn(&Request, &mut Visit) -> Next {
    let answer = numbered(number);
    move |request, visit| {
        let busy = request.header("x-busy").and_then(|millis| millis.parse().ok());
        std::thread::sleep(Duration::from_millis(busy.unwrap_or(0)));
        answer(request, visit)
    }
}

fn config(shards: usize, origins: &[Origin], pool: &str) -> String {
    let addresses: Vec<String> = origins.iter().map(|o| o.address().to_string()).collect();
    config_of(shards, &addresses, pool)
}

fn config_of(shards: usize, addresses: &[String], pool: &str) -> String {
    format!(
        "shards: {shards}\ntrusted_proxies: 127.0.0.1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ strategy: random, workers: [{}], {pool} }} }}\n",
        addresses.join(", ")
    )
}
