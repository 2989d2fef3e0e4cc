//! How a worker comes to its share and how it loses it: ejection and warm-up.

use std::time::Duration;

use crate::leaf::{Dur, Percent, Timeout};
use crate::model::{Burst, Outlier, WarmUp};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Field, OneOrMany, Spanned, Switch};

/// Failures are looked through every second; what is older than ten minutes is history.
const WINDOW: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(2)..=Duration::from_secs(600);

/// The time that failures come in.
const WITHIN: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(600);

pub(super) fn outlier(field: Field<Switch<raw::Outlier>>, cx: &mut Cx<'_>) -> Option<Outlier> {
    let Some(given) = field.given() else { return Some(Outlier::default()) };
    let span = given.span;
    let raw = given.value.on()?;
    let default = Outlier::default();
    let window = match raw.window.given() {
        Some(window) if WINDOW.contains(&window.value.0) => window.value.0,
        Some(window) => {
            let Dur(found) = window.value;
            cx.report(
                Draft::error(window.span, format!("found a window of {found:?}"))
                    .expected("a window from 2s to 10m"),
            );
            default.window
        }
        None => default.window,
    };
    let run = |field: Field<Switch<crate::leaf::Count<1, 1_000_000>>>, default| {
        field.value().map_or(default, |switch| switch.on().map_or(0, |n| n.u32()))
    };
    let failures = raw.failures.given().and_then(|given| burst(given, cx));
    let failure_rate = raw.failure_rate.value().and_then(Switch::on);
    let base_ejection = raw.base_ejection.value().map_or(default.base_ejection, |t| t.0);
    let longest = raw.longest_ejection.given();
    if let Some(longest) = &longest
        && longest.value.0 < base_ejection
    {
        cx.report(
            Draft::error(longest.span, "found a longest ejection below the first")
                .expected(format!("at least `base_ejection`, which is {base_ejection:?}")),
        );
    }
    let outlier = Outlier {
        transport_failures: run(raw.transport_failures, default.transport_failures),
        consecutive_failures: run(raw.consecutive_failures, default.consecutive_failures),
        gateway_failures: run(raw.gateway_failures, default.gateway_failures),
        failures,
        failure_rate: failure_rate.map_or(default.failure_rate, |Percent(n)| n as u16),
        window,
        min_requests: raw.min_requests.value().map_or(default.min_requests, |n| n.0),
        base_ejection,
        longest_ejection: longest
            .map_or(default.longest_ejection.max(base_ejection), |t| t.value.0),
        max_ejected: raw.max_ejected.value().map_or(default.max_ejected, |Percent(n)| n as u16),
    };
    let Outlier { transport_failures, consecutive_failures, gateway_failures, .. } = outlier;
    let runs = [transport_failures, consecutive_failures, gateway_failures];
    if runs == [0; 3] && outlier.failure_rate == 0 && failures.is_none() {
        cx.report(
            Draft::warning(span, "nothing ever ejects a worker")
                .hint("`outlier: off` says the same".to_owned()),
        );
    }
    Some(outlier)
}

fn burst(given: Spanned<Switch<raw::Burst>>, cx: &mut Cx<'_>) -> Option<Burst> {
    let Spanned { value, span } = given;
    let raw = value.on()?;
    if (raw.count.is_absent() || raw.within.is_absent()) && !raw.refused.any() {
        let draft = Draft::error(span, "found half of what failures are counted by");
        cx.report(draft.expected("both `count` and `within`, like `{ count: 5, within: 10s }`"));
    }
    let count = raw.count.value()?.u32();
    let Spanned { value: Dur(within), span } = raw.within.given()?;
    if !WITHIN.contains(&within) {
        let draft = Draft::error(span, format!("found {within:?}"));
        cx.report(draft.expected("a time from 100ms to 10m"));
        return None;
    }
    Some(Burst { count, within })
}

pub(super) fn warm_up(field: Field<Switch<raw::WarmUp>>, cx: &mut Cx<'_>) -> Option<WarmUp> {
    let given = field.given()?;
    let span = given.span;
    let raw = given.value.on()?;
    let requests = match raw.requests {
        Field::Given(requests) => {
            let OneOrMany(list) = requests.value;
            if list.is_empty() {
                let draft = Draft::error(requests.span, "found no request");
                cx.report(draft.expected("at least one path, like `/healthz`"));
            }
            list.into_iter().map(|path| path.value.0).collect()
        }
        Field::Broken => return None,
        Field::Absent if raw.refused.excuses(&["requests"]) => return None,
        Field::Absent => {
            cx.report(
                Draft::error(span, "found a warm-up without requests")
                    .expected("`requests`, a list of paths"),
            );
            return None;
        }
    };
    Some(WarmUp {
        requests,
        count: raw.count.value().map_or(1, |n| n.u32()),
        timeout: raw.timeout.value().map_or(Duration::from_secs(30), |Timeout(t)| t),
        host: raw.host.value().map(|host| host.0),
    })
}
