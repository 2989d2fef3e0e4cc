//! A certificate with its chain and its key, as they lie on disk.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustls::{
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{PemObject, SectionKind},
    },
    sign::{CertifiedKey, SigningKey},
};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::{
    pem::{self, Bad, Section},
    provider::provider,
};

/// Ready to be shown.
#[derive(Debug)]
pub struct Certificate {
    pub(crate) key: Arc<CertifiedKey>,
    names: Vec<String>,
    expires: SystemTime,
    file: PathBuf,
}

/// A certificate, and what is worth knowing about it.
#[derive(Debug)]
pub struct Loaded {
    pub certificate: Certificate,
    pub warnings: Vec<Bad>,
}

impl Certificate {
    /// Reads the chain from `cert`, its own certificate first, and the key from `key`, which may be the
    /// same file. What is in the file `cert` with `.ocsp` behind its name is stapled.
    pub fn load(cert: &Path, key: &Path) -> Result<Loaded, Bad> {
        let chain = chain(cert)?;
        let Some(own) = chain.first() else { return Err(no_certificate(cert)) };
        let parsed = parse(cert, own)?;
        let signing = signing_key(key)?;
        let expires = at(parsed.validity().not_after.timestamp());
        let mut warnings = Vec::new();
        let mut warn = |section: &Section, what: String| {
            warnings.push(Bad::new(cert, Some(section.line), what));
        };
        let now = SystemTime::now();
        if expires < now {
            warn(own, format!("the certificate has expired on {}", parsed.validity().not_after));
        } else if at(parsed.validity().not_before.timestamp()) > now {
            warn(own, format!("it is not valid before {}", parsed.validity().not_before));
        }
        let names = names(&parsed);
        for (below, above) in chain.iter().zip(chain.iter().skip(1)) {
            if parse(cert, below)?.issuer() != parse(cert, above)?.subject() {
                let what = "this certificate did not issue the one before it: clients may not \
                            find the way to their root";
                warn(above, what.to_owned());
            }
        }
        let line = own.line;
        let ders = chain.iter().map(|one| CertificateDer::from(one.der.clone())).collect();
        let mut certified = CertifiedKey::new(ders, signing);
        if let Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) =
            certified.keys_match()
        {
            return Err(mismatch(cert, line, key, &chain, &certified));
        }
        certified.ocsp = staple(cert);
        let certificate =
            Certificate { key: Arc::new(certified), names, expires, file: cert.to_owned() };
        Ok(Loaded { certificate, warnings })
    }

    /// The names that it is good for, in lower case, some with a star in front.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// In seconds since 1970.
    pub fn expires_at(&self) -> f64 {
        self.expires.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
    }

    /// Where it was read.
    pub fn file(&self) -> &Path {
        &self.file
    }
}

fn chain(path: &Path) -> Result<Vec<Section>, Bad> {
    let sections = pem::sections(path)?;
    Ok(sections.into_iter().filter(|one| one.kind == SectionKind::Certificate).collect())
}

fn no_certificate(path: &Path) -> Bad {
    Bad::new(path, None, "found no certificate").hint("it has `-----BEGIN CERTIFICATE-----` in it")
}

fn parse<'d>(path: &Path, section: &'d Section) -> Result<X509Certificate<'d>, Bad> {
    match X509Certificate::from_der(&section.der) {
        Ok((_, certificate)) => Ok(certificate),
        Err(error) => {
            let what = format!("found a certificate that cannot be read: {error}");
            Err(Bad::new(path, Some(section.line), what))
        }
    }
}

fn signing_key(path: &Path) -> Result<Arc<dyn SigningKey>, Bad> {
    let sections = pem::sections(path)?;
    let key = sections
        .iter()
        .find_map(|one| Some((one.line, PrivateKeyDer::from_pem(one.kind, one.der.clone())?)));
    let encrypted = pem::encrypted_key(path);
    let decrypt = "`openssl pkey -in FILE -out NEW` makes one without a passphrase";
    if let Some(line) = encrypted.filter(|&line| key.as_ref().is_none_or(|&(at, _)| at == line)) {
        let bad = Bad::new(path, Some(line), "found a key that only a passphrase opens");
        return Err(bad.hint(decrypt));
    }
    let Some((line, key)) = key else {
        let bad = Bad::new(path, None, "found no private key");
        return Err(bad.hint("it has `PRIVATE KEY-----` in it"));
    };
    provider().key_provider.load_private_key(key).map_err(|error| {
        let what = format!("found a private key that cannot be used: {error}");
        let hint =
            "RSA of at least 2048 bits, ECDSA with P-256, P-384 or P-521, and Ed25519 can be";
        Bad::new(path, Some(line), what).hint(hint)
    })
}

/// The key is another certificate's, perhaps that of one further down.
fn mismatch(
    cert: &Path,
    line: usize,
    key: &Path,
    chain: &[Section],
    certified: &CertifiedKey,
) -> Bad {
    let fits = |one: &&Section| {
        let der = CertificateDer::from(one.der.clone());
        CertifiedKey::new(vec![der], Arc::clone(&certified.key)).keys_match().is_ok()
    };
    let what = format!("the key in {} is not this certificate's", key.display());
    let bad = Bad::new(cert, Some(line), what);
    match chain.iter().find(fits) {
        Some(own) => bad.hint(format!(
            "the key belongs to the certificate on line {}, which must be the first in the file",
            own.line
        )),
        None => bad,
    }
}

/// The DNS names, or else the common name of a certificate that has none.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let Some(alternative) = alternative else {
        let common = certificate.subject().iter_common_name().next();
        let common = common.and_then(|name| name.as_str().ok());
        return common.map(str::to_ascii_lowercase).into_iter().collect();
    };
    let dns = alternative.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    dns.collect()
}

/// RFC 6066 §8: what the issuer says of it, fetched by somebody else (certbot's hooks, a timer).
fn staple(cert: &Path) -> Option<Vec<u8>> {
    const MOST: u64 = 64 * 1024;
    let mut path = cert.as_os_str().to_owned();
    path.push(".ocsp");
    let size = std::fs::metadata(&path).ok()?.len();
    if size == 0 || size > MOST { None } else { std::fs::read(path).ok() }
}

fn at(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => UNIX_EPOCH + Duration::from_secs(seconds),
        Err(_) => UNIX_EPOCH,
    }
}
