//! The head of a response: a worker's, parsed as strictly as a request, or built, where nobody sent
//! it; then read, edited, and encoded for the client. It decides how the body ends, given the method
//! it answers. What it refuses is a 502, made by the proxy.

use crate::connection::{Options, idle_timeout, upgrade_protocol};
use crate::field::{Field, FieldId};
use crate::framing::{content_length, only_chunked};
use crate::head::{self, Head, Sender, Span, skip};
use crate::lines::StatusLine;
use crate::search::{Kind, Search};
use crate::{Connection, Error, Found, Limits, Parsed, ResponseBody, ResponseFraming, Version};

/// A response's head. Reading shows what the worker sent, edits show only in what is encoded.
#[derive(Debug, Default)]
pub struct ResponseHead {
    search: Search,
    head: Head,
    status: u16,
    reason: Span,
    version: Version,
    body: ResponseBody,
    content_length: Option<u64>,
    reusable: bool,
    upgrade: Option<Span>,
}

impl ResponseHead {
    pub fn new() -> ResponseHead {
        ResponseHead::default()
    }

    /// Bytes of a head's text that it keeps memory for.
    pub fn capacity(&self) -> usize {
        self.head.capacity()
    }

    /// Forgets everything but the memory. Needed only when a head whose last `parse` was partial
    /// goes to another connection.
    pub fn reset(&mut self) {
        self.search.reset();
        self.forget();
    }

    /// Reads a head from the beginning of `input`, as the answer to a request of this method. After
    /// `Partial` it is to be called with the same bytes and more behind them.
    pub fn parse(
        &mut self,
        input: &[u8],
        limits: &Limits,
        request_method: &[u8],
    ) -> Result<Parsed, Error> {
        match self.search.advance(input, limits, Kind::Response) {
            Ok(None) => Ok(Parsed::Partial),
            Ok(Some(ended)) => {
                self.forget();
                let taken = self.take(&input[ended.start..ended.end], request_method);
                self.search.reset();
                taken.map(|()| Parsed::Complete(ended.end))
            }
            Err(error) => {
                self.reset();
                Err(error)
            }
        }
    }

    /// Begins a head that nobody sent, as the answer to a request of this method. `length`: of the
    /// body that a GET would have; nothing where that is not to be told (204, 304). Its fields follow
    /// with [`ResponseHead::add`].
    pub fn build(&mut self, status: u16, reason: &str, length: Option<u64>, request_method: &[u8]) {
        self.reset();
        self.status = status;
        self.reason = self.head.push(&[reason.as_bytes()]);
        self.content_length = length;
        self.body = self.framed(false, request_method);
    }

    /// Adds a field to a head that is built: it reads as if it had been received. The rules for names
    /// and values are those of [`ResponseHead::set`].
    pub fn add(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.head.build(name.as_ref(), value.as_ref());
    }

    pub fn status(&self) -> u16 {
        self.status
    }

    pub fn reason(&self) -> &[u8] {
        self.head.bytes(self.reason)
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn body(&self) -> ResponseBody {
        self.body
    }

    /// What `Content-Length` says, also where no body follows (HEAD, 304).
    pub fn content_length(&self) -> Option<u64> {
        self.content_length
    }

    /// Leaves the length out of what is encoded where no body follows.
    pub fn forget_length(&mut self) {
        self.content_length = None;
    }

    /// Whether the worker's connection may carry another request once the body was read.
    pub fn keep_alive(&self) -> bool {
        self.reusable
    }

    /// Seconds after which the worker closes the connection if no request comes, if it says so.
    pub fn idle_timeout(&self) -> Option<u32> {
        self.value(FieldId::KeepAlive).and_then(idle_timeout)
    }

    /// A 1xx that another head follows: all but 101.
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }

