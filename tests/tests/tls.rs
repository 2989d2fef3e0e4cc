//! TLS in: certificates by name, what clients must show, files that are replaced, and the life of a
//! connection, with real clients (curl, OpenSSL, Python's ssl) and one that can do what they cannot.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, echo, respond, websocket};
use isobar_tests::tls::site::{Site, config, files, one, s_client, start};
use isobar_tests::tls::{Client, Pair, RSA, TLS12, TLS13, Wanted};
use isobar_tests::wait;
use rustix::process::Signal;

fn handshakes(isobar: &Isobar, version: &str, result: &str) -> f64 {
    let labels = [("listener", "web"), ("version", version), ("result", result)];
    isobar.metrics().sum("isobar_tls_handshakes_total", &labels)
}

/// The names of the certificate that the client was shown.
fn shown(connection: &Connection) -> Vec<u8> {
    connection.session().peer_certificates().expect("a certificate")[0].to_vec()
}

fn der(pair: &Pair) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_file(&pair.cert).expect("PEM").to_vec()
}

#[test]
fn both_versions_are_spoken_and_the_worker_is_told() {
    for shards in [1, 4] {
        let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
        let isobar = start(shards, &origin, &one(&site.issue("a", &["a.test"])), "");
        for (version, label) in [(&TLS12, "1.2"), (&TLS13, "1.3")] {
            let client = Client::with(&site.authority, None, &[version]).forgetful();
            let mut connection = client.open(isobar.address("web"), "a.test").expect("a session");
            for _ in 0..3 {
                assert_eq!(connection.get("/").expect("an answer").text(), "good");
            }
            assert_eq!(handshakes(&isobar, label, "full"), 1.0);
        }
        for record in origin.log() {
            let request = record.request;
            assert_eq!(request.header("x-forwarded-proto"), Some("https"));
        }
    }
}

/// TL-02: exact names go before names with a star, in any spelling; the others get the first one.
#[test]
fn tl_02_certificates_are_chosen_by_name() {
    let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
    let first = site.issue("first", &["first.test"]);
    let exact = site.issue("exact", &["exact.star.test"]);
    let starred = site.issue("starred", &["*.star.test"]);
    let certificates = [&first, &exact, &starred].map(files).join(", ");
    let tls = format!("{{ certificates: [{certificates}] }}");
    let isobar = start(1, &origin, &tls, "");
    let address = isobar.address("web");
    for (name, pair) in [
        ("first.test", &first),
        ("exact.star.test", &exact),
        ("EXACT.star.Test", &exact),
        ("any.star.test", &starred),
    ] {
        let connection = site.client().open(address, name).expect("a session");
        assert_eq!(shown(&connection), der(pair), "{name}");
    }
    // Not good for these names, so that only a client that does not look gets through.
    let root = site.root();
    for name in ["other.test", "a.b.star.test", ""] {
        let named = if name.is_empty() { vec!["-noservername"] } else { vec!["-servername", name] };
        let said = s_client(&isobar, &[&named[..], &["-CAfile", &root]].concat());
        let subject = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(subject.contains("subject=CN = first"), "{name}: {subject}");
    }
    let tls = format!("{{ certificates: [{certificates}], unknown_name: reject }}");
    let isobar = start(1, &origin, &tls, "");
    for name in ["other.test", "a.b.star.test"] {
        let said = s_client(&isobar, &["-servername", name, "-CAfile", &root]);
        let said = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(said.contains("unrecognized name"), "{name}: {said}");
    }
    assert!(isobar.wait_to_hear("no certificate for the name \"other.test\"", WITHIN));
    site.client().open(isobar.address("web"), "any.star.test").expect("a session");
    assert_eq!(handshakes(&isobar, "", "refused"), 2.0);
}

const WITHIN: Duration = Duration::from_secs(10);

/// Of two certificates for one name a client gets the one that it can use.
#[test]
fn an_rsa_client_gets_the_rsa_certificate() {
    let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
    let ecdsa = site.issue("ecdsa", &["a.test"]);
    let rsa = Wanted { key: RSA, ..Wanted::default() };
    let rsa = site.authority.issue(site.files.path(), "rsa", &rsa);
    let tls = format!("{{ certificates: [{}, {}] }}", files(&ecdsa), files(&rsa));
    let isobar = start(1, &origin, &tls, "");
    for (arguments, name) in [
        (&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"][..], "rsa"),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], "ecdsa"),
        (&["-tls1_3", "-sigalgs", "rsa_pss_rsae_sha256"], "rsa"),
        (&["-tls1_3"], "ecdsa"),
    ] {
        let said = s_client(&isobar, &[&["-servername", "a.test"], arguments].concat());
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains(&format!("subject=CN = {name}")), "{arguments:?}: {said}");
    }
}

