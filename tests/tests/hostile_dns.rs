//! A DNS that fails or lies (rows DN) takes no worker away, and gives none that nobody asked for.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use isobar_tests::discovery::{config, ip, ips, named, origins};
use isobar_tests::discovery::{wait_for_workers, wait_until, workers};
use isobar_tests::dns::{A, AAAA, CHAOS, DnsServer, IN, NXDOMAIN, Query, Reply};
use isobar_tests::dns::{Replies, SERVFAIL, Transport};
use isobar_tests::isobar::Isobar;

/// One pool per case: its name is `CASE.test`.
fn hostile(cases: &[&str], port: u16, resolve: &str, dns: &DnsServer) -> Isobar {
    let pools: Vec<(&str, String)> = cases
        .iter()
        .map(|case| {
            let address = format!("address: \"{case}.test:{port}\"");
            (*case, format!("{{ workers: [{{ {address}, resolve: {{ {resolve} }} }}] }}"))
        })
        .collect();
    let top = format!("dns: {{ servers: [{}] }}", dns.address());
    Isobar::start(&config(1, &top, &pools))
}

fn failing(isobar: &Isobar, pool: &str) -> bool {
    isobar.metrics().sum("isobar_pool_discovery_failing", &[("pool", pool)]) > 0.0
}

#[test]
fn dn_01_no_failure_takes_a_worker_away() {
    let cases = ["nxdomain", "servfail", "empty", "silence"];
    let (port, _origins) = origins(2);
    let good = |query: &Query| vec![query.addresses(&ips(&[2, 3]), 1)];
    let dns = DnsServer::start(good);
    let isobar = hostile(&cases, port, "min: 100ms, max: 400ms", &dns);
    for case in cases {
        assert_eq!(workers(&isobar, case), named(port, &[2, 3]), "{case}");
    }
    dns.answer(|query| match query.name.as_str() {
        "nxdomain.test" => vec![query.code(NXDOMAIN)],
        "servfail.test" => vec![query.code(SERVFAIL)],
        "empty.test" => vec![query.addresses(&[], 1)],
        _ => Vec::new(),
    });
    for case in cases {
        wait_until(case, Duration::from_secs(8), || failing(&isobar, case));
    }
    for case in cases {
        assert_eq!(workers(&isobar, case), named(port, &[2, 3]), "{case}");
        assert_eq!(isobar.open("web").get(&format!("/{case}")).expect("an answer").status, 200);
        let labels = [("pool", case)];
        assert!(isobar.metrics().sum("isobar_pool_discovery_failures_total", &labels) >= 1.0);
        // Once, not at every look.
        let line = format!("source=\"{case}.test\"");
        assert_eq!(
            isobar.stderr().lines().filter(|said| said.contains(&line)).count(),
            1,
            "{case}"
        );
    }
    dns.answer(good);
    for case in cases {
        wait_until(case, Duration::from_secs(8), || !failing(&isobar, case));
    }
}

#[test]
fn dn_02_a_ttl_is_believed_within_bounds() {
    let (port, _origins) = origins(2);
    let ttl = |query: &Query| if query.name == "zero.test" { 0 } else { i32::MAX as u32 };
    let dns = DnsServer::start(move |query| vec![query.addresses(&[ip(2)], ttl(query))]);
    let isobar = hostile(&["zero", "huge"], port, "min: 500ms, max: 1s", &dns);
    let before = dns.asked("zero.test", A);
    std::thread::sleep(Duration::from_millis(1_600));
    let looks = dns.asked("zero.test", A) - before;
    assert!((2..=4).contains(&looks), "{looks} looks in 1.6 s at a floor of 0.5 s");
    dns.answer(move |query| vec![query.addresses(&[ip(3)], ttl(query))]);
    for case in ["zero", "huge"] {
        wait_for_workers(&isobar, case, &named(port, &[3]), Duration::from_secs(2));
    }
}

