//! The PROXY protocol in, by hand and from a real HAProxy: who is believed, and what is turned away.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after};
use isobar_tests::scratch::Scratch;
use isobar_tests::sockets::free_address;
use isobar_tests::tls::{Authority, Client, Wanted};
use isobar_tests::wait;

const WITHIN: Duration = Duration::from_secs(10);

fn start(shards: usize, origin: &Origin, trusted: &str, listener: &str) -> Isobar {
    let worker = origin.address();
    Isobar::start(&format!(
        "shards: {shards}\naccess_log: {{ path: ./access.log }}\ntrusted_proxies: [{trusted}]\n\
         listeners:\n  web: {{ bind: 127.0.0.1:0, pool: app, {listener} }}\n\
         pools:\n  app: {{ workers: [\"{worker}\"] }}\n"
    ))
}

fn send(isobar: &Isobar, pieces: &[&[u8]]) -> Connection {
    let mut socket = TcpStream::connect(isobar.address("web")).expect("connects");
    socket.set_nodelay(true).expect("set");
    for piece in pieces {
        socket.write_all(piece).expect("sends");
    }
    Connection::over(socket).expect("a connection")
}

fn v2(family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short").to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[0x21, family][..], &length, rest].concat()
}

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 192.0.2.8 4096 80\r\n";
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn l4_04_a_trusted_proxy_is_believed() {
    let six: Vec<u8> = {
        let address = |last: u8| [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        [&address(7)[..], &address(8), &[16, 0, 0, 80], &[5, 0, 2, b'i', b'd']].concat()
    };
    for shards in [1, 4] {
        for mode in ["accept", "require"] {
            let origin = Origin::start(after(Duration::ZERO, "good"));
            let protocol = format!("proxy_protocol: {mode}");
            let isobar = start(shards, &origin, "127.0.0.0/8", &protocol);
            for (header, client) in [
                (V1.to_vec(), "192.0.2.7"),
                (v2(0x21, &six), "2001:db8::7"),
                (b"PROXY UNKNOWN\r\n".to_vec(), "127.0.0.1"),
            ] {
                origin.clear();
                let whole = [&header[..], REQUEST].concat();
                let bytes: Vec<&[u8]> = whole.chunks(1).collect();
                for pieces in [&[&whole[..]][..], &bytes] {
                    let mut connection = send(&isobar, pieces);
                    assert_eq!(connection.response_to("GET").expect("an answer").status, 200);
                    // The second request of the connection, too.
                    assert_eq!(connection.get("/").expect("an answer").status, 200);
                }
                for record in origin.log() {
                    assert_eq!(record.request.header("x-forwarded-for"), Some(client));
                }
            }
            let log = || std::fs::read_to_string(isobar.file("access.log")).unwrap_or_default();
            wait::until(|| log().contains("\"client_ip\":\"192.0.2.7\"").then_some(()));
            // Without a header it is who it is, or nobody.
            let plain = send(&isobar, &[REQUEST]).response_to("GET");
            assert_eq!(plain.is_ok(), mode == "accept");
        }
    }
}

#[test]
fn l4_04_others_are_not() {
    let origin = Origin::start(after(Duration::ZERO, "good"));
    for (trusted, mode, header) in [
        ("192.0.2.0/24", "accept", V1),
        ("192.0.2.0/24", "require", V1),
        ("127.0.0.0/8", "accept", b"PROXY TCP4 192.0.2.7\r\n"),
        ("127.0.0.0/8", "require", b"PROXY nonsense\r\n"),
    ] {
        let protocol = format!("proxy_protocol: {mode}");
        let isobar = start(1, &origin, trusted, &protocol);
        let answer = send(&isobar, &[header, REQUEST]).response_to("GET");
        assert!(answer.is_err(), "{trusted} {mode}: {answer:?}");
        let log = || std::fs::read_to_string(isobar.file("access.log")).unwrap_or_default();
        wait::until(|| log().contains("\"reason\":\"proxy_header\"").then_some(()));
        assert!(isobar.wait_to_hear("PROXY header", WITHIN), "{}", isobar.stderr());
    }
    // Off, it is a request that is none.
    let isobar = start(1, &origin, "127.0.0.0/8", "proxy_protocol: off");
    assert_eq!(send(&isobar, &[V1, REQUEST]).response_to("GET").expect("an answer").status, 400);
    assert_eq!(origin.served(), 0);
}

/// Who says nothing, or only half a header, is gone after `timeouts.handshake`.
#[test]
fn half_a_header_is_waited_for_only_so_long() {
    let origin = Origin::start(after(Duration::ZERO, "good"));
    let listener = "proxy_protocol: require, timeouts: { handshake: 1s }";
    let isobar = start(1, &origin, "127.0.0.0/8", listener);
    for part in [&b""[..], &V1[..10]] {
        let mut socket = TcpStream::connect(isobar.address("web")).expect("connects");
        socket.write_all(part).expect("sends");
        socket.set_read_timeout(Some(WITHIN)).expect("set");
        assert_eq!(socket.read(&mut [0]).unwrap_or(0), 0);
    }
}

/// Design: only now is the address known that `per_client` counts.
#[test]
fn clients_are_counted_by_their_own_address() {
    let origin = Origin::start(after(Duration::ZERO, "good"));
    let listener = "proxy_protocol: require, limits: { per_client: 2 }";
    let isobar = start(1, &origin, "127.0.0.0/8", listener);
    let open = |client: u8| {
        let header = format!("PROXY TCP4 192.0.2.{client} 192.0.2.200 4096 80\r\n");
        let mut connection = send(&isobar, &[header.as_bytes(), REQUEST]);
        let answer = connection.response_to("GET").expect("an answer");
        (connection, answer.status)
    };
    let kept: Vec<(Connection, u16)> = [1, 1, 2, 2].map(open).into();
    assert!(kept.iter().all(|(_, status)| *status == 200));
    assert_eq!(open(1).1, 429);
    drop(kept);
    wait::until(|| (open(1).1 == 200).then_some(()));
}

/// Header, then TLS, then the request.
#[test]
fn tls_comes_behind_the_header() {
    let (files, authority) = (Scratch::new(), Authority::new("root"));
    let pair = authority.issue(files.path(), "a", &Wanted::default());
    let origin = Origin::start(after(Duration::ZERO, "good"));
    let tls = format!(
        "proxy_protocol: require, tls: {{ certificates: [{{ cert: {}, key: {} }}] }}",
        pair.cert.display(),
        pair.key.display()
    );
    let isobar = start(1, &origin, "127.0.0.0/8", &tls);
    let client = Client::of(&authority);
    let mut connection =
        client.open_behind(isobar.address("web"), "a.test", V1).expect("a session");
    assert_eq!(connection.get("/").expect("an answer").status, 200);
    let log = origin.log();
    assert_eq!(log[0].request.header("x-forwarded-for"), Some("192.0.2.7"));
    assert_eq!(log[0].request.header("x-forwarded-proto"), Some("https"));
}

/// HAProxy sends both versions, over HTTP and TCP.
#[test]
fn a_real_haproxy_is_understood() {
    for (how, protocol) in
        [("send-proxy", "http"), ("send-proxy-v2", "http"), ("send-proxy-v2", "tcp")]
    {
        let origin = Origin::start(after(Duration::ZERO, "good"));
        let listener = format!("proxy_protocol: require, protocol: {protocol}");
        let isobar = start(1, &origin, "127.0.0.0/8", &listener);
        let (files, front) = (Scratch::new(), free_address());
        let config = format!(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 5s\n timeout server 5s\n\
             listen front\n bind {front}\n server isobar {} {how}\n",
            isobar.address("web")
        );
        let path = files.file("haproxy.cfg");
        std::fs::write(&path, config).expect("writes");
        let haproxy = Command::new("/usr/sbin/haproxy")
            .arg("-f")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut haproxy = haproxy.expect("haproxy");
        let answer =
            wait::until(|| Connection::open(front).and_then(|mut open| open.get("/")).ok());
        assert_eq!(answer.text(), "good", "{how} {protocol}");
        let log = || std::fs::read_to_string(isobar.file("access.log")).unwrap_or_default();
        wait::until(|| log().contains("\"client_ip\":\"127.0.0.1\"").then_some(()));
        haproxy.kill().expect("ended");
        haproxy.wait().expect("ended");
    }
}
