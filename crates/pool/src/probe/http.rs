//! The worker is up if a GET is answered with an expected status. Reads a bounded amount whatever
//! comes, and stays to the end of the answer (within reason), so that the worker is free again when
//! the probe is over.

use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;

use futures_core::future::BoxFuture;
use isobar_http1::{BodyReader, Error, Limits, Parsed, Progress, ResponseHead};

use super::{Probe, ProbeError};
use crate::address::Address;
use crate::connect;
use crate::dial::Dial;
use crate::stream::Stream;

/// Most bytes ever read of one answer's heads, and of its body.
const MOST: usize = 64 * 1024;
const LIMITS: Limits = Limits { head_bytes: MOST, headers: 256, uri: 0 };
/// Of a body that is read to its end, at once.
const PIECE: usize = 4 * 1024;
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
    fn probe<'a>(&'a self, dial: &'a Dial) -> BoxFuture<'a, Result<(), ProbeError>> {
        Box::pin(async {
            let mut dial = dial.clone();
            if let Some(port) = self.port {
                dial.address = dial.address.with_port(port);
            }
            let host = self.host.as_deref();
            let status = get(&dial, host, &self.path, "isobar-probe", Stay::Briefly).await?;
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
    dial: &Dial,
    host: Option<&str>,
    path: &str,
    agent: &str,
    stay: Stay,
) -> Result<u16, ProbeError> {
    let host = match (host, &dial.address) {
        (Some(host), _) => host.to_owned(),
        (None, Address::Tcp(addr)) => addr.to_string(),
        (None, Address::Unix(_)) => "localhost".to_owned(),
    };
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    let mut stream = connect::open(dial).await?;
    stream.send_all(request.as_bytes()).await?;
    let answer = Answer::read(&mut stream).await?;
    let status = answer.head.status();
    match stay {
        Stay::ToTheEnd => answer.read_out(&mut stream, usize::MAX).await,
        Stay::Briefly => {
            let _ = tokio::time::timeout(REST, answer.read_out(&mut stream, MOST)).await;
        }
    }
    Ok(status)
}

/// An answer whose head is here.
struct Answer {
    head: ResponseHead,
    /// Read behind it.
    rest: Vec<u8>,
}

impl Answer {
    async fn read(stream: &mut Stream) -> Result<Answer, ProbeError> {
        let (mut head, mut rest) = (ResponseHead::new(), Vec::with_capacity(1024));
        let mut room = MOST;
        loop {
            match head.parse(&rest, &LIMITS, b"GET")? {
                Parsed::Complete(used) => {
                    rest.drain(..used);
                    if !head.is_interim() {
                        return Ok(Answer { head, rest });
                    }
                }
                Parsed::Partial => match read_some(stream, &mut rest, room).await? {
                    0 if room == 0 => return Err(Error::HeadTooLarge(MOST).into()),
                    0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                    read => room = room.saturating_sub(read),
                },
            }
        }
    }

    /// Reads to the end of the body, no more than `room` bytes: nobody wants them, but until then the
    /// worker is not free.
    async fn read_out(mut self, stream: &mut Stream, mut room: usize) {
        let mut body = BodyReader::from(self.head.body());
        while !body.is_done() {
            let Ok(Progress { skip, data, .. }) = body.advance(&self.rest) else { return };
            self.rest.drain(..skip + data);
            let moved = skip + data > 0;
            if body.is_done() || moved && !self.rest.is_empty() {
                continue;
            }
            match read_some(stream, &mut self.rest, room.min(PIECE)).await {
                Ok(read @ 1..) => room = room.saturating_sub(read),
                _ => return,
            }
        }
    }
}

/// 0: there is no more, or no room.
async fn read_some(stream: &mut Stream, to: &mut Vec<u8>, room: usize) -> io::Result<usize> {
    match room {
        0 => Ok(0),
        _ => {
            to.reserve(room.min(PIECE));
            stream.recv(to).await
        }
    }
}
