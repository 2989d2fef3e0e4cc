//! Where a worker listens. Decides how an address is written (as in the configuration) and nothing
//! else: no name is resolved here.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// The same host on another port. A unix socket has no ports, so there it stays as it is.
    pub fn with_port(&self, port: u16) -> Address {
        match self {
            Address::Tcp(addr) => Address::Tcp(SocketAddr::new(addr.ip(), port)),
            Address::Unix(_) => self.clone(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(addr) => addr.fmt(f),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
