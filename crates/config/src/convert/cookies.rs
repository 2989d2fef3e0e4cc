//! Pools whose affinity cookies have one name on one host: each pool takes the other's cookie for an
//! unknown worker's, and moves the client with every request.

use std::collections::{BTreeMap, HashMap};

use super::circles::of_action;
use crate::model::{Affinity, Listener, ListenerKind, Pool};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Spanned, Switch};
use crate::source::Span;

/// So many pools of one cookie name are remembered: what a file may cost is bounded.
const COMPARED: usize = 64;

/// Where the file names the cookies of its pools.
#[derive(Default)]
pub(super) struct Cookies(HashMap<String, Span>);

impl Cookies {
    pub(super) fn add(&mut self, pool: &str, raw: &raw::Pool) {
        let Some(Spanned { value: Switch::On(affinity), .. }) = raw.affinity.as_given() else {
            return;
        };
        if let Some(cookie) = affinity.cookie.as_given() {
            self.0.insert(pool.to_owned(), cookie.span);
        }
    }
}

/// Reports every cookie that the file names for a second pool of the same host. Ports do not matter:
/// a browser sends a cookie to every port of its host.
pub(super) fn report(
    listeners: &BTreeMap<String, Listener>,
    pools: &BTreeMap<String, Pool>,
    cookies: &Cookies,
    cx: &mut Cx<'_>,
) {
    let hosts = hosts(listeners);
    let sticky: Vec<(&str, &Affinity)> = pools
        .iter()
        .filter_map(|(name, pool)| Some((name.as_str(), pool.affinity.as_ref()?)))
        .filter(|(name, _)| hosts.contains_key(name))
        .collect();
    let mut by_name: HashMap<&str, Vec<(&str, &Affinity)>> = HashMap::new();
    // Of two names that are written the second is reported; one that is not written comes first.
    let (written, usual): (Vec<_>, Vec<_>) =
        sticky.into_iter().partition(|(name, _)| cookies.0.contains_key(*name));
    for (name, one) in usual.into_iter().chain(written) {
        let meets = |(other, affinity): &&(&str, &Affinity)| {
            let hosts_of = |pool: &str| hosts.get(pool).map_or(&[][..], Vec::as_slice);
            let meet = |here: Option<&str>, there: Option<&str>| {
                hosts_meet(here, there)
                    || covers(one.domain.as_deref(), there)
                    || covers(affinity.domain.as_deref(), here)
            };
            let (here, there) = (hosts_of(name), hosts_of(other));
            paths_meet(&one.path, &affinity.path)
                && here.iter().any(|here| there.iter().any(|there| meet(*here, *there)))
        };
        let before = by_name.entry(&one.cookie).or_default();
        if let Some(span) = cookies.0.get(name)
            && let Some((other, _)) = before.iter().find(meets)
        {
            let message = format!("the pool `{other}` has a cookie of this name on the same host");
            let hint = "each of them moves the other's clients: give one another name, or leave \
                        `cookie` out";
            cx.report(Draft::warning(*span, message).hint(hint.to_owned()));
        }
        if before.len() < COMPARED {
            before.push((name, one));
        }
    }
}

/// The hosts that lead to each pool; `None`: any.
fn hosts(listeners: &BTreeMap<String, Listener>) -> HashMap<&str, Vec<Option<&str>>> {
    let mut hosts: HashMap<&str, Vec<Option<&str>>> = HashMap::new();
    for listener in listeners.values() {
        let ListenerKind::Http { routes } = &listener.kind else { continue };
        for route in routes {
            for pool in of_action(&route.action) {
                let hosts = hosts.entry(pool).or_default();
                match route.matches.is_empty() {
                    true => hosts.push(None),
                    false => hosts.extend(route.matches.iter().map(|one| one.host.as_deref())),
                }
            }
        }
    }
    for all in hosts.values_mut() {
        all.sort_unstable();
        all.dedup();
    }
    hosts
}

/// Whether one request may have both, each of them a host, `*.example.com`, or any.
fn hosts_meet(one: Option<&str>, other: Option<&str>) -> bool {
    let (Some(one), Some(other)) = (one, other) else { return true };
    one == other || under(other, one.strip_prefix('*')) || under(one, other.strip_prefix('*'))
}

/// Whether a cookie with this `Domain` goes to that host.
fn covers(domain: Option<&str>, host: Option<&str>) -> bool {
    let Some(domain) = domain else { return false };
    host.is_none_or(|host| host == domain || under(host, Some(&format!(".{domain}"))))
}

fn under(host: &str, suffix: Option<&str>) -> bool {
    suffix.is_some_and(|suffix| host.ends_with(suffix))
}

/// Whether one request may carry cookies of both paths (RFC 6265 §5.1.4).
fn paths_meet(one: &str, other: &str) -> bool {
    let covers = |prefix: &str, path: &str| {
        let rest = path.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/'))
    };
    covers(one, other) || covers(other, one)
}
