//! Pools; their workers are in `workers`.

mod life;
mod strategy;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::http_only::{Barrier, HttpOnly};
use super::workers::{self, WhereSlots};
use crate::leaf::{Dur, FilePath, Percent, Size, StatusRange, Timeout};
use crate::model::{
    Address, Buffer, Check, Health, Hold, IdleTime, KeepAlive, OnOff, Pool, Queue, Spill, Worker,
};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Field, Many, OneOrMany, Spanned, Switch};
use crate::registry::Registry;
use crate::source::Span;
use crate::units::FOREVER;

const QUEUE_PER_SLOT: usize = 100;
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests that wait for a worker in a pool without slots.
const HELD: usize = 1000;
const HOLD: Duration = Duration::from_secs(2);
const BUFFER: usize = 64 * 1024;
/// In thousandths: 20 %.
const RETRY_BUDGET: Option<NonZeroU32> = NonZeroU32::new(200);
/// Why they need slots.
pub(super) const WHAT_BUFFERS_DO: &str = "bodies are buffered so that a slow client holds no slot";
/// On disk, of one body.
const SPILL: u64 = 1 << 30;

pub(super) fn convert(
    name: &str,
    raw: raw::Pool,
    registry: &Registry,
    where_slots: &mut WhereSlots,
    cx: &mut Cx<'_>,
) -> Option<(Pool, HttpOnly)> {
    let span = raw.span;
    let idle = [
        ("timeouts", raw.timeouts.as_given().map(|given| given.span)),
        ("retry_budget", raw.retry_budget.where_on()),
        ("abandon_after", raw.abandon_after.where_on()),
        ("buffer", raw.buffer.where_on()),
        ("keep_alive", raw.keep_alive.where_on()),
        ("slots.tunnels", where_apart(&raw)),
    ];
    let idle = idle.into_iter().filter_map(|(key, at)| Some((key, at?))).collect();
    let strategy = strategy::strategy(raw.strategy, span, registry, cx);
    let slots_unknown = matches!(raw.slots, Field::Broken) || raw.refused.instead_of(&["slots"]);
    let slots = raw.slots.on().unwrap_or_default();
    let file = discovered(raw.discover, cx);
    let refused = raw.refused.excuses(&["workers", "discover"]);
    if raw.workers.is_absent() && !refused && matches!(file, Discovered::No) {
        cx.report(
            Draft::error(span, format!("the pool `{name}` has no workers"))
                .expected("`workers:`, a list of addresses, or `discover: { file: … }`"),
        );
    }
    let workers_span = raw.workers.as_given().map(|w| w.span);
    let list = raw.workers.value();
    if let (Some(span), Some(true), Discovered::No) =
        (workers_span, list.as_ref().map(|Many(l)| l.is_empty()), &file)
    {
        cx.report(
            Draft::error(span, format!("the pool `{name}` has no workers"))
                .expected("at least one"),
        );
    }
    let workers = workers::convert(list, slots, Some((name, where_slots)), cx);
    let workers: Vec<Worker> = workers.into_iter().map(|listed| listed.worker).collect();
    let total: u64 = workers.iter().filter_map(|w| w.slots).map(|n| u64::from(n.get())).sum();
    let discover = match file {
        Discovered::File(path) => Some(path),
        Discovered::No | Discovered::Broken => None,
    };
    // What a file will say of its workers' slots is not known.
    let limited = total > 0 || discover.is_some() || slots_unknown;
    let come_and_go =
        discover.is_some() || workers.iter().any(|w| matches!(w.address, Address::Host(_)));
    let max_given = matches!(raw.queue.as_given(), Some(Spanned { value: Switch::On(queue), .. })
        if !queue.max.is_absent());
    let queue_span = raw.queue.where_on();
    let (queue, hold) = queue(raw.queue, limited, total);
    if let Some(span) = queue_span
        && hold.is_none()
        && !limited
        && !workers.is_empty()
    {
        cx.report(
            Draft::warning(span, format!("nothing ever queues in the pool `{name}`")).hint(
                "requests queue for slots, and no worker has `slots`; `hold` is off".to_owned(),
            ),
        );
    }
    let without_slots = !limited && !workers.is_empty();
    if let Some(Spanned { value: OnOff::On, span }) = raw.overflow.as_given()
        && discover.is_none()
        && !workers.is_empty()
        && (without_slots || workers.iter().all(|worker| worker.tier == workers[0].tier))
    {
        let hint = "it takes workers with slots in one tier, and others in a higher one: `tier: 1`";
        let message = format!("`overflow` does nothing in the pool `{name}`");
        cx.report(Draft::warning(*span, message).hint(hint.to_owned()));
    }
    let (buffer, spill) = buffer(raw.buffer, limited, without_slots, cx);
    let sticky = raw.affinity.where_on();
    let affinity = super::affinity::convert(name, raw.affinity, cx);
    let health = health(raw.health, &workers, cx);
    let outlier = life::outlier(raw.outlier, cx);
    let warmed = raw.warm_up.where_on();
    let warm_up = life::warm_up(raw.warm_up, cx);
    // Not before all of the pool has been looked at: every mistake is told at once.
    let (strategy, keyed) = strategy?;
    let counts_tunnels_as_requests =
        workers.iter().any(|worker| worker.slots.is_some() && worker.tunnels.is_none());
    let needs_http = |at: Option<Span>, what: &str, instead| {
        at.map(|at| Barrier { at, what: what.to_owned(), instead })
    };
    let sticky = needs_http(sticky, "`affinity`", "no `affinity`");
    let warmed = needs_http(warmed, "`warm_up`", "no `warm_up`");
    let pool = Pool {
        name: name.to_owned(),
        strategy,
        affinity,
        queue_per_slot: (come_and_go && !max_given).then_some(QUEUE_PER_SLOT),
        queue,
        hold,
        health,
        retry_budget: match raw.retry_budget.value() {
            None => RETRY_BUDGET,
            Some(switch) => {
                switch.on().and_then(|Percent(thousandths)| NonZeroU32::new(thousandths))
            }
        },
        abandon_after: raw
            .abandon_after
            .value()
            .map_or(Duration::from_secs(30), |switch| switch.on().map_or(FOREVER, |Dur(d)| d)),
        buffer,
        spill,
        connect_timeout: raw.connect_timeout.value().map_or(Duration::from_secs(1), |t| t.0),
        keep_alive: keep_alive(raw.keep_alive),
        tls: super::tls::to_workers(raw.tls, cx),
        via: raw.via.or(OnOff::On),
        overflow: raw.overflow.or(OnOff::Off),
        outlier,
        panic_below: raw.panic_below.value().and_then(Switch::on).map_or(0, |p| p.0 as u16),
        slow_start: raw.slow_start.on().map_or(Duration::ZERO, |Dur(d)| d),
        warm_up,
        slots: slots.requests,
        tunnels: slots.tunnels,
        workers,
        discover,
    };
    let barrier = keyed.or(sticky).or(warmed);
    Some((pool, HttpOnly { barrier, idle, without_slots, counts_tunnels_as_requests }))
}

