//! How specific a match is, host aside: the greater rank is asked first.
//!
//! The order of the Gateway API's HTTPRoute, with expressions between exact paths and prefixes, and
//! with cookies and the client behind query parameters.

use super::{Match, PathMatch, path::Slashes, table};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    path: PathRank,
    method: bool,
    headers: usize,
    query: usize,
    cookies: usize,
    client: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    /// By the number of whole elements.
    Prefix(usize),
    /// By the whole elements that all its paths begin with, then by its length.
    Regex(usize, usize),
    Exact,
}

impl Match {
    pub(super) fn rank(&self) -> Rank {
        let elements = |path: &[u8]| table::elements(path).count();
        Rank {
            path: match &self.path {
                Some(PathMatch::Exact(_)) => PathRank::Exact,
                Some(PathMatch::Regex(pattern)) => {
                    PathRank::Regex(elements(pattern.beginning().as_bytes()), pattern.text().len())
                }
                Some(PathMatch::Prefix(path)) => {
                    PathRank::Prefix(elements(&table::normal(path, Slashes::Merge)))
                }
                None => PathRank::Prefix(0),
            },
            method: !self.methods.is_empty(),
            headers: self.headers.len(),
            query: self.query.len(),
            cookies: self.cookies.len(),
            client: !self.clients.is_empty(),
        }
    }
}
