//! What a filter may see and change of a request and of its response; nothing else of an exchange.

use std::{net::IpAddr, time::Instant};

use isobar_http1::{RequestHead, ResponseBody, ResponseHead, Version};

use super::encoder::Encoder;
use crate::route::path::{Behind, Slashes};

/// A request that has a route and no worker yet.
pub struct RequestCx<'a> {
    pub(crate) head: &'a mut RequestHead,
    pub(crate) client_ip: Option<IpAddr>,
    pub(crate) now: Instant,
    /// The lowest limit that was set; `u64::MAX`: none.
    pub(crate) most_body: u64,
    pub(crate) path: PathCx<'a>,
}

/// The path of a request, as its route was found by it.
#[derive(Clone, Copy, Default)]
pub(crate) struct PathCx<'a> {
    /// With the query; `None`: as the client sent it.
    pub(crate) target: Option<&'a [u8]>,
    /// See [`Routed::matched`](crate::route::Routed).
    pub(crate) matched: usize,
    pub(crate) behind: Behind,
    pub(crate) slashes: Slashes,
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
        self.most_body = self.most_body.min(most);
    }

    /// Path and query in the form that the route was found by.
    pub fn target(&self) -> &[u8] {
        self.path.target.unwrap_or(self.head.path_and_query())
    }

    /// So many bytes of that path are the prefix that the route asked for.
    pub fn matched(&self) -> usize {
        self.path.matched
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
    pub(super) body: Body,
    maker: Maker,
}

/// Who made a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Maker {
    Worker,
    /// We did: its body stays what it is.
    Proxy,
}

/// What may become of a response's body.
pub(super) enum Body {
    /// It has none, it is our own, or the client could not be told where its encoding ends.
    Fixed,
    Open,
    Encoded(Box<dyn Encoder>),
}

impl<'a> ResponseCx<'a> {
    pub(super) fn new(
        request: &'a RequestHead,
        response: &'a mut ResponseHead,
        maker: Maker,
    ) -> Self {
        let open = maker == Maker::Worker
            && response.body() != ResponseBody::None
            && response.status() != 101
            && request.version() == Version::Http11;
        let body = if open { Body::Open } else { Body::Fixed };
        Self { request, response, body, maker }
    }

    /// Whether the body may be encoded, and no filter has done so yet.
    pub(super) fn may_encode(&self) -> bool {
        matches!(self.body, Body::Open)
    }

    /// The answer to a HEAD whose GET might be encoded.
    pub(super) fn answers_head(&self) -> bool {
        self.maker == Maker::Worker
            && self.request.method() == b"HEAD"
            && self.request.version() == Version::Http11
    }

    /// `Content-Length` is not told: the body that GET would have is another.
    pub(super) fn forget_length(&mut self) {
        self.response.forget_length();
    }

    /// Sends the body through `encoder`: its length is not known any more.
    pub(super) fn encode(&mut self, encoder: Box<dyn Encoder>) {
        self.body = Body::Encoded(encoder);
    }

    pub(super) fn into_encoder(self) -> Option<Box<dyn Encoder>> {
        match self.body {
            Body::Encoded(encoder) => Some(encoder),
            Body::Fixed | Body::Open => None,
        }
    }

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
