//! Where the set of workers comes from. A source always tells the WHOLE set, so that a missed
//! update heals with the next; the supervisor makes the difference.
//!
//! `fixed` is what the configuration names and nothing else. `declared` is the union of everything
//! a configuration may say: addresses, host names (`dns`) and a watched file (`file`). The last two
//! are looked after once per process, in [`Sources`], however many pools use them.

mod declared;
pub mod dns;
pub mod file;
pub mod fixed;
mod sources;
mod watched;

use futures_core::stream::BoxStream;

pub use self::declared::{At, Declared, Limits, Mixed, OwnLimits};
pub use self::file::WorkersFile;
pub use self::sources::Sources;
use crate::address::Address;
use crate::settings::WorkerSpec;

pub trait Discovery: Send + Sync {
    /// Ends when there is nothing more to come; the last set stays. What is known without waiting
    /// is the first item at the first poll.
    fn watch(&self) -> BoxStream<'static, Result<Vec<WorkerSpec>, DiscoveryError>>;

    /// This worker could not be reached: whoever told of it may look again at once.
    fn doubt(&self, _: &Address) {}

    /// How each of the places it looks at fares, for an operator.
    fn sources(&self) -> Vec<SourceStatus> {
        Vec::new()
    }
}

/// A source could not tell; the pool goes on with the last set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{source_name}: {problem}")]
pub struct DiscoveryError {
    /// The host name or the file.
    pub source_name: String,
    pub problem: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceStatus {
    /// The host name and port, or the file.
    pub name: String,
    /// How many workers it told of when it last could.
    pub workers: usize,
    /// Why the last look failed; `None` = it did not.
    pub problem: Option<String>,
}
