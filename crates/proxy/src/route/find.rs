//! The route of a request, whatever a worker reads into its path.
//!
//! A path that can be read in several ways ([`super::path::Normal::readings`]) must lead to one route
//! in all of them, or it is refused: a rule for `/admin` is not passed by `/admin%2Fx` or `/admin;x`.
//! A plain path is looked up once.

use std::{borrow::Cow, sync::Arc};

use super::{
    NewPath, Route, RouteQuery, Routed, Routes, Slashes,
    path::{self, Behind, Normal, PathError},
};

/// What a path means whose readings lead to different routes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AmbiguousPaths {
    /// Nothing: 400.
    #[default]
    Refuse,
    /// What was sent; no other reading is looked at.
    Keep,
    /// What it says with everything read that can be; that is forwarded, too.
    Decode,
}

/// How the paths of one listener are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathRules {
    pub slashes: Slashes,
    pub ambiguous: AmbiguousPaths,
}

/// Where a request goes, and the path and query that go there.
pub struct Found<'a> {
    /// `None`: no route takes it.
    pub route: Option<Routed>,
    pub target: Cow<'a, [u8]>,
}

/// Why a path leads nowhere, not even to "no route".
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("the path can be read in two ways that lead to different routes")]
    TwoRoutes,
}

impl Routes {
    /// Finds the route of `query`, whose target is as it was sent, and takes a turn of its split.
    pub fn lead<'a>(&self, query: &RouteQuery<'a>) -> Result<Found<'a>, Unreadable> {
        let normal = Normal::of(query.target, self.paths.slashes)?;
        let own = |hit: Hit<'_>| hit.route.ambiguous;
        let look = |target: &[u8]| self.look(query, target);
        let Settled { hit, behind, target } = settle(normal, self.paths.ambiguous, own, look)?;
        Ok(Found { route: hit.map(|hit| hit.routed(behind)), target })
    }

    /// The route of this one reading.
    pub fn find(&self, query: &RouteQuery<'_>) -> Option<Routed> {
        self.look(query, query.target).map(|hit| hit.routed(Behind::Plain))
    }

    pub(crate) fn slashes(&self) -> Slashes {
        self.paths.slashes
    }

    fn look(&self, query: &RouteQuery<'_>, target: &[u8]) -> Option<Hit<'_>> {
        let RouteQuery { client, head, .. } = *query;
        let found = self.table.find(&RouteQuery { target, client, head }.asked());
        found.map(|(route, matched)| Hit { route, matched })
    }
}

/// What a look-up found.
#[derive(Clone, Copy)]
struct Hit<'r> {
    route: &'r Arc<Route>,
    matched: usize,
}

impl Hit<'_> {
    fn routed(self, behind: Behind) -> Routed {
        let Hit { route, matched } = self;
        Routed { route: Arc::clone(route), to: route.action.choose(), matched, behind }
    }
}

impl PartialEq for Hit<'_> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(self.route, other.route)
    }
}

/// What a path leads to once all its readings were looked at that count.
pub(crate) struct Settled<'a, T> {
    pub(crate) hit: Option<T>,
    pub(crate) behind: Behind,
    pub(crate) target: Cow<'a, [u8]>,
}

/// `own` is a route's policy, `look` the route of one reading.
pub(crate) fn settle<'a, T: Copy + PartialEq>(
    normal: Normal<'a>,
    listeners: AmbiguousPaths,
    own: impl Fn(T) -> Option<AmbiguousPaths>,
    look: impl Fn(&[u8]) -> Option<T>,
) -> Result<Settled<'a, T>, Unreadable> {
    let hit = look(&normal.target);
    if normal.is_plain() {
        return Ok(Settled { hit, behind: Behind::Plain, target: normal.target });
    }
    match hit.and_then(own).unwrap_or(listeners) {
        AmbiguousPaths::Keep => Ok(Settled { hit, behind: Behind::Plain, target: normal.target }),
        AmbiguousPaths::Decode => {
            let read = normal.fully_read()?;
            Ok(Settled { hit: look(&read), behind: Behind::Plain, target: Cow::Owned(read) })
        }
        AmbiguousPaths::Refuse => {
            for read in normal.readings() {
                if look(&read?) != hit {
                    return Err(Unreadable::TwoRoutes);
                }
            }
            Ok(Settled { hit, behind: Behind::Ambiguous, target: normal.target })
        }
    }
}

impl NewPath {
    /// Whether replacing the prefix of `path` (with or without its query) means the same to everybody
    /// who reads the result.
    pub(crate) fn fits(
        &self,
        path: &[u8],
        matched: usize,
        behind: Behind,
        slashes: Slashes,
    ) -> Result<(), PathError> {
        match (self, behind) {
            (NewPath::Prefix(_), Behind::Ambiguous) => {
                let end = memchr::memchr(b'?', path).unwrap_or(path.len());
                path::stays_below(path.get(matched..end).unwrap_or_default(), slashes)
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
