//! Where connections come in: accepts, admits or turns away, hands on.
//!
//! Sockets are accepted raw and registered only by the shard that will serve them. Options that
//! Linux lets accepted sockets inherit (`TCP_NODELAY`, keep-alive probes) are set once on the listening socket.
//! When file descriptors run short, idle connections are closed to make room. When accepting fails, it
//! pauses for a moment instead of trying again at once.

use std::{
    cell::Cell,
    future::poll_fn,
    io,
    net::IpAddr,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    sync::Arc,
    task::{Poll, ready},
    time::{Duration, Instant, SystemTime},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    net::{SendFlags, SocketFlags},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
};

use super::{
    answer::{self, Said},
    socket::{Accepted, Family, ListenSocket, Terms, register},
};
use crate::{
    access_log::Entry,
    connections::Admission,
    context::ProxyContext,
    forwarded,
    reason::Reason,
    scratch,
    table::{ListenerId, ListenerPlan, ProxyProtocol, Serve},
};

/// How long accepting pauses when it fails, or when nobody can make room.
const PAUSE: Duration = Duration::from_millis(50);

/// The first pause while idle connections give back their descriptors; later ones are longer.
const FIRST_PAUSE: Duration = Duration::from_millis(2);

/// How often the log says that something is wrong.
const COMPLAIN: Duration = Duration::from_secs(10);

/// A full listener asks some idle connections to close and waits so long before it asks more of them.
const LEAVING: Duration = Duration::from_millis(50);

/// Accepts until `stopped` is sent or dropped, then accepts what the back-log holds and ends. If the
/// listener was removed, `stopped` brings its last plan: the connections in the back-log are served by it.
pub(crate) async fn accept(
    context: &ProxyContext,
    id: ListenerId,
    socket: ListenSocket,
    mut stopped: oneshot::Receiver<Arc<ListenerPlan>>,
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
    let admit = |plan: Arc<ListenerPlan>, (socket, client)| match admit(&plan, client) {
        Some(admission) => {
            let terms = Terms { listener: id, plan, admission };
            each(Accepted { socket, family, client, terms });
        }
        None => {
            turn_away(context, &plan, &socket, client);
            linger(socket, family);
        }
    };
    let mut trouble = Trouble { complained: None, short: false, pause: FIRST_PAUSE };
    let last = loop {
        let ready = tokio::select! {
            biased;
            plan = &mut stopped => break plan,
            ready = socket.readable() => ready,
        };
        // Not kept while nobody comes: it would keep pools that are no more.
        let Some(plan) = context.listener(id) else {
            // It has just been removed, which is about to be said here.
            break (&mut stopped).await;
        };
        let accepted = match ready {
            Ok(mut ready) => {
                let full = plan.connections.is_full(plan.limits.connections);
                if full || trouble.is_short(context, &socket) {
                    match has_backlog(&socket) {
                        true if full => make_room(context, &plan).await,
                        true => trouble.spare(context).await,
                        false => ready.clear_ready(),
                    }
                    continue;
                }
                ready.try_io(accept_raw)
            }
            Err(error) => Ok(Err(error)),
        };
        match accepted {
            Ok(Ok(one)) => {
                trouble.short = context.descriptors.is_kept_back(one.0.as_raw_fd());
                admit(plan, one);
            }
            Ok(Err(error)) => trouble.failed(context, &error).await,
            // There was none after all.
            Err(_) => {}
        }
    };
    let Some(plan) = last.ok().or_else(|| context.listener(id)) else { return };
    while let Ok(one) = accept_raw(&socket) {
        admit(Arc::clone(&plan), one);
    }
}

fn admit(plan: &ListenerPlan, client: Option<IpAddr>) -> Option<Admission> {
    let per_client = match plan.proxy_protocol {
        ProxyProtocol::Off => plan.limits.per_client,
        // Who it is will be said.
        ProxyProtocol::Accept | ProxyProtocol::Require => 0,
    };
    plan.connections.admit(client, per_client)
}

#[expect(
    deprecated,
    reason = "its unsoundness is for types that lie about their descriptor; \
                               an OwnedFd cannot, and the successor is an unsafe fn"
)]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

/// Beyond the limit, new connections wait in the kernel's back-log, as with nginx and HAProxy; they are
/// not accepted and refused. While one waits, idle connections are closed (SL-05). This returns now and
/// then, because the limit may have changed.
async fn make_room(context: &ProxyContext, plan: &ListenerPlan) {
    context.evict_idle(Some(&plan.connections));
    let _ = tokio::time::timeout(LEAVING, plan.connections.room(plan.limits.connections)).await;
}

/// Asks the kernel: the runtime may still remember a connection that has been accepted since.
fn has_backlog(socket: &AsyncFd<OwnedFd>) -> bool {
    let mut fds = [PollFd::new(socket.get_ref(), PollFlags::IN)];
    rustix::event::poll(&mut fds, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
}

fn accept_raw(socket: &AsyncFd<OwnedFd>) -> io::Result<(OwnedFd, Option<IpAddr>)> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (fd, address) = rustix::net::acceptfrom_with(socket.as_fd(), flags)?;
    let address = address.and_then(|address| std::net::SocketAddr::try_from(address).ok());
    Ok((fd, address.map(|address| address.ip().to_canonical())))
}

