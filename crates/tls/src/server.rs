//! With which certificate a client is served, and what it must show: by the name that it asks for.

use std::sync::Arc;

use rustls::{
    KeyLogFile, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs::Ticketer,
    server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use crate::{
    authority::Clients,
    certificate::Certificate,
    facts::Version,
    hello::{Heard, Refused},
    names::Names,
    provider::provider,
    session::Session,
};

/// Sessions that TLS 1.2 clients without tickets may take up again, of one policy.
const SESSIONS: usize = 4096;

static BOTH: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];

/// A certificate, for whom, and what those must show.
#[derive(Clone, Debug)]
pub struct Offer {
    pub certificate: Arc<Certificate>,
    /// Instead of the certificate's own names.
    pub names: Vec<String>,
    pub clients: Clients,
}

#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub least: Version,
    pub unknown: Unknown,
    /// In the order of our preference; empty: none is spoken of.
    pub protocols: &'static [&'static [u8]],
}

/// What becomes of a client that asks for a name without a certificate, or for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The first certificate.
    Default,
    Reject,
}

/// All of a listener.
pub struct Server {
    policies: Vec<Policy>,
    /// Which policy.
    names: Names<usize>,
    unknown: Unknown,
    certificates: Vec<Arc<Certificate>>,
}

/// Clients that must show the same. Tickets and sessions are the policy's own: none of them is taken up
/// under another one (CVE-2025-23419).
struct Policy {
    config: Arc<ServerConfig>,
    clients: Clients,
}

impl Server {
    /// Of at least one offer. `Err`, in words: two offers contradict each other.
    pub fn new(offers: &[Offer], options: Options) -> Result<Self, String> {
        let mut groups: Vec<(Clients, Vec<&Offer>)> = Vec::new();
        let mut names: Names<usize> = Names::new();
        for offer in offers {
            let found = groups.iter().position(|(clients, _)| clients.same(&offer.clients));
            let index = found.unwrap_or_else(|| {
                groups.push((offer.clients.clone(), Vec::new()));
                groups.len() - 1
            });
            groups[index].1.push(offer);
            for name in offer.names() {
                if *names.entry(name, || index) != index {
                    return Err(format!(
                        "two certificates for `{name}` ask clients for different things"
                    ));
                }
            }
        }
        let policies = groups
            .into_iter()
            .map(|(clients, offers)| Policy::new(clients, &offers, options))
            .collect::<Result<_, _>>()?;
        let certificates = offers.iter().map(|offer| Arc::clone(&offer.certificate)).collect();
        Ok(Self { policies, names, unknown: options.unknown, certificates })
    }

    /// Answers a client by what it has said first.
    pub fn answer(&self, heard: Heard) -> Result<Option<Session>, Refused> {
        let Heard::Hello(hello) = heard else { return Ok(None) };
        let name = hello.client_hello().server_name().map(str::to_owned);
        let policy = match name.as_deref().and_then(|name| self.names.find(name)) {
            Some(&policy) => policy,
            None if self.unknown == Unknown::Reject => {
                return Err(Refused::unknown_name("certificate", name.as_deref()));
            }
            None => 0,
        };
        let config = Arc::clone(&self.policies[policy].config);
        match hello.into_connection(config) {
            Ok(connection) => Ok(Some(Session::new(connection.into()))),
            Err((error, mut alert)) => Err(Refused::of(&error, &mut alert)),
        }
    }

    pub fn certificates(&self) -> &[Arc<Certificate>] {
        &self.certificates
    }

    /// Some names ask their clients for other things than others do.
    pub fn has_policies(&self) -> bool {
        self.policies.len() > 1
    }

    /// Whether a client that asked for the name `asked` may speak to `host`: it would have had to show
    /// the same.
    pub fn covers(&self, asked: Option<&str>, host: &str) -> bool {
        let policy = |name: &str| self.names.find(name).copied().unwrap_or(0);
        policy(host) == asked.map_or(0, policy)
    }
}

impl Offer {
    fn names(&self) -> &[String] {
        if self.names.is_empty() { self.certificate.names() } else { &self.names }
    }
}

impl Policy {
    fn new(clients: Clients, offers: &[&Offer], options: Options) -> Result<Self, String> {
        let versions = match options.least {
            Version::Tls12 => &BOTH[..],
            Version::Tls13 => &BOTH[..1],
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?
            .with_client_cert_verifier(clients.verifier()?)
            .with_cert_resolver(Arc::new(ByName::of(offers)));
        config.alpn_protocols = options.protocols.iter().map(|one| one.to_vec()).collect();
        if std::env::var_os("SSLKEYLOGFILE").is_some() {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        config.ticketer = Ticketer::new().map_err(|error| error.to_string())?;
        Ok(Self { config: Arc::new(config), clients })
    }
}

/// The certificates of one policy.
#[derive(Debug)]
struct ByName {
    names: Names<Vec<Arc<CertifiedKey>>>,
    /// Those with the names of the first one.
    others: Vec<Arc<CertifiedKey>>,
}

impl ByName {
    fn of(offers: &[&Offer]) -> Self {
        let mut names: Names<Vec<Arc<CertifiedKey>>> = Names::new();
        let mut others = Vec::new();
        for offer in offers {
            let key = &offer.certificate.key;
            for name in offer.names() {
                names.entry(name, Vec::new).push(Arc::clone(key));
            }
            if offers.first().is_some_and(|first| first.names() == offer.names()) {
                others.push(Arc::clone(key));
            }
        }
        Self { names, others }
    }
}

impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.names.find(name));
        let keys = named.unwrap_or(&self.others);
        keys.iter().find(|key| fits(&hello, key)).or(keys.first()).cloned()
    }
}

/// Whether the client can use this key: it knows a signature of it and, where it speaks no TLS 1.3, a
/// cipher suite that goes with it.
fn fits(hello: &ClientHello<'_>, key: &CertifiedKey) -> bool {
    if key.key.choose_scheme(hello.signature_schemes()).is_none() {
        return false;
    }
    let algorithm = key.key.algorithm();
    provider().cipher_suites.iter().any(|suite| {
        let offered = hello.cipher_suites().contains(&suite.suite());
        offered && suite.usable_for_signature_algorithm(algorithm)
    })
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("policies", &self.policies.len()).finish()
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.clients.fmt(f)
    }
}