/// TL-03, TL-04: what we do not speak is refused, and said.
#[test]
fn tl_03_tl_04_what_is_not_spoken_is_refused() {
    let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
    let pair = site.issue("a", &["a.test"]);
    let tls = format!("{{ certificates: [{}], min_version: 1.3 }}", files(&pair));
    let (both, newest) = (start(1, &origin, &one(&pair), ""), start(1, &origin, &tls, ""));
    let refused = |isobar: &Isobar, arguments: &[&str], words: &str| {
        let said = s_client(isobar, &[&["-servername", "a.test"], arguments].concat());
        assert!(!said.status.success(), "{arguments:?}");
        assert!(isobar.wait_to_hear(words, WITHIN), "{arguments:?}: {}", isobar.stderr());
    };
    refused(&both, &["-alpn", "h3"], "other protocols than are spoken here");
    let old = ["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"];
    refused(&both, &old, "no version of TLS that is allowed here");
    refused(&newest, &["-tls1_2"], "no version of TLS that is allowed here");
    for alpn in ["http/1.1", "h2,http/1.1"] {
        let said = s_client(&both, &["-servername", "a.test", "-alpn", alpn]);
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(said.contains("ALPN protocol: http/1.1"), "{said}");
    }
    let mut sslv2 = TcpStream::connect(both.address("web")).expect("connects");
    sslv2.write_all(b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10").expect("sends");
    let mut rest = Vec::new();
    let _ = sslv2.read_to_end(&mut rest);
    assert!(rest.len() <= 7, "an alert at most: {rest:?}");
}

#[test]
fn a_client_that_speaks_http_is_told_so() {
    let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
    let isobar = start(1, &origin, &one(&site.issue("a", &["a.test"])), "");
    let answer = isobar.open("web").get("/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-isobar-reason")), (400, Some("tls_handshake")));
    assert!(answer.text().contains("https://"), "{}", answer.text());
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(origin.served(), 0);
}

