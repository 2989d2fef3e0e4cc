//! Where connections come in: accepts, admits or turns away, hands on.
//!
//! Sockets are accepted raw and registered only by the shard that will serve them. Options that
//! Linux lets accepted sockets inherit (`TCP_NODELAY`, keep-alive probes) are set once on the listening socket.
//! When descriptors or memory run out accepting pauses instead of spinning.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, TcpListener},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use isobar_pool::Stream;
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::{SendFlags, SocketFlags},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{Notify, oneshot},
};

use crate::{
    answer::{self, HeadOnly, KeepAlive},
    forwarded,
    reason::Reason,
    shard::ProxyContext,
    table::{ListenerId, ListenerPlan, Serve},
};

/// How long accepting pauses when the process is out of descriptors or memory.
const PAUSE: Duration = Duration::from_millis(50);

/// And how often that is said.
const COMPLAIN: Duration = Duration::from_secs(10);

/// How long a full listener waits for those it asked to leave before it asks more of them.
const LEAVING: Duration = Duration::from_millis(50);

/// A bound, listening, non-blocking socket, with the options that its connections are to inherit.
pub enum ListenSocket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A connection on its way to the shard that will serve it.
pub(crate) struct Accepted {
    socket: OwnedFd,
    family: Family,
    pub(crate) client: Option<IpAddr>,
    pub(crate) admission: Admission,
}

#[derive(Clone, Copy)]
enum Family {
    Tcp,
    Unix,
}

impl Accepted {
    /// Registers the socket with the calling shard's reactor.
    pub(crate) fn into_stream(self) -> io::Result<(Stream, Option<IpAddr>, Admission)> {
        let stream = match self.family {
            Family::Tcp => Stream::Tcp(tokio::net::TcpStream::from_std(self.socket.into())?),
            Family::Unix => Stream::Unix(tokio::net::UnixStream::from_std(self.socket.into())?),
        };
        Ok((stream, self.client, self.admission))
    }
}

/// Counts a listener's open connections over all shards.
pub(crate) struct Gate {
    pub(crate) id: ListenerId,
    open: AtomicUsize,
    room: Notify,
    /// Touched only where `per_client` is set.
    clients: Mutex<HashMap<IpAddr, usize>>,
}

impl Gate {
    pub(crate) fn new(id: ListenerId) -> Self {
        let (open, room) = (AtomicUsize::new(0), Notify::new());
        Self { id, open, room, clients: Mutex::default() }
    }

    fn is_full(&self, limit: usize) -> bool {
        limit != 0 && self.open.load(Ordering::Acquire) >= limit
    }

    async fn room(&self, limit: usize) {
        while self.is_full(limit) {
            let room = self.room.notified();
            if self.is_full(limit) {
                room.await;
            }
        }
    }

    fn admit(self: &Arc<Self>, client: Option<IpAddr>, per_client: usize) -> Option<Admission> {
        let counted = client.filter(|_| per_client != 0);
        if let Some(client) = counted {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            let open = clients.entry(client).or_default();
            if *open >= per_client {
                return None;
            }
            *open += 1;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Admission { gate: Arc::clone(self), counted })
    }
}

/// One connection's place among those its listener admits; given back on drop.
pub(crate) struct Admission {
    gate: Arc<Gate>,
    counted: Option<IpAddr>,
}

impl Admission {
    pub(crate) fn listener(&self) -> ListenerId {
        self.gate.id
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(client) = self.counted {
            let mut clients = self.gate.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = clients.get_mut(&client) {
                *open -= 1;
                if *open == 0 {
                    clients.remove(&client);
                }
            }
        }
        self.gate.open.fetch_sub(1, Ordering::AcqRel);
        self.gate.room.notify_one();
    }
}

