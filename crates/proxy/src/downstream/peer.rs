//! Who a connection's client is, and what it came in by: the same for every request of it.

use std::{net::IpAddr, sync::Arc};

use isobar_tls::Facts;

use super::standing::Place;
use crate::{
    context::ProxyContext,
    route::redirect::Scheme,
    table::{ListenerId, ListenerPlan, Serve},
};

pub(crate) struct Peer {
    pub(crate) listener: ListenerId,
    /// The other end of the socket; `None` on unix sockets.
    pub(crate) ip: Option<IpAddr>,
    /// Of a client that speaks TLS.
    pub(crate) tls: Option<Box<Facts>>,
    pub(super) place: Place,
}

impl Peer {
    pub(crate) fn new(
        listener: ListenerId,
        ip: Option<IpAddr>,
        tls: Option<Box<Facts>>,
        place: Place,
    ) -> Self {
        Self { listener, ip, tls, place }
    }

    pub(crate) fn context(&self) -> &ProxyContext {
        self.place.context()
    }

    /// How it came to us.
    pub(crate) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::Https } else { Scheme::Http }
    }

    /// No request that might still come will be served: the process ends, or its listener is gone
    /// or speaks another protocol now.
    pub(crate) fn is_leaving(&self) -> bool {
        self.context().is_draining() || !self.context().serves_http(self.listener)
    }

    /// What its next request is served by.
    pub(crate) fn plan(&self) -> Option<Arc<ListenerPlan>> {
        let serves = |plan: &Arc<ListenerPlan>| matches!(plan.serve, Serve::Http(_));
        let plan = self.context().listener(self.listener).filter(serves);
        plan.or_else(|| self.place.standing.last_plan.take())
    }
}
