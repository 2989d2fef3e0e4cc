//! The first words of a client: its ClientHello, read before it is known how it is to be answered.

use rustls::{
    AlertDescription, Error,
    server::{Accepted, AcceptedAlert, Acceptor},
};

use crate::{
    session::Transport,
    words::{Side, words},
};

/// Reads a ClientHello, which may come byte by byte.
#[derive(Default)]
pub struct Hello {
    acceptor: Acceptor,
    /// The first bytes that came, to tell who does not speak TLS at all.
    first: Vec<u8>,
    /// All of them, for somebody else to answer.
    kept: Option<Vec<u8>>,
}

/// What came of one read.
pub enum Heard {
    Hello(Box<Accepted>),
    /// A part of it; there may be more.
    Again,
    /// Nothing is there now.
    Nothing,
    /// The client has left.
    Gone,
}

impl Heard {
    /// The host that the client asks for.
    pub fn name(&self) -> Option<String> {
        match self {
            Heard::Hello(hello) => hello.client_hello().server_name().map(str::to_owned),
            Heard::Again | Heard::Nothing | Heard::Gone => None,
        }
    }
}

/// Why a client is not served.
#[derive(Debug)]
pub struct Refused {
    /// For the log.
    pub words: Box<str>,
    /// What the client is to be told, as it stands.
    pub alert: Vec<u8>,
    /// It would not understand that: it speaks HTTP.
    pub speaks_http: bool,
}

impl Hello {
    /// Of a client that somebody else will answer: what it says is kept as it came.
    pub fn to_pass_on() -> Self {
        Self { kept: Some(Vec::new()), ..Self::default() }
    }

    /// What has come so far.
    pub fn bytes(&self) -> &[u8] {
        self.kept.as_deref().unwrap_or_default()
    }

    pub fn listen(&mut self, socket: &impl Transport) -> Result<Heard, Refused> {
        let mut buffer = [0; 4096];
        let mut read = match socket.recv(&mut buffer) {
            Ok(None) => return Ok(Heard::Nothing),
            Ok(Some(0)) | Err(_) => return Ok(Heard::Gone),
            Ok(Some(read)) => &buffer[..read],
        };
        if let Some(kept) = &mut self.kept {
            kept.extend_from_slice(read);
        } else if self.first.len() < FIRST {
            self.first.extend_from_slice(&read[..read.len().min(FIRST - self.first.len())]);
            if speaks_http(&self.first) {
                let words = "the client speaks plain HTTP, not TLS".into();
                return Err(Refused { words, alert: Vec::new(), speaks_http: true });
            }
        }
        while !read.is_empty() {
            if let Err(error) = self.acceptor.read_tls(&mut read) {
                let words = format!("a ClientHello that is too long: {error}");
                return Err(Refused::told(words, Vec::new()));
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(hello)) => return Ok(Heard::Hello(Box::new(hello))),
                Err((error, mut alert)) => {
                    return Err(Refused::of(&error, &mut alert));
                }
            }
        }
        Ok(Heard::Again)
    }
}

impl Refused {
    /// RFC 6066 §3: there is no certificate for the name that was asked for.
    /// `what` there is not for it: a certificate, a pool.
    pub fn unknown_name(what: &str, name: Option<&str>) -> Self {
        let words = match name {
            Some(name) => format!("no {what} for the name {name:?}"),
            None => format!("the client names no host, and there is no {what} for that"),
        };
        const FATAL: u8 = 2;
        let alert = u8::from(AlertDescription::UnrecognisedName);
        Self::told(words, vec![21, 3, 3, 0, 2, FATAL, alert])
    }

    pub(crate) fn of(error: &Error, said: &mut AcceptedAlert) -> Self {
        let mut alert = Vec::new();
        // Into memory it cannot fail.
        let _ = said.write_all(&mut alert);
        Self::told(words(error, Side::Client), alert)
    }

    fn told(words: String, alert: Vec<u8>) -> Self {
        Self { words: words.into(), alert, speaks_http: false }
    }
}

/// So many bytes tell a request line from a record.
const FIRST: usize = 8;

fn speaks_http(first: &[u8]) -> bool {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"PATCH ",
        b"CONNECT ",
        b"TRACE ",
    ];
    METHODS.iter().any(|method| first.starts_with(method))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_told_apart() {
        assert!(speaks_http(b"GET / HT") && speaks_http(b"OPTIONS ") && !speaks_http(b"GE"));
        assert!(!speaks_http(&[22, 3, 1, 2, 0, 1, 0, 1]));
    }
}
