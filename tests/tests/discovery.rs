//! Workers that come and go under load: a file that is swapped in every way, a name whose
//! addresses change. A DNS that fails or lies is in hostile_dns.rs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use isobar_tests::clock;
use isobar_tests::discovery::{config, ip, ips, named, origins};
use isobar_tests::discovery::{wait_for_workers, wait_until, workers};
use isobar_tests::dns::{A, DnsServer, Dnsmasq, NXDOMAIN, SERVFAIL};
use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{Shot, failures, get, open_loop};
use isobar_tests::origin::Origin;

/// A steady load for as long as `meanwhile` takes.
fn under_load(isobar: &Isobar, path: &str, meanwhile: impl FnOnce()) -> Vec<Shot> {
    let web = isobar.address("web");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut shots = Vec::new();
            let arrivals: Vec<f64> = (0..300).map(|i| f64::from(i) / 300.0).collect();
            while !over.load(Ordering::SeqCst) {
                shots.extend(open_loop(web, &arrivals, 8, |_| get(path)));
            }
            shots
        });
        let end = Over(&over);
        meanwhile();
        drop(end);
        load.join().expect("the load")
    })
}

/// Also when a test fails: nobody waits for a load without end.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

// --- a file ------------------------------------------------------------------------------------

#[test]
fn a_file_is_swapped_in_every_way_under_load_with_1_shard() {
    a_file_is_swapped(1);
}

#[test]
fn a_file_is_swapped_in_every_way_under_load_with_4_shards() {
    a_file_is_swapped(4);
}

fn a_file_is_swapped(shards: usize) {
    let (port, _origins) = origins(6);
    let pool = "{ slots: 4, discover: { file: list/workers.yaml }, workers: [127.0.0.7:PORT] }";
    let pool = pool.replace("PORT", &port.to_string());
    let isobar = Isobar::start(&config(shards, "", &[("app", pool)]));
    // Not there at the start, which stops nothing.
    assert!(isobar.wait_to_hear("discovery failed", Duration::from_secs(5)));
    let dir = isobar.file("list");
    let file = dir.join("workers.yaml");
    let list = |lasts: &[u8]| {
        let lines = named(port, lasts).into_iter().map(|worker| format!("- {worker}\n"));
        lines.collect::<String>()
    };
    let becomes = |lasts: &[u8]| {
        let wanted = named(port, &[&[7], lasts].concat());
        wait_for_workers(&isobar, "app", &wanted, Duration::from_secs(2));
    };
    let shots = under_load(&isobar, "/app", || {
        fs::create_dir(&dir).expect("a directory");
        fs::write(&file, list(&[2, 3])).expect("written");
        becomes(&[2, 3]);
        // Renamed over.
        fs::write(dir.join("next"), list(&[3, 4])).expect("written");
        fs::rename(dir.join("next"), &file).expect("renamed");
        becomes(&[3, 4]);
        // What is wrong changes nothing, and is said once.
        fs::write(&file, "- 127.0.0.5:notaport\n").expect("rewritten");
        assert!(isobar.wait_to_hear("notaport", Duration::from_secs(3)));
        becomes(&[3, 4]);
        fs::remove_file(&file).expect("removed");
        fs::create_dir(&file).expect("a directory in its place");
        assert!(isobar.wait_to_hear("it is a directory", Duration::from_secs(3)));
        becomes(&[3, 4]);
        fs::remove_dir(&file).expect("removed");
        // Rewritten in place.
        fs::write(&file, list(&[5])).expect("written");
        becomes(&[5]);
        // As Kubernetes mounts a ConfigMap: the file is a link through a link that is swapped.
        fs::remove_file(&file).expect("removed");
        config_map(&dir, "first", &list(&[2, 6]));
        symlink("..data/workers.yaml", &file).expect("linked");
        becomes(&[2, 6]);
        config_map(&dir, "second", &list(&[3]));
        becomes(&[3]);
    });
    assert_eq!(failures(&shots, 200), [""; 0]);
    assert_eq!(isobar.stderr().lines().filter(|line| line.contains("notaport")).count(), 1);
    println!("{} requests, 0 failed, {shards} shard(s)", shots.len());
}