/// Accepts until `stopped` is dropped or sent, then empties the back-log once and ends.
pub(crate) async fn accept(
    context: &ProxyContext,
    gate: Arc<Gate>,
    socket: ListenSocket,
    mut stopped: oneshot::Receiver<()>,
    each: impl Fn(Accepted),
) {
    let (fd, family): (OwnedFd, _) = match socket {
        ListenSocket::Tcp(listener) => (listener.into(), Family::Tcp),
        ListenSocket::Unix(listener) => (listener.into(), Family::Unix),
    };
    let socket = match watch(fd) {
        Ok(socket) => socket,
        Err(error) => return tracing::error!(%error, "the listening socket cannot be watched"),
    };
    let mut complained = None;
    loop {
        let limit = context.listener(gate.id).map_or(0, |plan| plan.limits.connections);
        if gate.is_full(limit) {
            tokio::select! {
                biased;
                _ = &mut stopped => break,
                () = make_room(context, &gate, &socket, limit) => continue,
            }
        }
        let accepted = tokio::select! {
            biased;
            _ = &mut stopped => break,
            accepted = next(&socket) => accepted,
        };
        match accepted {
            Ok((fd, client)) => admit(context, &gate, fd, family, client, &each),
            Err(error) => pause(&error, &mut complained).await,
        }
    }
    while let Ok((fd, client)) = accept_raw(&socket) {
        admit(context, &gate, fd, family, client, &each);
    }
}

#[expect(
    deprecated,
    reason = "its unsoundness is for types that lie about their descriptor; \
                               an OwnedFd cannot, and the successor is an unsafe fn"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Who is too many waits in the kernel's back-log, like with nginx and HAProxy, rather than to be
/// accepted and refused; while somebody does, those leave who only might ask again (SL-05). It
/// returns now and then, because the limit may have changed.
async fn make_room(context: &ProxyContext, gate: &Gate, socket: &AsyncFd<OwnedFd>, limit: usize) {
    let awaited = async {
        while let Ok(mut ready) = socket.readable().await {
            match has_backlog(socket) {
                true => return,
                false => ready.clear_ready(),
            }
        }
    };
    tokio::select! {
        () = gate.room(limit) => return,
        () = awaited => {}
    }
    context.evict_idle(gate.id);
    let _ = tokio::time::timeout(LEAVING, gate.room(limit)).await;
}

/// What the runtime remembers may be of a connection that was accepted since.
fn has_backlog(socket: &AsyncFd<OwnedFd>) -> bool {
    let mut fds = [PollFd::new(socket.get_ref(), PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

async fn next(socket: &AsyncFd<OwnedFd>) -> io::Result<(OwnedFd, Option<IpAddr>)> {
    loop {
        let mut ready = socket.readable().await?;
        if let Ok(accepted) = ready.try_io(accept_raw) {
            return accepted;
        }
    }
}

fn accept_raw(socket: &AsyncFd<OwnedFd>) -> io::Result<(OwnedFd, Option<IpAddr>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, address) = rustix::net::acceptfrom_with(socket.as_fd(), flags)?;
    let address = address.and_then(|address| std::net::SocketAddr::try_from(address).ok());
    Ok((fd, address.map(|address| address.ip().to_canonical())))
}

fn admit(
    context: &ProxyContext,
    gate: &Arc<Gate>,
    socket: OwnedFd,
    family: Family,
    client: Option<IpAddr>,
    each: &impl Fn(Accepted),
) {
    let Some(plan) = context.listener(gate.id) else { return };
    match gate.admit(client, plan.limits.per_client) {
        Some(admission) => each(Accepted { socket, family, client, admission }),
        None => turn_away(&plan, &socket),
    }
}

/// Over its client's limit: told why if it speaks HTTP, and closed unread.
fn turn_away(plan: &ListenerPlan, socket: &OwnedFd) {
    if let Serve::Http(_) = plan.serve {
        let (mut out, reason) = (Vec::new(), Reason::ConnectionLimit);
        let id = forwarded::new_request_id(forwarded::since_epoch());
        let status = reason.status();
        answer::write(&mut out, status, reason, &id, &[], KeepAlive::Close, HeadOnly::No);
        // A fresh socket takes a few hundred bytes; if not, it is closed without them.
        let _ = rustix::net::send(socket, &out, SendFlags::NOSIGNAL | SendFlags::DONTWAIT);
    }
}

/// A connection that died in the back-log is nobody's problem; running out of something is ours.
async fn pause(error: &io::Error, complained: &mut Option<Instant>) {
    use rustix::io::Errno;
    let out_of = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    if Errno::from_io_error(error).is_some_and(|errno| out_of.contains(&errno)) {
        if complained.is_none_or(|at| at.elapsed() > COMPLAIN) {
            tracing::warn!(%error, "accepting pauses");
            *complained = Some(Instant::now());
        }
        tokio::time::sleep(PAUSE).await;
    } else {
        tracing::debug!(%error, "accept");
    }
}
