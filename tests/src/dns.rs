//! A DNS server that answers as it is told, also wrongly, over UDP and TCP at one port; and the real
//! dnsmasq. Only what the tests ask about is understood: one question a message.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::scratch::Scratch;
use crate::skip;

pub const A: u16 = 1;
pub const CNAME: u16 = 5;
pub const AAAA: u16 = 28;
pub const IN: u16 = 1;
pub const CHAOS: u16 = 3;
pub const SERVFAIL: u16 = 2;
pub const NXDOMAIN: u16 = 3;

/// One message, as it was asked.
#[derive(Clone, Debug)]
pub struct Query {
    pub id: u16,
    /// Lower case, without the final dot.
    pub name: String,
    pub kind: u16,
    pub transport: Transport,
    pub client: SocketAddr,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Udp,
    Tcp,
}

/// What is sent for a query: several messages, or none.
pub type Replies = Vec<Vec<u8>>;

type Behaviour = Arc<dyn Fn(&Query) -> Replies + Send + Sync>;

pub struct DnsServer {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    behaviour: Mutex<Behaviour>,
    asked: Mutex<Vec<Query>>,
    closing: AtomicBool,
}

impl DnsServer {
    pub fn start(answer: impl Fn(&Query) -> Replies + Send + Sync + 'static) -> DnsServer {
        let (udp, tcp) = bound();
        let address = udp.local_addr().expect("its address");
        let shared = Arc::new(Shared {
            behaviour: Mutex::new(Arc::new(answer)),
            asked: Mutex::default(),
            closing: AtomicBool::new(false),
        });
        let of_udp = shared.clone();
        std::thread::spawn(move || of_udp.serve_udp(&udp));
        let of_tcp = shared.clone();
        std::thread::spawn(move || of_tcp.serve_tcp(&tcp));
        DnsServer { address, shared }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on.
    pub fn answer(&self, answer: impl Fn(&Query) -> Replies + Send + Sync + 'static) {
        *self.shared.behaviour.lock().expect("behaviour") = Arc::new(answer);
    }

    pub fn asked(&self, name: &str, kind: u16) -> usize {
        let asked = self.shared.asked.lock().expect("asked");
        asked.iter().filter(|query| query.name == name && query.kind == kind).count()
    }

    pub fn asked_in_all(&self) -> usize {
        self.shared.asked.lock().expect("asked").len()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        if let Ok(knock) = UdpSocket::bind("127.0.0.1:0") {
            let _ = knock.send_to(b"", self.address);
        }
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
    }
}

impl Shared {
    fn replies(&self, message: &[u8], transport: Transport, client: SocketAddr) -> Replies {
        let Some(query) = Query::parse(message, transport, client) else { return Vec::new() };
        self.asked.lock().expect("asked").push(query.clone());
        let behaviour = self.behaviour.lock().expect("behaviour").clone();
        behaviour(&query)
    }

    fn serve_udp(&self, socket: &UdpSocket) {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            for reply in self.replies(&buffer[..length], Transport::Udp, client) {
                let _ = socket.send_to(&reply, client);
            }
        }
    }

    fn serve_tcp(self: &Arc<Shared>, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.closing.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let shared = self.clone();
            std::thread::spawn(move || shared.converse(stream));
        }
    }

    fn converse(&self, mut stream: TcpStream) -> Option<()> {
        let client = stream.peer_addr().ok()?;
        loop {
            let mut length = [0; 2];
            stream.read_exact(&mut length).ok()?;
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message).ok()?;
            for reply in self.replies(&message, Transport::Tcp, client) {
                let length = u16::try_from(reply.len()).expect("fits").to_be_bytes();
                stream.write_all(&[&length[..], &reply].concat()).ok()?;
            }
        }
    }
}

impl Query {
    fn parse(message: &[u8], transport: Transport, client: SocketAddr) -> Option<Query> {
        let id = u16::from_be_bytes([*message.first()?, *message.get(1)?]);
        let (mut at, mut labels) = (12, Vec::new());
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(message.get(at..at + length)?).to_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
        Some(Query { id, name: labels.join("."), kind, transport, client })
    }

    /// Those of the family that was asked for.
    pub fn addresses(&self, ips: &[IpAddr], ttl: u32) -> Vec<u8> {
        let mut reply = Reply::to(self);
        for ip in ips {
            match (self.kind, ip) {
                (A, IpAddr::V4(ip)) => reply.record(&self.name, A, IN, ttl, &ip.octets()),
                (AAAA, IpAddr::V6(ip)) => reply.record(&self.name, AAAA, IN, ttl, &ip.octets()),
                _ => {}
            }
        }
        reply.bytes()
    }

