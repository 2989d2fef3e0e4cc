//! The bench's client of TLS: a new connection for every request, one beside the other.
//!
//! `handshakes ADDRESS ROOT CLIENTS SECONDS full|resumed` trusts the certificates in the file ROOT, asks
//! for `localhost`, and prints one line of JSON. Only X25519 is offered, so that every server computes the
//! same.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group::X25519};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::TLS13;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, root, clients, seconds, how] = words.as_slice() else {
        return Err(io::Error::other(
            "usage: handshakes ADDRESS ROOT CLIENTS SECONDS full|resumed",
        ));
    };
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let clients: usize = clients.parse().map_err(io::Error::other)?;
    let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
    let resumes = how == "resumed";
    let config = config(root, resumes)?;
    let end = Instant::now() + Duration::from_secs_f64(seconds);
    let (done, resumed, failed) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while Instant::now() < end {
                    match ask(address, &config) {
                        Ok(kind) => {
                            done.fetch_add(1, Ordering::Relaxed);
                            let again = u64::from(kind == Some(HandshakeKind::Resumed));
                            resumed.fetch_add(again, Ordering::Relaxed);
                        }
                        Err(_) => drop(failed.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            });
        }
    });
    let (done, resumed) = (done.into_inner(), resumed.into_inner());
    println!(
        "{{\"handshakes\":{done},\"resumed\":{resumed},\"errors\":{},\"rate\":{:.0}}}",
        failed.into_inner(),
        done as f64 / seconds
    );
    Ok(())
}

fn config(root: &str, resumes: bool) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(root).map_err(io::Error::other)?)
        .map_err(io::Error::other)?;
    let provider = CryptoProvider { kx_groups: vec![X25519], ..default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    if !resumes {
        config.resumption = Resumption::disabled();
    }
    Ok(Arc::new(config))
}

fn ask(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Option<HandshakeKind>> {
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let session = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    let mut stream = StreamOwned::new(session, socket);
    stream.write_all(REQUEST)?;
    let mut answer = Vec::with_capacity(2048);
    match stream.read_to_end(&mut answer) {
        Ok(_) => {}
        // The length says that it was whole.
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        Err(error) => return Err(error),
    }
    match answer.starts_with(b"HTTP/1.1 200") && answer.len() > 1024 {
        true => Ok(stream.conn.handshake_kind()),
        false => Err(io::Error::other("no whole answer")),
    }
}
