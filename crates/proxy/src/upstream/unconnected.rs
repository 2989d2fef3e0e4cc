//! What is said of a connect that did not come about.

use isobar_pool::ConnectError;

use crate::reason::Reason;

/// How often a request may find a worker that has just gone down before that costs attempts, too.
/// Each such worker is found once, so this only ends what would never end.
pub(crate) const FREE_TRIES: u32 = 1000;

pub(crate) fn told(error: &ConnectError) -> Reason {
    match error {
        ConnectError::Refused | ConnectError::NoSocket => Reason::ConnectRefused,
        ConnectError::Timeout => Reason::ConnectTimeout,
        ConnectError::Other(_) => Reason::Unreachable,
        ConnectError::Tls(_) => Reason::WorkerTls,
        ConnectError::Exhausted(_) => Reason::Exhausted,
    }
}
