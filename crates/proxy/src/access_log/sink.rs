//! Where the log goes, and how it is opened: never in a way that could block.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::AsFd, unix::fs::OpenOptionsExt},
    path::PathBuf,
};

use rustix::{fs::OFlags, io::Errno};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sink {
    Stdout,
    Stderr,
    File(PathBuf),
}

impl Sink {
    /// `None`: a named pipe without a reader, which may come later.
    pub(super) fn open(&self) -> io::Result<Option<File>> {
        let copy = |fd: &dyn AsFd| fd.as_fd().try_clone_to_owned().map(File::from).map(Some);
        match self {
            Sink::Stdout => copy(&io::stdout()),
            Sink::Stderr => copy(&io::stderr()),
            Sink::File(path) => {
                // Without this flag opening a pipe waits for its reader.
                let flags = OFlags::NONBLOCK.bits().cast_signed();
                let opened =
                    OpenOptions::new().append(true).create(true).custom_flags(flags).open(path);
                match opened {
                    Ok(file) => Ok(Some(file)),
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}
