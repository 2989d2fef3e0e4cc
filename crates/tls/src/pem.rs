//! Files as openssl, certbot and mkcert write them: sections of base64 between lines with their names.
//!
//! What is wrong is said with the line on which the section begins.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustls::pki_types::pem::{self, SectionKind};

/// A file with certificates is not longer.
const MOST_BYTES: u64 = 1 << 20;

/// What is wrong with a file, or worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{}: {what}", file.display(), line.map(|line| format!(":{line}")).unwrap_or_default())]
pub struct Bad {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub what: String,
    /// What to try.
    pub hint: Option<String>,
}

impl Bad {
    pub(crate) fn new(file: &Path, line: Option<usize>, what: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// One section of a file.
pub(crate) struct Section {
    pub(crate) line: usize,
    pub(crate) kind: SectionKind,
    pub(crate) der: Vec<u8>,
}

/// All sections of a file whose kind is known. A private key that needs a passphrase is an error only
/// for who looks for keys.
pub(crate) fn sections(path: &Path) -> Result<Vec<Section>, Bad> {
    let text = read(path)?;
    let mut sections = Vec::new();
    for (line, section) in split(&text) {
        match pem::from_buf(&mut &section[..]) {
            Ok(Some((kind, der))) => sections.push(Section { line, kind, der }),
            Ok(None) => {}
            Err(error) => return Err(Bad::new(path, Some(line), wrong(&error))),
        }
    }
    if sections.is_empty() && text.first() == Some(&0x30) {
        let bad = Bad::new(path, None, "found DER, not PEM");
        return Err(bad.hint("`openssl x509 -inform der -in FILE -out FILE.pem` makes PEM of it"));
    }
    Ok(sections)
}

/// Where the first private key is that only a passphrase opens.
pub(crate) fn encrypted_key(path: &Path) -> Option<usize> {
    let text = read(path).ok()?;
    let encrypted = |section: &[u8]| {
        let head = String::from_utf8_lossy(&section[..section.len().min(200)]).into_owned();
        head.contains("ENCRYPTED PRIVATE KEY") || head.contains("Proc-Type: 4,ENCRYPTED")
    };
    split(&text).into_iter().find(|(_, section)| encrypted(section)).map(|(line, _)| line)
}

fn read(path: &Path) -> Result<Vec<u8>, Bad> {
    use io::Read;
    let mut text = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut text));
    match read {
        Err(error) => Err(Bad::new(path, None, said(&error))),
        Ok(read) if read as u64 > MOST_BYTES => {
            Err(Bad::new(path, None, "found a file of more than 1 MiB"))
        }
        Ok(_) => Ok(text),
    }
}

fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "it may not be read by this user".to_owned(),
        io::ErrorKind::IsADirectory => "it is a folder".to_owned(),
        _ => error.to_string(),
    }
}

fn wrong(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            format!("found no `{}`", String::from_utf8_lossy(end_marker).trim_end())
        }
        pem::Error::IllegalSectionStart { .. } => "found a broken `-----BEGIN` line".to_owned(),
        pem::Error::Base64Decode(_) => "found something that is not base64".to_owned(),
        other => format!("{other:?}"),
    }
}

/// From each `-----BEGIN` line up to the next, with the line's number.
fn split(text: &[u8]) -> Vec<(usize, &[u8])> {
    let mut begins = Vec::new();
    let mut at = 0;
    for (number, line) in (1..).zip(text.split_inclusive(|&byte| byte == b'\n')) {
        if line.starts_with(b"-----BEGIN") {
            begins.push((number, at));
        }
        at += line.len();
    }
    let ends: Vec<usize> = begins.iter().skip(1).map(|&(_, at)| at).chain([text.len()]).collect();
    begins.into_iter().zip(ends).map(|((number, at), end)| (number, &text[at..end])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_know_their_lines() {
        let text = b"words\n-----BEGIN A-----\nQQ==\n-----END A-----\n\n-----BEGIN B-----\n";
        let lines: Vec<usize> = split(text).iter().map(|&(line, _)| line).collect();
        assert_eq!(lines, [2, 6]);
        assert!(split(b"").is_empty());
    }
}