/// Points `..data` at a new directory, at once.
fn config_map(dir: &Path, version: &str, list: &str) {
    fs::create_dir(dir.join(version)).expect("a directory");
    fs::write(dir.join(version).join("workers.yaml"), list).expect("written");
    symlink(version, dir.join("..data_tmp")).expect("linked");
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("swapped");
}

// --- names -------------------------------------------------------------------------------------

#[test]
fn dn_04_a_changing_set_loses_nothing_with_1_shard() {
    a_changing_set_loses_nothing(1);
}

#[test]
fn dn_04_a_changing_set_loses_nothing_with_4_shards() {
    a_changing_set_loses_nothing(4);
}

/// The real dnsmasq, which says that its answers are good for ten minutes; `resolve.max` is 1 s.
fn a_changing_set_loses_nothing(shards: usize) {
    const WITHIN: f64 = 1.0 + 1.0;
    let (port, origins) = origins(5);
    let test = "discovery (names under load)";
    let Some(dns) = Dnsmasq::start(test, "app.test", &ips(&[2, 3]), 600) else { return };
    let pool = format!(
        "{{ slots: 4, workers: [{{ address: \"app.test:{port}\", resolve: {{ min: 200ms, max: 1s }} }}] }}"
    );
    let top = format!("dns: {{ servers: [{}] }}", dns.address());
    let isobar = Isobar::start(&config(shards, &top, &[("app", pool)]));
    assert_eq!(workers(&isobar, "app"), named(port, &[2, 3]));
    let mut tunnel = tunnel_on(&isobar, &origins[0]);

    let mut slowest: f64 = 0.0;
    let shots = under_load(&isobar, "/app", || {
        for (set, comes, goes) in [(&[3, 4][..], 4, 2), (&[5, 6], 5, 3), (&[2, 3, 4, 5, 6], 3, 0)] {
            let changed = clock::monotonic();
            let newcomer = &origins[usize::from(comes - 2u8)];
            newcomer.clear();
            dns.set("app.test", &ips(set));
            wait_until("the newcomer is used", Duration::from_secs(5), || newcomer.served() > 0);
            slowest = slowest.max(newcomer.log()[0].read_at - changed);
            wait_for_workers(&isobar, "app", &named(port, set), Duration::from_secs(1));
            if goes > 0 {
                let gone = &origins[usize::from(goes - 2u8)];
                // What was under way when it left may still end.
                std::thread::sleep(Duration::from_millis(100));
                gone.clear();
                std::thread::sleep(Duration::from_millis(200));
                assert_eq!(gone.served(), 0, "a worker that left gets nothing new");
            }
        }
    });
    println!(
        "{} requests, {shards} shard(s): a new address was used within {slowest:.2} s",
        shots.len()
    );
    assert_eq!(failures(&shots, 200), [""; 0]);
    assert!(slowest <= WITHIN, "{slowest}");
    // Its worker left, and came back with the tunnel's slot still taken.
    let status = isobar.pool("app");
    assert_eq!(status["workers"][0]["name"], named(port, &[2])[0]);
    assert_eq!(status["workers"][0]["in_flight"], 1);
    tunnel.send(b"ping").expect("the tunnel lives");
    assert_eq!(tunnel.read_exactly(4).expect("the tunnel lives"), b"ping");
}

