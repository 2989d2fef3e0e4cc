//! Why the proxy itself answered, or ended, a request: one stable code each.
//!
//! The code stands in the response header `x-isobar-reason`, in the access log and in the
//! metrics. This table is the only place that says which status a reason has, whose doing it is, and
//! whether another attempt may follow.

use isobar_balance::{Failure, Outcome};
use isobar_pool::LeaseError;

/// A reason of the stable list; the log's `reason` key is null when the worker answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    NoRoute,
    NoWorker,
    QueueFull,
    QueueTimeout,
    ConnectRefused,
    ConnectTimeout,
    /// There was no way to the worker, neither refused nor timed out. The code is that of `NoWorker`.
    Unreachable,
    /// We have no port or descriptor left for a connection: the fault is ours, and passes. The code
    /// is that of `Internal`.
    Exhausted,
    ResetBeforeHead,
    ResetMidBody,
    /// The worker fell silent in mid-body: we broke it off. The code is that of `ResetMidBody`.
    SilentMidBody,
    FirstByteTimeout,
    RequestTimeout,
    HeaderTimeout,
    BodyTimeout,
    WriteTimeout,
    ClientGone,
    BadRequest,
    BadResponse,
    HeaderTooLarge,
    UriTooLong,
    BodyTooLarge,
    MethodNotAllowed,
    NotImplemented,
    ExpectationFailed,
    RateLimited,
    ConnectionLimit,
    Denied,
    /// Nobody said, or proved, who asks. The code is that of `Denied`.
    Unauthenticated,
    Loop,
    Draining,
    /// The last one: the tests count on it.
    Internal,
}

impl Reason {
    /// The reason a refused head names.
    pub(crate) fn of(code: &str) -> Self {
        let of_heads = [
            Self::HeaderTooLarge,
            Self::UriTooLong,
            Self::BodyTooLarge,
            Self::NotImplemented,
            Self::ExpectationFailed,
            Self::MethodNotAllowed,
        ];
        of_heads.into_iter().find(|reason| reason.code() == code).unwrap_or(Self::BadRequest)
    }

    pub(crate) const fn code(self) -> &'static str {
        self.row().0
    }

    /// The status the client gets if the head has not been sent; 499 only stands in the log.
    pub(crate) const fn status(self) -> u16 {
        self.row().1
    }

    /// What has to be allowed for another attempt to follow.
    pub(crate) const fn again(self) -> Cause {
        self.row().3
    }

    /// How the lease of an attempt ends that ended for this reason.
    pub(crate) const fn outcome(self) -> Outcome {
        match self.row().2 {
            Blame::Worker(failure) => Outcome::Failed(failure),
            Blame::Request | Blame::Client => Outcome::ClientGone,
            Blame::Nobody => Outcome::NotSent,
        }
    }

    /// A worker did not do its part.
    pub(crate) const fn is_the_workers(self) -> bool {
        matches!(self.row().2, Blame::Worker(_))
    }

    /// The request was written as no request may be.
    pub(crate) const fn is_of_the_request(self) -> bool {
        matches!(self.row().2, Blame::Request)
    }

    /// For the log, where nobody has said more.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::FirstByteTimeout => "no response head in time",
            Self::SilentMidBody => "nothing came of the response's body for too long",
            Self::ResetMidBody => "the connection ended before the response did",
            Self::ResetBeforeHead => "the connection ended before the response's head",
            _ => self.code(),
        }
    }

    const fn row(self) -> (&'static str, u16, Blame, Cause) {
        match self {
            Self::NoRoute => ("no_route", 404, Blame::Client, Cause::Never),
            Self::NoWorker => ("no_worker", 503, Blame::Nobody, Cause::Always),
            Self::QueueFull => ("queue_full", 503, Blame::Nobody, Cause::Never),
            Self::QueueTimeout => ("queue_timeout", 503, Blame::Nobody, Cause::Never),
            Self::ConnectRefused => {
                ("connect_refused", 502, Blame::Worker(Failure::ConnectRefused), Cause::Connect)
            }
            Self::ConnectTimeout => {
                ("connect_timeout", 504, Blame::Worker(Failure::ConnectTimeout), Cause::Connect)
            }
            Self::Unreachable => {
                ("no_worker", 502, Blame::Worker(Failure::ConnectError), Cause::Connect)
            }
            Self::Exhausted => ("internal", 503, Blame::Nobody, Cause::Connect),
            Self::ResetBeforeHead => {
                ("reset_before_head", 502, Blame::Worker(Failure::Reset), Cause::Reset)
            }
            Self::ResetMidBody => {
                ("reset_mid_body", 502, Blame::Worker(Failure::ResetMidBody), Cause::Reset)
            }
            Self::SilentMidBody => {
                ("reset_mid_body", 504, Blame::Worker(Failure::Timeout), Cause::Reset)
            }
            Self::FirstByteTimeout => {
                ("first_byte_timeout", 504, Blame::Worker(Failure::FirstByte), Cause::Always)
            }
            Self::RequestTimeout => ("request_timeout", 504, Blame::Client, Cause::Never),
            Self::HeaderTimeout => ("header_timeout", 408, Blame::Client, Cause::Never),
            Self::BodyTimeout => ("body_timeout", 408, Blame::Client, Cause::Never),
            Self::WriteTimeout => ("write_timeout", 499, Blame::Client, Cause::Never),
            Self::ClientGone => ("client_gone", 499, Blame::Client, Cause::Never),
            Self::BadRequest => ("bad_request", 400, Blame::Request, Cause::Never),
            Self::BadResponse => {
                ("bad_response", 502, Blame::Worker(Failure::Protocol), Cause::Reset)
            }
            Self::HeaderTooLarge => ("header_too_large", 431, Blame::Request, Cause::Never),
            Self::UriTooLong => ("uri_too_long", 414, Blame::Request, Cause::Never),
            Self::BodyTooLarge => ("body_too_large", 413, Blame::Client, Cause::Never),
            Self::MethodNotAllowed => ("method_not_allowed", 405, Blame::Client, Cause::Never),
            Self::NotImplemented => ("not_implemented", 501, Blame::Request, Cause::Never),
            Self::ExpectationFailed => ("expectation_failed", 417, Blame::Request, Cause::Never),
            Self::RateLimited => ("rate_limited", 429, Blame::Client, Cause::Never),
            Self::ConnectionLimit => ("connection_limit", 429, Blame::Client, Cause::Never),
            Self::Denied => ("denied", 403, Blame::Client, Cause::Never),
            Self::Unauthenticated => ("denied", 401, Blame::Client, Cause::Never),
            Self::Loop => ("loop", 508, Blame::Client, Cause::Never),
            Self::Draining => ("draining", 503, Blame::Nobody, Cause::Never),
            Self::Internal => ("internal", 500, Blame::Client, Cause::Never),
        }
    }
}

