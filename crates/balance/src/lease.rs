//! How a lease may end, and the label each end carries in `worker_requests_total{outcome}`.
//!
//! The pool's lease reports exactly one [`Outcome`] when the *worker* is done; the worker's
//! statistics and health are fed by it. What the client is told is decided elsewhere.

/// The one end of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The worker answered to the end; a status of 500 or more is the application's error.
    Served { status: u16 },
    /// The worker, or the way to it, failed.
    Failed(Failure),
    /// The client left in mid-transfer or before anything was sent: nobody's fault.
    ClientGone,
    /// The client gave up while the worker computed; it has ended, or was cut, since. (If a
    /// deadline gave up, the worker has failed by [`Failure::Timeout`].)
    Abandoned,
    /// Nothing was sent, and the worker had no part in it: we ran out of ports or descriptors, or
    /// the request out of time before it was connected.
    NotSent,
}

/// What went wrong with the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    ConnectRefused,
    ConnectTimeout,
    /// Any other reason why no connection came about.
    ConnectError,
    /// The connection ended before the response head.
    Reset,
    /// The connection ended inside the response body.
    ResetMidBody,
    /// The answer was not HTTP, or not one we may believe.
    Protocol,
    /// The worker took longer than `first_byte`, which no client can choose, to begin its answer.
    FirstByte,
    /// The worker took longer than another deadline.
    Timeout,
}

impl Outcome {
    /// Every label there is, in the order of [`Outcome::position`].
    pub const LABELS: [&'static str; 12] = [
        "served",
        "server_error",
        "client_gone",
        "abandoned",
        "not_sent",
        "connect_refused",
        "connect_timeout",
        "connect_error",
        "reset_before_head",
        "reset_mid_body",
        "bad_response",
        "timeout",
    ];

    /// Where in [`Outcome::LABELS`] the worker did what it was asked.
    pub(crate) const GOOD: usize = 0;
    /// Where it answered.
    pub(crate) const ANSWERS: std::ops::Range<usize> = 0..2;
    /// Where it began to answer, and broke off.
    pub(crate) const BROKE_OFF: usize = 9;
    /// Where the worker has no part in how it ended.
    pub(crate) const NOBODYS: std::ops::Range<usize> = 2..5;

    /// The value of the metric label `outcome`.
    pub fn label(self) -> &'static str {
        Self::LABELS[self.position()]
    }

    pub(crate) fn position(self) -> usize {
        match self {
            Self::Served { status } => usize::from(status >= 500),
            Self::ClientGone => 2,
            Self::Abandoned => 3,
            Self::NotSent => 4,
            Self::Failed(failure) => failure.position(),
        }
    }
}

impl Failure {
    /// The value of the metric label `outcome`.
    pub fn label(self) -> &'static str {
        Outcome::LABELS[self.position()]
    }

    /// No connection came about: whatever was asked for, the worker has not seen it.
    pub(crate) fn is_of_connecting(self) -> bool {
        matches!(self, Self::ConnectRefused | Self::ConnectTimeout | Self::ConnectError)
    }

    /// No connection came about, or no head of an answer that may be believed; whatever the worker
    /// says is none of these, and neither is a deadline that a client may choose.
    pub(crate) fn is_of_transport(self) -> bool {
        match self {
            Self::ConnectRefused
            | Self::ConnectTimeout
            | Self::ConnectError
            | Self::Reset
            | Self::Protocol
            | Self::FirstByte => true,
            Self::ResetMidBody | Self::Timeout => false,
        }
    }

    fn position(self) -> usize {
        match self {
            Self::ConnectRefused => 5,
            Self::ConnectTimeout => 6,
            Self::ConnectError => 7,
            Self::Reset => 8,
            Self::ResetMidBody => 9,
            Self::Protocol => 10,
            // One label: the log says which.
            Self::FirstByte | Self::Timeout => 11,
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_ones_of_the_metric() {
        for (outcome, label) in [
            (Outcome::Served { status: 200 }, "served"),
            (Outcome::Served { status: 499 }, "served"),
            (Outcome::Served { status: 500 }, "server_error"),
            (Outcome::ClientGone, "client_gone"),
            (Outcome::Abandoned, "abandoned"),
            (Outcome::NotSent, "not_sent"),
            (Outcome::Failed(Failure::ConnectRefused), "connect_refused"),
            (Outcome::Failed(Failure::ConnectTimeout), "connect_timeout"),
            (Outcome::Failed(Failure::ConnectError), "connect_error"),
            (Outcome::Failed(Failure::Reset), "reset_before_head"),
            (Outcome::Failed(Failure::ResetMidBody), "reset_mid_body"),
            (Outcome::Failed(Failure::Protocol), "bad_response"),
            (Outcome::Failed(Failure::FirstByte), "timeout"),
            (Outcome::Failed(Failure::Timeout), "timeout"),
        ] {
            assert_eq!(outcome.label(), label);
        }
        assert_eq!(Failure::Timeout.label(), "timeout");
    }
}