/// Where tunnels are counted apart.
fn where_apart(raw: &raw::Pool) -> Option<Span> {
    let of = |slots: &Field<Switch<raw::Slots>>| match slots.as_given()? {
        Spanned { value: Switch::On(raw::Slots { tunnels: Some(_), .. }), span } => Some(*span),
        _ => None,
    };
    let workers = raw.workers.as_given().into_iter().flat_map(|given| &given.value.0);
    of(&raw.slots).or_else(|| workers.filter_map(|worker| of(&worker.value.map.slots)).next())
}

enum Discovered {
    No,
    /// Reported.
    Broken,
    File(PathBuf),
}

fn discovered(field: Field<Switch<raw::Discover>>, cx: &mut Cx<'_>) -> Discovered {
    let Spanned { value, span } = match field {
        Field::Absent => return Discovered::No,
        Field::Broken => return Discovered::Broken,
        Field::Given(given) => given,
    };
    let Switch::On(raw) = value else { return Discovered::No };
    if raw.file.is_absent() && !raw.refused.any() {
        let draft = Draft::error(span, "found nothing to discover workers by");
        cx.report(draft.expected("`file: workers.yaml`"));
    }
    let Some(Spanned { value: FilePath(path), span }) = raw.file.given() else {
        return Discovered::Broken;
    };
    let beside = Path::new(cx.sources.name(span.source)).parent().unwrap_or(Path::new(""));
    let path = beside.join(path);
    if !path.exists() {
        let message = format!("there is no file `{}` yet", path.display());
        let hint = "its workers serve once it is there; until then the pool has none of them";
        cx.report(Draft::warning(span, message).hint(hint.to_owned()));
    }
    Discovered::File(path)
}

