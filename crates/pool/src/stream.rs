//! A byte stream to or from a worker or a client: TCP or a unix socket behind one type, so that
//! nothing above asks which. It decides nothing; it also moves a stream from one shard's runtime to
//! another's, which is what lets a connection travel with its slot.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::buffer::{Buffer, spare_capacity};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// What a full buffer grows by, at least.
const MORE_ROOM: usize = 64 * 1024;

#[derive(Debug)]
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// What the other side of a resting stream does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Silent,
    /// It sent something, and may have closed behind it.
    Talks,
    Ended,
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
            Stream::Tcp($stream) => $body,
            Stream::Unix($stream) => $body,
        }
    };
}

impl Stream {
    pub fn try_write(&self, buf: &[u8]) -> io::Result<usize> {
        either!(self, s => s.try_write(buf))
    }

    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, s => s.poll_read_ready(cx))
    }

    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, s => s.poll_write_ready(cx))
    }

    /// Does `io` if the runtime believes that the stream is ready for it. Should it say that it would
    /// block, the runtime believes so until the kernel says otherwise.
    pub fn try_io<T>(
        &self,
        interest: Interest,
        io: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        either!(self, s => s.try_io(interest, io))
    }

    /// A read, straight to the kernel: where there are several threads, libc makes every call of its
    /// `recv` and `send` a cancellation point, which cost us 2 % of a request's time.
    pub fn recv(&self, buffer: impl Buffer<u8, Output = usize>) -> Result<usize, Errno> {
        let received = either!(self, s => rustix::net::recv(s, buffer, RecvFlags::empty()));
        received.map(|(read, _)| read)
    }

    /// Reads if the runtime holds the stream for readable; `None` = nothing there now, 0 = the other
    /// side has closed. `room`: of the buffer, of which there must be some.
    pub fn try_recv(
        &self,
        buffer: impl Buffer<u8, Output = usize>,
        room: usize,
    ) -> io::Result<Option<usize>> {
        debug_assert!(room > 0, "a read without room looks like the end");
        self.try_move(Interest::READABLE, room, || self.recv(buffer))
    }

    /// Writes what the kernel takes of `bytes`, of which there must be some, if the runtime holds the
    /// stream for writable; `None` = nothing now.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<Option<usize>> {
        self.try_move(
            Interest::WRITABLE,
            bytes.len(),
            || either!(self, s => rustix::net::send(s, bytes, SendFlags::NOSIGNAL)),
        )
    }

    /// Appends what is there to `buffer`; 0 = the other side has closed, and nothing else. A full
    /// buffer gets more room: a read without any would look like that end. How large it may become
    /// is the caller's to limit.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        if buffer.len() == buffer.capacity() {
            buffer.reserve(MORE_ROOM);
        }
        let room = buffer.capacity() - buffer.len();
        loop {
            ready!(self.poll_read_ready(cx))?;
            if let Some(read) = self.try_recv(spare_capacity(buffer), room)? {
                return Poll::Ready(Ok(read));
            }
        }
    }

    /// Writes what the kernel takes of `bytes`, of which there must be some.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            if let Some(wrote) = self.try_send(bytes)? {
                return Poll::Ready(Ok(wrote));
            }
        }
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

    pub async fn readable(&self) -> io::Result<()> {
        either!(self, s => s.readable().await)
    }

    pub async fn writable(&self) -> io::Result<()> {
        either!(self, s => s.writable().await)
    }

    /// No Nagle delay. A unix socket never has one.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_nodelay(true),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// The kernel asks a silent other end whether it lives. A unix socket's end cannot die unheard.
    pub fn set_keepalive(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => SockRef::from(s).set_tcp_keepalive(&keepalive()),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// Half-close: the other side reads our end of stream and may go on sending.
    pub fn shutdown_write(&self) -> io::Result<()> {
        either!(self, s => SockRef::from(s).shutdown(Shutdown::Write))
    }

    /// Makes the close to come an RST instead of a FIN. A unix socket knows no RST.
    pub fn set_linger_zero(&self) -> io::Result<()> {
        match self {
            Stream::Tcp(s) => s.set_zero_linger(),
            Stream::Unix(_) => Ok(()),
        }
    }

    /// It was reset, whatever is there to be read before that shows. Told once.
    pub fn is_broken(&self) -> bool {
        !matches!(either!(self, s => s.take_error()), Ok(None))
    }

    /// A real look into the socket, whatever the runtime believes.
    pub(crate) fn look(&self) -> Other {
        let mut byte = [MaybeUninit::uninit(); 1];
        match either!(self, s => SockRef::from(s).peek(&mut byte)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Other::Silent,
            Ok(1..) => Other::Talks,
            Ok(0) | Err(_) => Other::Ended,
        }
    }

    /// The cheap form of `look`: no syscall unless the runtime holds the stream for readable. It may
    /// do so wrongly, when the last read ended exactly where the data did.
    pub(crate) fn glance(&self) -> Other {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.poll_read_ready(&mut cx) {
            Poll::Pending => Other::Silent,
            Poll::Ready(_) => self.look(),
        }
    }

    /// Registers the stream with the runtime of the calling thread.
    pub(crate) fn rehome(self) -> io::Result<Stream> {
        Ok(match self {
            Stream::Tcp(s) => Stream::Tcp(TcpStream::from_std(s.into_std()?)?),
            Stream::Unix(s) => Stream::Unix(UnixStream::from_std(s.into_std()?)?),
        })
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), s => Pin::new(s).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), s => Pin::new(s).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), s => Pin::new(s).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), s => Pin::new(s).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), s => Pin::new(s).poll_shutdown(cx))
    }
}
