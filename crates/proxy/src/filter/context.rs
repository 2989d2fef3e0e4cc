//! What a filter may see and change of a request and of its response; nothing else of an exchange.

use std::{net::IpAddr, time::Instant};

use isobar_http1::{RequestHead, ResponseHead};

use crate::upload::Incoming;

/// A request that has a route and no worker yet.
pub struct RequestCx<'a> {
    pub(crate) head: &'a mut RequestHead,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) now: Instant,
    pub(crate) body: &'a mut Incoming,
}

impl RequestCx<'_> {
    /// As the client sent it.
    pub fn head(&self) -> &RequestHead {
        self.head
    }

    /// For edits; they show only in what the worker gets.
    pub fn edit(&mut self) -> &mut RequestHead {
        self.head
    }

    /// Past the trusted proxies; `None` for a client of a unix socket.
    pub fn client_ip(&self) -> Option<IpAddr> {
        self.client_ip
    }

    /// Takes no more than this many bytes of a body; of several limits the lowest holds.
    pub fn limit_body(&mut self, most: u64) {
        self.body.limit(most);
    }

    /// A recent look at the clock.
    pub fn now(&self) -> Instant {
        self.now
    }
}

/// A response whose head has not been sent.
pub struct ResponseCx<'a> {
    pub(crate) request: &'a RequestHead,
    pub(crate) response: &'a mut ResponseHead,
}

impl ResponseCx<'_> {
    /// As the client sent it.
    pub fn request(&self) -> &RequestHead {
        self.request
    }

    /// As its maker sent it.
    pub fn head(&self) -> &ResponseHead {
        self.response
    }

    /// For edits; they show only in what the client gets.
    pub fn edit(&mut self) -> &mut ResponseHead {
        self.response
    }
}
