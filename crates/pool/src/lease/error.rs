//! Why there is no lease. Targets know it, too: those that stand for no worker are a refusal.

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    #[error("no worker is up")]
    NoWorker,
    #[error("every worker has been tried")]
    NoOther,
    #[error("the queue is full")]
    QueueFull,
    #[error("no slot came free in time")]
    QueueTimeout,
    #[error("the pool is being closed")]
    Draining,
}
