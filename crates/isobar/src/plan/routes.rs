//! A listener, from the configuration's form to the proxy crate's.
//!
//! Metric handles are resolved here, once per publication, and outlive it: the same listener,
//! route and pool get the same handles after every reload.

use std::collections::BTreeMap;
use std::sync::Arc;

use isobar_config::model;
use isobar_pool::Pool;
use isobar_proxy::filter::{Chain, Filter};
use isobar_proxy::metrics::{ListenerMetrics, RouteMetrics};
use isobar_proxy::route::{
    self, Action, AmbiguousPaths, Answer, Destination, Match, NewPath, PathMatch, PathPattern,
    PathRules, Redirect, Reply, Respond, RetryPolicy, RouteBuffer, RouteSpec, Routes, Scheme,
    Split, Value, path::Slashes,
};
use isobar_proxy::{
    ClientFin, Connections, ForwardedField, Forwarding, ListenerLimits, ListenerPlan,
    ListenerTimeouts, Passthrough, ProxyProtocol, Serve, TrustedProxies, Underscores,
};

use isobar_tls::Names;

use super::certificates::AllSecured;
use super::filters::{self, Kept, Place};

/// Listener, route and pool; no pool for what a filter answered.
pub(crate) type RouteKey = (String, String, String);

/// The counters and filters of everything that serves, by name.
#[derive(Clone, Default)]
pub(crate) struct Handles {
    pub(crate) listeners: BTreeMap<String, Arc<ListenerMetrics>>,
    connections: BTreeMap<String, Arc<Connections>>,
    pub(crate) routes: BTreeMap<RouteKey, Arc<RouteMetrics>>,
    pub(crate) filters: Kept,
}

/// Makes listener plans; keeps the handles of what it has planned, forgets the others.
pub(crate) struct Planner<'a> {
    pub(crate) pools: &'a BTreeMap<String, Arc<Pool>>,
    pub(crate) secured: &'a AllSecured,
    /// Of the whole configuration.
    pub(crate) trusted: Arc<TrustedProxies>,
    pub(crate) client_ip_header: Option<String>,
    pub(crate) before: &'a Handles,
    pub(crate) handles: Handles,
    pub(crate) cells: usize,
}

