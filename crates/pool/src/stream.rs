//! A byte stream to or from a worker or a client: a socket, and the TLS on top of it if there is any,
//! behind one type, so that nothing above asks which. It decides nothing; it also moves a stream from
//! one shard's runtime to another's, which is what lets a connection travel with its slot.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

use isobar_tls::{Facts, Got, Heard, Hello, Look, Refused, Session, Shaken, Transport};
use rustix::buffer::spare_capacity;
use tokio::net::{TcpStream, UnixStream};

mod socket;

use socket::{Now, Socket};
pub use socket::{Seen, keepalive};

/// What a full buffer grows by, at least.
const MORE_ROOM: usize = 64 * 1024;

#[derive(Debug)]
pub struct Stream {
    socket: Socket,
    tls: Option<Box<Session>>,
}

impl From<TcpStream> for Stream {
    fn from(socket: TcpStream) -> Stream {
        Stream { socket: Socket::Tcp(socket), tls: None }
    }
}

impl From<UnixStream> for Stream {
    fn from(socket: UnixStream) -> Stream {
        Stream { socket: Socket::Unix(socket), tls: None }
    }
}

impl Stream {
    /// Something to be read is here, or about to be looked for.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &self.tls {
            Some(tls) if tls.has_plain() => Poll::Ready(Ok(())),
            _ => self.socket.poll_read_ready(cx),
        }
    }

    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_write_ready(cx)
    }

    /// Reads into `buffer`, which has room, if the runtime holds the socket for readable; `None` =
    /// nothing there now, 0 = the other side has closed.
    pub fn try_recv(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match &mut self.tls {
            None => {
                let room = buffer.len();
                self.socket.try_recv(buffer, room)
            }
            Some(tls) => read_into(tls, &self.socket, buffer),
        }
    }

    /// As `try_recv`, whatever the runtime believes.
    pub fn recv_now(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        match &mut self.tls {
            None => self.socket.recv_now(buffer),
            Some(tls) => read_into(tls, &Now(&self.socket), buffer),
        }
    }

    /// Appends what is there to `buffer`; 0 = the other side has closed, and nothing else. A full
    /// buffer gets more room: a read without any would look like that end. How large it may become
    /// is the caller's to limit.
    pub fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let room = furnish(buffer);
        loop {
            ready!(self.poll_read_ready(cx))?;
            let read = match &mut self.tls {
                None => self.socket.try_recv(spare_capacity(buffer), room)?,
                Some(tls) => {
                    let put = |bytes: &[u8]| buffer.extend_from_slice(bytes);
                    moved(tls.read(&self.socket, room, put)?).flatten()
                }
            };
            if let Some(read) = read {
                return Poll::Ready(Ok(read));
            }
        }
    }

    /// Writes what is taken of `bytes`, of which there must be some, if the runtime holds the socket
    /// for writable; `None` = nothing now. What was not taken is then given again: some of it may be
    /// on its way.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        match &mut self.tls {
            None => self.socket.try_send(bytes),
            Some(tls) => tls.write(&self.socket, bytes),
        }
    }

    /// As `try_send`.
    pub fn poll_send(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.poll_write_ready(cx))?;
            if let Some(wrote) = self.try_send(bytes)? {
                return Poll::Ready(Ok(wrote));
            }
        }
    }

    /// Sends all of `bytes`.
    pub async fn send_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let sent = poll_fn(|cx| self.poll_send(cx, bytes)).await?;
            bytes = &bytes[sent..];
        }
        Ok(())
    }

    /// Reads behind what is in `buffer`; 0 = the other side has closed.
    pub async fn recv(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        poll_fn(|cx| self.poll_recv(cx, buffer)).await
    }

    pub async fn readable(&self) -> io::Result<()> {
        poll_fn(|cx| self.poll_read_ready(cx)).await
    }

    /// Listens to a client that is to speak TLS: its first words, or that a part of them has come. `None`:
    /// it has left.
    pub fn poll_hello(
        &mut self,
        cx: &mut Context<'_>,
        hello: &mut Hello,
    ) -> Poll<Result<Option<Heard>, Refused>> {
        loop {
            if ready!(self.socket.poll_read_ready(cx)).is_err() {
                return Poll::Ready(Ok(None));
            }
            match hello.listen(&self.socket)? {
                Heard::Gone => return Poll::Ready(Ok(None)),
                Heard::Nothing => {}
                heard => return Poll::Ready(Ok(Some(heard))),
            }
        }
    }

    /// From now on it is TLS, once the handshake is done: `poll_handshake`.
    pub fn secure(&mut self, session: Session) {
        self.tls = Some(Box::new(session));
    }

    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(())) };
        loop {
            match tls.shake(&self.socket)? {
                Shaken::Done => return Poll::Ready(Ok(())),
                Shaken::Reading => ready!(self.socket.poll_read_ready(cx))?,
                Shaken::Writing => ready!(self.socket.poll_write_ready(cx))?,
            }
        }
    }

    /// What a handshake that is done has settled.
    pub fn facts(&self) -> Option<Facts> {
        self.tls.as_ref().map(|tls| tls.facts())
    }

    /// No Nagle delay.
    pub fn set_nodelay(&self) -> io::Result<()> {
        self.socket.set_nodelay()
    }

    /// The kernel asks a silent other end whether it lives.
    pub fn set_keepalive(&self) -> io::Result<()> {
        self.socket.set_keepalive()
    }

    /// Says that no more comes. TLS says so in a record of its own, which a full socket does not take at
    /// once. A stream that is to look cut off says nothing.
    pub fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(tls) = &mut self.tls else { return Poll::Ready(Ok(())) };
        while !tls.close(&self.socket)? {
            ready!(self.socket.poll_write_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Says so if the socket takes it at once.
    pub fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            // A client that cannot be told sees the end of its connection.
            let _ = tls.close(&self.socket);
        }
    }

    /// Half-close: the other side reads our end of stream and may go on sending.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        self.close();
        self.socket.shutdown_write()
    }

    /// Makes the close to come an RST instead of a FIN.
    pub fn set_linger_zero(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            tls.break_off();
        }
        self.socket.set_linger_zero()
    }

    /// It was reset, whatever is there to be read before that shows. Told once.
    pub fn is_broken(&self) -> bool {
        self.socket.is_broken()
    }

    /// What is there to be read, without taking any of it. The runtime forgets what it knew of it, but
    /// for an end.
    pub fn peek(&mut self) -> Seen {
        match &mut self.tls {
            None => self.socket.peek(),
            Some(tls) => seen(tls.look(&self.socket)),
        }
    }

    /// Shows `read` what is in the socket, from its beginning on, and leaves it there. `None` from it is
    /// not enough: ready again when more has come, or the other side has closed.
    pub fn poll_peek<T>(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
        read: impl FnMut(&[u8]) -> Option<T>,
    ) -> Poll<io::Result<Option<T>>> {
        self.socket.poll_peek(cx, buffer, read)
    }

    /// The other side sends no more, whatever of it is still to be read.
    pub fn has_ended(&self) -> bool {
        self.socket.has_ended()
    }

    /// A real look into the socket, whatever the runtime believes.
    pub(crate) fn look(&mut self) -> Seen {
        match &mut self.tls {
            None => self.socket.look(),
            Some(tls) => seen(tls.look(&Now(&self.socket))),
        }
    }

    /// The cheap form of `look`: no syscall unless the runtime holds the stream for readable. It may
    /// do so wrongly, when the last read ended exactly where the data did.
    pub(crate) fn glance(&mut self) -> Seen {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        match self.poll_read_ready(&mut cx) {
            Poll::Pending => Seen::Nothing,
            Poll::Ready(_) => self.look(),
        }
    }

    /// Registers the stream with the runtime of the calling thread.
    pub(crate) fn rehome(self) -> io::Result<Stream> {
        Ok(Stream { socket: self.socket.rehome()?, tls: self.tls })
    }
}

/// Room for more, and how much.
fn furnish(buffer: &mut Vec<u8>) -> usize {
    if buffer.len() == buffer.capacity() {
        buffer.reserve(MORE_ROOM);
    }
    buffer.capacity() - buffer.len()
}

fn read_into(
    tls: &mut Session,
    socket: &impl Transport,
    buffer: &mut [u8],
) -> io::Result<Option<usize>> {
    /// Records without bytes that one call reads past: others have their turn.
    const MOST: usize = 16;
    for _ in 0..MOST {
        let mut at = 0;
        let got = tls.read(socket, buffer.len(), |bytes| {
            buffer[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        });
        if let Some(read) = moved(got?) {
            return Ok(read);
        }
    }
    Ok(None)
}

/// `None`: try again.
fn moved(got: Got) -> Option<Option<usize>> {
    match got {
        Got::Bytes(read) => Some(Some(read)),
        Got::End => Some(Some(0)),
        Got::Nothing => Some(None),
        Got::Again => None,
    }
}

fn seen(look: Look) -> Seen {
    match look {
        Look::Silent => Seen::Nothing,
        Look::Talks => Seen::Bytes,
        Look::Ended => Seen::End,
    }
}
