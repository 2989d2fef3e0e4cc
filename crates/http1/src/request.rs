//! The head of a request: parsed strictly, read by filters and routes, edited, and encoded for a
//! worker. It decides what the request asks of us (body, persistence, upgrade, expectation) and
//! refuses what has two readings. One value is reused for all requests of a connection.

use crate::connection::{Options, upgrade_protocol};
use crate::field::{Field, FieldId, FieldSet, elements};
use crate::framing::{content_length, only_chunked};
use crate::head::{self, Head, Sender, Span, Underscores, skip};
use crate::lines::{BadRequestLine, RequestLine};
use crate::search::{Kind, Search};
use crate::target::{Target, is_authority};
use crate::{Body, Error, Found, Limits, Parsed, Version};

/// A request's head. Reading shows what the client sent, edits show only in [`RequestHead::encode`].
#[derive(Debug, Default)]
pub struct RequestHead {
    search: Search,
    head: Head,
    method: Span,
    target: Span,
    path: Span,
    authority: Span,
    host_line: HostLine,
    version: Version,
    body: Body,
    options: Options,
    expect_continue: bool,
    upgrade: Option<Span>,
    /// Replaces `path` in what is encoded, if not empty.
    new_path: Vec<u8>,
    default_host: Vec<u8>,
    underscores: Underscores,
}

/// Which `Host` goes to the worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum HostLine {
    #[default]
    Received,
    /// `authority` is written: the target named another, or there was no line.
    Ours,
}