/// SL-04, TL-08: who says nothing, or drips, is gone after `timeouts.handshake`; who is only slow is
/// served.
#[test]
fn sl_04_tl_08_slow_handshakes() {
    let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
    let timeouts = "    timeouts: { handshake: 2s }\n";
    let isobar = start(1, &origin, &one(&site.issue("a", &["a.test"])), timeouts);
    let hello = hello_of(&site);
    let mut waiting: Vec<TcpStream> = Vec::new();
    for bytes in [0, 1, 5, hello.len() - 1] {
        let mut socket = TcpStream::connect(isobar.address("web")).expect("connects");
        socket.write_all(&hello[..bytes]).expect("sends");
        waiting.push(socket);
    }
    // Byte by byte, within the time.
    let mut dripping = TcpStream::connect(isobar.address("web")).expect("connects");
    dripping.set_nodelay(true).expect("set");
    for byte in &hello {
        dripping.write_all(&[*byte]).expect("sends");
    }
    let mut first = [0; 5];
    dripping.read_exact(&mut first).expect("a record");
    assert_eq!(first[0], 22, "a handshake record");
    let began = Instant::now();
    for socket in &mut waiting {
        socket.set_read_timeout(Some(WITHIN)).expect("set");
        let mut rest = Vec::new();
        let _ = socket.read_to_end(&mut rest);
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    let timed_out = || (handshakes(&isobar, "", "timeout") >= 4.0).then_some(());
    wait::until(timed_out);
    wait::until(|| {
        let open = isobar.metrics().sum("isobar_connections_active", &[("listener", "web")]);
        (open <= 1.0).then_some(())
    });
}

/// A ClientHello as it goes over the wire.
fn hello_of(site: &Site) -> Vec<u8> {
    use rustls::{ClientConnection, pki_types::ServerName};
    let name = ServerName::try_from("a.test").expect("a name");
    let mut session = ClientConnection::new(site.client().0, name).expect("a session");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("into memory");
    hello
}

/// A session is taken up again, also after a reload that does not concern it.
#[test]
fn sessions_are_taken_up_again() {
    for (versions, label) in [([&TLS12], "1.2"), ([&TLS13], "1.3")] {
        let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
        let isobar = start(1, &origin, &one(&site.issue("a", &["a.test"])), "");
        let client = Client::with(&site.authority, None, &versions);
        for round in 0..3 {
            let mut connection = client.open(isobar.address("web"), "a.test").expect("a session");
            assert_eq!(connection.get("/").expect("an answer").status, 200);
            if round == 1 {
                let reloaded = isobar.admin("POST", "/v1/reload", "{}");
                assert_eq!(reloaded.status, 200, "{}", reloaded.text());
            }
        }
        assert_eq!(
            (handshakes(&isobar, label, "full"), handshakes(&isobar, label, "resumed")),
            (1.0, 2.0)
        );
    }
}

/// TL-01: certificates that are replaced on disk are served within two seconds, no handshake fails, and
/// a bad file keeps the old pair.
#[test]
fn tl_01_certificates_are_replaced_under_load() {
    for shards in [1, 4] {
        let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
        let pair = site.issue("a", &["a.test"]);
        let isobar = start(shards, &origin, &one(&pair), "");
        let address = isobar.address("web");
        let (stop, done, failed) =
            (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            // However this ends, the clients end with it.
            let _stopping = Stopping(&stop);
            for _ in 0..4 {
                scope.spawn(|| {
                    let client = site.client().forgetful();
                    while !stop.load(Ordering::Relaxed) {
                        let answer =
                            client.open(address, "a.test").and_then(|mut open| open.get("/"));
                        match answer.is_ok_and(|answer| answer.status == 200) {
                            true => done.fetch_add(1, Ordering::Relaxed),
                            false => failed.fetch_add(1, Ordering::Relaxed),
                        };
                    }
                });
            }
            let mut old = site.client().open(address, "a.test").expect("a session");
            for round in 0..3 {
                let before = der(&pair);
                let fresh = site.issue(&format!("new{round}"), &["a.test"]);
                replace(&fresh.cert, &pair.cert);
                replace(&fresh.key, &pair.key);
                let began = Instant::now();
                wait::until(|| {
                    let open = site.client().open(address, "a.test").expect("a session");
                    (shown(&open) != before).then_some(())
                });
                let took = began.elapsed();
                println!("{shards} shard(s): the new certificate was served after {took:.1?}");
                assert!(took < Duration::from_secs(2), "{took:?}");
            }
            let good = der(&pair);
            std::fs::write(&pair.cert, "-----BEGIN CERTIFICATE-----\nnonsense\n").expect("writes");
            assert!(isobar.wait_to_hear("what was read before is served on", WITHIN));
            let current = || isobar.metrics().sum("isobar_tls_certificates_current", &[]);
            assert_eq!(current(), 0.0);
            let open = site.client().open(address, "a.test").expect("a session");
            assert_eq!(shown(&open), good);
            assert_eq!(
                isobar.admin("POST", "/v1/reload", "{}").status,
                422,
                "a reload says so, too"
            );
            assert_eq!(old.get("/").expect("old sessions live").status, 200);
        });
        let (done, failed) = (done.into_inner(), failed.into_inner());
        println!("{shards} shard(s): {done} handshakes, {failed} failed");
        assert!(failed == 0 && done > 100, "{done} {failed}");
    }
}

struct Stopping<'a>(&'a AtomicBool);

impl Drop for Stopping<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// As certbot does it: another file under the name.
fn replace(from: &Path, to: &Path) {
    std::fs::rename(from, to).expect("renamed");
}

/// Large bodies both ways, through pieces of every size, to readers that are slow.
#[test]
fn large_bodies_go_through_whole() {
    const SIZE: usize = 8 << 20;
    let body: Vec<u8> = (0..SIZE).map(|at| ((at * 31) >> 3) as u8).collect();
    let sent = body.clone();
    let origin = Origin::start(move |request, visit| {
        assert_eq!(request.body.len(), if request.method == "POST" { SIZE } else { 0 });
        assert!(request.body.is_empty() || request.body == sent);
        let _ = visit.write(&respond(200, &sent));
        Next::Keep
    });
    for shards in [1, 4] {
        let site = Site::new();
        let isobar = start(shards, &origin, &one(&site.issue("a", &["a.test"])), "");
        for version in [&TLS12, &TLS13] {
            let client = Client::with(&site.authority, None, &[version]);
            let mut connection = client.open(isobar.address("web"), "a.test").expect("a session");
            for method in ["POST", "GET", "POST"] {
                let question = if method == "POST" { &body[..] } else { b"" };
                let answer = connection.request(method, "/", question).expect("an answer");
                assert!(answer.body == body, "{method}");
            }
        }
    }
}

