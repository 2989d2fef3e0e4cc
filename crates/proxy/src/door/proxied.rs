//! The PROXY protocol: what a proxy says of its client in front of everything else
//! (haproxy.org/download/3.0/doc/proxy-protocol.txt, versions 1 and 2).
//!
//! The header is looked at while it lies in the socket, and taken out once it is whole: what is behind it
//! is somebody else's. Who may send one is `greet`'s to say.

use std::{
    net::SocketAddr,
    task::{Context, Poll, ready},
};

use isobar_pool::Stream;
use proxy_header::{Error, ParseConfig, Protocol, ProxyHeader};

/// A longer one is not waited for; HAProxy's have at most a few hundred bytes.
const MOST: usize = 4096;

const V1: &[u8] = b"PROXY ";
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// What came in front.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// No header.
    Nothing,
    /// The proxy speaks for itself, as its health checks do, or does not know for whom.
    Itself,
    Client {
        from: SocketAddr,
        to: SocketAddr,
    },
    /// Whoever it was left without a word.
    Gone,
}

/// A header that lies in the socket, perhaps in part.
pub(super) struct Peek(Vec<u8>);

impl Peek {
    pub(super) fn new() -> Self {
        Self(vec![0; MOST])
    }

    /// Ready once it is whole, and taken out of the socket. `Err`, in words: it is not good.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut Stream,
    ) -> Poll<Result<Header, String>> {
        loop {
            let mut silent = true;
            let peeked = stream.poll_peek(cx, &mut self.0, |came| match read(came) {
                Ok(None) if came.len() == MOST => {
                    Some(Err(format!("it has more than {MOST} bytes")))
                }
                read => {
                    silent = came.is_empty();
                    read.transpose()
                }
            });
            let peeked = ready!(peeked).map_err(|error| error.to_string())?;
            match peeked {
                Some(whole) => {
                    let (header, length) = whole?;
                    self.skip(stream, length)?;
                    return Poll::Ready(Ok(header));
                }
                None if !stream.has_ended() => {}
                None if silent => return Poll::Ready(Ok(Header::Gone)),
                None => return Poll::Ready(Err("it broke off".to_owned())),
            }
        }
    }

    fn skip(&mut self, stream: &mut Stream, length: usize) -> Result<(), String> {
        let mut left = length;
        while left > 0 {
            match stream.recv_now(&mut self.0[..left]) {
                Ok(Some(taken @ 1..)) => left -= taken,
                Ok(_) => return Err("it broke off".to_owned()),
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }
}

/// A header and its length; `None`: only a part of it is there.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Header, usize)>, String> {
    let begins = |with: &[u8]| {
        let both = bytes.len().min(with.len());
        bytes[..both] == with[..both]
    };
    if !begins(V1) && !begins(V2) {
        return Ok(Some((Header::Nothing, 0)));
    }
    if bytes.len() < V1.len() {
        return Ok(None);
    }
    let config = ParseConfig { include_tlvs: true, ..ParseConfig::default() };
    let (header, length) = match ProxyHeader::parse(bytes, config) {
        Ok(parsed) => parsed,
        // Of a header that is whole nothing more comes.
        Err(Error::BufferTooShort) if !is_whole(bytes) => return Ok(None),
        Err(error) => return Err(format!("it cannot be read: {error}")),
    };
    if let Some(told) = header.crc32c()
        && checksum(&bytes[..length]) != Some(told)
    {
        return Err("its checksum (CRC32C) is not right".to_owned());
    }
    match header.proxied_address() {
        None => Ok(Some((Header::Itself, length))),
        Some(address) if address.protocol == Protocol::Stream => {
            let (from, to) = (address.source, address.destination);
            Ok(Some((Header::Client { from, to }, length)))
        }
        Some(_) => Err("it is of a datagram".to_owned()),
    }
}

/// Whether all of a header is there, as far as its first bytes tell where it ends.
fn is_whole(header: &[u8]) -> bool {
    /// Of version 1.
    const LONGEST: usize = 107;
    /// What version 2 has in front of addresses and additions; it ends with their length.
    const FIXED: usize = 16;
    if header.starts_with(V1) {
        return header.len() >= LONGEST || header.windows(2).any(|two| two == b"\r\n");
    }
    let rest = header.get(FIXED - 2..FIXED).map(|two| u16::from_be_bytes([two[0], two[1]]));
    rest.is_some_and(|rest| header.len() >= FIXED + usize::from(rest))
}

