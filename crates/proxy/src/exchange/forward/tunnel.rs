//! An upgraded connection: from the worker's `101` on, bytes are only copied.
//!
//! It may live for days, so it leaves its exchange behind and keeps what it needs to its end: the
//! lease, both streams, and what its log line and metrics say. The request's buffers go back, and
//! the listener's routes are not held: a reload would otherwise leave a whole table behind with
//! every tunnel.

use std::{net::IpAddr, sync::Arc, time::Instant};

use isobar_balance::Outcome;
use isobar_http1::{Connection as Keep, RequestHead, ResponseFraming};
use isobar_pool::{Connection, Lease};

use super::head;
use crate::{
    downstream::{Meanwhile, peer::Peer, wire::Wire},
    exchange::{
        Exchange,
        record::{Facts, Record},
    },
    reason::Reason,
    route::Routed,
    scratch::Scratch,
    table::ListenerPlan,
    tcp,
    upstream::{Upstream, finish},
};

pub(crate) struct Tunnel {
    lease: Lease,
    worker: Connection,
    early: tcp::Early,
    told: Told,
}

/// What is said of it when it is over.
struct Told {
    /// Without its routes.
    listener: Arc<ListenerPlan>,
    route: Option<Routed>,
    record: Record,
    started: Instant,
    /// Of the request's body.
    received: u64,
    client_ip: Option<IpAddr>,
    /// Only where there is an access log: who asked, and the request's id.
    request: Option<Box<(RequestHead, Vec<u8>)>>,
}

/// The worker switched protocols because we asked it to: tells the client. `None`: it has left.
pub(super) async fn open(
    exchange: &mut Exchange<'_>,
    mut lease: Lease,
    worker: Upstream,
) -> Result<Option<Box<Tunnel>>, Reason> {
    let asked = exchange.scratch.request.upgrade().is_some_and(|asked| {
        let given = exchange.scratch.response.upgrade();
        given.is_some_and(|given| given.eq_ignore_ascii_case(asked))
    });
    if !asked {
        let words = String::from("101: it switched to a protocol that nobody asked it for");
        exchange.record.blame(&lease, Some(words));
        exchange.record.status = 0;
        let reason = Reason::BadResponse;
        finish::cut(lease, worker, reason.outcome(), exchange.asked());
        return Err(reason);
    }
    lease.begin_tunnel(exchange.clock.now());
    head::show(exchange, &lease);
    exchange.begin(ResponseFraming::None, Keep::Upgrade);
    let Exchange { downstream, timer, scratch, listener, record, .. } = exchange;
    let out = std::mem::take(&mut scratch.out);
    let stall = listener.timeouts.write_stall;
    let switched = downstream.send(timer, &out, stall, &mut record.sent, Meanwhile::Keep).await;
    scratch.out = out;
    record.forwarding = true;
    if switched.is_err() {
        record.reason = Some(Reason::ClientGone);
        finish::cut(lease, worker, Outcome::ClientGone, exchange.asked());
        return Ok(None);
    }
    let Scratch { down, parsed, .. } = &exchange.scratch;
    let early = tcp::Early {
        from_client: exchange.downstream.early(),
        from_worker: down[*parsed..].to_vec(),
    };
    let told = Told::take(exchange);
    Ok(Some(Box::new(Tunnel { lease, worker: worker.into_connection(), early, told })))
}

impl Told {
    fn take(exchange: &mut Exchange<'_>) -> Self {
        let logs = exchange.peer.context().access_log.enabled();
        if logs && exchange.scratch.id.is_empty() {
            exchange.name_request();
        }
        let request = logs.then(|| {
            let Scratch { request, id, .. } = &mut *exchange.scratch;
            Box::new((std::mem::take(request), std::mem::take(id)))
        });
        let record = std::mem::take(&mut exchange.record);
        exchange.record.taken = true;
        Self {
            listener: Arc::new(exchange.listener.without_routes()),
            route: exchange.route.take(),
            record,
            started: exchange.started,
            received: exchange.incoming.received(),
            client_ip: exchange.client_ip.or(exchange.peer.ip),
            request,
        }
    }
}

impl Tunnel {
    /// Copies until it is over. Both connections are closed with it.
    pub(crate) async fn run(self, peer: Peer, wire: Wire) {
        let Tunnel { lease, mut worker, early, told } = self;
        // Said by its drop, however the task ends.
        let mut under_way = UnderWay { wire, peer, told };
        let silence = tcp::Silence::of(&under_way.told.listener.timeouts);
        let UnderWay { wire, told, .. } = &mut under_way;
        let Told { listener, record, received, .. } = told;
        record.count(&listener.metrics, *received);
        let count = |from_client, from_worker| {
            record.received += from_client;
            record.sent += from_worker;
            record.count(&listener.metrics, *received);
        };
        tcp::relay(&mut wire.stream, worker.stream_mut(), early, silence, count).await;
        lease.close(worker, Outcome::Served { status: 101 });
    }
}

/// The socket is closed before its place is given away: it stands first.
struct UnderWay {
    wire: Wire,
    peer: Peer,
    told: Told,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let Self { peer, wire, told } = self;
        if std::thread::panicking() {
            told.record.reason = Some(Reason::Internal);
            let _ = wire.stream.set_linger_zero();
        }
        let took = told.started.elapsed();
        let received = told.received + told.record.received;
        told.record.count(&told.listener.metrics, told.received);
        if let Some(route) = &told.route {
            route.metrics().observe(told.record.shown_status(), took);
        }
        let Some(request) = &told.request else { return };
        let (request, id) = &**request;
        told.record.log(
            &peer.context().access_log,
            &Facts {
                request: Some(request),
                id,
                client_ip: told.client_ip,
                listener: &told.listener,
                route: told.route.as_ref(),
                received,
                took,
                answered: false,
            },
        );
    }
}
