//! Asks a worker whether it can serve. A `Probe` is one attempt; when to make it, how long it may
//! take and how often it must agree is `schedule`'s, what follows is the pool state's.

pub mod http;
pub(crate) mod schedule;
pub mod tcp;
pub(crate) mod visit;

use futures_core::future::BoxFuture;

pub use self::http::Http;
pub use self::tcp::Tcp;
use crate::connect::ConnectError;
use crate::dial::Dial;

pub trait Probe: Send + Sync {
    /// One attempt at the worker that is reached so, over a connection of its own. Dropped when its time
    /// is over.
    fn probe<'a>(&'a self, dial: &'a Dial) -> BoxFuture<'a, Result<(), ProbeError>>;

    /// What it does, in words that differ when its behaviour does: a reload compares them.
    fn describe(&self) -> String;

    /// Whether it keeps busy what a request would keep busy.
    fn takes_slot(&self) -> bool {
        true
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("{}", .0.cause())]
    Connect(#[from] ConnectError),
    #[error("connection lost: {0}")]
    Lost(#[from] std::io::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("no HTTP answer")]
    NotHttp(#[from] isobar_http1::Error),
    #[error("timeout")]
    Timeout,
}
