//! Where the set of workers comes from. A source always tells the WHOLE set, so that a missed
//! update heals with the next; the supervisor makes the difference.

pub mod fixed;

use futures_core::stream::BoxStream;

use crate::settings::WorkerSpec;

pub trait Discovery: Send + Sync {
    /// Ends when there is nothing more to come; the last set stays.
    fn watch(&self) -> BoxStream<'static, Result<Vec<WorkerSpec>, DiscoveryError>>;
}

/// The source could not tell; the pool goes on with the last set.
#[derive(Debug, thiserror::Error)]
#[error("discovery failed: {0}")]
pub struct DiscoveryError(pub String);
