//! How long a route's requests may take, and what is tried again.

use std::time::Duration;

use crate::leaf::{Dur, RetryCause, Size};
use crate::model::{Retry, RetryWhen, RouteTimeouts};
use crate::raw;
use crate::read::{Field, OneOrMany, Spanned, Switch};

pub(super) fn route_timeouts(
    raw: Option<raw::RouteTimeouts>,
    default: RouteTimeouts,
) -> RouteTimeouts {
    let Some(raw) = raw else { return default };
    // Zero is no time to answer in: it means none, like everywhere else in the trade.
    let switch = |field: Field<Switch<Dur>>, default| match field.value() {
        None => default,
        Some(switch) => switch.on().map(|d| d.0).filter(|d: &Duration| !d.is_zero()),
    };
    RouteTimeouts {
        request: switch(raw.request, default.request),
        first_byte: switch(raw.first_byte, default.first_byte),
        body_idle: switch(raw.body_idle, default.body_idle),
    }
}

pub(super) fn retry(field: Field<Switch<raw::Retry>>) -> Retry {
    let default = Retry::default();
    let raw = match field.value() {
        None => return default,
        Some(Switch::Off) => return Retry { attempts: 1, ..default },
        Some(Switch::On(raw)) => raw,
    };
    let when = raw.when.value().map_or(default.when, |OneOrMany(causes)| {
        let has = |cause| causes.iter().any(|c| c.value == cause);
        let status = |cause: &Spanned<RetryCause>| match cause.value {
            RetryCause::Status(status) => Some(status),
            RetryCause::Connect | RetryCause::Reset => None,
        };
        let mut statuses: Vec<u16> = causes.iter().filter_map(status).collect();
        statuses.sort_unstable();
        statuses.dedup();
        RetryWhen { connect: has(RetryCause::Connect), reset: has(RetryCause::Reset), statuses }
    });
    Retry {
        attempts: raw.attempts.value().map_or(default.attempts, |n| n.u32()),
        per_try: raw.per_try.on().map(|d| d.0).filter(|d| !d.is_zero()),
        when,
        replay: match raw.replay.value() {
            None => default.replay,
            Some(switch) => switch.on().map_or(0, Size::usize),
        },
    }
}
