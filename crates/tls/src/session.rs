//! One TLS connection, between its socket and its plain bytes.
//!
//! It never waits: who has a runtime asks the socket when it is worth trying again.

use std::{
    cell::RefCell,
    io::{self, BufRead, IoSlice, Read, Write},
};

use rustls::Connection;

use crate::facts::Facts;

/// Plain bytes of the largest record, and a little more than what is around them.
const RECORD: usize = 16 * 1024 + 512;

/// Read at once where there is room for so much.
const BULK: usize = 64 * 1024;

/// Sent at once: four records.
const PIECE: usize = 64 * 1024;

/// To a client that takes it slowly: one record. What it has taken is known record by record.
const SLOW_PIECE: usize = 16 * 1024;

thread_local! {
    static CIPHERTEXT: RefCell<Box<[u8]>> = RefCell::new(vec![0; BULK].into());
}

/// What a session reads from and writes to. It does not wait.
pub trait Transport {
    /// `None`: nothing is there now; 0: the other side has closed. `buffer` is not empty.
    fn recv(&self, buffer: &mut [u8]) -> io::Result<Option<usize>>;

    /// How much was taken of `bytes`, one slice behind the other; `None`: nothing is taken now.
    fn send(&self, bytes: &[IoSlice<'_>]) -> io::Result<Option<usize>>;
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Got {
    /// So many plain bytes.
    Bytes(usize),
    /// Something came that carries none; there may be more.
    Again,
    /// Nothing is there now.
    Nothing,
    /// The other side has said that no more comes.
    End,
}

/// What the other side of a resting session does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Silent,
    /// It sent plain bytes.
    Talks,
    Ended,
}

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shaken {
    Done,
    /// There is nothing to read now.
    Reading,
    /// The socket takes nothing now.
    Writing,
}

pub struct Session {
    connection: Connection,
    /// Plain bytes that came and were not asked for yet.
    plain: usize,
    /// Plain bytes that are on their way: the socket has not taken all of their records.
    owed: usize,
    /// The socket did not take the last piece at once.
    slow: bool,
    /// The other side has said that no more comes.
    ended: bool,
    /// We have said so.
    closed: bool,
    /// It is to look like what it is: cut off.
    broken: bool,
}

impl Session {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            plain: 0,
            owed: 0,
            slow: false,
            ended: false,
            closed: false,
            broken: false,
        }
    }

    /// Goes on with the handshake. `Err` after one that failed: the other side has been told why, if its
    /// socket took it.
    pub fn shake(&mut self, socket: &impl Transport) -> io::Result<Shaken> {
        loop {
            if !self.flush(socket)? {
                return Ok(Shaken::Writing);
            }
            if !self.connection.is_handshaking() {
                return Ok(Shaken::Done);
            }
            match self.receive(socket, 0, &mut |_| {})? {
                Got::Nothing => return Ok(Shaken::Reading),
                Got::End => return Err(io::ErrorKind::UnexpectedEof.into()),
                Got::Bytes(_) | Got::Again => {}
            }
        }
    }

    /// Of a handshake that is done.
    pub fn facts(&self) -> Facts {
        Facts::of(&self.connection)
    }

    /// Plain bytes are here: reading needs no look into the socket.
    pub fn has_plain(&self) -> bool {
        self.plain > 0
    }

    /// Hands at most `room` plain bytes to `put`, in pieces. `Err` where the connection ends without a
    /// word (it may have been cut off: RFC 8446 §6.1), or where what comes is no TLS.
    pub fn read(
        &mut self,
        socket: &impl Transport,
        room: usize,
        mut put: impl FnMut(&[u8]),
    ) -> io::Result<Got> {
        match self.take(room, &mut put) {
            0 if self.ended => Ok(Got::End),
            0 => self.receive(socket, room, &mut put),
            taken => Ok(Got::Bytes(taken)),
        }
    }

    /// How many of `bytes` the socket has taken, in whole records; `None`: not all of a record yet. The
    /// next call must then have the same bytes in front: they are on their way.
    pub fn write(&mut self, socket: &impl Transport, bytes: &[u8]) -> io::Result<Option<usize>> {
        if self.owed == 0 {
            // What is left of our own words would make the piece smaller.
            if !self.flush(socket)? {
                return Ok(None);
            }
            let most = if self.slow { SLOW_PIECE } else { PIECE };
            let piece = &bytes[..bytes.len().min(most)];
            self.owed = self.connection.writer().write(piece)?;
        }
        self.slow = !self.flush(socket)?;
        Ok((!self.slow).then(|| std::mem::take(&mut self.owed)))
    }