/// TL-10: who closes without saying so has left; an answer that is cut off looks like it.
#[test]
fn tl_10_ends_are_told_from_accidents() {
    let (site, cut) = (Site::new(), AtomicBool::new(false));
    let cut = std::sync::Arc::new(cut);
    let cuts = cut.clone();
    let origin = Origin::start(move |_, visit| {
        let length = if cuts.load(Ordering::SeqCst) { "Content-Length: 10\r\n" } else { "" };
        let _ = visit
            .write(format!("HTTP/1.1 200 OK\r\n{length}Connection: close\r\n\r\nhello").as_bytes());
        Next::Close
    });
    let isobar = start(1, &origin, &one(&site.issue("a", &["a.test"])), "");
    let ask = || {
        let mut connection =
            site.client().open(isobar.address("web"), "a.test").expect("a session");
        connection.send(b"GET / HTTP/1.0\r\nHost: a.test\r\n\r\n").expect("sends");
        connection.read_to_end()
    };
    let whole = ask().expect("it ends with close_notify");
    assert!(whole.ends_with(b"hello"), "{}", String::from_utf8_lossy(&whole));
    cut.store(true, Ordering::SeqCst);
    let error = ask().expect_err("it was cut off");
    assert!(
        matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
        "{error}"
    );
}

#[test]
fn websockets_and_drains_work_over_tls() {
    for shards in [1, 4] {
        let (site, origin) = (
            Site::new(),
            Origin::start(|request, visit| match request.target.as_str() {
                "/ws" => websocket(request, visit),
                _ => echo(request, visit),
            }),
        );
        let mut isobar = start(shards, &origin, &one(&site.issue("a", &["a.test"])), "");
        let address = isobar.address("web");
        let mut socket = site.client().open(address, "a.test").expect("a session");
        let answer = socket.ask(
            "GET /ws HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        );
        assert_eq!(answer.status, 101);
        for piece in [1, 100, 40_000] {
            let bytes = vec![b'x'; piece];
            socket.send(&bytes).expect("sends");
            assert_eq!(socket.read_exactly(piece).expect("echoed"), bytes);
        }
        drop(socket);
        let mut idle = site.client().open(address, "a.test").expect("a session");
        assert_eq!(idle.get("/").expect("an answer").status, 200);
        isobar.signal(Signal::TERM);
        // It is told that this is the end.
        assert_eq!(idle.read_to_end().expect("close_notify"), b"");
        assert!(isobar.wait(WITHIN).expect("it ends").success());
    }
}

/// TLS in front of any protocol.
#[test]
fn tcp_listeners_end_tls_as_well() {
    for shards in [1, 4] {
        let site = Site::new();
        let origin = Origin::visits(|visit| {
            while let Ok(bytes) = visit.read_some() {
                if bytes.is_empty() || visit.write(&bytes).is_err() {
                    break;
                }
            }
            let _ = visit.write(b"bye");
        });
        let pair = site.issue("a", &["a.test"]);
        let tcp = config(shards, &origin, &one(&pair), "    protocol: tcp\n");
        let isobar = Isobar::start(&tcp);
        for version in [&TLS12, &TLS13] {
            let client = Client::with(&site.authority, None, &[version]);
            let mut connection = client.open(isobar.address("web"), "a.test").expect("a session");
            let bytes: Vec<u8> = (0..3_000_000_usize).map(|at| (at >> 5) as u8).collect();
            for piece in [1, 17_000, 300_000, bytes.len()] {
                connection.send(&bytes[..piece]).expect("sends");
                assert!(connection.read_exactly(piece).expect("echoed") == bytes[..piece]);
            }
        }
    }
}

/// What people have: curl, and Python's ssl.
#[test]
fn curl_and_python_are_served() {
    let (site, origin) = (Site::new(), Origin::start(after(Duration::ZERO, "good")));
    let isobar = start(1, &origin, &one(&site.issue("a", &["a.test"])), "");
    let (address, root) = (isobar.address("web"), site.root());
    let url = format!("https://a.test:{}/", address.port());
    for versions in [&["--tls-max", "1.2"][..], &["--tlsv1.3"]] {
        let resolve = format!("a.test:{}:127.0.0.1", address.port());
        let said = Command::new("curl")
            .args(["-sS", "--cacert", &root, "--resolve", &resolve])
            .args(versions)
            .args([&url, &url])
            .output()
            .expect("curl");
        let errors = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(String::from_utf8_lossy(&said.stdout), "goodgood", "{errors}");
    }
    let script = format!(
        "import http.client, socket, ssl\n\
         context = ssl.create_default_context(cafile={root:?})\n\
         plain = socket.create_connection(('127.0.0.1', {}))\n\
         connection = http.client.HTTPSConnection('a.test', context=context)\n\
         connection.sock = context.wrap_socket(plain, server_hostname='a.test')\n\
         for _ in range(3):\n    connection.request('GET', '/')\n    \
         print(connection.getresponse().read().decode())\n",
        address.port()
    );
    let said = Command::new("python3").args(["-c", &script]).output().expect("python3");
    let errors = String::from_utf8_lossy(&said.stderr).into_owned();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "good\ngood\ngood\n", "{errors}");
}