#[test]
fn dn_03_what_is_no_answer_is_ignored() {
    let cases = ["id", "question", "class", "records", "elsewhere"];
    let all = [&cases[..], &["foreign"]].concat();
    let (port, _origins) = origins(1);
    let evil = [127, 0, 0, 66];
    let dns = DnsServer::start(move |query| {
        let mut forged = Reply::to(query);
        forged.record(&query.name, A, IN, 600, &evil);
        match query.name.as_str() {
            "id.test" => forged.id ^= 1,
            "question.test" => {
                forged = Reply::to(query);
                forged.name = "other.test".to_owned();
                forged.record("other.test", A, IN, 600, &evil);
            }
            "class.test" => forged.class = CHAOS,
            "records.test" => {
                // The right answer, and records that nobody asked for beside it.
                forged = Reply::to(query);
                forged.record("elsewhere.test", A, IN, 600, &evil);
                if query.kind == A {
                    forged.record(&query.name, A, IN, 600, &[127, 0, 0, 2]);
                }
                return vec![forged.bytes()];
            }
            "foreign.test" => {
                let mut foreign = Reply::to(query);
                foreign.record(&query.name, A, CHAOS, 600, &evil);
                return vec![foreign.bytes()];
            }
            _ => {
                // Not from the server that was asked.
                let spoofer = UdpSocket::bind("127.0.0.1:0").expect("a socket");
                spoofer.send_to(&forged.bytes(), query.client).expect("sent");
                return vec![query.addresses(&[ip(2)], 1)];
            }
        }
        vec![forged.bytes(), query.addresses(&[ip(2)], 1)]
    });
    let isobar = hostile(&all, port, "min: 100ms, max: 200ms", &dns);
    let until = Instant::now() + Duration::from_secs(1);
    while Instant::now() < until {
        for case in cases {
            assert_eq!(workers(&isobar, case), named(port, &[2]), "{case}");
        }
        assert_eq!(workers(&isobar, "foreign"), [""; 0]);
    }
}

#[test]
fn dn_05_endless_and_broken_answers_are_bounded() {
    let cases = ["many", "thousand", "pointer", "loop", "chain", "garbage"];
    let (port, _origins) = origins(1);
    let dns = DnsServer::start(broken);
    let isobar = hostile(&cases, port, "min: 100ms, max: 300ms", &dns);
    // Truncated over UDP, whole over TCP.
    wait_until("512 addresses", Duration::from_secs(10), || workers(&isobar, "many").len() == 512);
    wait_until("a bound", Duration::from_secs(10), || workers(&isobar, "thousand").len() == 512);
    for case in ["pointer", "loop", "chain", "garbage"] {
        wait_until(case, Duration::from_secs(10), || failing(&isobar, case));
        assert_eq!(workers(&isobar, case), [""; 0], "{case}");
    }
    let before = dns.asked_in_all();
    std::thread::sleep(Duration::from_secs(1));
    let asked = dns.asked_in_all() - before;
    assert!(asked < 1_000, "{asked} questions in a second");
    // Whoever recovers is used.
    dns.answer(|query| vec![query.addresses(&[ip(2)], 1)]);
    for case in cases {
        wait_for_workers(&isobar, case, &named(port, &[2]), Duration::from_secs(8));
        assert_eq!(isobar.open("web").get(&format!("/{case}")).expect("an answer").status, 200);
    }
}

fn broken(query: &Query) -> Replies {
    let lots = |count: u16| {
        let ip = |n: u16| IpAddr::V4(Ipv4Addr::new(127, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]));
        (1..=count).map(ip).collect::<Vec<_>>()
    };
    let mut reply = Reply::to(query);
    match (query.name.as_str(), query.kind, query.transport) {
        (_, AAAA, _) if query.name.starts_with("many") || query.name.starts_with("thousand") => {
            vec![query.addresses(&[], 1)]
        }
        ("many.test" | "thousand.test", _, Transport::Udp) => vec![query.truncated()],
        ("many.test", _, Transport::Tcp) => vec![query.addresses(&lots(512), 1)],
        ("thousand.test", _, Transport::Tcp) => vec![query.addresses(&lots(1000), 1)],
        ("pointer.test", ..) => {
            // An owner that points at itself: the record begins where the question ends.
            let at = 12 + query.name.len() + 2 + 4;
            let to_itself = (0xc000 | u16::try_from(at).expect("small")).to_be_bytes();
            reply.raw_record(&to_itself, A, IN, 1, &[127, 0, 0, 66]);
            vec![reply.bytes()]
        }
        ("loop.test", ..) => vec![query.alias("pool.test")],
        ("pool.test", ..) => vec![query.alias("loop.test")],
        ("garbage.test", ..) => {
            let mut bytes = reply.bytes();
            bytes.truncate(7);
            vec![bytes]
        }
        (name, ..) => {
            // A chain without end: every name is the next one's alias.
            let link = name.split('.').next().and_then(|label| label.parse::<u64>().ok());
            vec![query.alias(&format!("{}.chain.test", link.unwrap_or(0) + 1))]
        }
    }
}
