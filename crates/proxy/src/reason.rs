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
    /// The worker and we could not agree on TLS.
    WorkerTls,
    /// The client and we could not agree on TLS. Only a client that speaks HTTP instead is answered.
    TlsHandshake,
    /// What a proxy says of its client cannot be believed, or was not said. Nobody is answered.
    ProxyHeader,
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
    /// Its host is served to clients that must show more, or something else, than this one has.
    Misdirected,
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
        self.row().code
    }

    /// The status the client gets if the head has not been sent; 499 only stands in the log.
    pub(crate) const fn status(self) -> u16 {
        self.row().status
    }

    /// What has to be allowed for another attempt to follow.
    pub(crate) const fn again(self) -> Cause {
        self.row().again
    }

    /// How the lease of an attempt ends that ended for this reason, unless a deadline that is its
    /// request's alone has passed.
    pub(crate) const fn outcome(self) -> Outcome {
        match self.row().blame {
            Blame::Worker(failure) => Outcome::Failed(failure),
            Blame::Request | Blame::Others => Outcome::ClientGone,
            Blame::Nobody => Outcome::NotSent,
        }
    }

    /// A worker did not do its part.
    pub(crate) const fn is_the_workers(self) -> bool {
        matches!(self.row().blame, Blame::Worker(_))
    }

    /// The request was written as no request may be.
    pub(crate) const fn is_of_the_request(self) -> bool {
        matches!(self.row().blame, Blame::Request)
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

    const fn row(self) -> Row {
        match self {
            Self::NoRoute => row("no_route", 404, Blame::Others, Cause::Never),
            Self::NoWorker => row("no_worker", 503, Blame::Nobody, Cause::Always),
            Self::QueueFull => row("queue_full", 503, Blame::Nobody, Cause::Never),
            Self::QueueTimeout => row("queue_timeout", 503, Blame::Nobody, Cause::Never),
            Self::ConnectRefused => {
                row("connect_refused", 502, Blame::Worker(Failure::ConnectRefused), Cause::Connect)
            }
            Self::ConnectTimeout => {
                row("connect_timeout", 504, Blame::Worker(Failure::ConnectTimeout), Cause::Connect)
            }
            Self::WorkerTls => {
                row("worker_tls", 502, Blame::Worker(Failure::ConnectError), Cause::Connect)
            }
            Self::TlsHandshake => row("tls_handshake", 400, Blame::Others, Cause::Never),
            Self::ProxyHeader => row("proxy_header", 400, Blame::Others, Cause::Never),
            Self::Unreachable => {
                row("no_worker", 502, Blame::Worker(Failure::ConnectError), Cause::Connect)
            }
            Self::Exhausted => row("internal", 503, Blame::Nobody, Cause::Connect),
            Self::ResetBeforeHead => {
                row("reset_before_head", 502, Blame::Worker(Failure::Reset), Cause::Reset)
            }
            Self::ResetMidBody => {
                row("reset_mid_body", 502, Blame::Worker(Failure::ResetMidBody), Cause::Reset)
            }
            Self::SilentMidBody => {
                row("reset_mid_body", 504, Blame::Worker(Failure::Timeout), Cause::Reset)
            }
            Self::FirstByteTimeout => {
                row("first_byte_timeout", 504, Blame::Worker(Failure::FirstByte), Cause::Always)
            }
            Self::RequestTimeout => row("request_timeout", 504, Blame::Others, Cause::Never),
            Self::HeaderTimeout => row("header_timeout", 408, Blame::Others, Cause::Never),
            Self::BodyTimeout => row("body_timeout", 408, Blame::Others, Cause::Never),
            Self::WriteTimeout => row("write_timeout", 499, Blame::Others, Cause::Never),
            Self::ClientGone => row("client_gone", 499, Blame::Others, Cause::Never),
            Self::BadRequest => row("bad_request", 400, Blame::Request, Cause::Never),
            Self::BadResponse => {
                row("bad_response", 502, Blame::Worker(Failure::Protocol), Cause::Reset)
            }
            Self::HeaderTooLarge => row("header_too_large", 431, Blame::Request, Cause::Never),
            Self::UriTooLong => row("uri_too_long", 414, Blame::Request, Cause::Never),
            Self::BodyTooLarge => row("body_too_large", 413, Blame::Others, Cause::Never),
            Self::MethodNotAllowed => row("method_not_allowed", 405, Blame::Others, Cause::Never),
            Self::NotImplemented => row("not_implemented", 501, Blame::Request, Cause::Never),
            Self::ExpectationFailed => row("expectation_failed", 417, Blame::Request, Cause::Never),
            Self::Misdirected => row("misdirected", 421, Blame::Others, Cause::Never),
            Self::RateLimited => row("rate_limited", 429, Blame::Others, Cause::Never),
            Self::ConnectionLimit => row("connection_limit", 429, Blame::Others, Cause::Never),
            Self::Denied => row("denied", 403, Blame::Others, Cause::Never),
            Self::Unauthenticated => row("denied", 401, Blame::Others, Cause::Never),
            Self::Loop => row("loop", 508, Blame::Others, Cause::Never),
            Self::Draining => row("draining", 503, Blame::Nobody, Cause::Never),
            Self::Internal => row("internal", 500, Blame::Others, Cause::Never),
        }
    }
}

/// What follows from a reason.
struct Row {
    code: &'static str,
    status: u16,
    blame: Blame,
    again: Cause,
}

const fn row(code: &'static str, status: u16, blame: Blame, again: Cause) -> Row {
    Row { code, status, blame, again }
}

/// Whose doing it is that a request ends so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blame {
    Worker(Failure),
    /// Who wrote the request: nobody can read it.
    Request,
    /// The client's, or ours: a worker that has the request has no part in it.
    Others,
    /// No worker had the request.
    Nobody,
}

/// What a route's `retry.on` has to allow for another attempt to follow. Whether this request may be
/// sent again at all is not asked here.
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
        Reason::WorkerTls,
        Reason::TlsHandshake,
        Reason::ProxyHeader,
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
        Reason::Misdirected,
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
