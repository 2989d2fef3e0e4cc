//! Why a handshake failed, in words for people.

use std::io;

use rustls::{Error, PeerIncompatible};

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Client,
    Server,
}

/// Of an error that a session's handshake has ended with.
pub fn why(error: &io::Error, other: Side) -> String {
    let they = they(other);
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(error) => words(error, other),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            format!("{they} closed the connection")
        }
        None => error.to_string(),
    }
}

pub(crate) fn words(error: &Error, other: Side) -> String {
    let they = they(other);
    match error {
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::SupportedVersionsExtensionRequired
            // Older clients have no such extension.
            | PeerIncompatible::SignatureAlgorithmsExtensionRequired,
        ) => format!("{they} speaks no version of TLS that is allowed here"),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon) => {
            format!("{they} knows none of the cipher suites that go with the certificate")
        }
        Error::NoApplicationProtocol => {
            format!("{they} asks (ALPN) for other protocols than are spoken here")
        }
        Error::NoCertificatesPresented => format!("{they} shows no certificate"),
        Error::InvalidCertificate(why) => format!("{they}'s certificate is not good: {why}"),
        Error::AlertReceived(alert) => format!("{they} refuses: {alert:?}"),
        Error::InvalidMessage(what) => format!("what came is no TLS: {what:?}"),
        other => other.to_string(),
    }
}

fn they(side: Side) -> &'static str {
    match side {
        Side::Client => "the client",
        Side::Server => "the server",
    }
}
