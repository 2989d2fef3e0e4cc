//! What every shard reads and nobody edits: the listeners' plans and their routes.
//!
//! Built by the control plane, published with one store, cached per shard. A request takes one
//! `Arc` of the whole table and keeps it to its end, so it never sees two versions.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use isobar_http1::{Limits, Underscores};
use isobar_pool::Pool;
use isobar_tls::{Names, Server};

use crate::{
    Forwarding,
    connections::Connections,
    filter::Chain,
    metrics::ListenerMetrics,
    route::{PathRules, Routes},
};

/// The serving plan of the whole process. `version` only grows.
pub struct RouteTable {
    pub version: u64,
    /// Indexed by [`ListenerId`]; `None` = a listener that is no more.
    pub listeners: Vec<Option<Arc<ListenerPlan>>>,
}

impl RouteTable {
    pub(crate) fn listener(&self, id: ListenerId) -> Option<&Arc<ListenerPlan>> {
        self.listeners.get(id.0 as usize)?.as_ref()
    }
}

/// A listener keeps its id for as long as its name is in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u32);

/// All that a connection needs to know about the listener it came in by.
pub struct ListenerPlan {
    pub name: String,
    pub serve: Serve,
    pub timeouts: ListenerTimeouts,
    pub limits: ListenerLimits,
    pub client_fin: ClientFin,
    /// Whose word about the client is taken, and what workers are told of it.
    pub forwarding: Forwarding,
    pub underscores: Underscores,
    /// Whether proxies say in front of everything who their clients are.
    pub proxy_protocol: ProxyProtocol,
    /// Who speaks TLS here, and with which certificate. They may be replaced at any time.
    pub tls: Option<Arc<ArcSwap<Server>>>,
    /// What a request passes that no route takes.
    pub filters: Option<Arc<Chain>>,
    pub metrics: Arc<ListenerMetrics>,
    /// Who is in, by all of its addresses together.
    pub connections: Arc<Connections>,
}

impl ListenerPlan {
    pub(crate) fn is_http(&self) -> bool {
        matches!(self.serve, Serve::Http(_))
    }

    /// For who has its route and may stay for long: it must not keep the others of its generation.
    pub(crate) fn without_routes(&self) -> Self {
        Self {
            name: self.name.clone(),
            serve: Serve::Http(Routes::build(Vec::new(), PathRules::default())),
            timeouts: self.timeouts,
            limits: self.limits,
            client_fin: self.client_fin,
            forwarding: self.forwarding.clone(),
            underscores: self.underscores,
            proxy_protocol: self.proxy_protocol,
            tls: self.tls.clone(),
            filters: None,
            metrics: Arc::clone(&self.metrics),
            connections: Arc::clone(&self.connections),
        }
    }
}

/// What a listener does with a connection.
pub enum Serve {
    Http(Routes),
    Tcp(Arc<Pool>),
    /// TLS is passed on as it comes.
    Passthrough(Passthrough),
}

/// Which pool by the host that a client asks for in its first words (SNI).
pub struct Passthrough {
    pub names: Names<Arc<Pool>>,
    /// Without a name, or for another one; `None`: turned away.
    pub otherwise: Option<Arc<Pool>>,
}

/// A client's time limits. Each is checked with a resolution of 50 ms.
#[derive(Clone, Copy, Debug)]
pub struct ListenerTimeouts {
    /// From the accept to the end of a TLS handshake.
    pub handshake: Duration,
    /// From a head's first byte to its last.
    pub header: Duration,
    /// Between two reads of a request body.
    pub body_idle: Duration,
    /// Between two successful writes to a client that does not read.
    pub write_stall: Duration,
    /// Between two requests.
    pub keep_alive: Duration,
    /// As `idle`, once one side has closed its direction.
    pub half_close: Duration,
    /// Without a byte either way: TCP connections and upgraded tunnels.
    pub idle: Duration,
}

/// A client's size limits; 0 = none.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    pub connections: usize,
    pub per_client: usize,
    pub headers: usize,
    pub header_bytes: usize,
    pub uri: usize,
    pub body: u64,
}

impl ListenerLimits {
    pub(crate) fn of_heads(self) -> Limits {
        Limits { head_bytes: self.header_bytes, headers: self.headers, uri: self.uri }
    }
}

/// Whether proxies say who their clients are, before anything else. Only those are believed that
/// `Forwarding` trusts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyProtocol {
    #[default]
    Off,
    /// Some do.
    Accept,
    /// Who does not is turned away.
    Require,
}

/// What a FIN after a complete request means (a FIN while queued always means "left").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFin {
    /// The client only closed its sending side: it gets its answer (RFC 9112 §9.6 allows it).
    Answer,
    /// The client is gone.
    Abort,
}
