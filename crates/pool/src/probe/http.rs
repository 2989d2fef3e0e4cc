//! The worker is up if a GET is answered with an expected status. Reads a bounded amount whatever
//! comes, and stays to the end of the answer (within reason), so that the worker is free again when
//! the probe is over.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Probe, ProbeError};
use crate::address::Address;
use crate::connect;
use crate::stream::Stream;

/// Most bytes ever read of one answer.
const MOST: usize = 64 * 1024;
/// How long the verdict, once found, is held back for an answer that does not say where it ends.
const REST: Duration = Duration::from_millis(50);

pub struct Http {
    pub path: String,
    pub expect: Vec<RangeInclusive<u16>>,
    /// The Host field; the address if absent.
    pub host: Option<String>,
    /// Another port of the same host.
    pub port: Option<u16>,
}

impl Probe for Http {
    fn probe<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<(), ProbeError>> {
        Box::pin(async {
            let address = match self.port {
                Some(port) => address.with_port(port),
                None => address.clone(),
            };
            let host = self.host.as_deref();
            let status = get(&address, host, &self.path, "isobar-probe", Stay::Briefly).await?;
            if self.expect.iter().any(|range| range.contains(&status)) {
                Ok(())
            } else {
                Err(ProbeError::Status(status))
            }
        })
    }

    fn describe(&self) -> String {
        let Http { path, expect, host, port } = self;
        format!("http {path} {expect:?} {host:?} {port:?}")
    }

    /// Another port is another server: it says nothing about slots and takes none.
    fn takes_slot(&self) -> bool {
        self.port.is_none()
    }
}

/// How long to read what follows the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stay {
    /// No longer than a verdict may be held back, nor more than a bounded amount.
    Briefly,
    /// Until the worker is done; the caller bounds the time.
    ToTheEnd,
}

/// The status of one answer, over a connection of its own.
pub(crate) async fn get(
    address: &Address,
    host: Option<&str>,
    path: &str,
    agent: &str,
    stay: Stay,
) -> Result<u16, ProbeError> {
    let host = match (host, address) {
        (Some(host), _) => host.to_owned(),
        (None, Address::Tcp(addr)) => addr.to_string(),
        (None, Address::Unix(_)) => "localhost".to_owned(),
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    let mut stream = connect::open(address).await?;
    stream.write_all(request.as_bytes()).await?;
    read_status(&mut stream, stay).await
}

async fn read_status(stream: &mut Stream, stay: Stay) -> Result<u16, ProbeError> {
    let mut answer = Vec::with_capacity(1024);
    let mut head = 0;
    loop {
        while let Some(end) = end_of_head(&answer[head..]) {
            let status = parse_status(&answer[head..]).ok_or(ProbeError::NotHttp)?;
            if !(100..200).contains(&status) || status == 101 {
                let body = answer.len() - head - end;
                let rest = match content_length(&answer[head..head + end]) {
                    Some(length) => length.saturating_sub(body),
                    None => usize::MAX,
                };
                match stay {
                    Stay::ToTheEnd => drain(stream, rest).await,
                    Stay::Briefly => {
                        let rest = rest.min(MOST - answer.len());
                        let _ = tokio::time::timeout(REST, drain(stream, rest)).await;
                    }
                }
                return Ok(status);
            }
            head += end;
        }
        // What cannot become a status line any more need not be read to the end.
        if answer.len() - head >= 16 && parse_status(&answer[head..]).is_none() {
            return Err(ProbeError::NotHttp);
        }
        if answer.len() >= MOST {
            return Err(ProbeError::NotHttp);
        }
        let room = (MOST - answer.len()) as u64;
        if (&mut *stream).take(room).read_buf(&mut answer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

async fn drain(stream: &mut Stream, mut room: usize) {
    let mut scratch = [0; 4096];
    while room > 0 {
        match stream.read(&mut scratch[..room.min(4096)]).await {
            Ok(n) if n > 0 => room -= n,
            Ok(_) | Err(_) => return,
        }
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}

/// Only to know when the worker is done; nobody reads this body.
fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    })
}

/// `HTTP/1.x NNN`, and nothing that only resembles it.
fn parse_status(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.")?;
    match rest {
        [b'0' | b'1', b' ', a @ b'1'..=b'9', b, c, b' ' | b'\r', ..]
            if b.is_ascii_digit() && c.is_ascii_digit() =>
        {
            let digit = |d: u8| u16::from(d - b'0');
            Some(digit(*a) * 100 + digit(*b) * 10 + digit(*c))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::parse_status;

    #[test]
    fn only_a_status_line_is_one() {
        for (line, status) in [
            (&b"HTTP/1.1 200 OK\r\n"[..], Some(200)),
            (b"HTTP/1.0 404\r\n", Some(404)),
            (b"HTTP/1.1 099 x\r\n", None),
            (b"HTTP/1.1 20 OK\r\n", None),
            (b"HTTP/1.1 2000 OK\r\n", None),
            (b"HTTP/1.2 200 OK\r\n", None),
            (b"HTTP/1.1  200 OK\r\n", None),
            (b"http/1.1 200 OK\r\n", None),
            (b"HTTP/1.1 200", None),
            (b"", None),
        ] {
            assert_eq!(parse_status(line), status, "{}", line.escape_ascii());
        }
    }
}