impl Planner<'_> {
    /// `None`: it names a pool that is not there; no configuration that was read does.
    pub(crate) fn listener(&mut self, listener: &model::Listener) -> Option<ListenerPlan> {
        let filters = self.filters((listener.name.clone(), None), &listener.filters);
        let serve = match &listener.kind {
            model::ListenerKind::Tcp { pool } => Serve::Tcp(self.pools.get(pool)?.clone()),
            model::ListenerKind::Passthrough(through) => {
                let mut names = Names::new();
                for (host, pool) in &through.names {
                    let pool = self.pools.get(pool)?;
                    names.entry(host, || pool.clone());
                }
                let otherwise = match &through.otherwise {
                    Some(pool) => Some(self.pools.get(pool)?.clone()),
                    None => None,
                };
                Serve::Passthrough(Passthrough { names, otherwise })
            }
            model::ListenerKind::Http { routes } => {
                let specs = routes.iter().map(|route| self.route(&listener.name, &filters, route));
                Serve::Http(Routes::build(specs.collect::<Option<_>>()?, path_rules(listener)))
            }
        };
        let name = listener.name.clone();
        let cells = self.cells;
        let fresh = || Arc::new(ListenerMetrics::new(cells));
        let metrics = self.before.listeners.get(&name).cloned().unwrap_or_else(fresh);
        self.handles.listeners.insert(name.clone(), metrics.clone());
        let connections = self.before.connections.get(&name).cloned().unwrap_or_default();
        self.handles.connections.insert(name.clone(), connections.clone());
        Some(ListenerPlan {
            name,
            serve,
            timeouts: timeouts(&listener.timeouts),
            limits: limits(&listener.limits),
            client_fin: match listener.client_fin {
                model::ClientFin::Answer => ClientFin::Answer,
                model::ClientFin::Abort => ClientFin::Abort,
            },
            forwarding: Forwarding {
                trusted: self.trusted.clone(),
                client_ip_header: self.client_ip_header.clone(),
                field: forwarded_field(listener),
            },
            underscores: underscores(listener),
            proxy_protocol: match listener.proxy_protocol {
                model::ProxyProtocol::Off => ProxyProtocol::Off,
                model::ProxyProtocol::Accept => ProxyProtocol::Accept,
                model::ProxyProtocol::Require => ProxyProtocol::Require,
            },
            tls: self.secured.get(&listener.name).map(|secured| secured.server().clone()),
            filters: Chain::new(filters, metrics.without_route().clone()),
            metrics,
            connections,
        })
    }

    fn route(
        &mut self,
        listener: &str,
        before: &[Arc<dyn Filter>],
        route: &model::Route,
    ) -> Option<RouteSpec> {
        let own = self.filters((listener.to_owned(), Some(route.name.clone())), &route.filters);
        let filters = [before, &own].concat();
        let filters = match filters.is_empty() {
            true => None,
            false => Chain::new(filters, self.counters(listener, &route.name, "")),
        };
        let action = match &route.action {
            model::Action::Pool(only) => Action::Pool(self.to(listener, route, only)?),
            model::Action::Split(members) => {
                let member = |(to, share): &(_, _)| Some((self.to(listener, route, to)?, *share));
                Action::Split(Split::new(members.iter().map(member).collect::<Option<_>>()?)?)
            }
            model::Action::Redirect(wanted) => {
                self.answer(listener, route, Reply::Redirect(redirect(wanted)))
            }
            model::Action::Respond(wanted) => {
                let own = Respond {
                    status: wanted.status,
                    headers: wanted.headers.clone().into(),
                    body: wanted.body.clone().into(),
                };
                self.answer(listener, route, Reply::Respond(own))
            }
        };
        let retry = &route.retry;
        Some(RouteSpec {
            name: route.name.clone(),
            matches: route.matches.iter().map(match_of).collect(),
            filters,
            action,
            retry: RetryPolicy {
                attempts: retry.attempts,
                per_try: retry.per_try,
                connect: retry.when.connect,
                reset: retry.when.reset,
                statuses: retry.when.statuses.as_slice().into(),
                replay: retry.replay,
            },
            ambiguous: route.ambiguous_paths.map(ambiguous),
        })
    }

    fn to(
        &mut self,
        listener: &str,
        route: &model::Route,
        to: &model::Destination,
    ) -> Option<Destination> {
        Some(Destination {
            pool: self.pools.get(&to.pool)?.clone(),
            request_timeout: to.timeouts.request,
            first_byte: to.timeouts.first_byte,
            body_idle: to.timeouts.body_idle,
            buffer: RouteBuffer { request: to.buffer.request, response: to.buffer.response },
            metrics: self.counters(listener, &route.name, &to.pool),
        })
    }

    fn answer(&mut self, listener: &str, route: &model::Route, reply: Reply) -> Action {
        let metrics = self.counters(listener, &route.name, "");
        Action::Answer(Box::new(Answer { reply, metrics }))
    }

    /// Two routes of one name and pool share their handle: one series.
    fn counters(&mut self, listener: &str, route: &str, pool: &str) -> Arc<RouteMetrics> {
        let key = (listener.to_owned(), route.to_owned(), pool.to_owned());
        let cells = self.cells;
        let fresh = || Arc::new(RouteMetrics::new(cells));
        let known = self.handles.routes.get(&key).or_else(|| self.before.routes.get(&key));
        let metrics = known.cloned().unwrap_or_else(fresh);
        self.handles.routes.insert(key, metrics.clone());
        metrics
    }

    fn filters(&mut self, place: Place, wanted: &[model::Filter]) -> Vec<Arc<dyn Filter>> {
        if wanted.is_empty() {
            return Vec::new();
        }
        let before = self.before.filters.get(&place).map_or(&[][..], Vec::as_slice);
        let live = filters::live(wanted, before);
        let filters = live.iter().map(|(_, filter)| filter.clone()).collect();
        self.handles.filters.insert(place, live);
        filters
    }
}

pub(crate) fn networks(networks: &[model::Cidr]) -> TrustedProxies {
    TrustedProxies::new(networks.iter().map(|network| (network.addr, network.len)).collect())
}

