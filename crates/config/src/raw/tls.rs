//! TLS as it is written.

use crate::leaf::{FilePath, HostPattern, TlsVersion};
use crate::model::UnknownName;
use crate::read::{OneOrMany, Switch, section, words};

section! {
    Tls is "tls" like "{ certificates: [{ cert: site.pem, key: site.key }] }" {
        /// Which certificates clients are shown, by the host they ask for; the first one is for those
        /// who ask for none, or for one that is not named here.
        "certificates" => certificates: OneOrMany<Certificate>,
        /// Whether clients must show a certificate of their own: `optional` means that one which is
        /// shown must be good.
        "client_auth" => client_auth: Switch<ClientAuth> = "off",
        /// Who issues the certificates of clients.
        "client_ca" => client_ca: FilePath,
        /// Lists (CRL) of clients' certificates that are no longer good.
        "crl" => crl: FilePath,
        /// The oldest version that is spoken.
        "min_version" => min_version: TlsVersion = "1.2",
        /// What becomes of a client that asks for a host without a certificate, or for none.
        "unknown_name" => unknown_name: UnknownName = "default",
    }
    later {}
    needs { every("certificates"); }
}

section! {
    /// PEM files, as certbot, mkcert and openssl write them.
    Certificate is "a certificate" like "{ cert: site.pem, key: site.key }" {
        /// The certificate, and behind it those that lead to its root.
        "cert" => cert: FilePath,
        /// Its private key. Without it: in the file `cert`.
        "key" => key: FilePath,
        /// The hosts it is for. Without it: those that the certificate names.
        "names" => names: OneOrMany<HostPattern>,
        /// Instead of the listener's, for these hosts.
        "client_auth" => client_auth: Switch<ClientAuth>,
        /// Instead of the listener's, for these hosts.
        "client_ca" => client_ca: FilePath,
        /// Instead of the listener's, for these hosts.
        "crl" => crl: FilePath,
    }
    later {}
    needs { every("cert"); }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Optional,
    Required,
}

words!(ClientAuth {
    "optional" => ClientAuth::Optional,
    "required" => ClientAuth::Required,
} later {});

words!(UnknownName {
    "default" => UnknownName::Default,
    "reject" => UnknownName::Reject,
} later {});
