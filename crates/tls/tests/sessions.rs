//! Sessions before a client in memory, whose socket takes and gives as little as a test wants.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use isobar_tls::{
    Certificate, Clients, Got, Heard, Hello, Look, Offer, Options, Server, Session, Shaken,
    Transport, Unknown, Version,
};
use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};

/// Two queues; each takes and gives `most` bytes at a time, and holds `room`.
struct Wire {
    to_us: RefCell<VecDeque<u8>>,
    to_client: RefCell<VecDeque<u8>>,
    most: usize,
    room: usize,
    client_closed: RefCell<bool>,
}

impl Wire {
    fn new(most: usize, room: usize) -> Wire {
        Wire {
            to_us: RefCell::default(),
            to_client: RefCell::default(),
            most,
            room,
            client_closed: RefCell::new(false),
        }
    }
}

impl Transport for Wire {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut queue = self.to_us.borrow_mut();
        if queue.is_empty() {
            return Ok(self.client_closed.borrow().then_some(0));
        }
        let most = buffer.len().min(self.most);
        queue.read(&mut buffer[..most]).map(Some)
    }

    fn send(&self, bytes: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        let mut queue = self.to_client.borrow_mut();
        let all: Vec<u8> = bytes.iter().flat_map(|piece| piece.to_vec()).collect();
        let takes = self.most.min(self.room.saturating_sub(queue.len())).min(all.len());
        queue.extend(&all[..takes]);
        Ok((takes > 0).then_some(takes))
    }
}

struct Pair {
    client: ClientConnection,
    session: Session,
    wire: Wire,
}

impl Pair {
    /// After the handshake.
    fn new(version: &'static SupportedProtocolVersion, most: usize, room: usize) -> Pair {
        let (server, root) = server(&["a.test"]);
        let client = client(&root, version, "a.test");
        Pair::shake(&server, client, Wire::new(most, room)).expect("a session")
    }

    fn shake(server: &Server, mut client: ClientConnection, wire: Wire) -> Result<Pair, String> {
        let mut hello = Hello::default();
        let mut session = loop {
            pump(&mut client, &wire);
            match hello.listen(&wire).map_err(|refused| refused.words.to_string())? {
                Heard::Again | Heard::Nothing => {}
                Heard::Gone => return Err("gone".to_owned()),
                heard => {
                    let session = server.answer(heard).map_err(|refused| refused.words.to_string());
                    break session?.expect("a session");
                }
            }
        };
        loop {
            let shaken = session
                .shake(&wire)
                .map_err(|error| isobar_tls::why(&error, isobar_tls::Side::Client))?;
            pump(&mut client, &wire);
            if shaken == Shaken::Done && !client.is_handshaking() {
                return Ok(Pair { client, session, wire });
            }
        }
    }

    fn pump(&mut self) {
        pump(&mut self.client, &self.wire);
    }

    /// What the client has received so far.
    fn heard(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            self.pump();
            let before = all.len();
            let _ = self.client.reader().read_to_end(&mut all);
            if all.len() == before && self.wire.to_client.borrow().is_empty() {
                return all;
            }
        }
    }
}

/// All that the client has to say and to hear.
fn pump(client: &mut ClientConnection, wire: &Wire) {
    while client.wants_write() {
        client.write_tls(&mut *wire.to_us.borrow_mut()).expect("into memory");
    }
    loop {
        let mut queue = wire.to_client.borrow_mut();
        if queue.is_empty() {
            return;
        }
        if client.read_tls(&mut *queue).is_err() {
            return;
        }
        drop(queue);
        let _ = client.process_new_packets();
        while client.wants_write() {
            client.write_tls(&mut *wire.to_us.borrow_mut()).expect("into memory");
        }
    }
}

fn server(names: &[&str]) -> (Server, CertificateDer<'static>) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = format!("isobar-tls-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let (certificate, root) = issue(&folder, names);
    std::fs::remove_dir_all(&folder).expect("removed");
    let offer = Offer { certificate, names: Vec::new(), clients: Clients::Off };
    let options = Options { least: Version::Tls12, unknown: Unknown::Default, protocols: &[] };
    (Server::new(&[offer], options).expect("a server"), root)
}

fn issue(folder: &Path, names: &[&str]) -> (Arc<Certificate>, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let key = KeyPair::generate().expect("a key");
    let pem =
        CertificateParams::new(names).expect("names").self_signed(&key).expect("signed").pem();
    let (cert, at) = (folder.join("a.pem"), folder.join("a.key"));
    std::fs::write(&cert, &pem).expect("writes");
    std::fs::write(&at, key.serialize_pem()).expect("writes");
    let loaded = Certificate::load(&cert, &at).expect("a certificate");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let root = CertificateDer::from_pem_slice(pem.as_bytes()).expect("PEM");
    (Arc::new(loaded.certificate), root)
}

fn client(
    root: &CertificateDer<'static>,
    version: &'static SupportedProtocolVersion,
    name: &'static str,
) -> ClientConnection {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(name).expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| ((at * 7) >> 2) as u8).collect()
}