/// Where requests wait for slots, and where they wait for a worker.
fn queue(
    field: Field<Switch<raw::Queue>>,
    limited: bool,
    total_slots: u64,
) -> (Option<Queue>, Option<Hold>) {
    let raw = match field.value() {
        Some(Switch::Off) => return (None, None),
        Some(Switch::On(raw)) => Some(raw),
        None => None,
    };
    let default_max =
        usize::try_from(total_slots.saturating_mul(QUEUE_PER_SLOT as u64)).unwrap_or(usize::MAX);
    let (max, timeout, hold) =
        raw.map_or_else(Default::default, |q| (q.max.value(), q.timeout.value(), q.hold.value()));
    let max = max.map(|n| n.usize());
    let waits = limited || max.is_some() || timeout.is_some();
    let timeout = timeout.map_or(QUEUE_TIMEOUT, |Timeout(t)| t);
    // Without slots nobody queues; a limit of none would refuse those who wait for a first worker.
    let queue = Queue { max: max.unwrap_or(default_max.max(QUEUE_PER_SLOT)), timeout };
    let time = hold.map_or(HOLD, |hold| hold.on().map_or(Duration::ZERO, |Dur(d)| d));
    let hold = Hold {
        max: if limited { queue.max } else { max.unwrap_or(HELD) },
        time,
        wait: time.min(timeout),
    };
    (waits.then_some(queue), Some(hold).filter(|hold| !hold.time.is_zero()))
}

fn health(
    field: Field<Switch<raw::Health>>,
    workers: &[Worker],
    cx: &mut Cx<'_>,
) -> Option<Health> {
    let given = field.given()?;
    let span = given.span;
    let raw = given.value.on()?;
    let refused = raw.refused.excuses(&["http", "tcp"]);
    if raw.http.is_absent() && raw.tcp.is_absent() && !refused {
        cx.report(
            Draft::error(span, "found no kind of check")
                .expected("`http: { path: /healthz }` or `tcp: {}`"),
        );
    }
    if let (Some(_), Some(tcp)) = (raw.http.as_given(), raw.tcp.as_given()) {
        cx.report(Draft::error(tcp.span, "found both `http` and `tcp`").expected("one of them"));
    }
    let check = match (raw.http.given(), raw.tcp.given()) {
        (Some(http), _) => http_check(http, workers, cx)?,
        (None, Some(_)) => Check::Tcp,
        (None, None) => return None,
    };
    let or = |field: Field<Timeout>, secs| field.value().map_or(Duration::from_secs(secs), |t| t.0);
    Some(Health {
        check,
        interval: or(raw.interval, 2),
        timeout: or(raw.timeout, 1),
        rise: raw.rise.value().map_or(2, |n| n.u32()),
        fall: raw.fall.value().map_or(3, |n| n.u32()),
        busy_limit: or(raw.busy_limit, 60),
    })
}

