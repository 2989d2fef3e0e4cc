//! What a handshake has settled, as far as people, logs and workers are told of it.

use rustls::{Connection, HandshakeKind, ProtocolVersion};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    Tls12,
    Tls13,
}

impl Version {
    /// As in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Version::Tls12 => "1.2",
            Version::Tls13 => "1.3",
        }
    }
}

#[derive(Clone, Debug)]
pub struct Facts {
    pub version: Version,
    /// An earlier session of this client was taken up again.
    pub resumed: bool,
    /// The host that the client asked for, in lower case.
    pub name: Option<Box<str>>,
}

impl Facts {
    pub(crate) fn of(connection: &Connection) -> Self {
        let version = match connection.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => Version::Tls13,
            _ => Version::Tls12,
        };
        let name = match connection {
            Connection::Server(server) => server.server_name(),
            Connection::Client(_) => None,
        };
        Self {
            version,
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            name: name.map(|name| name.to_ascii_lowercase().into()),
        }
    }
}
