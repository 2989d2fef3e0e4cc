//! A raw HTTP/1 client: it sends the bytes it is given and reads one response, strictly. A message
//! that ends too early is an error, never a shorter body.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustls::{ClientConnection, StreamOwned};

use crate::clock;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    unread: Vec<u8>,
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<Tls>),
}

/// A client's session over TCP.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The 1xx that came before.
    pub interim: Vec<u16>,
    /// Monotonic instant of the first byte.
    pub first_byte: f64,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        Connection::over(stream)
    }

    pub fn open_unix(path: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { socket: Socket::Unix(stream), unread: Vec::new() })
    }

    pub fn over(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { socket: Socket::Tcp(stream), unread: Vec::new() })
    }

    /// Shakes hands first.
    pub fn secured(mut stream: Tls) -> io::Result<Connection> {
        stream.sock.set_nodelay(true)?;
        stream.sock.set_read_timeout(Some(PATIENCE))?;
        stream.sock.set_write_timeout(Some(PATIENCE))?;
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Connection { socket: Socket::Tls(Box::new(stream)), unread: Vec::new() })
    }

    /// What the handshake has settled.
    pub fn session(&self) -> &ClientConnection {
        match &self.socket {
            Socket::Tls(stream) => &stream.conn,
            Socket::Tcp(_) | Socket::Unix(_) => panic!("no TLS"),
        }
    }

    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => stream.set_read_timeout(Some(patience)),
            Socket::Unix(stream) => stream.set_read_timeout(Some(patience)),
            Socket::Tls(stream) => stream.sock.set_read_timeout(Some(patience)),
        }
    }

    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.request("GET", path, b"")
    }

    pub fn request(&mut self, method: &str, path: &str, body: &[u8]) -> io::Result<Response> {
        self.send(&encode(method, path, body))?;
        self.response_to(method)
    }

    /// The answer to this request, written out.
    #[track_caller]
    pub fn ask(&mut self, request: &str) -> Response {
        self.send(request.as_bytes()).expect("sends");
        let method = request.split(' ').next().expect("a method");
        self.response_to(method).expect("an answer")
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.socket {
            Socket::Tcp(stream) => stream.write_all(bytes),
            Socket::Unix(stream) => stream.write_all(bytes),
            Socket::Tls(stream) => {
                stream.write_all(bytes)?;
                stream.flush()
            }
        }
    }

    /// Ends our direction; the other stays open.
    pub fn finish_sending(&self) -> io::Result<()> {
        match &self.socket {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            Socket::Tls(stream) => stream.sock.shutdown(Shutdown::Write),
        }
    }

    /// Closes with RST instead of FIN.
    pub fn reset(self) {
        if let Socket::Tcp(stream) = self.socket {
            reset(stream);
        }
    }

    pub fn response_to(&mut self, method: &str) -> io::Result<Response> {
        let mut interim = Vec::new();
        loop {
            let (mut response, first_byte) = (self.read_head()?, clock::monotonic());
            if response.status < 200 && response.status != 101 {
                interim.push(response.status);
                continue;
            }
            response.first_byte = first_byte;
            response.interim = interim;
            if method != "HEAD" && !matches!(response.status, 101 | 204 | 304) {
                response.body = self.read_body(&response)?;
            }
            return Ok(response);
        }
    }

    /// Everything until the other side closes; a reset is an error.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        while self.fill()? > 0 {}
        Ok(std::mem::take(&mut self.unread))
    }

    pub fn read_exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.unread.len() < length {
            self.fill_or_eof()?;
        }
        Ok(self.unread.drain(..length).collect())
    }

    fn read_head(&mut self) -> io::Result<Response> {
        let end = loop {
            if let Some(at) = find(&self.unread, b"\r\n\r\n") {
                break at + 4;
            }
            if self.unread.len() > 1 << 20 {
                return Err(invalid("a head of more than a mebibyte"));
            }
            self.fill_or_eof()?;
        };
        let head: Vec<u8> = self.unread.drain(..end).collect();
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.and_then(|code| code.parse().ok());
        let status = status.ok_or_else(|| invalid(&format!("status line {status_line:?}")))?;
        let field = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_owned(), value.trim().to_owned()))
        };
        Ok(Response { status, headers: lines.filter_map(field).collect(), ..Response::default() })
    }

    fn read_body(&mut self, response: &Response) -> io::Result<Vec<u8>> {
        if response.header("transfer-encoding").is_some() {
            return self.read_chunks();
        }
        match response.header("content-length") {
            Some(length) => {
                let length = length.parse().map_err(|_| invalid("content-length"))?;
                self.read_exactly(length)
            }
            None => self.read_to_end(),
        }
    }

    fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let size = usize::from_str_radix(line.split(';').next().unwrap_or_default().trim(), 16);
            let size = size.map_err(|_| invalid(&format!("chunk size {line:?}")))?;
            if size == 0 {
                while !self.read_line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.read_exactly(size)?);
            if self.read_exactly(2)? != b"\r\n" {
                return Err(invalid("a chunk without its CRLF"));
            }
        }
    }

    fn read_line(&mut self) -> io::Result<String> {
        loop {
            if let Some(at) = find(&self.unread, b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            self.fill_or_eof()?;
        }
    }

    fn fill_or_eof(&mut self) -> io::Result<()> {
        match self.fill()? {
            0 => Err(io::Error::new(ErrorKind::UnexpectedEof, "closed in the middle of a message")),
            _ => Ok(()),
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let mut piece = [0; 16384];
        let read = match &mut self.socket {
            Socket::Tcp(stream) => stream.read(&mut piece)?,
            Socket::Unix(stream) => stream.read(&mut piece)?,
            Socket::Tls(stream) => stream.read(&mut piece)?,
        };
        self.unread.extend_from_slice(&piece[..read]);
        Ok(read)
    }
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = |(other, _): &&(String, String)| other.eq_ignore_ascii_case(name);
        self.headers.iter().filter(same).map(|(_, value)| value.as_str()).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One request as a client of its own connection would send it.
pub fn encode(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut out = format!("{method} {path} HTTP/1.1\r\nHost: test.example\r\n").into_bytes();
    if !body.is_empty() || method == "POST" {
        out.extend(format!("Content-Length: {}\r\n", body.len()).into_bytes());
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out
}

pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Drops the socket so that its other side sees RST.
pub fn reset(stream: TcpStream) {
    let _ = socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}