fn http_check(
    Spanned { value: raw, span }: Spanned<raw::HttpCheck>,
    workers: &[Worker],
    cx: &mut Cx<'_>,
) -> Option<Check> {
    if raw.path.is_absent() && !raw.refused.excuses(&["path"]) {
        cx.report(
            Draft::error(span, "found a check without a path").expected("`path`, like `/healthz`"),
        );
    }
    let port_span = raw.port.as_given().map(|p| p.span);
    // 0 = the worker's own.
    let port = raw.port.value().map(|n| n.0 as u16).filter(|p| *p != 0);
    if let (Some(span), Some(_)) = (port_span, port)
        && workers.iter().any(|w| matches!(w.address, Address::Unix(_)))
    {
        cx.report(
            Draft::warning(span, "a worker at a unix socket has no other port")
                .hint("it is probed at its socket".to_owned()),
        );
    }
    let expect = match raw.expect.given() {
        None => vec![200..=299],
        Some(Spanned { value: OneOrMany(ranges), span }) => {
            if ranges.is_empty() {
                cx.report(Draft::error(span, "found no status").expected("at least one"));
            }
            ranges.into_iter().map(|s: Spanned<StatusRange>| s.value.0).collect()
        }
    };
    let host = raw.host.value().map(|h| h.0);
    Some(Check::Http { path: raw.path.value()?.0, expect, host, port })
}

fn buffer(
    field: Field<Switch<raw::Buffer>>,
    limited: bool,
    without_slots: bool,
    cx: &mut Cx<'_>,
) -> (Buffer, Option<Spill>) {
    let default = if limited { BUFFER } else { 0 };
    let spill_default = || Spill { dir: None, max: SPILL, total: None };
    let given = field.where_on();
    let raw = match field.value() {
        None => {
            let buffer = Buffer { request: default, response: default };
            return (buffer, limited.then(spill_default));
        }
        Some(Switch::Off) => return (Buffer { request: 0, response: 0 }, None),
        Some(Switch::On(raw)) => raw,
    };
    if let Some(given) = given.filter(|_| without_slots) {
        cx.report(
            Draft::error(given, "`buffer` has no effect in a pool without slots")
                .expected("`slots:` in the pool or in one of its workers, or no `buffer`")
                .hint(WHAT_BUFFERS_DO.to_owned()),
        );
    }
    let size = |field: Field<Switch<Size<0, { 1 << 30 }>>>| match field.value() {
        None => default,
        Some(switch) => switch.on().map_or(0, Size::usize),
    };
    let buffer = Buffer { request: size(raw.request), response: size(raw.response) };
    let place = raw.spill.where_on();
    let spill = match raw.spill.value() {
        None => Some(spill_default()),
        Some(Switch::Off) => None,
        Some(Switch::On(raw::Spill(map))) => Some(Spill {
            dir: map.dir.value().map(|dir| dir.0),
            max: map.max.value().map_or(SPILL, |bytes| bytes.0),
            total: map.total.value().map(|bytes| bytes.0),
        }),
    };
    if let (Some(place), true) = (place, limited && buffer.request == 0 && buffer.response == 0) {
        cx.report(
            Draft::warning(place, "nothing is ever spilled here")
                .hint("both directions of `buffer` are off".to_owned()),
        );
    }
    (buffer, spill.filter(|_| limited))
}

fn keep_alive(field: Field<Switch<raw::KeepAlive>>) -> KeepAlive {
    let default = KeepAlive::default();
    match field.value() {
        None => default,
        Some(Switch::Off) => KeepAlive { max_idle: 0, ..default },
        Some(Switch::On(raw)) => KeepAlive {
            idle: raw.idle.value().map_or(default.idle, |Timeout(t)| IdleTime::Fixed(t)),
            max_idle: raw.max_idle.value().map_or(default.max_idle, Switch::limit),
        },
    }
}
