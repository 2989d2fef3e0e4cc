//! TLS as a client has it: an authority of the test's own, the certificates that it issues, and a
//! client that trusts it.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, SignatureAlgorithm, date_time_ymd,
};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

use crate::http::Connection;

pub mod site;

pub use rustls::version::{TLS12, TLS13};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What is issued.
pub struct Wanted<'a> {
    pub names: &'a [&'a str],
    pub key: &'static SignatureAlgorithm,
    pub expired: bool,
    /// For clients, not for servers.
    pub client: bool,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Wanted { names: &["a.test"], key: &PKCS_ECDSA_P256_SHA256, expired: false, client: false }
    }
}

pub const RSA: &SignatureAlgorithm = &PKCS_RSA_SHA256;

/// PEM files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let pem = params.self_signed(&key).expect("a root").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// The root's file.
    pub fn write(&self, path: &Path) -> PathBuf {
        std::fs::write(path, &self.pem).expect("writes");
        path.to_owned()
    }

    /// Files in `folder`: `NAME.pem` and `NAME.key`.
    pub fn issue(&self, folder: &Path, name: &str, wanted: &Wanted<'_>) -> Pair {
        let names: Vec<String> = wanted.names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = date_time_ymd(2020, 1, 1);
        let until = if wanted.expired { 2021 } else { 2040 };
        params.not_after = date_time_ymd(until, 1, 1);
        params.extended_key_usages.push(match wanted.client {
            true => ExtendedKeyUsagePurpose::ClientAuth,
            false => ExtendedKeyUsagePurpose::ServerAuth,
        });
        let key = KeyPair::generate_for(wanted.key).expect("a key");
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        let file = |end: &str| folder.join(format!("{name}.{end}"));
        let pair = Pair { cert: file("pem"), key: file("key") };
        std::fs::write(&pair.cert, cert.pem()).expect("writes");
        std::fs::write(&pair.key, key.serialize_pem()).expect("writes");
        pair
    }
}

/// A client that trusts one authority; its sessions are kept for the next connection.
#[derive(Clone)]
pub struct Client(pub Arc<ClientConfig>);

impl Client {
    pub fn of(authority: &Authority) -> Client {
        Client::with(authority, None, &[&TLS13, &TLS12])
    }

    pub fn with(
        authority: &Authority,
        shows: Option<&Pair>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Client {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_slice(authority.pem.as_bytes()).expect("PEM");
        roots.add(root).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match shows {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_file_iter(&pair.cert).expect("a file");
                let chain = chain.collect::<Result<_, _>>().expect("certificates");
                let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
        };
        Client(Arc::new(config))
    }

    /// The same, but it takes up no session.
    pub fn forgetful(&self) -> Client {
        let mut config = ClientConfig::clone(&self.0);
        config.resumption = Resumption::disabled();
        Client(Arc::new(config))
    }

    /// Asks for `name`; the handshake is done when this returns.
    pub fn open(&self, address: SocketAddr, name: &str) -> io::Result<Connection> {
        self.open_behind(address, name, b"")
    }

    /// The same behind bytes that come before the handshake.
    pub fn open_behind(
        &self,
        address: SocketAddr,
        name: &str,
        before: &[u8],
    ) -> io::Result<Connection> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(self.0.clone(), name).map_err(io::Error::other)?;
        let mut socket = TcpStream::connect(address)?;
        socket.write_all(before)?;
        Connection::secured(StreamOwned::new(session, socket))
    }
}

/// A server with this certificate; every connection is served by a thread of its own.
pub fn serve(
    pair: &Pair,
    each: impl Fn(&mut StreamOwned<ServerConnection, TcpStream>) + Send + Sync + 'static,
) -> SocketAddr {
    let chain = CertificateDer::pem_file_iter(&pair.cert).expect("a file");
    let chain = chain.collect::<Result<_, _>>().expect("certificates");
    let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    let (config, each) = (Arc::new(config), Arc::new(each));
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for socket in listener.incoming().map_while(Result::ok) {
            let (config, each) = (config.clone(), each.clone());
            std::thread::spawn(move || {
                let session = ServerConnection::new(config).expect("a session");
                each(&mut StreamOwned::new(session, socket));
            });
        }
    });
    address
}