    /// The protocol a 101 switches to, if it is a proper one (`Connection: upgrade`).
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|span| self.head.bytes(span))
    }

    /// All fields in order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> + Clone {
        self.head.fields()
    }

    /// The first value of a field.
    pub fn value(&self, id: FieldId) -> Option<&[u8]> {
        self.head.value(id)
    }

    pub fn values(&self, id: FieldId) -> impl Iterator<Item = &[u8]> + Clone {
        self.head.values(id)
    }

    /// The values of any field, by its name in any case.
    pub fn values_named<'a>(&'a self, name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        self.head.values_named(name)
    }

    /// Whether a field speaks about the worker's connection only and is not passed on.
    pub fn is_hop_by_hop(&self, field: &Field<'_>) -> bool {
        field.hop_by_hop
    }

    /// Keeps a known field from being passed on.
    pub fn remove(&mut self, id: FieldId) {
        self.head.remove(id);
    }

    /// Keeps every field of this name, in any case, from being passed on.
    pub fn remove_named(&mut self, name: impl AsRef<[u8]>) {
        self.head.remove_named(name.as_ref());
    }

    /// Replaces all fields of this name. Control characters in the value are left out; a name that
    /// is no token, or a field `encode` writes itself (framing, `Connection`), is not set.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.head.set(name.as_ref(), value.as_ref());
    }

    /// Adds a field, under the same rules as [`ResponseHead::set`].
    pub fn append(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.head.append(name.as_ref(), value.as_ref());
    }

    /// Every field that is passed on, with its edits, for a version that is not written as text: no
    /// framing and no announcement of trailers.
    pub fn each(&self, field: impl FnMut(&[u8], &[u8])) {
        self.head.each(skip::ALWAYS | skip::TRAILER, field);
    }

    /// Writes the head for a client of this version: end-to-end fields, edits, framing, and what
    /// becomes of the connection. `Chunked` is for HTTP/1.1 clients; `UntilClose` closes.
    pub fn encode(
        &self,
        out: &mut Vec<u8>,
        framing: ResponseFraming,
        connection: Connection,
        client: Version,
    ) {
        self.write_status(out);
        match framing {
            ResponseFraming::Chunked => {
                self.head.write_fields(out, skip::ALWAYS);
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            _ => self.head.write_fields(out, skip::ALWAYS | skip::TRAILER),
        }
        match (framing, self.content_length) {
            (ResponseFraming::Length(length), _) => head::write_content_length(out, length),
            // RFC 9110 8.6: never in 1xx and 204.
            (ResponseFraming::None, Some(length)) if self.status >= 200 && self.status != 204 => {
                head::write_content_length(out, length);
            }
            _ => {}
        }
        match (connection, client) {
            (Connection::Upgrade, _) => {
                out.extend_from_slice(b"Connection: upgrade\r\n");
                head::write_line(out, b"Upgrade", self.upgrade().unwrap_or_default());
            }
            (Connection::KeepAlive, _) if framing == ResponseFraming::UntilClose => {
                out.extend_from_slice(b"Connection: close\r\n");
            }
            (Connection::Close, _) => out.extend_from_slice(b"Connection: close\r\n"),
            (Connection::KeepAlive, Version::Http10) => {
                out.extend_from_slice(b"Connection: keep-alive\r\n");
            }
            (Connection::KeepAlive, Version::Http11) => {}
        }
        // RFC 9110 15.5.22: a 426 says which protocols would do.
        if self.status == 426 && self.head.has(FieldId::Upgrade.bit()) {
            out.extend_from_slice(b"Connection: upgrade\r\n");
            for protocols in self.values(FieldId::Upgrade) {
                head::write_line(out, b"Upgrade", protocols);
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Writes a 1xx other than 101.
    pub fn encode_interim(&self, out: &mut Vec<u8>) {
        self.write_status(out);
        self.head.write_fields(out, skip::ALWAYS | skip::TRAILER);
        out.extend_from_slice(b"\r\n");
    }

    fn write_status(&self, out: &mut Vec<u8>) {
        const LINES: usize = 128;
        out.reserve(self.head.encoded_len() + LINES);
        let digit = |n: u16| b'0' + (n % 10) as u8;
        let code = self.status;
        out.extend_from_slice(b"HTTP/1.1 ");
        out.extend_from_slice(&[digit(code / 100), digit(code / 10), digit(code), b' ']);
        out.extend_from_slice(self.reason());
        out.extend_from_slice(b"\r\n");
    }

    fn forget(&mut self) {
        self.head.clear();
        self.status = 0;
        self.reason = Span::default();
        self.version = Version::Http11;
        self.body = ResponseBody::None;
        self.content_length = None;
        self.reusable = false;
        self.upgrade = None;
    }

    fn take(&mut self, text: &[u8], request_method: &[u8]) -> Result<(), Error> {
        let lines = self.search.lines();
        let first = &text[..lines.ends.first().map_or(0, |&end| end as usize + 1)];
        let StatusLine { version, status, reason } = StatusLine::of(first)
            .filter(|line| (100..=999).contains(&line.status))
            .ok_or_else(|| Error::StatusLine(Found::bytes(head::start_line(first))))?;
        self.head.fill(text, lines, Sender::Worker)?;
        self.version = version;
        self.status = status;
        self.reason = Span::from(reason);
        let options = Options::take(&mut self.head)?;
        self.take_body(request_method)?;
        if self.status == 101 && options.upgrade {
            let protocol = self.head.value(FieldId::Upgrade).and_then(upgrade_protocol);
            self.upgrade = protocol.map(|protocol| self.head.span_of(protocol));
        }
        self.reusable = options.keep_alive(self.version)
            && self.status != 101
            && self.body != ResponseBody::UntilClose
            && !self.promises_a_forbidden_body();
        Ok(())
    }

    fn take_body(&mut self, request_method: &[u8]) -> Result<(), Error> {
        self.content_length = content_length(self.head.values(FieldId::ContentLength))?;
        let chunked = self.head.has(FieldId::TransferEncoding.bit());
        if chunked {
            if self.version == Version::Http10 {
                return Err(Error::EncodingInHttp10);
            }
            if self.content_length.is_some() {
                return Err(Error::LengthAndEncoding);
            }
            only_chunked(self.head.values(FieldId::TransferEncoding))?;
        }
        self.body = self.framed(chunked, request_method);
        Ok(())
    }

    fn framed(&self, chunked: bool, request_method: &[u8]) -> ResponseBody {
        let bodyless =
            self.status < 200 || matches!(self.status, 204 | 304) || request_method == b"HEAD";
        match self.content_length {
            _ if bodyless => ResponseBody::None,
            Some(length) => ResponseBody::Length(length),
            None if chunked => ResponseBody::Chunked,
            None => ResponseBody::UntilClose,
        }
    }

    /// A 1xx or 204 that announces a body may well send it, into the next answer.
    fn promises_a_forbidden_body(&self) -> bool {
        (self.status < 200 || self.status == 204)
            && (self.content_length.is_some_and(|length| length > 0)
                || self.head.has(FieldId::TransferEncoding.bit()))
    }
}
