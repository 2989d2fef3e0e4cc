//! A list of workers, in a pool or in a file of its own: each address and each name once.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::leaf::{Dur, WorkerAddress, WorkerName, is_localhost};
use crate::model::{Address, Host, ListedWorker, Worker};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Field, Many, Spanned};
use crate::source::Span;

/// How long an answer about a host name is believed at least and at most.
const MIN: Duration = Duration::from_secs(1);
const MAX: Duration = Duration::from_secs(30);
/// Less would be a flood of questions.
const LEAST: Duration = Duration::from_millis(100);

/// Where an address has slots: the pool, and the place. As it is written: what a name resolves to
/// is not known.
pub(super) type WhereSlots = HashMap<String, (String, Span)>;

/// `pool`: its name and where the others have slots; a file of workers belongs to none yet.
pub(crate) fn convert(
    list: Option<Many<raw::Worker>>,
    pool_slots: raw::Slots,
    mut pool: Option<(&str, &mut WhereSlots)>,
    cx: &mut Cx<'_>,
) -> Vec<ListedWorker> {
    let Some(Many(list)) = list else { return Vec::new() };
    let mut workers = Vec::with_capacity(list.len());
    let mut names: HashMap<String, Span> = HashMap::new();
    let mut addresses: HashMap<String, Span> = HashMap::new();
    for Spanned { value: raw::Worker { map: raw }, span } in list {
        if raw.address.is_absent() && !raw.refused.excuses(&["address"]) {
            cx.report(
                Draft::error(span, "found a worker without an address")
                    .expected("`address: ip:port`, `address: host:port` or `address: unix:/path`"),
            );
        }
        let own_slots = !raw.slots.is_absent();
        let limits = match raw.slots.value() {
            None => pool_slots,
            Some(switch) => switch.on().unwrap_or_default(),
        };
        let raw::Slots { requests: slots, tunnels } = limits;
        let Some(Spanned { value: address, span: at }) = raw.address.given() else { continue };
        let written = address.to_string();
        if let Some(first) = addresses.get(&written) {
            let line = first.line;
            cx.report(
                Draft::error(at, "found this address a second time in its pool")
                    .expected("every worker once")
                    .hint(format!("it stands in line {line} already; more share: `weight`")),
            );
            continue;
        }
        addresses.insert(written.clone(), at);
        let Some(address) = resolved(address, at, raw.resolve, &raw.name, cx) else { continue };
        let (name, name_span) = match raw.name.given() {
            Some(Spanned { value, span }) => (value.0, span),
            None => (written.clone(), at),
        };
        if let Some(first) = names.insert(name.clone(), name_span) {
            cx.report(
                Draft::error(name_span, "found this worker name a second time in its pool")
                    .expected("every name once")
                    .hint(format!("it stands in line {} already", first.line)),
            );
        }
        if let (Some((pool, where_slots)), Some(_)) = (&mut pool, slots) {
            let here = ((*pool).to_owned(), at);
            let other = where_slots.insert(written, here).filter(|(other, _)| other != pool);
            if let Some((other, _)) = other {
                cx.report(
                    Draft::warning(at, format!("the pool `{other}` has this address too")).hint(
                        "each pool counts its own slots: together they overrun the worker"
                            .to_owned(),
                    ),
                );
            }
        }
        let weight = raw.weight.value().and_then(|n| NonZeroU32::new(n.u32()));
        let tier = raw.tier.value().map_or(0, |n| n.u32() as u8);
        let worker = Worker { name, address, weight, slots, tunnels, tier };
        workers.push(ListedWorker { worker, own_slots });
    }
    workers
}

fn resolved(
    address: WorkerAddress,
    at: Span,
    resolve: Field<raw::Resolve>,
    name: &Field<WorkerName>,
    cx: &mut Cx<'_>,
) -> Option<Address> {
    let (host, port) = match address {
        WorkerAddress::Host { host, port } => (host, port),
        WorkerAddress::At(address) => {
            if let Field::Given(resolve) = resolve {
                let draft = Draft::error(resolve.span, "found `resolve` beside an address");
                cx.report(
                    draft.expected("it beside a host name only: there is nothing to resolve"),
                );
            }
            return Some(address);
        }
    };
    if let Field::Given(name) = name {
        let draft = Draft::error(name.span, "found a name for whatever a host name resolves to");
        let hint = "each address it resolves to is a worker of its own, named `ip:port`";
        cx.report(draft.expected("no `name` beside a host name").hint(hint.to_owned()));
    }
    if is_localhost(&host) {
        let message = "`localhost` may be two addresses, 127.0.0.1 and ::1: each would be a worker";
        let hint = format!("where one process is meant: `127.0.0.1:{port}`");
        cx.report(Draft::warning(at, message).hint(hint));
    }
    let (min, max) = bounds(resolve, cx)?;
    Some(Address::Host(Host { name: host, port, min, max }))
}

fn bounds(resolve: Field<raw::Resolve>, cx: &mut Cx<'_>) -> Option<(Duration, Duration)> {
    let Spanned { value: raw, span } = match resolve {
        Field::Absent => return Some((MIN, MAX)),
        Field::Broken => return None,
        Field::Given(given) => given,
    };
    let min_given = !raw.min.is_absent();
    let max = raw.max.value().map(|Dur(d)| d);
    let min = raw.min.value().map(|Dur(d)| d);
    // One alone moves the other's default out of its way.
    let min = min.unwrap_or_else(|| MIN.min(max.unwrap_or(MIN)));
    let max = max.unwrap_or_else(|| MAX.max(min));
    if min < LEAST || max < min {
        let found = match min < LEAST && min_given {
            true => "found a `min` below 100ms",
            false => "found a `max` below `min`",
        };
        cx.report(Draft::error(span, found).expected("100ms ≤ `min` ≤ `max`"));
        return None;
    }
    Some((min, max))
}
