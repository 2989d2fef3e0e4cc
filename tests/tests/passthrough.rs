//! TLS that is passed on by the host it is for: nobody between client and worker reads it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use isobar_tests::isobar::Isobar;
use isobar_tests::scratch::Scratch;
use isobar_tests::tls::{Authority, Client, TLS12, TLS13, Wanted, serve};
use rustls::pki_types::ServerName;

const WITHIN: Duration = Duration::from_secs(10);

/// Three workers with certificates of their own, each of which says who it is.
struct Workers {
    authority: Authority,
    addresses: [SocketAddr; 3],
    _files: Scratch,
}

impl Workers {
    fn start() -> Workers {
        let (files, authority) = (Scratch::new(), Authority::new("root"));
        let worker = |name: &'static str, names: &[&str]| {
            let wanted = Wanted { names, ..Wanted::default() };
            serve(&authority.issue(files.path(), name, &wanted), move |stream| {
                let mut heard = [0; 64];
                while let Ok(read @ 1..) = stream.read(&mut heard) {
                    let _ = stream.write_all(name.as_bytes());
                    let _ = stream.write_all(&heard[..read]);
                }
            })
        };
        let all = ["a.test", "x.star.test", "other.test"];
        let addresses =
            [worker("exact", &["a.test"]), worker("star", &["*.star.test"]), worker("rest", &all)];
        Workers { authority, addresses, _files: files }
    }

    fn isobar(&self, shards: usize, others: &str) -> Isobar {
        let [exact, star, rest] = self.addresses;
        Isobar::start(&format!(
            "shards: {shards}\naccess_log: {{ path: ./access.log }}\nlisteners:\n  web:\n    \
             bind: 127.0.0.1:0\n    protocol: tcp\n    timeouts: {{ handshake: 2s }}\n    \
             sni: {{ a.test: exact, \"*.star.test\": star{others} }}\n\
             pools:\n  exact: {{ workers: [\"{exact}\"] }}\n  star: {{ workers: [\"{star}\"] }}\n  \
             rest: {{ workers: [\"{rest}\"] }}\n"
        ))
    }
}

const REST: &str = ", \"*\": rest";

#[test]
fn a_host_leads_to_its_pool() {
    let workers = Workers::start();
    for shards in [1, 4] {
        let isobar = workers.isobar(shards, REST);
        for version in [&TLS12, &TLS13] {
            for (name, expected) in [
                ("a.test", "exact"),
                ("A.Test", "exact"),
                ("x.star.test", "star"),
                ("other.test", "rest"),
            ] {
                let client = Client::with(&workers.authority, None, &[version]);
                let mut open = client.open(isobar.address("web"), name).expect("a session");
                open.send(b"!").expect("sends");
                let heard = open.read_exactly(expected.len() + 1).expect("an answer");
                assert_eq!(String::from_utf8_lossy(&heard), format!("{expected}!"), "{name}");
            }
        }
    }
}

/// TL-11: a hello in pieces of any size finds its way; what is none goes to the default, or is told so.
#[test]
fn tl_11_a_hello_may_come_in_pieces() {
    let workers = Workers::start();
    let hello = hello(&workers.authority, "a.test");
    assert!(hello.len() > 1_400, "{} bytes: the post-quantum key is in it", hello.len());
    let isobar = workers.isobar(1, "");
    for piece in [1, 2, 7, 600, hello.len()] {
        let mut socket = TcpStream::connect(isobar.address("web")).expect("connects");
        socket.set_nodelay(true).expect("set");
        socket.set_read_timeout(Some(WITHIN)).expect("set");
        for piece in hello.chunks(piece) {
            socket.write_all(piece).expect("sends");
        }
        let mut record = [0; 1];
        socket.read_exact(&mut record).expect("a worker's answer");
        assert_eq!(record[0], 22, "a handshake record");
    }
    // Nobody's name, and no TLS at all.
    let nobody = stray_hello(&workers.authority);
    let large = [&[22, 3, 1, 0x40, 0][..], &[1, 0, 0xff, 0xff], &[7; 20_000]].concat();
    for bytes in [&nobody[..], b"GET / HTTP/1.1\r\n\r\n", &[0; 100], &large] {
        let mut socket = TcpStream::connect(isobar.address("web")).expect("connects");
        socket.set_read_timeout(Some(WITHIN)).expect("set");
        // It may have heard enough before the end.
        let _ = socket.write_all(bytes);
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer);
        assert_eq!(answer, [21, 3, 3, 0, 2, 2, 112], "unrecognized_name");
    }
    assert!(isobar.wait_to_hear("no pool for the name \"nobody.test\"", WITHIN));
    let isobar = workers.isobar(1, REST);
    let mut socket = TcpStream::connect(isobar.address("web")).expect("connects");
    socket.set_read_timeout(Some(WITHIN)).expect("set");
    socket.write_all(&nobody).expect("sends");
    let mut record = [0; 1];
    socket.read_exact(&mut record).expect("the default's answer");
    assert_eq!(record[0], 22);
}

/// Who says nothing is gone after `timeouts.handshake`; with a default it is the default's to wait.
#[test]
fn tl_11_silence_is_waited_for_only_so_long() {
    let workers = Workers::start();
    let isobar = workers.isobar(1, "");
    let began = Instant::now();
    let mut socket = TcpStream::connect(isobar.address("web")).expect("connects");
    socket.set_read_timeout(Some(WITHIN)).expect("set");
    assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
    assert!(began.elapsed() >= Duration::from_secs(1) && began.elapsed() < Duration::from_secs(5));
}

fn hello(authority: &Authority, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let config = Client::of(authority).0;
    let mut session = rustls::ClientConnection::new(config, name).expect("a session");
    let mut hello = Vec::new();
    session.write_tls(&mut hello).expect("into memory");
    hello
}

/// For a host that no pool is for.
fn stray_hello(authority: &Authority) -> Vec<u8> {
    hello(authority, "nobody.test")
}
