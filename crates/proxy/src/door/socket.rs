//! Sockets on their way in: those that listen, and those that were accepted and are served by nobody
//! yet.

use std::{
    io,
    net::{IpAddr, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixListener},
    sync::Arc,
};

use isobar_pool::Stream;

use crate::{
    connections::Admission,
    table::{ListenerId, ListenerPlan},
};

/// A bound, listening, non-blocking socket, with the options that its connections are to inherit.
pub enum ListenSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection on its way to the shard that will serve it.
pub(crate) struct Accepted {
    pub(super) socket: OwnedFd,
    pub(super) family: Family,
    pub(super) client: Option<IpAddr>,
    pub(crate) terms: Terms,
}

/// The listener that a connection came in by, as it was at that moment.
pub(crate) struct Terms {
    pub(crate) listener: ListenerId,
    pub(crate) plan: Arc<ListenerPlan>,
    pub(crate) admission: Admission,
}

#[derive(Clone, Copy)]
pub(super) enum Family {
    Tcp,
    Unix,
}

impl Accepted {
    /// Registers the socket with the calling shard's reactor.
    pub(crate) fn into_stream(self) -> io::Result<(Stream, Option<IpAddr>, Terms)> {
        Ok((register(self.socket, self.family)?, self.client, self.terms))
    }
}

pub(super) fn register(socket: OwnedFd, family: Family) -> io::Result<Stream> {
    Ok(match family {
        Family::Tcp => tokio::net::TcpStream::from_std(socket.into())?.into(),
        Family::Unix => tokio::net::UnixStream::from_std(socket.into())?.into(),
    })
}
