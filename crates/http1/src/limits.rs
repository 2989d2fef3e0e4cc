//! How large a head may be. The listener's (or our own, for workers) limits, checked while the
//! end of the head is being searched, so that memory stays bounded before anything is parsed.

/// The bounds of one message head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Start line, fields and the empty line together.
    pub head_bytes: usize,
    /// Field lines.
    pub headers: usize,
    /// The request target.
    pub uri: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { head_bytes: 32 * 1024, headers: 100, uri: 8 * 1024 }
    }
}
