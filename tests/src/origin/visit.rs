//! One connection to an origin: reads requests, writes what it is told.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;

use super::{Record, Shared};
use crate::clock;
use crate::http::{find, reset};

#[derive(Clone, Debug, Default)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// The head as it came, with its empty line.
    pub head: String,
    pub body: Vec<u8>,
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    Keep,
    Close,
    Reset,
}

pub struct Visit {
    pub number: u64,
    stream: Option<TcpStream>,
    unread: Vec<u8>,
    shared: Arc<Shared>,
    /// What is being answered, until it is on record; hand-written visits record for themselves.
    answering: Option<Request>,
    read_at: f64,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        let same = fields.filter(|(other, _)| other.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.trim()).collect()
    }
}

impl Visit {
    pub(crate) fn new(number: u64, stream: TcpStream, shared: Arc<Shared>) -> Visit {
        Visit {
            number,
            stream: Some(stream),
            unread: Vec::new(),
            shared,
            answering: None,
            read_at: 0.0,
        }
    }

    pub(crate) fn serve(&mut self, answer: &impl Fn(&Request, &mut Visit) -> Next) {
        while let Ok(Some(request)) = self.read_request() {
            self.read_at = clock::monotonic();
            self.answering = Some(request.clone());
            let next = answer(&request, self);
            // One that was answered with nothing at all.
            self.put_on_record(self.read_at);
            match next {
                Next::Keep => {}
                Next::Close => return self.close(),
                Next::Reset => return self.reset(),
            }
        }
    }

    /// The request that is being answered, once; after that the time of its latest bytes. Before
    /// these are written, because whoever gets them may look at the log before this thread runs on.
    fn put_on_record(&mut self, written_at: f64) {
        let (connection, read_at) = (self.number, self.read_at);
        let mut log = self.shared.log.lock().expect("log");
        if let Some(request) = self.answering.take() {
            log.push(Record { connection, request, read_at, written_at });
        } else if let Some(record) = log.iter_mut().rev().find(|r| r.connection == connection) {
            record.written_at = record.written_at.max(written_at);
        }
    }

    /// Records a request that a hand-written visit read.
    pub fn record(&mut self, request: Request) {
        let now = clock::monotonic();
        let record = Record { connection: self.number, request, read_at: now, written_at: now };
        self.shared.log.lock().expect("log").push(record);
    }

    /// The next request with its body; None at a clean end.
    pub fn read_request(&mut self) -> io::Result<Option<Request>> {
        let Some(mut request) = self.read_head()? else { return Ok(None) };
        request.body = self.read_body(&request)?;
        Ok(Some(request))
    }

    pub fn read_head(&mut self) -> io::Result<Option<Request>> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            if self.fill()? == 0 {
                return Ok(None);
            }
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut words = head.split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default().to_owned();
        Ok(Some(Request { method, target, head, body: Vec::new() }))
    }

    pub fn read_body(&mut self, request: &Request) -> io::Result<Vec<u8>> {
        if request.header("transfer-encoding").is_some() {
            return self.read_chunks();
        }
        let length = request.header("content-length").and_then(|text| text.parse().ok());
        self.read_exactly(length.unwrap_or(0))
    }

    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.unread.drain(..length).collect())
    }

    /// Everything until the other side ends.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    /// Whatever comes next, at least one byte unless the other side ended.
    pub fn read_some(&mut self) -> io::Result<Vec<u8>> {
        if self.unread.is_empty() {
            self.fill()?;
        }
        Ok(std::mem::take(&mut self.unread))
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put_on_record(clock::monotonic());
        match &mut self.stream {
            Some(stream) => stream.write_all(bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    pub fn finish_sending(&self) {
        if let Some(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }

    pub fn close(&mut self) {
        self.shared.forget(self.number);
        self.stream = None;
    }

    pub fn reset(&mut self) {
        self.shared.forget(self.number);
        if let Some(stream) = self.stream.take() {
            reset(stream);
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            if size == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.read_exactly(size)?);
            self.read_exactly(2)?;
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.fill()? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        let mut piece = [0; 16384];
        let read = stream.read(&mut piece)?;
        self.unread.extend_from_slice(&piece[..read]);
        Ok(read)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.shared.forget(self.number);
    }
}
