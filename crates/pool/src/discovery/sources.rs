//! What a process looks at for its pools, each thing once, however many pools use it. What a pool
//! makes of what is found is not known here.

use super::dns::{Names, Resolver};
use super::file::Files;

/// The names and files that a process watches for its pools. Made before any runtime; looks at
/// nothing until a pool asks.
#[derive(Default)]
pub struct Sources {
    pub(super) names: Names,
    pub(super) files: Files,
}

impl Sources {
    /// From now on names are resolved by this.
    pub fn resolve_by(&self, resolver: impl Resolver + 'static) {
        self.names.resolve_by(Box::new(resolver));
    }
}
