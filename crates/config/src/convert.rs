//! From what is written to what is meant: defaults, references, and what values mean to each other.
//!
//! The last step of `load`. Every problem is gathered; whoever was reported already is not missed a
//! second time. Pools are made first, so that routes know which names there are.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use crate::leaf::{BindAddress, LogTarget};
use crate::model::{
    AccessLog, AccessLogFormat, AccessLogPath, AdminBind, Bind, Config, Log, LogFormat, LogLevel,
    OnOff, RouteTimeouts, Shards,
};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Field, Named, OneOrMany, Spanned, Switch};
use crate::registry::Registry;

mod affinity;
mod answer;
mod binds;
mod circles;
mod cookies;
mod filter;
mod http_only;
mod listener;
mod matches;
mod names;
mod pool;
mod routes;
mod secret;
mod tls;
mod tries;
mod users;
pub(crate) mod workers;

use binds::{Binds, missing_folder, no_mode_without_socket};
use http_only::HttpOnly;
use names::{Names, PoolFacts, Site};

pub(crate) const ADMIN_SOCKET: &str = "/run/isobar/admin.sock";

/// Whoever may write to the admin socket runs the process: its owner alone, unless told otherwise.
const ADMIN_MODE: u32 = 0o600;

pub(crate) fn convert(mut file: raw::File, registry: &Registry, cx: &mut Cx<'_>) -> Config {
    let mut facts = HashMap::new();
    let refused = file.refused.instead_of(&["pools"]);
    let pools_known = !cx.incomplete && !refused && !matches!(file.pools, Field::Broken);
    let raw_pools = std::mem::take(&mut file.pools).value().unwrap_or_default();
    let mut pools = BTreeMap::new();
    let mut where_slots = HashMap::new();
    let mut addresses = circles::Addresses::default();
    let mut cookies = cookies::Cookies::default();
    for (name, raw) in raw_pools.0 {
        let raw = raw.value();
        let timeouts = raw.as_ref().and_then(|p| p.timeouts.as_given()).map(|t| t.value.clone());
        let timeouts = tries::route_timeouts(timeouts, RouteTimeouts::default());
        let mut http_only = HttpOnly::default();
        let known = name.value.clone();
        if let Some(raw) = &raw {
            addresses.add(&known, raw);
            cookies.add(&known, raw);
        }
        if let Some(raw) = raw
            && let Some((pool, only)) =
                pool::convert(&name.value, raw, registry, &mut where_slots, cx)
        {
            pools.insert(name.value, pool);
            http_only = only;
        }
        facts.insert(known, PoolFacts { name: name.span, timeouts, serves: None, http_only });
    }
    let sites = std::mem::take(&mut file.sites).value().unwrap_or_default();
    let sites = sites.0.into_iter().map(|(name, routes)| {
        let site = Site { name: name.span, routes, used: false };
        (name.value, site)
    });
    let sites_known = !cx.incomplete && !file.refused.instead_of(&["sites"]);
    let forwarded = std::mem::take(&mut file.forwarded).or(OnOff::Off);
    let sites = sites.collect();
    let broken = matches!(file.trusted_proxies, Field::Broken);
    let trusts_proxies = broken || file.trusted_proxies.where_on().is_some();
    let mut names =
        Names { pools: facts, pools_known, sites, sites_known, forwarded, trusts_proxies };
    let mut binds = Binds::default();
    let admin = admin(std::mem::take(&mut file.admin), &mut binds, cx);
    let metrics = metrics(std::mem::take(&mut file.metrics), &mut binds, cx);
    let client_ip_header = client_ip_header(&mut file, cx);
    let listeners = listeners(&mut file, &mut names, &mut binds, cx);
    circles::report(&listeners, &addresses, cx);
    cookies::report(&listeners, &pools, &cookies, cx);
    routes::check_unused_sites(&mut names, cx);
    names.report_unused(cx);
    if let Some(log) = file.access_log.as_given() {
        log_folder(log, cx);
    }
    let log = file.log.value();
    let (level, format) = log.map_or((Field::Absent, Field::Absent), |l| (l.level, l.format));
    Config {
        shards: file.shards.value().map_or(Shards::Auto, |s| s.0),
        grace_period: file.grace_period.value().map_or(Duration::from_secs(30), |d| d.0),
        drain_delay: file.drain_delay.on().map_or(Duration::ZERO, |d| d.0),
        admin,
        metrics,
        log: Log { level: level.or(LogLevel::Info), format: format.or(LogFormat::Text) },
        access_log: file.access_log.on().map(|log| AccessLog {
            format: log.format.or(AccessLogFormat::Json),
            path: log.path.value().map_or(AccessLogPath::Stdout, |t| t.0),
        }),
        trusted_proxies: file.trusted_proxies.on().map_or(Vec::new(), |OneOrMany(all)| {
            all.into_iter().flat_map(|networks| networks.value.0).collect()
        }),
        client_ip_header,
        dns_servers: file.dns.on().map_or(Vec::new(), |dns| {
            let servers = dns.servers.value().map_or(Vec::new(), |OneOrMany(all)| all);
            servers.into_iter().map(|server| server.value.0).collect()
        }),
        listeners,
        pools,
    }
}