/// Whose doing it is that a request ends so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    Worker(Failure),
    /// Who wrote the request: nobody can read it.
    Request,
    /// Who sent it, or we, once a worker had it: the worker has no part in it.
    Client,
    /// Nobody had it.
    Nobody,
}

/// What a route's `retry.on` has to allow for another attempt to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    Connect,
    Reset,
    /// Asked for by another key (`per_try`, `statuses`).
    Always,
    /// The client's doing, or ours: another worker would not help.
    Never,
}

impl From<LeaseError> for Reason {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::NoWorker | LeaseError::NoOther => Self::NoWorker,
            LeaseError::QueueFull => Self::QueueFull,
            LeaseError::QueueTimeout => Self::QueueTimeout,
            LeaseError::Draining => Self::Draining,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// Its length makes sure that none is missing.
    const ALL: [Reason; Reason::Internal as usize + 1] = [
        Reason::NoRoute,
        Reason::NoWorker,
        Reason::QueueFull,
        Reason::QueueTimeout,
        Reason::ConnectRefused,
        Reason::ConnectTimeout,
        Reason::Unreachable,
        Reason::Exhausted,
        Reason::ResetBeforeHead,
        Reason::ResetMidBody,
        Reason::SilentMidBody,
        Reason::FirstByteTimeout,
        Reason::RequestTimeout,
        Reason::HeaderTimeout,
        Reason::BodyTimeout,
        Reason::WriteTimeout,
        Reason::ClientGone,
        Reason::BadRequest,
        Reason::BadResponse,
        Reason::HeaderTooLarge,
        Reason::UriTooLong,
        Reason::BodyTooLarge,
        Reason::MethodNotAllowed,
        Reason::NotImplemented,
        Reason::ExpectationFailed,
        Reason::RateLimited,
        Reason::ConnectionLimit,
        Reason::Denied,
        Reason::Unauthenticated,
        Reason::Loop,
        Reason::Draining,
        Reason::Internal,
    ];

    type Codes = BTreeMap<String, BTreeSet<u16>>;

    #[test]
    fn the_reference_has_every_code_with_its_statuses() {
        assert!(ALL.iter().enumerate().all(|(at, reason)| *reason as usize == at));
        let mut codes = Codes::new();
        for reason in ALL {
            codes.entry(reason.code().to_owned()).or_default().insert(reason.status());
        }
        // The parser sharpens it for another version of HTTP.
        codes.entry(Reason::BadRequest.code().to_owned()).or_default().insert(505);
        assert_eq!(documented(), codes, "documented, built");
    }

    /// The table below `## Reasons` of docs/reference.md: code and statuses.
    fn documented() -> Codes {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
        let text = std::fs::read_to_string(path).unwrap();
        let section = text.split("\n## Reasons\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let code_and_statuses = |row: &str| {
            let (code, rest) = row.split_once('`').unwrap();
            let statuses = rest.split('|').nth(1).unwrap().split(',');
            (code.to_owned(), statuses.map(|status| status.trim().parse().unwrap()).collect())
        };
        rows.map(code_and_statuses).collect()
    }
}
