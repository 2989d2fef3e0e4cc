//! What a connection goes through before it is served: it is given its place, a proxy may say who its
//! client is, and where the listener speaks TLS it gets a session. Then it is handed to who speaks its
//! protocol.

use std::{
    net::IpAddr,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant, SystemTime},
};

use isobar_pool::{Pool, Stream};
use isobar_tls::{Facts, Side};

use super::{
    answer::{self, Said},
    passthrough,
    proxied::{Header, Peek},
    secure::{self, Unsecured},
    socket::{Accepted, Terms},
};
use crate::{
    access_log::Entry,
    complaint,
    context::ProxyContext,
    downstream::{
        deadline::Deadline,
        http1,
        peer::Peer,
        standing::Place,
        wire::{Patience, Wire},
    },
    forwarded,
    metrics::Handshake,
    reason::Reason,
    table::{ListenerId, ListenerPlan, ProxyProtocol, Serve},
    tcp,
};

/// Serves an accepted socket on the calling shard.
pub(crate) fn serve(context: &Arc<ProxyContext>, shard: usize, accepted: Accepted) {
    let place = Place::take(context, shard, accepted.terms.listener);
    let (stream, ip, Terms { listener, plan, admission }) = match accepted.into_stream() {
        Ok(parts) => parts,
        Err(error) => return tracing::debug!(%error, "an accepted socket could not be registered"),
    };
    let place = place.admitted(admission, Arc::clone(&plan.metrics));
    let guest = Guest { context: Arc::clone(context), listener, plan, place, ip };
    if guest.is_greeted() {
        tokio::task::spawn_local(async move {
            // What greeting needs is gone before the first request.
            match Box::pin(greet(guest, stream)).await {
                None => {}
                Some((guest, stream, Leads::Requests(facts))) => {
                    let (peer, wire) = guest.enter(stream, facts.map(Box::new));
                    http1::serve(peer, wire).await;
                }
                Some((guest, stream, Leads::To(pool, early))) => {
                    Box::pin(guest.pass_on(stream, pool, early)).await;
                }
            }
        });
        return;
    }
    match &guest.plan.serve {
        Serve::Tcp(pool) => {
            let pool = Arc::clone(pool);
            tokio::task::spawn_local(guest.pass_on(stream, pool, Vec::new()));
        }
        Serve::Http(_) | Serve::Passthrough(_) => {
            let (peer, wire) = guest.enter(stream, None);
            tokio::task::spawn_local(http1::serve(peer, wire));
        }
    }
}

/// Where a greeted connection goes.
enum Leads {
    Requests(Option<Facts>),
    /// With what was read of it.
    To(Arc<Pool>, Vec<u8>),
}

/// A connection that has its place and is served by nobody yet.
struct Guest {
    context: Arc<ProxyContext>,
    listener: ListenerId,
    plan: Arc<ListenerPlan>,
    place: Place,
    ip: Option<IpAddr>,
}

impl Guest {
    fn enter(self, stream: Stream, tls: Option<Box<Facts>>) -> (Peer, Wire) {
        if !self.context.serves_http(self.listener) {
            self.place.served_last_by(self.plan);
        }
        let peer = Peer::new(self.listener, self.ip, tls, self.place);
        (peer, Wire::new(stream, http1::FIRST_BYTE))
    }

    /// Something is to be learned before it is served.
    fn is_greeted(&self) -> bool {
        self.plan.tls.is_some()
            || self.plan.proxy_protocol != ProxyProtocol::Off
            || matches!(self.plan.serve, Serve::Passthrough(_))
    }

    async fn pass_on(self, stream: Stream, pool: Arc<Pool>, early: Vec<u8>) {
        let Self { context, plan, place: _place, ip, .. } = self;
        tcp::serve_tcp(&context, &plan, &pool, stream, early, ip).await;
    }
}

/// Stands for "never", which `Instant` has no value for.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// Everything within `timeouts.handshake`. `None`: the connection is over.
async fn greet(mut guest: Guest, mut stream: Stream) -> Option<(Guest, Stream, Leads)> {
    let began = Instant::now();
    let until = began.checked_add(guest.plan.timeouts.handshake).unwrap_or(began + FAR);
    let until = tokio::time::Instant::from_std(until);
    let mut timer = Deadline::new(until);
    let introduced = introduce(&mut guest, &mut stream, &mut timer, until).await;
    let led = match introduced {
        Ok(()) => lead(&guest, &mut stream, &mut timer, until).await,
        Err(refusal) => Err(refusal),
    };
    match led {
        Ok(leads) => Some((guest, stream, leads)),
        Err(None) => None,
        Err(Some(refusal)) => {
            refusal.tell(&guest, &mut stream, began);
            Wire::new(stream, http1::FIRST_BYTE).linger(&mut timer, Patience::Request).await;
            None
        }
    }
}

/// Learns who the client is, where a proxy has to say it, and counts it. `None`: it has left.
async fn introduce(
    guest: &mut Guest,
    stream: &mut Stream,
    timer: &mut Deadline,
    until: tokio::time::Instant,
) -> Result<(), Option<Refusal>> {
    let required = match guest.plan.proxy_protocol {
        ProxyProtocol::Off => return Ok(()),
        ProxyProtocol::Accept => false,
        ProxyProtocol::Require => true,
    };
    let wrong = |words: String| Err(Some(Refusal::proxied(words)));
    let mut peek = Peek::new();
    let header = match guest.place.idle_while(timer, until, |cx| peek.poll(cx, stream)).await {
        Some(Poll::Ready(Err(words))) => return wrong(words),
        Some(Poll::Pending | Poll::Ready(Ok(Header::Gone))) => return Err(None),
        Some(Poll::Ready(Ok(header))) => header,
        None if required => return wrong("none has come in time".to_owned()),
        // A protocol in which the server speaks first.
        None => Header::Nothing,
    };
    let trusted = guest.plan.forwarding.trusts(guest.ip);
    match header {
        Header::Nothing if required => return wrong("there is none".to_owned()),
        Header::Nothing => {}
        _ if !trusted => return wrong("it is not from one of `trusted_proxies`".to_owned()),
        Header::Itself | Header::Gone => {}
        Header::Client { from, .. } => guest.ip = Some(from.ip().to_canonical()),
    }
    match guest.place.count(guest.ip, guest.plan.limits.per_client) {
        true => Ok(()),
        false => Err(Some(Refusal::of_too_many())),
    }
}