/// A log is not opened where its folder is not there; the process would not start.
fn log_folder(log: &Spanned<Switch<raw::AccessLog>>, cx: &mut Cx<'_>) {
    let Switch::On(raw::AccessLog { path, .. }) = &log.value else { return };
    let Some(Spanned { value: LogTarget(AccessLogPath::File(path)), span }) = path.as_given()
    else {
        return;
    };
    if path.is_dir() {
        let draft = Draft::error(*span, format!("`{}` is a folder", path.display()));
        cx.report(draft.expected("the path of a file, like `/var/log/isobar/access.log`"));
    } else if let Some(folder) = missing_folder(path) {
        let message = format!("there is no folder `{}`", folder.display());
        let hint = match path.is_absolute() {
            true => format!("`mkdir -p {}`; whoever runs isobar writes there", folder.display()),
            false => "a relative path begins where isobar is started".to_owned(),
        };
        // A relative one may be there where the process will be.
        let draft = match path.is_absolute() {
            true => Draft::error(*span, message),
            false => Draft::warning(*span, message),
        };
        cx.report(draft.expected("a path in a folder that is there").hint(hint));
    }
}

/// In lower case. Without anybody who is believed it means nothing.
fn client_ip_header(file: &mut raw::File, cx: &mut Cx<'_>) -> Option<String> {
    let given = std::mem::take(&mut file.client_ip_header).given()?;
    let name = given.value.on()?.0.to_ascii_lowercase();
    if name == "forwarded" {
        cx.report(
            Draft::error(given.span, "found `Forwarded`, which is a list of what proxies say")
                .expected("a header that holds one address, like `CF-Connecting-IP`")
                .hint("without `client_ip_header` it is read where a trusted proxy sends no X-Forwarded-*".to_owned()),
        );
    }
    if matches!(file.trusted_proxies, Field::Absent) {
        cx.report(
            Draft::warning(
                given.span,
                "`client_ip_header` is believed from `trusted_proxies` only",
            )
            .hint("there are none, so it has no effect".to_owned()),
        );
    }
    // The usual one, as without the key.
    (name != "x-forwarded-for").then_some(name)
}

fn listeners(
    file: &mut raw::File,
    names: &mut Names,
    binds: &mut Binds,
    cx: &mut Cx<'_>,
) -> BTreeMap<String, crate::model::Listener> {
    let mut listeners = BTreeMap::new();
    let raw = std::mem::take(&mut file.listeners);
    let broken = matches!(raw, Field::Broken);
    let Named(raw) = raw.value().unwrap_or_default();
    let refused = file.refused.excuses(&["listeners"]);
    if raw.is_empty() && !broken && !refused && !cx.incomplete {
        cx.report(Draft::error(file.span, "found no listener").expected(
            "`listeners:` with at least one, like `web: { bind: 0.0.0.0:8080, pool: app }`",
        ));
    }
    for (name, raw) in raw {
        if let Some(raw) = raw.value()
            && let Some(listener) = listener::convert(&name.value, raw, names, binds, cx)
        {
            listeners.insert(name.value, listener);
        }
    }
    listeners
}

fn admin(field: Field<Switch<raw::Admin>>, binds: &mut Binds, cx: &mut Cx<'_>) -> Vec<AdminBind> {
    let default = || AdminBind::Unix { path: ADMIN_SOCKET.into(), mode: ADMIN_MODE };
    let admin = match field.value() {
        Some(Switch::On(admin)) => admin,
        Some(Switch::Off) => return Vec::new(),
        None => return vec![default()],
    };
    let mode_given = admin.mode.as_given().map(|m| m.span);
    let mode = admin.mode.value().map_or(ADMIN_MODE, |m| m.0);
    let Some(OneOrMany(addresses)) = admin.bind.value() else {
        return vec![AdminBind::Unix { path: ADMIN_SOCKET.into(), mode }];
    };
    let mut out = Vec::new();
    for Spanned { value, span } in addresses {
        match value {
            BindAddress::Unix(path) => {
                binds.claim(&Bind::Unix { path: path.clone(), mode }, span, cx);
                out.push(AdminBind::Unix { path, mode });
            }
            BindAddress::Tcp(addr) if addr.ip().to_canonical().is_loopback() => {
                binds.claim(&Bind::Tcp(addr), span, cx);
                out.push(AdminBind::Tcp(addr));
            }
            BindAddress::Tcp(_) => {
                cx.not_built(span, "an admin address that others can reach (it needs a token)")
            }
            BindAddress::Fd(_) => cx.not_built(span, "an inherited admin socket"),
        }
    }
    no_mode_without_socket(mode_given, out.iter().any(|b| matches!(b, AdminBind::Unix { .. })), cx);
    out
}

fn metrics(
    field: Field<Switch<raw::Metrics>>,
    binds: &mut Binds,
    cx: &mut Cx<'_>,
) -> Option<SocketAddr> {
    let metrics = field.given()?;
    let span = metrics.span;
    let metrics = metrics.value.on()?;
    if metrics.bind.is_absent() && !metrics.refused.excuses(&["bind"]) {
        cx.report(
            Draft::error(span, "found no address for `metrics`")
                .expected("`bind`, like `{ bind: 127.0.0.1:9464 }`, or `off`"),
        );
    }
    let Spanned { value, span } = metrics.bind.given()?;
    match value {
        BindAddress::Tcp(addr) => {
            binds.claim(&Bind::Tcp(addr), span, cx);
            Some(addr)
        }
        _ => {
            cx.report(Draft::error(span, "found no IP address").expected("`ip:port`"));
            None
        }
    }
}