/// A connection beyond `limits.per_client`: over HTTP it gets an answer that says so, and it is logged.
fn turn_away(
    context: &ProxyContext,
    plan: &ListenerPlan,
    socket: &OwnedFd,
    client: Option<IpAddr>,
) {
    let reason = Reason::ConnectionLimit;
    let id = forwarded::new_request_id(forwarded::since_epoch());
    let mut entry = Entry {
        client_ip: client,
        reason: Some(reason.code()),
        ..Entry::of(SystemTime::now(), &plan.name, &id)
    };
    if let Serve::Http(_) = plan.serve {
        let Said { bytes, body, status } = answer::lay_out(reason, None, &id);
        // A fresh socket takes a few hundred bytes; if not, it is closed without them. Who speaks TLS
        // has said nothing yet, and would not understand it.
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        if plan.tls.is_none() && rustix::net::send(socket, &bytes, flags).is_ok() {
            (entry.bytes_out, entry.body_out) = (bytes.len() as u64, body as u64);
        }
        entry.status = status;
        plan.metrics.unrouted(reason.status(), Duration::ZERO);
    } else {
        entry.proto = Some("tcp");
    }
    context.access_log.write(&entry);
}

/// Lets a client that was turned away read why: closed with its request unread, the connection would
/// be reset, and the answer lost. Beyond a few at a time that is what happens.
fn linger(socket: OwnedFd, family: Family) {
    const MOST: usize = 64;
    const PATIENCE: Duration = Duration::from_secs(1);
    thread_local! {
        static LINGERING: Cell<usize> = const { Cell::new(0) };
    }
    if LINGERING.get() >= MOST {
        return;
    }
    let Ok(mut stream) = register(socket, family) else { return };
    LINGERING.set(LINGERING.get() + 1);
    tokio::task::spawn_local(async move {
        let told = stream.shutdown_write().is_ok();
        let discard = poll_fn(|cx| {
            loop {
                // Only what has come is given memory: most send nothing more.
                ready!(stream.poll_read_ready(cx))?;
                let mut memory = scratch::buffer();
                let read = stream.poll_recv(cx, &mut memory);
                scratch::recycle(&mut memory);
                if ready!(read)? == 0 {
                    return Poll::Ready(io::Result::Ok(()));
                }
            }
        });
        if told {
            let _ = tokio::time::timeout(PATIENCE, discard).await;
        }
        LINGERING.set(LINGERING.get() - 1);
    });
}

/// What keeps this socket from accepting, other than its listener's limit.
struct Trouble {
    complained: Option<Instant>,
    /// The newest connection has one of the descriptors that are kept back.
    short: bool,
    pause: Duration,
}

impl Trouble {
    fn is_short(&mut self, context: &ProxyContext, socket: &AsyncFd<OwnedFd>) -> bool {
        self.short = self.short && context.descriptors.are_short(socket.get_ref());
        if !self.short {
            self.pause = FIRST_PAUSE;
        }
        self.short
    }

    /// A connection waits, and the descriptors that are left are reserved: the connections that have been
    /// idle for longest are closed, whatever listener they came in by.
    async fn spare(&mut self, context: &ProxyContext) {
        if self.may_complain() {
            tracing::warn!(
                "file descriptors run short: idle connections are closed to make room; raise the \
                 limit on open files (`ulimit -n`, LimitNOFILE)"
            );
        }
        context.evict_idle(None);
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE);
    }

    async fn failed(&mut self, context: &ProxyContext, error: &io::Error) {
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => {
                self.short = true;
                self.spare(context).await;
            }
            // Only this connection failed, for example because its client has left already.
            Some(errno) if LOST_IN_THE_BACK_LOG.contains(&errno) => {
                tracing::debug!(%error, "accept");
            }
            // There is no memory, or the listening socket itself is broken.
            _ => {
                if self.may_complain() {
                    tracing::warn!(%error, "connections cannot be accepted");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    fn may_complain(&mut self) -> bool {
        let may = self.complained.is_none_or(|at| at.elapsed() > COMPLAIN);
        if may {
            self.complained = Some(Instant::now());
        }
        may
    }
}

/// Errors of accept(2) that belong to a single connection: the next one may be accepted.
const LOST_IN_THE_BACK_LOG: [Errno; 14] = [
    Errno::CONNABORTED,
    Errno::CONNRESET,
    Errno::INTR,
    Errno::AGAIN,
    Errno::PERM,
    Errno::PROTO,
    Errno::NETDOWN,
    Errno::NOPROTOOPT,
    Errno::HOSTDOWN,
    Errno::NONET,
    Errno::HOSTUNREACH,
    Errno::OPNOTSUPP,
    Errno::NETUNREACH,
    Errno::TIMEDOUT,
];