    pub fn code(&self, code: u16) -> Vec<u8> {
        Reply { flags: ANSWER | code, ..Reply::to(self) }.bytes()
    }

    pub fn truncated(&self) -> Vec<u8> {
        Reply { flags: ANSWER | TRUNCATED, ..Reply::to(self) }.bytes()
    }

    pub fn alias(&self, target: &str) -> Vec<u8> {
        let mut reply = Reply::to(self);
        reply.record(&self.name, CNAME, IN, 1, &name(target));
        reply.bytes()
    }
}

/// A response, recursion desired and available.
const ANSWER: u16 = 0x8180;
const TRUNCATED: u16 = 0x0200;

/// A message with one question, made field by field so that each may be wrong.
#[derive(Clone, Debug)]
pub struct Reply {
    pub id: u16,
    pub flags: u16,
    pub name: String,
    pub kind: u16,
    pub class: u16,
    count: u16,
    records: Vec<u8>,
}

impl Reply {
    pub fn to(query: &Query) -> Reply {
        let (id, name, kind) = (query.id, query.name.clone(), query.kind);
        Reply { id, flags: ANSWER, name, kind, class: IN, count: 0, records: Vec::new() }
    }

    pub fn record(&mut self, owner: &str, kind: u16, class: u16, ttl: u32, data: &[u8]) {
        self.raw_record(&name(owner), kind, class, ttl, data);
    }

    /// With an owner as it stands in the message.
    pub fn raw_record(&mut self, owner: &[u8], kind: u16, class: u16, ttl: u32, data: &[u8]) {
        self.count += 1;
        self.records.extend_from_slice(owner);
        self.records.extend_from_slice(&kind.to_be_bytes());
        self.records.extend_from_slice(&class.to_be_bytes());
        self.records.extend_from_slice(&ttl.to_be_bytes());
        let length = u16::try_from(data.len()).expect("fits");
        self.records.extend_from_slice(&length.to_be_bytes());
        self.records.extend_from_slice(data);
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for field in [self.id, self.flags, 1, self.count, 0, 0] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&name(&self.name));
        bytes.extend_from_slice(&self.kind.to_be_bytes());
        bytes.extend_from_slice(&self.class.to_be_bytes());
        bytes.extend_from_slice(&self.records);
        bytes
    }
}

fn name(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in text.split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).expect("a label"));
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// One port for both.
fn bound() -> (UdpSocket, TcpListener) {
    for _ in 0..100 {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a UDP port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("its address")) {
            return (udp, tcp);
        }
    }
    panic!("no port that is free for UDP and TCP");
}

/// The real server, answering from a file of hosts.
pub struct Dnsmasq {
    child: Child,
    address: SocketAddr,
    scratch: Scratch,
}

impl Dnsmasq {
    /// `None`: it is not installed, which is noted. `ttl` is in seconds.
    pub fn start(test: &str, name: &str, ips: &[IpAddr], ttl: u32) -> Option<Dnsmasq> {
        let scratch = Scratch::new();
        let address = {
            let (udp, _tcp) = bound();
            udp.local_addr().expect("its address")
        };
        let hosts = scratch.file("hosts");
        std::fs::write(&hosts, hosts_file(name, ips)).expect("writes the hosts");
        let config = format!(
            "no-resolv\nno-hosts\nno-dhcp-interface=*\nbind-interfaces\nlisten-address=127.0.0.1\n\
             port={}\nlocal-ttl={ttl}\naddn-hosts={}\n",
            address.port(),
            hosts.display()
        );
        let file = scratch.file("dnsmasq.conf");
        std::fs::write(&file, config).expect("writes the configuration");
        let mut command = Command::new("dnsmasq");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        command.arg("--no-daemon").arg(format!("--conf-file={}", file.display()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            skip::note(test, "no dnsmasq");
            return None;
        };
        let dnsmasq = Dnsmasq { child, address, scratch };
        dnsmasq.wait_until_it_answers();
        Some(dnsmasq)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Read by the server some milliseconds later.
    pub fn set(&self, name: &str, ips: &[IpAddr]) {
        std::fs::write(self.scratch.file("hosts"), hosts_file(name, ips)).expect("rewrites");
        kill_process(Pid::from_child(&self.child), Signal::HUP).expect("the process is there");
    }

    fn wait_until_it_answers(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < until, "dnsmasq does not listen on {}", self.address);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hosts_file(name: &str, ips: &[IpAddr]) -> String {
    ips.iter().map(|ip| format!("{ip} {name}\n")).collect()
}