/// Of a header of version 2, with nothing in the place of the checksum. `None`: it has no such place.
fn checksum(header: &[u8]) -> Option<u32> {
    /// PP2_TYPE_CRC32C.
    const CHECKSUM: u8 = 3;
    let addresses = match header.get(13)? {
        0x11 | 0x12 => 12,
        0x21 | 0x22 => 36,
        0x31 | 0x32 => 216,
        _ => 0,
    };
    let mut at = 16 + addresses;
    loop {
        let length = u16::from_be_bytes(header.get(at + 1..at + 3)?.try_into().ok()?);
        if header[at] == CHECKSUM {
            let mut blank = header.to_vec();
            blank.get_mut(at + 3..at + 7)?.fill(0);
            return Some(crc32c::crc32c(&blank));
        }
        at += 3 + usize::from(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [V2, &[0x20 | command, family], &length, rest].concat()
    }

    const FOUR: [u8; 12] = [192, 0, 2, 1, 192, 0, 2, 2, 0x10, 0, 0, 80];

    fn client() -> Header {
        Header::Client {
            from: "192.0.2.1:4096".parse().unwrap(),
            to: "192.0.2.2:80".parse().unwrap(),
        }
    }

    #[test]
    fn l4_04_headers_are_read_once_they_are_whole() {
        let v1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 4096 80\r\n".to_vec();
        for header in [v1, v2(1, 0x11, &FOUR)] {
            for end in 0..header.len() {
                assert_eq!(read(&header[..end]), Ok(None), "{end}");
            }
            let more = [&header[..], b"GET /"].concat();
            assert_eq!(read(&more), Ok(Some((client(), header.len()))));
        }
        for (header, told) in [
            (b"PROXY UNKNOWN\r\n".to_vec(), Header::Itself),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), Header::Itself),
            (v2(0, 0, &[]), Header::Itself),
            (v2(0, 0x11, &FOUR), Header::Itself),
            (v2(1, 0, &[]), Header::Itself),
            (v2(1, 0x31, &[0; 216]), Header::Itself),
            (b"GET / HTTP/1.1\r\n".to_vec(), Header::Nothing),
            (vec![22, 3, 1], Header::Nothing),
            (b"\r\nGET".to_vec(), Header::Nothing),
        ] {
            let length = if told == Header::Nothing { 0 } else { header.len() };
            assert_eq!(read(&header), Ok(Some((told, length))), "{header:?}");
        }
    }

    #[test]
    fn l4_04_what_is_not_good_is_not_believed() {
        for header in [
            b"PROXY TCP4 192.0.2.1\r\n".to_vec(),
            b"PROXY TCP4 192.0.2.1 192.0.2.2 70000 80\r\n".to_vec(),
            b"PROXY TCP4 ::1 ::1 1 2\r\n".to_vec(),
            b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n".to_vec(),
            [b"PROXY ".to_vec(), vec![b'x'; 200]].concat(),
            v2(2, 0x11, &FOUR),
            v2(1, 0x11, &FOUR[..11]),
            v2(1, 0x12, &FOUR),
            v2(1, 0x51, &FOUR),
            v2(1, 0x21, &FOUR),
        ] {
            assert!(read(&header).is_err(), "{:?}", String::from_utf8_lossy(&header));
        }
    }

    #[test]
    fn l4_04_a_checksum_must_be_right() {
        let with = |sum: [u8; 4]| v2(1, 0x11, &[&FOUR[..], &[4, 0, 1, 0, 3, 0, 4], &sum].concat());
        let sum = crc32c::crc32c(&with([0; 4])).to_be_bytes();
        assert_eq!(read(&with(sum)), Ok(Some((client(), with(sum).len()))));
        let mut wrong = sum;
        wrong[0] ^= 1;
        assert!(read(&with(wrong)).is_err_and(|words| words.contains("CRC32C")));
    }
}