    /// Says that no more comes; true once the socket has taken it. Of a session that was cut off nothing
    /// of that kind is said.
    pub fn close(&mut self, socket: &impl Transport) -> io::Result<bool> {
        if self.broken {
            return Ok(true);
        }
        if !self.closed {
            self.closed = true;
            self.connection.send_close_notify();
        }
        self.flush(socket)
    }

    /// From now on it ends without a word.
    pub fn break_off(&mut self) {
        self.broken = true;
    }

    /// What a resting session has received: tickets and keys are none of its user's business.
    pub fn look(&mut self, socket: &impl Transport) -> Look {
        /// More than these are no tickets.
        const MOST: usize = 16;
        for _ in 0..MOST {
            if self.plain > 0 {
                return Look::Talks;
            }
            if self.ended {
                return Look::Ended;
            }
            match self.receive(socket, 0, &mut |_| {}) {
                Ok(Got::Nothing) => return Look::Silent,
                Ok(Got::Again | Got::Bytes(_)) => {}
                Ok(Got::End) | Err(_) => return Look::Ended,
            }
        }
        Look::Talks
    }

    fn take(&mut self, room: usize, put: &mut impl FnMut(&[u8])) -> usize {
        let mut taken = 0;
        while self.plain > 0 && taken < room {
            let mut reader = self.connection.reader();
            let Ok(chunk @ [_, ..]) = reader.fill_buf() else { break };
            let some = chunk.len().min(room - taken);
            put(&chunk[..some]);
            reader.consume(some);
            taken += some;
            self.plain -= some;
        }
        taken
    }

    /// Reads from the socket once, when nothing plain is left.
    fn receive(
        &mut self,
        socket: &impl Transport,
        room: usize,
        put: &mut impl FnMut(&[u8]),
    ) -> io::Result<Got> {
        // All that may come must have room, and what is left of a record that came in part.
        let most = room.saturating_sub(RECORD).min(BULK);
        if most < RECORD {
            match self.connection.read_tls(&mut Source(socket)) {
                Ok(0) => return self.fin(),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Got::Nothing),
                Err(error) => return Err(error),
            }
            self.process(socket)?;
            return Ok(self.got(room, put));
        }
        CIPHERTEXT.with_borrow_mut(|ciphertext| {
            let mut rest = match socket.recv(&mut ciphertext[..most])? {
                None => return Ok(Got::Nothing),
                Some(0) => return self.fin(),
                Some(read) => &ciphertext[..read],
            };
            let mut taken = 0;
            while !rest.is_empty() && !self.ended {
                self.connection.read_tls(&mut rest)?;
                self.process(socket)?;
                taken += self.take(room - taken, put);
            }
            Ok(match taken {
                0 => self.got(room, put),
                taken => Got::Bytes(taken),
            })
        })
    }

    fn got(&mut self, room: usize, put: &mut impl FnMut(&[u8])) -> Got {
        match self.take(room, put) {
            0 if self.ended && self.plain == 0 => Got::End,
            0 => Got::Again,
            taken => Got::Bytes(taken),
        }
    }

    /// The socket has ended. Without the session's own word that may be somebody else's doing.
    fn fin(&mut self) -> io::Result<Got> {
        if self.ended {
            return Ok(Got::End);
        }
        self.broken = true;
        Err(io::Error::new(io::ErrorKind::UnexpectedEof, "closed without close_notify"))
    }

    fn process(&mut self, socket: &impl Transport) -> io::Result<()> {
        match self.connection.process_new_packets() {
            Ok(state) => {
                self.plain = state.plaintext_bytes_to_read();
                self.ended = state.peer_has_closed();
                if state.tls_bytes_to_write() > 0 {
                    // What is not taken now goes with the next write.
                    self.flush(socket)?;
                }
                Ok(())
            }
            Err(error) => {
                // The alert that says why.
                let _ = self.flush(socket);
                self.broken = true;
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
        }
    }

    /// Whether the socket has taken everything.
    fn flush(&mut self, socket: &impl Transport) -> io::Result<bool> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Sink(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session")
    }
}

struct Source<'s, T>(&'s T);

impl<T: Transport> Read for Source<'_, T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.recv(buffer)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }
}

struct Sink<'s, T>(&'s T);

impl<T: Transport> Write for Sink<'_, T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.send(bytes)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