impl RequestHead {
    pub fn new() -> RequestHead {
        RequestHead::default()
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

    /// Reads a head from the beginning of `input`. After `Partial` it is to be called with the same
    /// bytes and more behind them; only the new ones are looked at. After an error the method and
    /// target may still be readable, for the log.
    pub fn parse(&mut self, input: &[u8], limits: &Limits) -> Result<Parsed, Error> {
        match self.search.advance(input, limits, Kind::Request) {
            Ok(None) => Ok(Parsed::Partial),
            Ok(Some(ended)) => {
                self.forget();
                let taken = self.take(&input[ended.start..ended.end], limits);
                self.search.reset();
                taken.map(|()| Parsed::Complete(ended.end))
            }
            Err(error) => {
                self.reset();
                Err(error)
            }
        }
    }

    pub fn method(&self) -> &[u8] {
        self.head.bytes(self.method)
    }

    /// The target as sent.
    pub fn target(&self) -> &[u8] {
        self.head.bytes(self.target)
    }

    /// The target in origin form (or `*`; for CONNECT, as sent).
    pub fn path_and_query(&self) -> &[u8] {
        self.head.bytes(self.path)
    }

    /// `host[:port]`: the target's if it names one, else that of `Host`; may be empty.
    pub fn authority(&self) -> &[u8] {
        self.head.bytes(self.authority)
    }

    pub fn version(&self) -> Version {
        self.version
    }

    pub fn body(&self) -> Body {
        self.body
    }

    /// Whether the client wants to send another request on this connection.
    pub fn keep_alive(&self) -> bool {
        self.options.keep_alive(self.version)
    }

    /// Whether the client waits for a 100 before it sends its body.
    pub fn expect_continue(&self) -> bool {
        self.expect_continue
    }

    /// The protocol the client wants to switch to. `None` also where an `Upgrade` is to be ignored:
    /// without `Connection: upgrade`, with a body, in HTTP/1.0, or to HTTP/2.
    pub fn upgrade(&self) -> Option<&[u8]> {
        self.upgrade.map(|span| self.head.bytes(span))
    }

    /// Whether it speaks of another protocol at all, asked for properly or not.
    pub fn mentions_upgrade(&self) -> bool {
        self.options.upgrade || self.head.has(FieldId::Upgrade.bit())
    }

    /// Which `Host` goes to a worker if the client named none, which HTTP/1.0 allows.
    pub fn set_default_host(&mut self, host: &str) {
        self.default_host.clear();
        self.default_host.extend_from_slice(host.as_bytes());
    }

    /// Whether the client named no host at all.
    pub fn lacks_host(&self) -> bool {
        self.host_line == HostLine::Ours && self.authority().is_empty()
    }

    /// What becomes of names with `_` in the heads that are parsed from here on.
    pub fn set_underscores(&mut self, underscores: Underscores) {
        self.underscores = underscores;
    }

    /// Whether the method may be sent twice (RFC 9110 9.2.2).
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"PUT" | b"DELETE" | b"OPTIONS" | b"TRACE")
    }

    /// All fields in order, but for those not taken from a client (see [`Underscores`]).
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

    /// Whether a field speaks about the client's connection only and is not passed on.
    pub fn is_hop_by_hop(&self, field: &Field<'_>) -> bool {
        field.hop_by_hop
    }

    /// Keeps a known field from being passed on. `Host` can only be replaced.
    pub fn remove(&mut self, id: FieldId) {
        self.head.remove(id);
    }

    /// Keeps all of these fields from being passed on.
    pub fn remove_all(&mut self, ids: FieldSet) {
        self.head.remove_all(ids.bits());
    }

    /// Keeps what only a proxy can know of a client (its certificate, its scheme) from being passed
    /// on as it was received.
    pub fn remove_claims(&mut self) {
        self.head.remove_claims();
    }

    /// Keeps every field of this name, in any case, from being passed on. `Host` can only be replaced.
    pub fn remove_named(&mut self, name: impl AsRef<[u8]>) {
        self.head.remove_named(name.as_ref());
    }

    /// Keeps what a worker may take for a field of this name, because it reads `_` as `-`, from being
    /// passed on.
    pub fn remove_lookalikes(&mut self, name: impl AsRef<[u8]>) {
        self.head.remove_lookalikes(name.as_ref());
    }

    /// Keeps what was received under this name, or a lookalike, from being passed on; what an edit
    /// wrote stays.
    pub fn remove_received(&mut self, name: impl AsRef<[u8]>) {
        self.head.remove_received(name.as_ref());
    }

    /// Whether a field of this name was removed, replaced or added.
    pub fn is_edited(&self, name: &[u8]) -> bool {
        self.head.is_edited(name)
    }

    /// Replaces all fields of this name. Control characters in the value are left out; a name that
    /// is no token, or a field `encode` writes itself (framing, `Connection`), is not set.
    pub fn set(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.head.set(name.as_ref(), value.as_ref());
    }

    /// Adds a field, under the same rules as [`RequestHead::set`].
    pub fn append(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.head.append(name.as_ref(), value.as_ref());
    }

    /// The path and query to forward instead. Bytes that may not stand in a target are
    /// percent-encoded.
    pub fn set_path(&mut self, path: &[u8]) {
        self.new_path.clear();
        for &b in path {
            if b.is_ascii_graphic() && b != b'#' {
                self.new_path.push(b);
            } else {
                let hex = |n: u8| b"0123456789ABCDEF"[usize::from(n)];
                self.new_path.extend_from_slice(&[b'%', hex(b >> 4), hex(b & 15)]);
            }
        }
    }

    /// The path and query as they will be forwarded.
    pub fn forwarded_path(&self) -> &[u8] {
        match &self.new_path[..] {
            [] => self.path_and_query(),
            path => path,
        }
    }

    /// Every field that is passed on, with its edits, for a version that is not written as text: no
    /// framing and no announcement of trailers.
    pub fn each(&self, field: impl FnMut(&[u8], &[u8])) {
        self.head.each(skip::ALWAYS | skip::TRAILER, field);
    }

    /// Writes the head for a worker: always HTTP/1.1, end-to-end fields, edits, framing.
    pub fn encode(&self, out: &mut Vec<u8>, framing: Body) {
        self.write_start(out);
        match framing {
            Body::None => self.head.write_fields(out, skip::ALWAYS | skip::TRAILER),
            Body::Length(length) => {
                self.head.write_fields(out, skip::ALWAYS | skip::TRAILER);
                head::write_content_length(out, length);
            }
            Body::Chunked => {
                self.head.write_fields(out, skip::ALWAYS);
                out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Writes the head of an upgrade request, with the one protocol [`RequestHead::upgrade`] names.
    pub fn encode_upgrade(&self, out: &mut Vec<u8>) {
        self.write_start(out);
        self.head.write_fields(out, skip::ALWAYS | skip::TRAILER);
        if let Some(protocol) = self.upgrade() {
            out.extend_from_slice(b"Connection: upgrade\r\n");
            head::write_line(out, b"Upgrade", protocol);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_start(&self, out: &mut Vec<u8>) {
        const LINES: usize = 128;
        out.reserve(self.head.encoded_len() + self.new_path.len() + LINES);
        out.extend_from_slice(self.method());
        out.push(b' ');
        out.extend_from_slice(self.forwarded_path());
        out.extend_from_slice(b" HTTP/1.1\r\n");
        if self.host_line == HostLine::Ours && !self.head.has_edit(FieldId::Host) {
            let host = match self.authority() {
                b"" => &self.default_host,
                authority => authority,
            };
            head::write_line(out, b"Host", host);
        }
    }

    fn forget(&mut self) {
        self.head.clear();
        (self.method, self.target, self.path, self.authority) = Default::default();
        self.host_line = HostLine::Received;
        self.version = Version::Http11;
        self.body = Body::None;
        self.options = Options::default();
        self.expect_continue = false;
        self.upgrade = None;
        self.new_path.clear();
        self.default_host.clear();
    }

    fn take(&mut self, text: &[u8], limits: &Limits) -> Result<(), Error> {
        let lines = self.search.lines();
        let first = &text[..lines.ends.first().map_or(0, |&end| end as usize + 1)];
        let RequestLine { method, target, version } =
            RequestLine::of(first).map_err(|bad| line_error(bad, first))?;
        self.head.fill(text, lines, Sender::Client(self.underscores))?;
        self.method = Span::from(method);
        self.target = Span::from(target);
        self.version = version;
        self.take_target(text, limits)?;
        self.options = Options::take(&mut self.head)?;
        self.take_body()?;
        self.take_expect()?;
        self.take_upgrade();
        Ok(())
    }

    fn take_target(&mut self, text: &[u8], limits: &Limits) -> Result<(), Error> {
        if self.target().len() > limits.uri {
            return Err(Error::TargetTooLong(limits.uri));
        }
        self.check_host()?;
        let target_bytes = &text[self.target.range()];
        let target = Target::of(&text[self.method.range()], target_bytes)?;
        let host = self.head.value_span(FieldId::Host);
        self.authority = host.unwrap_or_default();
        self.path = self.target;
        if host.is_none() {
            self.host_line = HostLine::Ours;
        }
        match target {
            Target::Origin | Target::Asterisk => {}
            Target::Authority => self.take_authority(self.target),
            Target::Absolute { authority, path } => {
                self.path = match path {
                    [] if &text[self.method.range()] == b"OPTIONS" => self.head.push(&[b"*"]),
                    [b'/', ..] => head::span_in(text, path),
                    _ => self.head.push(&[b"/", path]),
                };
                self.take_authority(head::span_in(text, authority));
            }
        }
        Ok(())
    }

    fn check_host(&self) -> Result<(), Error> {
        let mut hosts = self.head.values(FieldId::Host);
        let host = hosts.next();
        if hosts.next().is_some() {
            return Err(Error::Host(Found::text("two of them")));
        }
        match host {
            Some(host) if !is_authority(host) => Err(Error::Host(Found::bytes(host))),
            None if self.version == Version::Http11 => Err(Error::Host(Found::text("none"))),
            _ => Ok(()),
        }
    }

    /// The target's authority wins, and is what is forwarded (RFC 9112 3.2.2).
    fn take_authority(&mut self, authority: Span) {
        self.authority = authority;
        self.host_line = HostLine::Ours;
        self.head.suppress(FieldId::Host);
    }

    fn take_body(&mut self) -> Result<(), Error> {
        const FRAMING: u64 = FieldId::ContentLength.bit() | FieldId::TransferEncoding.bit();
        if !self.head.has(FRAMING) {
            return Ok(());
        }
        let length = content_length(self.head.values(FieldId::ContentLength))?;
        self.body = match length {
            Some(length) => Body::Length(length),
            None => Body::Chunked,
        };
        if self.head.has(FieldId::TransferEncoding.bit()) {
            if self.version == Version::Http10 {
                return Err(Error::EncodingInHttp10);
            }
            if length.is_some() {
                return Err(Error::LengthAndEncoding);
            }
            only_chunked(self.head.values(FieldId::TransferEncoding))?;
        }
        Ok(())
    }

    fn take_expect(&mut self) -> Result<(), Error> {
        if !self.head.has(FieldId::Expect.bit()) {
            return Ok(());
        }
        let is_known = |expectation: &&[u8]| expectation.eq_ignore_ascii_case(b"100-continue");
        if let Some(odd) = elements(self.head.values(FieldId::Expect)).find(|e| !is_known(e)) {
            return Err(Error::Expectation(Found::bytes(odd)));
        }
        // Without a body, or in HTTP/1.0, there is nothing to wait for and nothing to pass on.
        self.expect_continue = self.version == Version::Http11 && self.body != Body::None;
        if !self.expect_continue {
            self.head.suppress(FieldId::Expect);
        }
        Ok(())
    }

    fn take_upgrade(&mut self) {
        if self.options.upgrade && self.version == Version::Http11 && self.body == Body::None {
            let protocol = self.head.value(FieldId::Upgrade).and_then(upgrade_protocol);
            self.upgrade = protocol.map(|protocol| self.head.span_of(protocol));
        }
    }
}

/// The whole line is known to end, the head is not: what asks in no version of ours (HTTP/0.9) may
/// never send more.
pub(crate) fn check_version(line: &[u8]) -> Result<(), Error> {
    const END: usize = b"HTTP/1.1\r\n".len();
    let end = line.len().checked_sub(END).map_or(&[][..], |at| &line[at..]);
    match end.starts_with(b"HTTP/1.") {
        true => Ok(()),
        false => RequestLine::of(line).map(drop).map_err(|bad| line_error(bad, line)),
    }
}

fn line_error(bad: BadRequestLine, line: &[u8]) -> Error {
    match bad {
        BadRequestLine::Version => version_error(line),
        BadRequestLine::Other => Error::RequestLine(Found::target(head::start_line(line))),
    }
}

/// Another major version, properly written, is a 505; everything else is no version.
fn version_error(text: &[u8]) -> Error {
    let line = head::start_line(text);
    let version = line.rsplit(|&b| b == b' ').next().unwrap_or_default();
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() && *major != b'1' =>
        {
            Error::UnsupportedVersion(Found::bytes(version))
        }
        _ => Error::Version(Found::target(line)),
    }
}