/// A WebSocket on that worker.
fn tunnel_on(isobar: &Isobar, origin: &Origin) -> Connection {
    for _ in 0..20 {
        let before = origin.connections();
        let mut tunnel = isobar.open("web");
        tunnel
            .send(b"GET /app/ws HTTP/1.1\r\nHost: test.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .expect("sent");
        assert_eq!(tunnel.response_to("GET").expect("an answer").status, 101);
        if origin.connections() > before {
            return tunnel;
        }
    }
    panic!("no tunnel came to {}", origin.address());
}

#[test]
fn a_worker_that_moved_is_found_after_a_refused_connect() {
    let (port, origins) = origins(2);
    let dns = DnsServer::start(|query| vec![query.addresses(&[ip(9)], 600)]);
    let pool =
        format!("{{ workers: [{{ address: \"app.test:{port}\", resolve: {{ max: 600s }} }}] }}");
    let top = format!("dns: {{ servers: [{}] }}", dns.address());
    let isobar = Isobar::start(&config(1, &top, &[("app", pool)]));
    assert_eq!(workers(&isobar, "app"), named(port, &[9]));
    dns.answer(|query| vec![query.addresses(&[ip(3)], 600)]);
    assert_eq!(isobar.open("web").get("/app").expect("an answer").status, 502);
    // The least time between two looks is one second.
    wait_for_workers(&isobar, "app", &named(port, &[3]), Duration::from_secs(2));
    assert_eq!(isobar.open("web").get("/app").expect("an answer").status, 200);
    assert_eq!(origins[1].served(), 1);
}

#[test]
fn names_addresses_and_a_file_are_one_pool() {
    let (port, _origins) = origins(4);
    let dns = DnsServer::start(|query| match query.name.as_str() {
        "one.test" => vec![query.addresses(&ips(&[2, 3]), 1)],
        "two.test" => vec![query.addresses(&ips(&[3, 4]), 1)],
        _ => vec![query.code(NXDOMAIN)],
    });
    let workers_of = |more: &str| {
        let pool = format!(
            "{{ discover: {{ file: more.yaml }}, workers: [one.test:{port}, \"two.test:{port}\", \
             {{ name: big, address: \"127.0.0.5:{port}\", weight: 2 }}{more}] }}"
        );
        let top = format!("dns: {{ servers: [\"{}\"] }}", dns.address());
        config(1, &top, &[("app", pool)])
    };
    let isobar = Isobar::spawn(&workers_of(""), |command| command);
    fs::write(isobar.file("more.yaml"), format!("- 127.0.0.2:{port}\n- gone.test:{port}\n"))
        .expect("written");
    isobar.wait_until_ready();
    let at = |last: u8| SocketAddr::new(ip(last), port).to_string();
    // What is written down goes before what was resolved, the first name before the second.
    let wanted = vec![at(3), at(4), "big".to_owned(), at(2)];
    wait_for_workers(&isobar, "app", &wanted, Duration::from_secs(3));
    let said = isobar.stderr();
    assert!(said.contains("workers named twice") && said.contains("two.test"), "{said}");
    assert!(said.contains("gone.test") && said.contains("no such name"), "{said}");
    let status = String::from_utf8_lossy(&isobar.command(&["status"]).stdout).into_owned();
    assert!(status.contains("one.test: 2 found"), "{status}");
    assert!(status.contains("gone.test: no such name; 0 found before"), "{status}");
    let page = isobar.admin("GET", "/", "").text();
    assert!(page.contains(&at(4)) && page.contains("gone.test"), "{page}");

    // A reload keeps what was found, even where it cannot be found again.
    dns.answer(|query| vec![query.code(SERVFAIL)]);
    fs::write(isobar.file("more.yaml"), "- nonsense").expect("rewritten");
    assert!(isobar.wait_to_hear("nonsense", Duration::from_secs(5)));
    isobar.rewrite(&workers_of(&format!(", 127.0.0.1:{port}")));
    assert!(isobar.command(&["reload"]).status.success());
    let mut more = wanted;
    more.insert(3, SocketAddr::new(ip(1), port).to_string());
    assert_eq!(workers(&isobar, "app"), more);
    // `check` reads the file of workers, too.
    let check = isobar.command(&["check", "-c", "isobar.yaml"]);
    assert_eq!(check.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&check.stderr).contains("more.yaml:1:3"), "{check:?}");
}

#[test]
fn the_hosts_file_goes_before_the_dns() {
    let (port, _origins) = origins(1);
    let dns = DnsServer::start(|query| vec![query.addresses(&[ip(9)], 1)]);
    let top = format!("dns: {{ servers: [{}] }}", dns.address());
    let pool = format!("{{ workers: [localhost:{port}] }}");
    let isobar = Isobar::start(&config(1, &top, &[("app", pool)]));
    let found = workers(&isobar, "app");
    assert!(found.contains(&format!("127.0.0.1:{port}")), "{found:?}");
    assert_eq!(dns.asked("localhost", A), 0);
}
