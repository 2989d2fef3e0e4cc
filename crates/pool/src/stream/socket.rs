//! TCP or a unix socket behind one type, so that nothing above asks which.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use isobar_tls::Transport;
use rustix::buffer::Buffer;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A dead end is found out after two minutes.
pub fn keepalive() -> TcpKeepalive {
    const SILENCE: Duration = Duration::from_secs(60);
    const INTERVAL: Duration = Duration::from_secs(15);
    TcpKeepalive::new().with_time(SILENCE).with_interval(INTERVAL).with_retries(4)
}

macro_rules! either {
    ($self:expr, $stream:ident => $body:expr) => {
        match $self {
            Socket::Tcp($stream) => $body,
            Socket::Unix($stream) => $body,
        }
    };
}

impl Socket {
    pub(super) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, s => s.poll_read_ready(cx))
    }

    pub(super) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, s => s.poll_write_ready(cx))
    }

    /// A read, straight to the kernel: where there are several threads, libc makes every call of its
    /// `recv` and `send` a cancellation point, which cost us 2 % of a request's time.
    pub(super) fn recv_now(
        &self,
        buffer: impl Buffer<u8, Output = usize>,
    ) -> io::Result<Option<usize>> {
        match self.recv(buffer, RecvFlags::empty()) {
            Err(Errno::WOULDBLOCK) => Ok(None),
            read => Ok(Some(read?)),
        }
    }

    fn recv(
        &self,
        buffer: impl Buffer<u8, Output = usize>,
        flags: RecvFlags,
    ) -> Result<usize, Errno> {
        let received = either!(self, s => rustix::net::recv(s, buffer, flags));
        received.map(|(read, _)| read)
    }

    /// Reads if the runtime holds the socket for readable; `None` = nothing there now, 0 = the other
    /// side has closed. `room`: of the buffer, of which there must be some.
    pub(super) fn try_recv(
        &self,
        buffer: impl Buffer<u8, Output = usize>,
        room: usize,
    ) -> io::Result<Option<usize>> {
        debug_assert!(room > 0, "a read without room looks like the end");
        self.try_move(Interest::READABLE, room, || self.recv(buffer, RecvFlags::empty()))
    }

    /// Writes what the kernel takes of `bytes`, of which there must be some, if the runtime holds the
    /// socket for writable; `None` = nothing now.
    pub(super) fn try_send(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.try_move(
            Interest::WRITABLE,
            bytes.len(),
            || either!(self, s => rustix::net::send(s, bytes, SendFlags::NOSIGNAL)),
        )
    }

    fn try_send_all(&self, bytes: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        if let [bytes] = bytes {
            return self.try_send(bytes);
        }
        let whole = bytes.iter().map(|piece| piece.len()).sum();
        self.try_move(Interest::WRITABLE, whole, || {
            let mut nothing = SendAncillaryBuffer::default();
            either!(self, s => rustix::net::sendmsg(s, bytes, &mut nothing, SendFlags::NOSIGNAL))
        })
    }

    /// `whole`: as many bytes as there are or have room. Who moved fewer has emptied or filled the
    /// socket: the runtime is told so, which saves the call that would find out.
    fn try_move(
        &self,
        interest: Interest,
        whole: usize,
        io: impl FnOnce() -> Result<usize, Errno>,
    ) -> io::Result<Option<usize>> {
        let mut part = None;
        let done = self.try_io(interest, || match io() {
            Ok(moved @ 1..) if moved < whole => {
                part = Some(moved);
                Err(io::ErrorKind::WouldBlock.into())
            }
            done => Ok(done?),
        });
        match done {
            _ if part.is_some() => Ok(part),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            done => done.map(Some),
        }
    }

    /// Does `io` if the runtime believes that the socket is ready for it. Should it say that it would
    /// block, the runtime believes so until the kernel says otherwise.
    fn try_io<T>(&self, interest: Interest, io: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        either!(self, s => s.try_io(interest, io))
    }

    /// Looks whether something is there, and takes nothing. The runtime forgets that the socket is
    /// readable, unless it has ended.
    pub(super) fn peek(&self) -> Seen {
        let mut bytes = false;
        let peeked = self.try_io(Interest::READABLE, || {
            bytes = self.recv(&mut [0_u8; 1][..], RecvFlags::PEEK)? > 0;
            if bytes { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
        });
        match peeked {
            _ if bytes => Seen::Bytes,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Seen::Nothing,
            _ => Seen::End,
        }
    }

    /// Shows `read` what is there, from its beginning on, and leaves it there. `None` from it is not enough:
    /// ready again when more has come, or the other side has closed.
    pub(super) fn poll_peek<T>(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        mut read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Poll<io::Result<Option<T>>> {
        ready!(self.poll_read_ready(cx))?;
        let peeked = self.try_io(Interest::READABLE, || {
            let came = self.recv(&mut *buffer, RecvFlags::PEEK)?;
            // What is enough stays known to the runtime: nobody would tell of it again.
            read(&buffer[..came]).ok_or_else(|| io::ErrorKind::WouldBlock.into())
        });
        Poll::Ready(match peeked {
            Ok(done) => Ok(Some(done)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        })
    }

    /// The other side sends no more, whatever of it is still to be read.
    pub(super) fn has_ended(&self) -> bool {
        let looked = either!(self, s => {
            let mut fds = [PollFd::new(s, PollFlags::RDHUP)];
            rustix::event::poll(&mut fds, Some(&Timespec::default()))
        });
        looked.is_ok_and(|ended| ended > 0)
    }

    /// A real look into the socket, whatever the runtime believes.
    pub(super) fn look(&self) -> Seen {
        let mut byte = [MaybeUninit::uninit(); 1];
        match either!(self, s => SockRef::from(s).peek(&mut byte)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Seen::Nothing,
            Ok(1..) => Seen::Bytes,
            Ok(0) | Err(_) => Seen::End,
        }
    }

    /// A unix socket never has a delay.
    pub(super) fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(s) => s.set_nodelay(true),
            Socket::Unix(_) => Ok(()),
        }
    }

    /// A unix socket's end cannot die unheard.
    pub(super) fn set_keepalive(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(s) => SockRef::from(s).set_tcp_keepalive(&keepalive()),
            Socket::Unix(_) => Ok(()),
        }
    }

    pub(super) fn shutdown_write(&self) -> io::Result<()> {
        either!(self, s => SockRef::from(s).shutdown(Shutdown::Write))
    }

    /// A unix socket knows no RST.
    pub(super) fn set_linger_zero(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(s) => s.set_zero_linger(),
            Socket::Unix(_) => Ok(()),
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        !matches!(either!(self, s => s.take_error()), Ok(None))
    }

    pub(super) fn rehome(self) -> io::Result<Socket> {
        Ok(match self {
            Socket::Tcp(s) => Socket::Tcp(TcpStream::from_std(s.into_std()?)?),
            Socket::Unix(s) => Socket::Unix(UnixStream::from_std(s.into_std()?)?),
        })
    }
}

/// What is there to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    /// There may be an end behind them.
    Bytes,
    End,
}

impl Transport for Socket {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let room = buffer.len();
        self.try_recv(buffer, room)
    }

    fn send(&self, bytes: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        self.try_send_all(bytes)
    }
}

/// The socket as it is, whatever the runtime believes.
pub(super) struct Now<'s>(pub(super) &'s Socket);

impl Transport for Now<'_> {
    fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        self.0.recv_now(buffer)
    }

    fn send(&self, bytes: &[IoSlice<'_>]) -> io::Result<Option<usize>> {
        self.0.try_send_all(bytes)
    }
}
