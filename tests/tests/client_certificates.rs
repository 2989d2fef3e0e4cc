//! TLS in: what clients must show, and that nothing gets past it.

use std::time::Duration;

use isobar_tests::http::Connection;
use isobar_tests::origin::{Origin, after};
use isobar_tests::tls::site::{Site, files, s_client_asks, start};
use isobar_tests::tls::{Authority, Client, Pair, TLS12, TLS13, Wanted};

/// TL-06: nobody gets in without a good certificate where one is required.
#[test]
fn tl_06_clients_show_certificates() {
    let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
    let (pair, root) = (site.issue("a", &["a.test"]), site.root());
    let stranger = Authority::new("another root");
    let client =
        |name, expired, client| Wanted { names: name, expired, client, ..Wanted::default() };
    let issue =
        |authority: &Authority, name, wanted| authority.issue(site.files.path(), name, &wanted);
    let good = issue(&site.authority, "good", client(&["ann"], false, true));
    let bad = [
        issue(&site.authority, "expired", client(&["ann"], true, true)),
        issue(&site.authority, "server", client(&["ann"], false, false)),
        issue(&stranger, "stranger", client(&["ann"], false, true)),
    ];
    for mode in ["required", "optional"] {
        let tls = format!(
            "{{ certificates: [{}], client_auth: {mode}, client_ca: {root} }}",
            files(&pair)
        );
        let isobar = start(1, &origin, &tls, "");
        for versions in [[&TLS12], [&TLS13]] {
            let ask = |shows: Option<&Pair>| {
                let client = Client::with(&site.authority, shows, &versions);
                client.open(isobar.address("web"), "a.test").and_then(|mut open| open.get("/"))
            };
            assert_eq!(ask(Some(&good)).expect("an answer").status, 200);
            assert_eq!(ask(None).is_ok(), mode == "optional", "{mode} {versions:?}");
            for pair in &bad {
                assert!(ask(Some(pair)).is_err(), "{} {mode}", pair.cert.display());
            }
        }
        assert_eq!(origin.served(), if mode == "required" { 2 } else { 4 });
        origin.clear();
    }
}

/// TL-05: what one name demands is passed by no other name's handshake, session or ticket.
#[test]
fn tl_05_a_policy_is_never_passed_by_another_name() {
    for versions in [[&TLS12], [&TLS13]] {
        for shards in [1, 4] {
            let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
            let (open, closed) =
                (site.issue("open", &["open.test"]), site.issue("shut", &["shut.test"]));
            let tls = format!(
                "{{ certificates: [{}, {{ cert: {}, key: {}, client_auth: required, client_ca: {} }}] }}",
                files(&open),
                closed.cert.display(),
                closed.key.display(),
                site.root()
            );
            let isobar = start(shards, &origin, &tls, "");
            let address = isobar.address("web");
            let client = Client::with(&site.authority, None, &versions);
            let ask = |connection: &mut Connection, host: &str| {
                connection.ask(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            };
            let mut connection = client.open(address, "open.test").expect("a session");
            assert_eq!(ask(&mut connection, "open.test").status, 200);
            for host in ["shut.test", "SHUT.test.", "shut.test:443"] {
                let mut connection = client.open(address, "open.test").expect("a session");
                let answer = ask(&mut connection, host);
                let said = (answer.status, answer.header("x-isobar-reason"));
                assert_eq!(said, (421, Some("misdirected")), "{host}");
            }
            // The session of the open name is offered to the closed one.
            let session = site.files.file("session").display().to_string();
            let version = if *versions[0] == TLS12 { "-tls1_2" } else { "-tls1_3" };
            let ask = |name: &str, how: &str| {
                let arguments = [version, "-servername", name, how, &session, "-ign_eof"];
                let said = s_client_asks(&isobar, &arguments, name);
                String::from_utf8_lossy(&said.stdout).into_owned()
            };
            let first = ask("open.test", "-sess_out");
            assert!(first.contains("New, TLSv1") && first.contains("\ngood"), "{first}");
            let again = ask("open.test", "-sess_in");
            assert!(again.contains("Reused, TLSv1") && again.contains("\ngood"), "{again}");
            let stolen = ask("shut.test", "-sess_in");
            assert!(!stolen.contains("Reused") && !stolen.contains("good"), "{stolen}");
            let closed = client.open(address, "shut.test").and_then(|mut open| open.get("/"));
            assert!(closed.is_err(), "it shows no certificate");
            assert_eq!(origin.served(), 3);
        }
    }
}
