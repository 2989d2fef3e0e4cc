//! `allow` and `deny`: who may ask at all, by the client's address past the trusted proxies.
//!
//! A client of a unix socket for whom no `X-Forwarded-For` speaks has no address: no `deny` names it
//! and no `allow` covers it.

use super::{Answer, Entry, Filter, RequestCx, Step};
use crate::{TrustedProxies as Networks, reason::Reason};

pub(super) const ALLOW: Entry = Entry {
    name: "allow",
    about: "refuses every client that is not in one of these networks",
    samples: || vec![Box::new(Allow(Networks::default())), Box::new(Allow(documentation()))],
};

pub(super) const DENY: Entry = Entry {
    name: "deny",
    about: "refuses every client in one of these networks",
    samples: || vec![Box::new(Deny(Networks::default())), Box::new(Deny(documentation()))],
};

pub struct Allow(pub Networks);

pub struct Deny(pub Networks);

impl Filter for Allow {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        match cx.client_ip().is_some_and(|ip| self.0.contains(ip)) {
            true => Step::Next,
            false => Step::Answer(Answer::new(Reason::Denied)),
        }
    }
}

impl Filter for Deny {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        match cx.client_ip().is_some_and(|ip| self.0.contains(ip)) {
            true => Step::Answer(Answer::new(Reason::Denied)),
            false => Step::Next,
        }
    }
}

/// RFC 5737 and RFC 3849.
fn documentation() -> Networks {
    let v6 = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0);
    Networks::new(vec![([192, 0, 2, 0].into(), 24), (v6.into(), 32)])
}
