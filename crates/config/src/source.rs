//! Where the text of a configuration comes from, and how a place in it is named.
//!
//! Called by the loader. A file is opened without blocking and refused unless it is a regular file of
//! a decent size, so that a FIFO, a device or a 100 MB dump costs nothing. A flag of `isobar proxy` is
//! a source like any other. It knows no YAML.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// One file.
pub(crate) const MAX_FILE: u64 = 1024 * 1024;
/// All files together.
pub(crate) const MAX_TOTAL: u64 = 16 * MAX_FILE;

/// A place on one line; line and column count from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span {
    pub(crate) source: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
    /// Characters under the caret.
    pub(crate) width: u32,
}

impl Span {
    /// The beginning of a source.
    pub(crate) fn start(source: u32) -> Span {
        Span { source, line: 1, column: 1, width: 1 }
    }
}

/// Everything read so far.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    list: Vec<Source>,
}

#[derive(Debug)]
struct Source {
    name: String,
    text: String,
    kind: SourceKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceKind {
    File,
    Flag,
}

impl Sources {
    pub(crate) fn add(&mut self, kind: SourceKind, name: &str, text: String) -> u32 {
        self.list.push(Source { name: name.to_owned(), text, kind });
        (self.list.len() - 1) as u32
    }

    pub(crate) fn name(&self, source: u32) -> &str {
        self.list.get(source as usize).map_or("", |s| &s.name)
    }

    pub(crate) fn kind(&self, source: u32) -> SourceKind {
        self.list.get(source as usize).map_or(SourceKind::File, |s| s.kind)
    }

    pub(crate) fn text(&self, source: u32) -> &str {
        self.list.get(source as usize).map_or("", |s| &s.text)
    }

    /// The text of a line, as an editor counts lines.
    pub(crate) fn line(&self, span: Span) -> &str {
        let lines = self.text(span.source).split('\n');
        let line = lines.into_iter().nth(span.line.saturating_sub(1) as usize).unwrap_or("");
        line.strip_suffix('\r').unwrap_or(line)
    }
}

/// What tells two paths to the same file from two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

#[derive(Debug)]
pub(crate) struct Opened {
    file: File,
    pub(crate) id: FileId,
    len: u64,
}

#[derive(Debug)]
pub(crate) enum ReadError {
    Io(io::Error),
    /// The word for what it is instead of a regular file.
    NotAFile(&'static str),
    TooBig,
    TooMuch,
    /// The byte at this offset.
    NotUtf8 {
        valid: String,
    },
}

/// Opens a regular file; anything else is refused before a byte is read.
pub(crate) fn open(path: &Path) -> Result<Opened, ReadError> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(flags.bits() as i32);
    // Opening a socket or a device may fail or act: what it is comes first, what was opened is checked again.
    regular(&std::fs::metadata(path).map_err(ReadError::Io)?)?;
    let file = options.open(path).map_err(ReadError::Io)?;
    let meta = file.metadata().map_err(ReadError::Io)?;
    regular(&meta)?;
    Ok(Opened { file, id: FileId { device: meta.dev(), inode: meta.ino() }, len: meta.len() })
}

fn regular(meta: &std::fs::Metadata) -> Result<(), ReadError> {
    use std::os::unix::fs::FileTypeExt;
    let kind = meta.file_type();
    let word = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "not a regular file",
    };
    Err(ReadError::NotAFile(word))
}

/// Reads it whole; `left` is what all files together may still hold.
pub(crate) fn read(opened: Opened, left: &mut u64) -> Result<String, ReadError> {
    if opened.len > MAX_FILE {
        return Err(ReadError::TooBig);
    }
    if opened.len > *left {
        return Err(ReadError::TooMuch);
    }
    // The length is a promise that a growing file or one of /proc does not keep.
    let cap = MAX_FILE.min(*left);
    let mut bytes = Vec::with_capacity(opened.len as usize + 1);
    opened.file.take(cap + 1).read_to_end(&mut bytes).map_err(ReadError::Io)?;
    let len = bytes.len() as u64;
    if len > MAX_FILE {
        return Err(ReadError::TooBig);
    }
    if len > *left {
        return Err(ReadError::TooMuch);
    }
    *left -= len;
    String::from_utf8(bytes).map_err(|e| {
        let valid = e.utf8_error().valid_up_to();
        let valid = String::from_utf8_lossy(&e.as_bytes()[..valid]).into_owned();
        ReadError::NotUtf8 { valid }
    })
}