/// Whatever the socket takes at a time: all bytes, in order, once; and what is said to be sent is.
#[test]
fn bytes_arrive_whole_in_both_directions() {
    for version in [&TLS12, &TLS13] {
        for (most, room) in [(1, usize::MAX), (7, 100), (5_000, 20_000), (usize::MAX, usize::MAX)] {
            let mut pair = Pair::new(version, most, room);
            let length = if most == 1 { 5_000 } else { 200_000 };
            let sent = pattern(length);
            let (mut at, mut heard) = (0, Vec::new());
            while at < sent.len() {
                match pair.session.write(&pair.wire, &sent[at..]).expect("writes") {
                    Some(taken) => at += taken,
                    None => heard.extend(pair.heard()),
                }
            }
            heard.extend(pair.heard());
            assert!(heard == sent, "{most} {room}: {} of {}", heard.len(), sent.len());

            for want in [1, 100, 16_384, 60_000] {
                let mut got = Vec::new();
                for piece in sent.chunks(30_000) {
                    pair.client.writer().write_all(piece).expect("into memory");
                    pair.pump();
                    loop {
                        let put = |bytes: &[u8]| got.extend_from_slice(bytes);
                        match pair.session.read(&pair.wire, want, put).expect("reads") {
                            Got::Bytes(read) => assert!(read <= want),
                            Got::Again => {}
                            Got::Nothing => break,
                            Got::End => panic!("no end yet"),
                        }
                    }
                    if want == 1 && got.len() > 1_000 {
                        break;
                    }
                }
                assert!(got == sent[..got.len()] && got.len() > 1_000, "{most} {want}");
                if want == 1 {
                    pair = Pair::new(version, most, room);
                } else {
                    assert_eq!(got.len(), sent.len());
                }
            }
        }
    }
}

#[test]
fn an_end_is_told_from_an_accident() {
    for version in [&TLS12, &TLS13] {
        let mut pair = Pair::new(version, usize::MAX, usize::MAX);
        pair.client.writer().write_all(b"last words").expect("into memory");
        pair.client.send_close_notify();
        pair.pump();
        *pair.wire.client_closed.borrow_mut() = true;
        let mut got = Vec::new();
        let mut read = |pair: &mut Pair| {
            pair.session.read(&pair.wire, 100, |bytes| got.extend_from_slice(bytes))
        };
        assert_eq!(read(&mut pair).expect("bytes"), Got::Bytes(10));
        assert_eq!(read(&mut pair).expect("the end"), Got::End);
        assert_eq!(got, b"last words");

        let mut pair = Pair::new(version, usize::MAX, usize::MAX);
        *pair.wire.client_closed.borrow_mut() = true;
        let error = pair.session.read(&pair.wire, 100, |_| {}).expect_err("cut off");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);

        let mut pair = Pair::new(version, usize::MAX, usize::MAX);
        assert!(pair.session.close(&pair.wire).expect("said"));
        pair.pump();
        let mut rest = Vec::new();
        assert_eq!(pair.client.reader().read_to_end(&mut rest).expect("a clean end"), 0);

        let mut pair = Pair::new(version, usize::MAX, usize::MAX);
        pair.session.break_off();
        assert!(pair.session.close(&pair.wire).expect("nothing to say"));
        assert!(pair.wire.to_client.borrow().is_empty());
    }
}

/// Tickets and new keys are none of a resting session's user's business; bytes are.
#[test]
fn a_resting_session_is_silent_until_somebody_talks() {
    let mut pair = Pair::new(&TLS13, usize::MAX, usize::MAX);
    assert_eq!(pair.session.look(&pair.wire), Look::Silent);
    pair.client.refresh_traffic_keys().expect("new keys");
    pair.pump();
    assert_eq!(pair.session.look(&pair.wire), Look::Silent);
    pair.client.writer().write_all(b"x").expect("into memory");
    pair.pump();
    assert_eq!(pair.session.look(&pair.wire), Look::Talks);
    let mut pair = Pair::new(&TLS13, usize::MAX, usize::MAX);
    pair.client.send_close_notify();
    pair.pump();
    assert_eq!(pair.session.look(&pair.wire), Look::Ended);
}

/// Design: a session that moves to another shard takes undecrypted and unsent bytes along.
#[test]
fn a_session_travels_in_the_middle_of_a_record() {
    let mut pair = Pair::new(&TLS13, 4_000, 5_000);
    pair.client.writer().write_all(&pattern(16_000)).expect("into memory");
    pair.pump();
    // A part of the record is in the session, a part of ours in the socket.
    assert_eq!(pair.session.read(&pair.wire, 20_000, |_| {}).expect("a part"), Got::Again);
    let sent = pattern(40_000);
    assert_eq!(pair.session.write(&pair.wire, &sent).expect("a part"), None);
    let Pair { client, session, wire } = pair;
    let session = std::thread::spawn(move || session).join().expect("it travels");
    let mut pair = Pair { client, session, wire };
    let (mut got, mut heard, mut at) = (Vec::new(), Vec::new(), 0);
    while got.len() < 16_000 {
        pair.session.read(&pair.wire, 20_000, |bytes| got.extend_from_slice(bytes)).expect("reads");
    }
    while at < sent.len() {
        match pair.session.write(&pair.wire, &sent[at..]).expect("writes") {
            Some(taken) => at += taken,
            None => heard.extend(pair.heard()),
        }
    }
    heard.extend(pair.heard());
    assert!(got == pattern(16_000) && heard == sent);
}

/// TL-09: who only changes keys, or sends records with nothing in them, is cut off.
#[test]
fn tl_09_floods_are_cut_off() {
    let mut pair = Pair::new(&TLS13, usize::MAX, usize::MAX);
    let mut cut = false;
    for _ in 0..10_000 {
        if pair.client.refresh_traffic_keys().is_err() {
            break;
        }
        pair.pump();
        let mut again = 0;
        cut = loop {
            match pair.session.read(&pair.wire, 100, |_| {}) {
                Ok(Got::Again) => again += 1,
                Ok(_) => break false,
                Err(_) => break true,
            }
            assert!(again < 100);
        };
        if cut {
            break;
        }
    }
    assert!(cut, "ten thousand changes of keys");
}