/// The same for a dry run.
pub(crate) fn forwarding(config: &model::Config, listener: &model::Listener) -> Forwarding {
    Forwarding {
        trusted: Arc::new(networks(&config.trusted_proxies)),
        client_ip_header: config.client_ip_header.clone(),
        field: forwarded_field(listener),
    }
}

fn forwarded_field(listener: &model::Listener) -> ForwardedField {
    match listener.forwarded {
        model::OnOff::On => ForwardedField::On,
        model::OnOff::Off => ForwardedField::Off,
    }
}

pub(crate) fn underscores(listener: &model::Listener) -> Underscores {
    match listener.underscores {
        model::Underscores::Drop => Underscores::Drop,
        model::Underscores::Keep => Underscores::Keep,
    }
}

/// How the listener's paths are read.
pub(crate) fn path_rules(listener: &model::Listener) -> PathRules {
    PathRules {
        slashes: match listener.slashes {
            model::Slashes::Merge => Slashes::Merge,
            model::Slashes::Keep => Slashes::Keep,
        },
        ambiguous: ambiguous(listener.ambiguous_paths),
    }
}

pub(crate) fn ambiguous(paths: model::AmbiguousPaths) -> AmbiguousPaths {
    match paths {
        model::AmbiguousPaths::Refuse => AmbiguousPaths::Refuse,
        model::AmbiguousPaths::Keep => AmbiguousPaths::Keep,
        model::AmbiguousPaths::Decode => AmbiguousPaths::Decode,
    }
}

/// Its path in the form that paths are matched and forwarded in.
fn redirect(wanted: &model::Redirect) -> Redirect {
    Redirect {
        status: wanted.status,
        scheme: wanted.scheme.map(|scheme| match scheme {
            model::Scheme::Http => Scheme::Http,
            model::Scheme::Https => Scheme::Https,
        }),
        host: wanted.host.clone(),
        port: wanted.port,
        path: wanted.path.as_ref().map(new_path),
    }
}

pub(crate) fn new_path(path: &model::NewPath) -> NewPath {
    let normal = |path: &str| match route::path::normalise(path.as_bytes(), Slashes::Merge) {
        Ok(normal) => String::from_utf8_lossy(&normal).into_owned(),
        // No configuration that was read has one.
        Err(_) => String::from("/"),
    };
    match path {
        model::NewPath::Whole(path) => NewPath::Whole(normal(path)),
        model::NewPath::Prefix(path) => NewPath::Prefix(normal(path)),
    }
}

pub(crate) fn match_of(wanted: &model::Match) -> Match {
    let exact = wanted.path.clone().map(PathMatch::Exact);
    let prefix = || wanted.path_prefix.clone().map(PathMatch::Prefix);
    let regex = || {
        let regex = wanted.path_regex.as_ref()?;
        Some(PathMatch::Regex(PathPattern::new(&regex.text, regex.regex.clone())))
    };
    Match {
        host: wanted.host.clone(),
        path: exact.or_else(prefix).or_else(regex),
        methods: wanted.methods.clone(),
        headers: values(&wanted.headers),
        query: values(&wanted.query),
        cookies: values(&wanted.cookies),
        clients: networks(&wanted.clients),
    }
}

fn values(wanted: &[(String, model::ValueMatch)]) -> Vec<(String, Value)> {
    let value = |value: &model::ValueMatch| match value {
        model::ValueMatch::Present => Value::Present,
        model::ValueMatch::Exact(text) => Value::Exact(text.clone()),
        model::ValueMatch::Regex(pattern) => Value::Regex(pattern.regex.clone()),
    };
    wanted.iter().map(|(name, wanted)| (name.clone(), value(wanted))).collect()
}

fn timeouts(timeouts: &model::Timeouts) -> ListenerTimeouts {
    ListenerTimeouts {
        header: timeouts.header,
        body_idle: timeouts.body_idle,
        write_stall: timeouts.write_stall,
        keep_alive: timeouts.keep_alive,
        half_close: timeouts.half_close,
        handshake: timeouts.handshake,
        idle: timeouts.idle,
    }
}

pub(crate) fn limits(limits: &model::Limits) -> ListenerLimits {
    ListenerLimits {
        connections: limits.connections,
        per_client: limits.per_client,
        headers: limits.headers,
        header_bytes: limits.header_bytes,
        uri: limits.uri,
        body: limits.body,
    }
}
