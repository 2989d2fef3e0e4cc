//! What follows from a connect that did not come about: how its lease ends, and what is said of it.

use isobar_balance::{Failure, Outcome};
use isobar_pool::ConnectError;

use crate::reason::Reason;

pub(crate) fn told(error: &ConnectError) -> (Outcome, Reason) {
    match error {
        ConnectError::Refused | ConnectError::NoSocket => {
            (of(Failure::ConnectRefused), Reason::ConnectRefused)
        }
        ConnectError::Timeout => (of(Failure::ConnectTimeout), Reason::ConnectTimeout),
        ConnectError::Other(_) => (of(Failure::ConnectError), Reason::Unreachable),
        ConnectError::Exhausted(_) => (Outcome::NotSent, Reason::Exhausted),
    }
}

fn of(failure: Failure) -> Outcome {
    Outcome::Failed(failure)
}
