//! Whom clients with certificates are believed.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, CertificateRevocationListDer, pem::SectionKind},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};

use crate::{
    pem::{self, Bad},
    provider::provider,
};

/// Whether clients must show a certificate, and whose.
#[derive(Clone, Debug, Default)]
pub enum Clients {
    #[default]
    Off,
    /// Who shows one must show a good one.
    Optional(Arc<Authority>),
    Required(Arc<Authority>),
}

/// Certificates that issue clients' certificates, and the list of those that are no longer good.
#[derive(Debug)]
pub struct Authority {
    roots: Arc<RootCertStore>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    /// What the files hold: two with the same content are one policy.
    content: Vec<u8>,
}

impl Authority {
    pub fn load(ca: &Path, crl: Option<&Path>) -> Result<Self, Bad> {
        let mut roots = RootCertStore::empty();
        let mut content = Vec::new();
        for section in pem::sections(ca)? {
            if section.kind != SectionKind::Certificate {
                continue;
            }
            content.extend_from_slice(&section.der);
            roots.add(CertificateDer::from(section.der)).map_err(|error| {
                Bad::new(ca, Some(section.line), format!("not good as an issuer: {error}"))
            })?;
        }
        if roots.is_empty() {
            return Err(Bad::new(ca, None, "found no certificate"));
        }
        let mut revoked = Vec::new();
        if let Some(crl) = crl {
            for section in pem::sections(crl)? {
                if section.kind == SectionKind::Crl {
                    content.extend_from_slice(&section.der);
                    revoked.push(CertificateRevocationListDer::from(section.der));
                }
            }
            if revoked.is_empty() {
                let bad = Bad::new(crl, None, "found no list of revoked certificates");
                return Err(bad.hint("it has `-----BEGIN X509 CRL-----` in it"));
            }
        }
        let authority = Self { roots: Arc::new(roots), revoked, content };
        // A list that cannot be read is found out here.
        authority.verifier(true).map_err(|what| Bad::new(crl.unwrap_or(ca), None, what))?;
        Ok(authority)
    }

    fn verifier(&self, required: bool) -> Result<Arc<dyn ClientCertVerifier>, String> {
        let roots = Arc::clone(&self.roots);
        let mut builder = WebPkiClientVerifier::builder_with_provider(roots, provider());
        if !self.revoked.is_empty() {
            builder = builder.with_crls(self.revoked.iter().cloned());
            builder = builder.allow_unknown_revocation_status();
        }
        if !required {
            builder = builder.allow_unauthenticated();
        }
        builder.build().map_err(|error| error.to_string())
    }
}

impl Clients {
    pub(crate) fn verifier(&self) -> Result<Arc<dyn ClientCertVerifier>, String> {
        match self {
            Clients::Off => Ok(WebPkiClientVerifier::no_client_auth()),
            Clients::Optional(authority) => authority.verifier(false),
            Clients::Required(authority) => authority.verifier(true),
        }
    }

    /// One client may do exactly what it may do under the other.
    pub(crate) fn same(&self, other: &Clients) -> bool {
        match (self, other) {
            (Clients::Off, Clients::Off) => true,
            (Clients::Optional(one), Clients::Optional(other))
            | (Clients::Required(one), Clients::Required(other)) => one.content == other.content,
            _ => false,
        }
    }
}
