//! The one place that decides where a message ends: Content-Length, Transfer-Encoding, the version,
//! and for responses the status and the request's method (RFC 9112 6.3, narrowed: whatever is
//! ambiguous is refused). Called by both heads; it never reads a body, `body` follows the verdict.

/// What came of one call to `parse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// The head has not ended yet: call again with the same bytes and more behind them.
    Partial,
    /// The head took this many bytes of the input.
    Complete(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Version {
    Http10,
    #[default]
    Http11,
}

/// The body of a request: what it has, and what it is forwarded as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Body {
    #[default]
    None,
    Length(u64),
    Chunked,
}

/// The body of a response as the worker frames it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseBody {
    #[default]
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// How a response's body is framed for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResponseFraming {
    /// No body follows. For HEAD and 304 the worker's Content-Length is kept as information.
    None,
    Length(u64),
    Chunked,
    UntilClose,
}

/// What the client is told about its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    KeepAlive,
    Close,
    /// A 101: the worker's `Upgrade` is passed on.
    Upgrade,
}
