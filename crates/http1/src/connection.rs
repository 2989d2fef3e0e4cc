//! The `Connection` options of a head: what they say about this connection, and which fields they
//! take out of the next hop's message. Called by both heads while they parse.

use crate::field::{FieldId, elements};
use crate::head::Head;
use crate::{Error, Version};

/// More than any honest head has; bounds options times fields.
const OPTIONS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) close: bool,
    pub(crate) keep_alive: bool,
    pub(crate) upgrade: bool,
}

impl Options {
    /// Reads all `Connection` lines and marks the fields they name as hop-by-hop.
    pub(crate) fn take(head: &mut Head) -> Result<Options, Error> {
        let mut options = Options::default();
        if !head.has(FieldId::Connection.bit()) {
            return Ok(options);
        }
        if let Some(()) = options.only_known(head) {
            return Ok(options);
        }
        let listed = elements(head.values(FieldId::Connection)).filter(|name| !name.is_empty());
        if listed.clone().take(OPTIONS_MAX + 1).count() > OPTIONS_MAX {
            return Err(Error::ConnectionOptions(OPTIONS_MAX));
        }
        let mut named = Vec::new();
        for option in listed {
            if !options.note(option) {
                named.extend(head.positions(option));
            }
        }
        head.mark_hop_by_hop(&named);
        Ok(options)
    }

    pub(crate) fn keep_alive(self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }

    /// The usual head: one option, and it names no field.
    fn only_known(&mut self, head: &Head) -> Option<()> {
        let mut values = head.values(FieldId::Connection);
        let first = values.next()?;
        (values.next().is_none() && self.note(first)).then_some(())
    }

    fn note(&mut self, option: &[u8]) -> bool {
        let flag = match option.len() {
            5 if option.eq_ignore_ascii_case(b"close") => &mut self.close,
            7 if option.eq_ignore_ascii_case(b"upgrade") => &mut self.upgrade,
            10 if option.eq_ignore_ascii_case(b"keep-alive") => &mut self.keep_alive,
            _ => return false,
        };
        *flag = true;
        true
    }
}

/// The seconds of `Keep-Alive: timeout=5, max=100` (RFC 2068 §19.7.1.1); nothing if they are no
/// number.
pub(crate) fn idle_timeout(value: &[u8]) -> Option<u32> {
    let seconds = elements(std::iter::once(value)).find_map(|parameter| {
        let (name, seconds) = parameter.split_at_checked(b"timeout=".len())?;
        name.eq_ignore_ascii_case(b"timeout=").then_some(seconds)
    })?;
    let digits =
        !seconds.is_empty() && seconds.len() <= 9 && seconds.iter().all(u8::is_ascii_digit);
    digits.then(|| seconds.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0')))
}

/// The first protocol of an `Upgrade` value that may be asked for. HTTP/2 over an upgrade is not
/// one: whoever tunnels h2c past us tunnels requests past us.
pub(crate) fn upgrade_protocol(value: &[u8]) -> Option<&[u8]> {
    elements(std::iter::once(value)).find(|protocol| {
        let name = protocol.split(|&b| b == b'/').next().unwrap_or_default();
        let parts = protocol.split(|&b| b == b'/');
        parts.clone().count() <= 2
            && parts.into_iter().all(crate::field::is_token)
            && ![&b"h2c"[..], b"h2", b"http"].iter().any(|h| name.eq_ignore_ascii_case(h))
    })
}
