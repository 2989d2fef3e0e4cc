//! TLS towards a server: who it must be, and who we are.

use std::{
    path::Path,
    sync::{Arc, OnceLock},
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::SectionKind},
    sign::{CertifiedKey, SingleCertAndKey},
};

use crate::{
    certificate::Certificate,
    pem::{self, Bad},
    provider::provider,
    session::Session,
};

/// How a server is met.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    /// Who issues its certificate; `None`: whom this machine trusts.
    pub ca: Option<&'a Path>,
    /// Our own certificate and its key, if it asks for one.
    pub identity: Option<(&'a Path, &'a Path)>,
    /// False: whoever answers is believed.
    pub verify: bool,
}

/// Ready to begin sessions, which are taken up again where the server allows it.
#[derive(Clone)]
pub struct Client {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
    /// What the files hold: two with the same content are the same.
    content: Arc<[u8]>,
}

impl Client {
    /// `name`: what the server's certificate must be good for, a host or an address.
    pub fn load(trust: &Trust<'_>, name: &str) -> Result<Self, Bad> {
        let nowhere = Path::new("");
        let name = server_name(name).map_err(|words| Bad::new(nowhere, None, words))?;
        let mut content = vec![u8::from(trust.verify)];
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Bad::new(nowhere, None, error.to_string()))?;
        let builder = match (trust.verify, trust.ca) {
            (false, _) => {
                let anybody = Arc::new(Anybody(provider()));
                builder.dangerous().with_custom_certificate_verifier(anybody)
            }
            (true, Some(ca)) => builder.with_root_certificates(roots(ca, &mut content)?),
            (true, None) => builder.with_root_certificates(of_this_machine()?),
        };
        let config = match trust.identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let certificate = Certificate::load(cert, key)?.certificate;
                let key: &CertifiedKey = &certificate.key;
                key.cert.iter().for_each(|der| content.extend_from_slice(der));
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key.clone())))
            }
        };
        Ok(Self { config: Arc::new(config), name, content: content.into() })
    }

    /// The same towards another server.
    pub fn named(&self, name: &str) -> Result<Self, String> {
        Ok(Self { name: server_name(name)?, ..self.clone() })
    }

    pub fn begin(&self) -> Result<Session, String> {
        let connection = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        connection.map(|one| Session::new(one.into())).map_err(|error| error.to_string())
    }
}

impl PartialEq for Client {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.content == other.content
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Client").field(&self.name).finish()
    }
}

fn server_name(name: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(name.to_owned()).map_err(|_| format!("`{name}` is no name of a host"))
}

fn roots(ca: &Path, content: &mut Vec<u8>) -> Result<RootCertStore, Bad> {
    let mut roots = RootCertStore::empty();
    for section in pem::sections(ca)?.into_iter().filter(|one| one.kind == SectionKind::Certificate)
    {
        content.extend_from_slice(&section.der);
        roots.add(CertificateDer::from(section.der)).map_err(|error| {
            Bad::new(ca, Some(section.line), format!("not good as an issuer: {error}"))
        })?;
    }
    match roots.is_empty() {
        true => Err(Bad::new(ca, None, "found no certificate")),
        false => Ok(roots),
    }
}

/// Read once: it takes a moment.
fn of_this_machine() -> Result<Arc<RootCertStore>, Bad> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = ROOTS.get_or_init(|| {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Arc::new(roots)
    });
    if roots.is_empty() {
        let bad = Bad::new(Path::new("/etc/ssl/certs"), None, "this machine trusts nobody");
        return Err(
            bad.hint("name the issuer, `ca: ca.pem`, or install the package ca-certificates")
        );
    }
    Ok(Arc::clone(roots))
}

/// `verify: off`: the server may be anybody, but what it says it must have signed.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
