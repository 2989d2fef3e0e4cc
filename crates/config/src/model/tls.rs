//! TLS on a listener, and to workers.

use std::path::PathBuf;
use std::sync::Arc;

use isobar_tls::{
    Authority, Bad, Certificate, Client, Clients, Offer, Options, Server, Trust, Unknown, Version,
};

/// Files are named here and read anew whenever the configuration is made live, or when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The first one is for clients that ask for no host.
    pub certificates: Vec<TlsCertificate>,
    pub tls13_only: bool,
    pub unknown_name: UnknownName,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsCertificate {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Instead of those that the certificate names.
    pub names: Vec<String>,
    pub client_auth: ClientAuth,
}

/// What clients must show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientAuth {
    Off,
    Optional(ClientCa),
    Required(ClientCa),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCa {
    pub ca: PathBuf,
    pub crl: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownName {
    Default,
    Reject,
}

/// TLS to workers. Files are read anew whenever the configuration is made live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerTls {
    /// `None`: whom this machine trusts.
    pub ca: Option<PathBuf>,
    /// `None`: the worker's own host or address.
    pub server_name: Option<String>,
    /// Our certificate and its key.
    pub client: Option<(PathBuf, PathBuf)>,
    pub verify: bool,
}

impl WorkerTls {
    /// Reads all files. `own`: the worker's own name, if the configuration names none.
    pub fn load(&self, own: &str) -> Result<Client, Bad> {
        let identity = self.client.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
        let trust = Trust { ca: self.ca.as_deref(), identity, verify: self.verify };
        Client::load(&trust, self.server_name.as_deref().unwrap_or(own))
    }
}

impl ClientAuth {
    pub(crate) fn ca(&self) -> Option<&ClientCa> {
        match self {
            ClientAuth::Off => None,
            ClientAuth::Optional(ca) | ClientAuth::Required(ca) => Some(ca),
        }
    }

    fn load(&self) -> Result<Clients, Bad> {
        let authority = |ca: &ClientCa| Authority::load(&ca.ca, ca.crl.as_deref()).map(Arc::new);
        Ok(match self {
            ClientAuth::Off => Clients::Off,
            ClientAuth::Optional(ca) => Clients::Optional(authority(ca)?),
            ClientAuth::Required(ca) => Clients::Required(authority(ca)?),
        })
    }
}

impl Tls {
    /// Reads all files. `protocols`: what is spoken behind it, for ALPN.
    pub fn load(&self, protocols: &'static [&'static [u8]]) -> Result<Server, String> {
        let offer = |one: &TlsCertificate| -> Result<Offer, Bad> {
            let certificate = Certificate::load(&one.cert, &one.key)?.certificate;
            let clients = one.client_auth.load()?;
            Ok(Offer { certificate: Arc::new(certificate), names: one.names.clone(), clients })
        };
        let offers: Result<Vec<Offer>, Bad> = self.certificates.iter().map(offer).collect();
        Server::new(&offers.map_err(|bad| bad.to_string())?, self.options(protocols))
    }

    /// Every file that is read.
    pub fn files(&self) -> Vec<&PathBuf> {
        let mut files = Vec::new();
        for one in &self.certificates {
            files.extend([&one.cert, &one.key]);
            if let Some(ca) = one.client_auth.ca() {
                files.push(&ca.ca);
                files.extend(&ca.crl);
            }
        }
        files
    }

    pub(crate) fn options(&self, protocols: &'static [&'static [u8]]) -> Options {
        Options {
            least: if self.tls13_only { Version::Tls13 } else { Version::Tls12 },
            unknown: match self.unknown_name {
                UnknownName::Default => Unknown::Default,
                UnknownName::Reject => Unknown::Reject,
            },
            protocols,
        }
    }
}