async fn lead(
    guest: &Guest,
    stream: &mut Stream,
    timer: &mut Deadline,
    until: tokio::time::Instant,
) -> Result<Leads, Option<Refusal>> {
    match &guest.plan.serve {
        Serve::Http(_) => secured(guest, stream, timer, until).await.map(Leads::Requests),
        Serve::Tcp(pool) => {
            secured(guest, stream, timer, until).await?;
            Ok(Leads::To(Arc::clone(pool), Vec::new()))
        }
        Serve::Passthrough(through) => {
            let chosen = passthrough::choose(stream, through, &guest.place, timer, until).await;
            let (pool, early) = chosen.map_err(|unsecured| Refusal::unsecured(unsecured).1)?;
            Ok(Leads::To(pool, early))
        }
    }
}

async fn secured(
    guest: &Guest,
    stream: &mut Stream,
    timer: &mut Deadline,
    until: tokio::time::Instant,
) -> Result<Option<Facts>, Option<Refusal>> {
    let Some(tls) = &guest.plan.tls else { return Ok(None) };
    // Certificates that are replaced meanwhile are the next one's.
    let server = tls.load_full();
    match secure::secure(stream, &server, &guest.place, timer, until).await {
        Ok(facts) => {
            guest.plan.metrics.shook(Handshake::done(&facts));
            Ok(Some(facts))
        }
        Err(unsecured) => {
            let (how, refusal) = Refusal::unsecured(unsecured);
            guest.plan.metrics.shook(how);
            Err(refusal)
        }
    }
}

/// Why a connection is not served, and what its client is told.
struct Refusal {
    reason: Reason,
    /// For our own log: what happened, and why.
    what: &'static str,
    words: Box<str>,
    told: Told,
}

enum Told {
    Nothing,
    /// These bytes.
    Alert(Vec<u8>),
    /// The reason, over HTTP, with a word about what to do.
    Http(Option<&'static str>),
}

impl Refusal {
    fn unsecured(unsecured: Unsecured) -> (Handshake, Option<Self>) {
        let refused = |words, told| {
            let (reason, what) = (Reason::TlsHandshake, "TLS handshake failed");
            Some(Self { reason, what, words, told })
        };
        match unsecured {
            Unsecured::Refused(isobar_tls::Refused { words, alert, speaks_http }) => {
                let told = match speaks_http {
                    true => Told::Http(Some("This port speaks TLS: use https://")),
                    false => Told::Alert(alert),
                };
                (Handshake::Refused, refused(words, told))
            }
            Unsecured::Failed(error) => (
                Handshake::Failed,
                refused(isobar_tls::why(&error, Side::Client).into(), Told::Nothing),
            ),
            Unsecured::Timeout => {
                let words = "the handshake took too long".into();
                (Handshake::Timeout, refused(words, Told::Nothing))
            }
            Unsecured::Gone => (Handshake::Gone, None),
        }
    }

    fn proxied(words: String) -> Self {
        let (reason, what) = (Reason::ProxyHeader, "no good PROXY header");
        Self { reason, what, words: words.into(), told: Told::Nothing }
    }

    fn of_too_many() -> Self {
        let words = "it has as many connections as `limits.per_client` allows".into();
        let (reason, what) = (Reason::ConnectionLimit, "connection turned away");
        Self { reason, what, words, told: Told::Http(None) }
    }

    fn tell(self, guest: &Guest, stream: &mut Stream, began: Instant) {
        let Self { reason, what, words, told } = self;
        let Guest { plan, context, ip, .. } = guest;
        let at = SystemTime::now() - began.elapsed();
        let id = forwarded::new_request_id(forwarded::since_epoch());
        let speaks_http = plan.is_http() && (plan.tls.is_none() || reason == Reason::TlsHandshake);
        let said = match told {
            Told::Http(words) if speaks_http => answer::lay_out(reason, words, &id),
            Told::Nothing | Told::Http(_) => Said { bytes: Vec::new(), body: 0, status: None },
            Told::Alert(bytes) => Said { bytes, body: 0, status: None },
        };
        // A fresh socket takes a few hundred bytes; if not, it is closed without them.
        let taken = match said.bytes.is_empty() {
            true => Ok(None),
            false => stream.try_send(&said.bytes),
        };
        complaint::TurnedAway { listener: &plan.name, client: *ip, what, words: &words }.log();
        if reason == Reason::ConnectionLimit && plan.is_http() {
            plan.metrics.unrouted(reason.status(), began.elapsed());
        }
        context.access_log.write(&Entry {
            client_ip: *ip,
            proto: (!plan.is_http()).then_some("tcp"),
            status: said.status,
            bytes_out: taken.unwrap_or_default().unwrap_or_default() as u64,
            body_out: said.body as u64,
            duration: began.elapsed(),
            reason: Some(reason.code()),
            ..Entry::of(at, &plan.name, &id)
        });
    }
}
