//! Who gets how much, end to end, with one shard and with four.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{closed_loop, failures, get};
use isobar_tests::origin::{Next, Request, Visit};
use isobar_tests::origin::{Origin, after, raw, respond};

#[test]
fn round_robin_is_exact_over_all_shards() {
    for shards in [1, 4] {
        let origins = instant_origins(4);
        let isobar = start(shards, "round_robin", &plain(&origins));
        let target = isobar.address("web");
        let shots = closed_loop(target, 64, 400, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        let counts = counts(&origins, shots.len());
        println!("round_robin, {shards} shard(s), 64 clients, 400 requests: {counts:?}");
        assert_eq!(counts, [100; 4]);
    }
}

#[test]
fn weighted_is_exact_over_all_shards() {
    for shards in [1, 4] {
        let origins = instant_origins(2);
        let weights = [3, 1];
        let workers: Vec<String> = origins
            .iter()
            .zip(weights)
            .map(|(o, weight)| format!("{{ address: \"{}\", weight: {weight} }}", o.address()))
            .collect();
        let isobar = start(shards, "weighted", &workers.join(", "));
        let target = isobar.address("web");
        let shots = closed_loop(target, 64, 400, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        let counts = counts(&origins, shots.len());
        println!("weighted 3:1, {shards} shard(s), 400 requests: {counts:?}");
        assert_eq!(counts, [300, 100]);
    }
}

#[test]
fn least_connections_follows_the_service_rates() {
    for shards in [1, 4] {
        let rates = [50.0, 50.0, 50.0, 5.0];
        let origins: Vec<Origin> = rates
            .iter()
            .map(|rate| Origin::start(after(Duration::from_secs_f64(1.0 / rate), "ok")))
            .collect();
        let isobar = start(shards, "least_connections", &plain(&origins));
        let total = 7_750;
        let target = isobar.address("web");
        let shots = closed_loop(target, 40, total, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        let counts = counts(&origins, shots.len());
        println!("least_connections, one of four 10 × slower, {shards} shard(s): {counts:?}");
        for (count, rate) in counts.iter().zip(rates) {
            let fair = total as f64 * rate / rates.iter().sum::<f64>();
            let off = (*count as f64 - fair).abs() / fair;
            assert!(off <= 0.20, "{count} instead of {fair:.0} ± 20 %");
        }
    }
}

/// 10,000 clients by their address; then one of four workers is lost.
#[test]
fn ip_hash_keeps_clients_and_moves_few_on_a_loss() {
    const CLIENTS: u32 = 10_000;
    for shards in [1, 4] {
        let origins: Vec<Origin> = (0..4).map(|i| Origin::start(name(i))).collect();
        let isobar = start(shards, "ip_hash", &plain(&origins));
        let target = isobar.address("web");
        let first = ask_from_everywhere(target, CLIENTS);
        let again = ask_from_everywhere(target, 500);
        assert_eq!(first[..500], again[..], "a client stays on its worker");

        let lost = origins[3].address().to_string();
        let change = isobar.command(&["maintenance", "app", &lost]);
        assert!(change.status.success(), "{change:?}");
        wait_for_health(&isobar, &lost, "maintenance");
        let after = ask_from_everywhere(target, CLIENTS);
        let moved = first.iter().zip(&after).filter(|(a, b)| a != b).count();
        println!(
            "ip_hash, {shards} shard(s): {moved} of {CLIENTS} clients moved on a loss of 1 of 4"
        );
        assert!(after.iter().all(|worker| *worker != 3));
        assert!(moved <= CLIENTS as usize * 2 / 4, "{moved} moved");
    }
}

/// The same URI, or the same cookie, goes to the same worker over every shard and connection; who
/// has no cookie goes anywhere.
#[test]
fn hash_keeps_keys_on_their_worker() {
    for shards in [1, 4] {
        for (key, table) in [("uri", "maglev"), ("cookie:sid", "ring"), ("query:u", "rendezvous")] {
            let origins: Vec<Origin> = (0..4).map(|i| Origin::start(name(i))).collect();
            let strategy = format!("{{ hash: {{ key: \"{key}\", table: {table} }} }}");
            let isobar = start(shards, &strategy, &plain(&origins));
            let ask = |connection: &mut Connection, n: usize| {
                let head = format!(
                    "GET /item?u=x{n} HTTP/1.1\r\nHost: test\r\nCookie: a=b; sid={n}\r\n\r\n"
                );
                connection.send(head.as_bytes()).expect("sends");
                let answer = connection.response_to("GET").expect("an answer");
                assert_eq!(answer.status, 200);
                answer.body[0]
            };
            let ask_all = || {
                let mut connection = isobar.open("web");
                (0..300).map(|n| ask(&mut connection, n)).collect::<Vec<_>>()
            };
            let first = ask_all();
            assert!((0..8).all(|_| ask_all() == first), "{key}, {table}: a key stays");
            let mut shares = [0; 4];
            first.iter().for_each(|worker| shares[usize::from(*worker)] += 1);
            println!("hash by {key}, {table}, {shards} shard(s): {shares:?} of 300 keys");
            assert!(shares.iter().all(|share| (30..130).contains(share)), "{shares:?}");
            if key == "cookie:sid" {
                let mut connection = isobar.open("web");
                let anywhere = (0..200).map(|_| connection.get("/").expect("an answer").body[0]);
                let mut shares = [0; 4];
                anywhere.for_each(|worker| shares[usize::from(worker)] += 1);
                assert!(shares.iter().all(|share| (20..90).contains(share)), "{shares:?}");
            }
        }
    }
}

/// 40 clients ask for one and the same thing: with a bound of 1.25 no worker of four ever has more
/// than 13 of them.
#[test]
fn a_bounded_hash_spreads_a_hot_key() {
    for shards in [1, 4] {
        let origins: Vec<Origin> =
            (0..4).map(|_| Origin::start(after(Duration::from_millis(10), "ok"))).collect();
        let strategy = "{ hash: { key: path, bounded: 1.25 } }";
        let isobar = start(shards, strategy, &plain(&origins));
        let shots = closed_loop(isobar.address("web"), 40, 2_000, |_| get("/hot"));
        assert_eq!(failures(&shots, 200), [""; 0]);
        let counts = counts(&origins, shots.len());
        let most: Vec<usize> = origins.iter().map(Origin::most_at_once).collect();
        println!("bounded 1.25, one key, {shards} shard(s): {counts:?}, at once {most:?}");
        assert!(most.iter().all(|&most| most <= 13), "{most:?}");
        assert!(counts.iter().all(|&count| count <= 2_000 * 35 / 100), "{counts:?}");
        let quiet = closed_loop(isobar.address("web"), 1, 50, |_| get("/hot"));
        assert_eq!(failures(&quiet, 200), [""; 0]);
    }
}

/// Five of ten workers answer 500 at once, the others 200 after 20 ms: a strategy that goes by load
/// must not take them for the fastest.
#[test]
fn least_time_and_p2c_do_not_flock_to_fast_errors() {
    for shards in [1, 4] {
        for strategy in ["least_time", "p2c"] {
            let origins: Vec<Origin> = (0..10)
                .map(|i| match i % 2 {
                    0 => Origin::start(after(Duration::from_millis(20), "ok")),
                    _ => Origin::start(raw(respond(500, b"oops"), Next::Keep)),
                })
                .collect();
            let isobar = start(shards, strategy, &plain(&origins));
            let shots = closed_loop(isobar.address("web"), 40, 4_000, |id| get(format!("/{id}")));
            let errors = failures(&shots, 200).len();
            assert!(shots.iter().all(|shot| matches!(shot.result, Ok(200 | 500))));
            let counts = counts(&origins, shots.len());
            println!(
                "{strategy}, {shards} shard(s), five of ten fail fast: {errors} of {} are errors; \
                 {counts:?}",
                shots.len()
            );
            // Their fair share is half of all.
            assert!(errors <= shots.len() / 2, "{errors} of {}", shots.len());
            let fair = shots.len() / 10;
            for failing in counts.iter().skip(1).step_by(2) {
                assert!(*failing <= fair + fair / 10, "{failing}, a fair share is {fair}");
            }
        }
    }
}

/// How many each served; an origin notes a request after it has answered it.
fn counts(origins: &[Origin], total: usize) -> Vec<usize> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let counts: Vec<usize> = origins.iter().map(Origin::served).collect();
        if counts.iter().sum::<usize>() >= total || Instant::now() > until {
            return counts;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Which worker answers a client at 127.1.x.y, for each of them.
fn ask_from_everywhere(target: SocketAddr, clients: u32) -> Vec<u8> {
    let parts = 8;
    let ask_part = |part: u32| {
        let mine = (part..clients).step_by(parts as usize);
        mine.map(|client| (client, ask_from(target, client))).collect::<Vec<_>>()
    };
    let mut answers: Vec<(u32, u8)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..parts).map(|part| scope.spawn(move || ask_part(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("asks")).collect()
    });
    answers.sort_unstable();
    answers.into_iter().map(|(_, worker)| worker).collect()
}

fn ask_from(target: SocketAddr, client: u32) -> u8 {
    let address = Ipv4Addr::from(0x7f01_0000 + 1 + client);
    let kind = (socket2::Domain::IPV4, socket2::Type::STREAM);
    let socket = socket2::Socket::new(kind.0, kind.1, None).expect("a socket");
    socket.bind(&SocketAddr::from((address, 0)).into()).expect("binds a loopback address");
    socket.connect(&target.into()).expect("connects");
    let mut connection = Connection::over(TcpStream::from(socket)).expect("a connection");
    let answer = connection.get("/").expect("an answer");
    assert_eq!(answer.status, 200);
    connection.reset();
    answer.body[0]
}

fn name(number: u8) -> impl Fn(&Request, &mut Visit) -> Next {
    move |_, visit| match visit.write(&respond(200, &[number])) {
        Ok(()) => Next::Keep,
        Err(_) => Next::Close,
    }
}

fn wait_for_health(isobar: &Isobar, worker: &str, wanted: &str) {
    for _ in 0..1_000 {
        if isobar.worker_health("app", worker) == wanted {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("{worker} is not {wanted}: {}", isobar.pool("app"));
}

fn instant_origins(count: usize) -> Vec<Origin> {
    (0..count).map(|_| Origin::start(after(Duration::ZERO, "ok"))).collect()
}

fn plain(origins: &[Origin]) -> String {
    let addresses: Vec<String> = origins.iter().map(|o| o.address().to_string()).collect();
    addresses.join(", ")
}

fn start(shards: usize, strategy: &str, workers: &str) -> Isobar {
    Isobar::start(&format!(
        "shards: {shards}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ strategy: {strategy}, workers: [{workers}] }} }}\n"
    ))
}
