//! Opens a stream to a worker. A tower `Service`, so that what wraps a connection comes as a layer. Decides what kind of failure it was; what follows from one is the
//! business of the lease, the probe or the re-check that asked.

use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use isobar_tls::Side;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};
use tower::layer::layer_fn;
use tower::{Service, ServiceBuilder, ServiceExt};

use crate::address::Address;
use crate::dial::Dial;
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
    /// There is a connection, and no TLS on it.
    #[error("no TLS with the worker: {0}")]
    Tls(String),
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
            ConnectError::Tls(words) => format!("worker_tls: {words}"),
            _ => self.label().to_owned(),
        }
    }

    pub fn label(&self) -> &'static str {
        match self {
            ConnectError::Refused | ConnectError::NoSocket => "connect_refused",
            ConnectError::Timeout => "connect_timeout",
            ConnectError::Exhausted(_) => "exhausted",
            ConnectError::Other(_) => "connect_error",
            ConnectError::Tls(_) => "worker_tls",
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

/// What opens streams to workers: within a time limit, a socket, and on it TLS where it is asked for.
pub(crate) type Connector = Within<Secure<Sockets>>;

/// All of it together takes at most so long.
pub(crate) fn connector(limit: Duration) -> Connector {
    let within = layer_fn(move |inner| Within { inner, limit });
    ServiceBuilder::new().layer(within).layer(layer_fn(Secure)).service(Sockets)
}

/// Without a time limit: for who brings one.
pub(crate) async fn open(dial: &Dial) -> Result<Stream, ConnectError> {
    Secure(Sockets).oneshot(dial.clone()).await
}

type Opening = BoxFuture<'static, Result<Stream, ConnectError>>;

#[derive(Clone, Copy, Debug)]
pub(crate) struct Within<S> {
    inner: S,
    limit: Duration,
}

impl<S> Service<Dial> for Within<S>
where
    S: Service<Dial, Response = Stream, Error = ConnectError, Future = Opening>,
{
    type Response = Stream;
    type Error = ConnectError;
    type Future = Opening;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, dial: Dial) -> Opening {
        let opening = timeout(self.limit, self.inner.call(dial));
        Box::pin(async move { opening.await.unwrap_or(Err(ConnectError::Timeout)) })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Secure<S>(S);

impl<S> Service<Dial> for Secure<S>
where
    S: Service<Dial, Response = Stream, Error = ConnectError, Future = Opening>,
{
    type Response = Stream;
    type Error = ConnectError;
    type Future = Opening;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, dial: Dial) -> Opening {
        let Some(tls) = dial.tls.clone() else { return self.0.call(dial) };
        let opening = self.0.call(dial);
        Box::pin(async move {
            let mut stream = opening.await?;
            stream.secure(tls.begin().map_err(ConnectError::Tls)?);
            let shaken = poll_fn(|cx| stream.poll_handshake(cx)).await;
            shaken.map_err(|error| ConnectError::Tls(isobar_tls::why(&error, Side::Server)))?;
            Ok(stream)
        })
    }
}

/// TCP without Nagle's delay, or a unix socket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sockets;

impl Service<Dial> for Sockets {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Opening;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, dial: Dial) -> Opening {
        Box::pin(async move {
            match dial.address {
                Address::Tcp(addr) => {
                    let stream = Stream::from(TcpStream::connect(addr).await?);
                    // If this fails the other end has gone already, which the first byte will tell.
                    let _ = stream.set_nodelay();
                    Ok(stream)
                }
                Address::Unix(path) => unix(&path).await,
            }
        })
    }
}

async fn unix(path: &Path) -> Result<Stream, ConnectError> {
    // A unix socket does not wait for room in a full back-log as TCP does: it says EAGAIN.
    let mut pause = Duration::from_millis(1);
    loop {
        match UnixStream::connect(path).await {
            Ok(stream) => return Ok(stream.into()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_millis(16));
            }
            Err(error) => return Err(error.into()),
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
