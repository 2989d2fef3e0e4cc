//! The codings and their streams, each with a bounded window and a speed that keeps up with a
//! network.

use std::io::{self, Write};

use brotli::CompressorWriter;
use flate2::write::GzEncoder;

use super::Active;
use crate::filter::Encoder;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    Gzip,
    Br,
    Zstd,
}

const GZIP_LEVEL: u32 = 5;
const BROTLI_QUALITY: u32 = 4;
/// Windows of 256 KiB: a stream's memory stays below about a mebibyte.
const WINDOW_LOG: u32 = 18;
const ZSTD_LEVEL: i32 = 3;

impl Coding {
    pub(super) fn name(self) -> &'static str {
        match self {
            Coding::Gzip => "gzip",
            Coding::Br => "br",
            Coding::Zstd => "zstd",
        }
    }

    pub(super) fn encoder(self, active: Active) -> io::Result<Box<dyn Encoder>> {
        let stream = match self {
            Coding::Gzip => {
                Stream::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(GZIP_LEVEL)))
            }
            Coding::Br => {
                let stream = CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, WINDOW_LOG);
                Stream::Br(Box::new(Some(stream)))
            }
            Coding::Zstd => {
                let mut stream = zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                stream.window_log(WINDOW_LOG)?;
                Stream::Zstd(stream)
            }
        };
        Ok(Box::new(Body { stream, _active: active }))
    }
}

struct Body {
    stream: Stream,
    _active: Active,
}

enum Stream {
    Gzip(GzEncoder<Vec<u8>>),
    /// `None` once it is finished.
    Br(Box<Option<CompressorWriter<Vec<u8>>>>),
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder for Body {
    fn encode(&mut self, data: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Gzip(stream) => {
                stream.write_all(data)?;
                out.append(stream.get_mut());
            }
            Stream::Br(stream) => {
                if let Some(stream) = &mut **stream {
                    stream.write_all(data)?;
                    out.append(stream.get_mut());
                }
            }
            Stream::Zstd(stream) => {
                stream.write_all(data)?;
                out.append(stream.get_mut());
            }
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Gzip(stream) => {
                stream.flush()?;
                out.append(stream.get_mut());
            }
            Stream::Br(stream) => {
                if let Some(stream) = &mut **stream {
                    stream.flush()?;
                    out.append(stream.get_mut());
                }
            }
            Stream::Zstd(stream) => {
                stream.flush()?;
                out.append(stream.get_mut());
            }
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match &mut self.stream {
            Stream::Gzip(stream) => {
                stream.try_finish()?;
                out.append(stream.get_mut());
            }
            Stream::Br(stream) => {
                if let Some(stream) = stream.take() {
                    out.append(&mut stream.into_inner());
                }
            }
            Stream::Zstd(stream) => {
                stream.do_finish()?;
                out.append(stream.get_mut());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Read, sync::Arc};

    use super::*;

    const ALL: [Coding; 3] = [Coding::Gzip, Coding::Br, Coding::Zstd];

    fn encoder(coding: Coding) -> Box<dyn Encoder> {
        coding.encoder(Active(Arc::default())).expect("an encoder")
    }

    /// As much as can be decoded of what may not have ended yet.
    fn decoded(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let _ = match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out),
            Coding::Br => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out),
            Coding::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(bytes).expect("a decoder");
                decoder.read_to_end(&mut out)
            }
        };
        out
    }

    #[test]
    fn random_bodies_in_random_pieces_come_back_byte_for_byte() {
        let mut random = fastrand::Rng::with_seed(3);
        for coding in ALL {
            for _ in 0..30 {
                let length = random.usize(..300_000);
                let letters = random.u8(1..);
                let body: Vec<u8> = (0..length).map(|_| random.u8(..letters)).collect();
                let (mut stream, mut out, mut rest) = (encoder(coding), Vec::new(), &body[..]);
                while !rest.is_empty() {
                    let (piece, more) = rest.split_at(random.usize(1..=rest.len().min(70_000)));
                    stream.encode(piece, &mut out).expect("it encodes");
                    if random.u8(..4) == 0 {
                        stream.flush(&mut out).expect("it flushes");
                    }
                    rest = more;
                }
                stream.finish(&mut out).expect("it ends");
                assert!(decoded(coding, &out) == body, "{coding:?}, {length} bytes");
            }
        }
    }

    #[test]
    fn a_flush_lets_everything_out() {
        for coding in ALL {
            let (mut stream, mut out) = (encoder(coding), Vec::new());
            for number in 0..20 {
                stream.encode(format!("data: {number}\n\n").as_bytes(), &mut out).expect("encodes");
                stream.flush(&mut out).expect("it flushes");
                let so_far: String = (0..=number).map(|n| format!("data: {n}\n\n")).collect();
                assert_eq!(String::from_utf8_lossy(&decoded(coding, &out)), so_far, "{coding:?}");
            }
        }
    }
}
