//! Opens a stream to an address. A tower `Service`, so that what wraps a connection (TLS, a PROXY
//! header) comes as a layer. Decides what kind of failure it was; what follows from one is the
//! business of the lease, the probe or the re-check that asked.

use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tower::Service;

use crate::address::Address;
use crate::stream::Stream;

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// Nobody has made the unix socket: as good as a refusal.
    #[error("connection refused: there is no such socket")]
    NoSocket,
    #[error("connecting timed out")]
    Timeout,
    /// We ran out of ports or file descriptors: says nothing about the worker.
    #[error("out of local resources: {0}")]
    Exhausted(io::Error),
    #[error("connecting failed: {0}")]
    Other(io::Error),
}

impl ConnectError {
    /// Nobody is there, which is certain.
    pub fn is_refusal(&self) -> bool {
        matches!(self, ConnectError::Refused | ConnectError::NoSocket)
    }

    /// Why a worker is down, for people: what has a name is called by it, the rest says itself.
    pub fn cause(&self) -> String {
        match self {
            ConnectError::Other(_) | ConnectError::Exhausted(_) => self.to_string(),
            _ => self.label().to_owned(),
        }
    }

    pub fn label(&self) -> &'static str {
        match self {
            ConnectError::Refused | ConnectError::NoSocket => "connect_refused",
            ConnectError::Timeout => "connect_timeout",
            ConnectError::Exhausted(_) => "exhausted",
            ConnectError::Other(_) => "connect_error",
        }
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> ConnectError {
        // The same numbers on every unix; `io::ErrorKind` has no name for them.
        const ENFILE: i32 = 23;
        const EMFILE: i32 = 24;
        match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectError::Refused,
            io::ErrorKind::NotFound => ConnectError::NoSocket,
            io::ErrorKind::TimedOut => ConnectError::Timeout,
            io::ErrorKind::AddrNotAvailable => ConnectError::Exhausted(error),
            _ if matches!(error.raw_os_error(), Some(ENFILE | EMFILE)) => {
                ConnectError::Exhausted(error)
            }
            _ => ConnectError::Other(error),
        }
    }
}

/// Connects within its time-out, without Nagle's delay.
#[derive(Clone, Copy, Debug)]
pub struct Connector {
    timeout: Duration,
}

impl Connector {
    pub fn new(timeout: Duration) -> Connector {
        Connector { timeout }
    }
}

impl Service<Address> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Stream, ConnectError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, address: Address) -> Self::Future {
        let limit = self.timeout;
        Box::pin(async move {
            timeout(limit, open(&address)).await.unwrap_or(Err(ConnectError::Timeout))
        })
    }
}

/// Without a time-out: for who brings one.
pub(crate) async fn open(address: &Address) -> Result<Stream, ConnectError> {
    match address {
        Address::Tcp(addr) => {
            let stream = Stream::Tcp(TcpStream::connect(addr).await?);
            // If this fails the other end has gone already, which the first byte will tell.
            let _ = stream.set_nodelay();
            Ok(stream)
        }
        Address::Unix(path) => {
            // A unix socket does not wait for room in a full back-log as TCP does: it says EAGAIN.
            let mut pause = Duration::from_millis(1);
            loop {
                match UnixStream::connect(path).await {
                    Ok(stream) => return Ok(Stream::Unix(stream)),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        sleep(pause).await;
                        pause = (pause * 2).min(Duration::from_millis(16));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sl_11_failures_have_kinds() {
        for (number, label) in [(23, "exhausted"), (24, "exhausted"), (13, "connect_error")] {
            assert_eq!(ConnectError::from(io::Error::from_raw_os_error(number)).label(), label);
        }
        for (kind, label) in [
            (io::ErrorKind::AddrNotAvailable, "exhausted"),
            (io::ErrorKind::ConnectionRefused, "connect_refused"),
            (io::ErrorKind::NotFound, "connect_refused"),
            (io::ErrorKind::TimedOut, "connect_timeout"),
            (io::ErrorKind::HostUnreachable, "connect_error"),
        ] {
            assert_eq!(ConnectError::from(io::Error::from(kind)).label(), label);
        }
        let cause = |number| ConnectError::from(io::Error::from_raw_os_error(number)).cause();
        assert_eq!(cause(111), "connect_refused");
        assert!(cause(13).contains("Permission denied"), "{}", cause(13));
        assert!(cause(113).contains("No route to host"), "{}", cause(113));
    }
}
