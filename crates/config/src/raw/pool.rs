//! A pool as it is written: its workers, and the policies they are used by.

use std::num::NonZeroU32;

use serde_json::{Value, json};

use crate::leaf::{
    Bytes, CookieName, CookiePath, Count, Directory, Dur, FilePath, HostName, HostPattern,
    PathText, Percent, PercentOrZero, Size, SlotCount, StatusRange, StrategyRef, Timeout,
    WorkerAddress, WorkerName, WorkerProtocol,
};
use crate::model::{OnLost, OnOff, SameSite, SecureCookie};
use crate::problem::Draft;
use crate::raw::{RouteTimeouts, Secret};
use crate::read::{Concealed, Cx, Field, Many, OneOrMany, Read, Spanned, Switch, section, words};
use crate::schema::{Shapes, any_of};
use crate::tree::{Kind, Node};

section! {
    Pool is "a pool" like "{ workers: [127.0.0.1:8001] }" {
        /// How a worker is chosen.
        "strategy" => strategy: StrategyRef = "least_connections",
        /// A client stays on its worker by a cookie.
        "affinity" => affinity: Switch<Affinity> = "off",
        /// Requests a worker serves at once, unless it says otherwise; `off` is no limit.
        "slots" => slots: Switch<Slots> = "off",
        /// Where requests wait while every slot is taken, or while the pool has just lost its last
        /// worker. Without it: where slots exist, for 10 s, as many as a hundred times the slots; for a
        /// lost worker 2 s, in a pool without slots at most 1000.
        "queue" => queue: Switch<Queue>,
        /// Addresses, or maps with more to say.
        "workers" => workers: Many<Worker>,
        /// Where more workers are found.
        "discover" => discover: Switch<Discover> = "off",
        /// Probes. Without them refused connections alone take a worker out.
        "health" => health: Switch<Health> = "off",
        /// For all routes that lead here.
        "timeouts" => timeouts: RouteTimeouts,
        /// What retries may add to the requests of ten seconds; at least ten a second are always allowed.
        "retry_budget" => retry_budget: Switch<Percent> = "20%",
        /// How long a worker may go on with a request that nobody waits for before its connection is
        /// closed.
        "abandon_after" => abandon_after: Switch<Dur> = "30s",
        /// What is read ahead so that a slow client does not hold a slot.
        "buffer" => buffer: Switch<Buffer>,
        /// For one connection to a worker.
        "connect_timeout" => connect_timeout: Timeout = "1s",
        /// Connections to workers that are kept for the next request.
        "keep_alive" => keep_alive: Switch<KeepAlive>,
        /// Whether workers get a `Via`. nginx compresses nothing once it sees one.
        "via" => via: OnOff = "on",
        /// TLS to the workers. Without `ca` those are believed whom this machine trusts.
        "tls" => tls: Switch<WorkerTls> = "off",
        /// What the workers speak.
        "protocol" => protocol: WorkerProtocol = "http1",
        /// When a worker's own traffic takes it out for a while. Without it five transport failures in
        /// a row do; `off`: nothing does.
        "outlier" => outlier: Switch<Outlier>,
        /// With a smaller share of the workers up, ejections and probe time-outs are ignored; refused
        /// connections never are.
        "panic_below" => panic_below: Switch<PercentOrZero> = 0,
        /// Whether the next tier takes what would otherwise wait, or be refused, because every slot of
        /// the tier that serves is taken. Without it a tier serves only when no worker of a lower one
        /// can be used.
        "overflow" => overflow: OnOff = "off",
        /// How long a worker takes to its full share after it came up, in ten steps.
        "slow_start" => slow_start: Switch<Dur> = "0s",
        /// What a worker is asked before it serves, at its start and when it comes back.
        "warm_up" => warm_up: Switch<WarmUp> = "off",
    }
    later {
        "send_proxy_protocol", "run", "connections", "cancel_grace", "shadow",
    }
    needs { some_of("workers", "discover"); }
}

section! {
    WorkerTls is "tls" like "{ ca: ca.pem, server_name: app.internal }" {
        /// Who issues the workers' certificates.
        "ca" => ca: FilePath,
        /// The host that a worker's certificate must be good for. Without it: the worker's own, as it is
        /// written in `address`.
        "server_name" => server_name: HostName,
        /// Our own certificate, for workers that ask for one.
        "client" => client: Switch<Identity> = "off",
        /// `off` believes whoever answers; a warning at every start says so.
        "verify" => verify: OnOff = "on",
    }
    later {}
}

section! {
    Identity is "client" like "{ cert: client.pem, key: client.key }" {
        /// The certificate, and behind it those that lead to its root.
        "cert" => cert: FilePath,
        /// Its private key. Without it: in the file `cert`.
        "key" => key: FilePath,
    }
    later {}
    needs { every("cert"); }
}

section! {
    /// Tunnels and event streams counted apart from requests.
    SlotsMap is "slots" like "{ requests: 8, tunnels: 500 }" {
        /// Requests a worker serves at once. A tunnel takes one of these until it has begun.
        "requests" => requests: SlotCount,
        /// Tunnels (WebSocket and other upgrades) and event streams that it holds at once.
        "tunnels" => tunnels: SlotCount,
    }
    later {}
    needs { every("requests", "tunnels"); }
}

section! {
    Affinity is "affinity" like "{ cookie: stay }" {
        /// The cookie's name. Without it: `isobar_` and the pool's name.
        "cookie" => cookie: CookieName,
        /// Whether a browser brings it along from other sites; `none` needs `secure: on`.
        "same_site" => same_site: SameSite = "lax",
        /// Whether a browser brings it along over HTTPS only; `auto`: if it came by HTTPS when it was
        /// given the cookie.
        "secure" => secure: SecureCookie = "auto",
        /// How long a browser keeps it, counted from when it was given; 0: until the browser is closed.
        "max_age" => max_age: Switch<Dur> = "0s",
        /// The domain whose hosts all get it. Without it: the host that was asked.
        "domain" => domain: HostName,
        /// The path below which it is brought along.
        "path" => path: CookiePath = "/",
        /// How long a request waits for its worker while every slot of it is taken; `off`: not at all.
        "wait" => wait: Switch<Dur> = "1s",
        /// When the worker is gone, or the wait is over: choose anew, or answer with 503.
        "on_lost" => on_lost: OnLost = "rebalance",
        /// What signs the cookies, the same for all processes in front of the same workers. Without
        /// it cookies hold until the process ends.
        "secret" => secret: Concealed<Secret>,
    }
    later {}
}

section! {
    Queue is "a queue" like "{ max: 1000, timeout: 10s }" {
        /// Requests that may wait; the next one is answered with 503.
        "max" => max: Count<1, 1_000_000_000>,
        /// How long one may wait.
        "timeout" => timeout: Timeout = "10s",
        /// For how long after its last usable worker was lost a pool lets requests wait for one; not
        /// where an operator took it out. 0 or `off`: they are refused at once.
        "hold" => hold: Switch<Dur> = "2s",
    }
    later {}
}

section! {
    WorkerMap is "a worker" like "{ address: 127.0.0.1:8001, slots: 2 }" {
        /// Its label in logs, metrics and commands, instead of its address.
        "name" => name: WorkerName,
        /// `ip:port`, `[ipv6]:port`, `host:port` or `unix:/path`. Each address that a host name resolves
        /// to is a worker.
        "address" => address: WorkerAddress,
        /// Its relative share.
        "weight" => weight: Count<1, 10_000>,
        /// Requests it serves at once.
        "slots" => slots: Switch<Slots>,
        /// 0 serves first; 1 and more are backups.
        "tier" => tier: Count<0, 255> = 0,
        /// How long what a host name resolves to is believed.
        "resolve" => resolve: Resolve,
    }
    later { "tls", "send_proxy_protocol", "state" }
    needs { every("address"); }
}

section! {
    Resolve is "resolve" like "{ min: 1s, max: 30s }" {
        /// At least so long, whatever its TTL; failures are repeated no sooner.
        "min" => min: Dur = "1s",
        /// At most so long, whatever its TTL.
        "max" => max: Dur = "30s",
    }
    later {}
}

section! {
    Discover is "discover" like "{ file: workers.yaml }" {
        /// A list of workers as in a pool, watched; relative to this file.
        "file" => file: FilePath,
    }
    later {}
    needs { every("file"); }
}

section! {
    Health is "health" like "{ http: { path: /healthz } }" {
        /// A request whose answer is looked at.
        "http" => http: HttpCheck,
        /// A connection that is accepted.
        "tcp" => tcp: TcpCheck,
        /// Between two probes of a worker.
        "interval" => interval: Timeout = "2s",
        /// For one probe.
        "timeout" => timeout: Timeout = "1s",
        /// Good probes in a row that take a worker in.
        "rise" => rise: Count<1, 1000> = 2,
        /// Bad probes in a row that take it out.
        "fall" => fall: Count<1, 1000> = 3,
        /// How long a worker whose slots are all taken may answer nothing before it is asked beside
        /// them, and taken out if it does not answer that either.
        "busy_limit" => busy_limit: Timeout = "60s",
    }
    later { "grpc" }
    needs { one_of("http", "tcp"); }
}

section! {
    Outlier is "outlier" like "{ consecutive_failures: 5 }" {
        /// In a row: no connection, a connection that ended before an answer's head, an answer that is
        /// not HTTP, or none within `first_byte`. Never a status. One client's requests count three
        /// times at most, unless another worker answered them.
        "transport_failures" => transport_failures: Switch<Count<1, 1_000_000>> = 5,
        /// Answers of 500 and more, or none at all, in a row.
        "consecutive_failures" => consecutive_failures: Switch<Count<1, 1_000_000>> = "off",
        /// Answers of 502, 503 or 504, or connections that failed, in a row.
        "gateway_failures" => gateway_failures: Switch<Count<1, 1_000_000>> = "off",
        /// So many answers of 500 and more, or none at all, within a time, in a row or not.
        "failures" => failures: Switch<Burst> = "off",
        /// The share of requests that failed in the window.
        "failure_rate" => failure_rate: Switch<Percent> = "off",
        /// What `failure_rate` looks back on, from 2 s to 10 m.
        "window" => window: Dur = "10s",
        /// With fewer requests in the window their rate says nothing.
        "min_requests" => min_requests: Count<1, 1_000_000_000> = 20,
        /// The first ejection; the n-th in a row lasts n times as long. For three times as long
        /// without another, one is forgotten.
        "base_ejection" => base_ejection: Timeout = "10s",
        /// No ejection lasts longer.
        "longest_ejection" => longest_ejection: Timeout = "5m",
        /// Of the pool's workers, rounded down; the last one up is never ejected.
        "max_ejected" => max_ejected: Percent = "50%",
    }
    later {}
}

section! {
    Burst is "outlier.failures" like "{ count: 5, within: 10s }" {
        /// So many failures take the worker out.
        "count" => count: Count<1, 10_000>,
        /// The time they come in, from 100ms to 10m.
        "within" => within: Dur,
    }
    later {}
    needs { every("count", "within"); }
}

section! {
    WarmUp is "warm_up" like "{ requests: [/healthz], count: 3 }" {
        /// Paths, asked for one after the other; an answer from 200 to 399 is good.
        "requests" => requests: OneOrMany<PathText>,
        /// Rounds of them.
        "count" => count: Count<1, 1000> = 1,
        /// For each answer.
        "timeout" => timeout: Timeout = "30s",
        /// The `Host` header; without it that of the HTTP check, or the worker's address.
        "host" => host: HostName,
    }
    later {}
    needs { every("requests"); }
}

section! {
    HttpCheck is "health.http" like "{ path: /healthz }" {
        /// What is asked for.
        "path" => path: PathText,
        /// The statuses that are good.
        "expect" => expect: OneOrMany<StatusRange> = "200-299",
        /// The `Host` header, instead of the worker's address.
        "host" => host: HostPattern,
        /// Another port than the worker's own; 0 is its own.
        "port" => port: Count<0, 65_535> = 0,
    }
    later { "method", "headers", "body" }
    needs { every("path"); }
}

section! {
    /// Where slots exist: 64 KiB each way in memory, and the rest on disk, so that a slow client holds
    /// no worker. An error in a pool without slots.
    Buffer is "a buffer" like "{ request: 64KiB, response: 64KiB }" {
        /// Of a request's body, before a slot is taken; at most 1GiB.
        "request" => request: Switch<Size<0, { 1 << 30 }>>,
        /// Of an answer, so that the slot is free when the worker is; at most 1GiB.
        "response" => response: Switch<Size<0, { 1 << 30 }>>,
        /// What is beyond waits in files without names: a request's body until it is whole, an answer
        /// until its client has taken it. `off`: it is streamed. Never event streams, gRPC, nor an
        /// answer with `X-Accel-Buffering: no`.
        "spill" => spill: Switch<Spill>,
    }
    later {}
}

section! {
    SpillMap is "spill" like "{ dir: /var/tmp, max: 1GiB }" {
        /// An existing directory. Without it: the first of `$TMPDIR`, `/var/tmp` and `/tmp` that can be
        /// written to.
        "dir" => dir: Directory,
        /// Of one body; what is beyond is streamed.
        "max" => max: Bytes = "1GiB",
        /// Of all bodies of the pool together; what is beyond is streamed. Without it 4 GiB of all
        /// pools together, but at most a tenth of what is free on the disk, or, where the directory
        /// is in memory (tmpfs), an eighth of the memory that the process may have.
        "total" => total: Bytes,
    }
    later {}
}

section! {
    KeepAlive is "keep_alive" like "{ idle: 4s }" {
        /// How long a connection may lie idle. Without it: safely less than each worker lets it, as
        /// it announces or as was observed, and at most 60 s.
        "idle" => idle: Timeout,
        /// Idle connections kept per worker and shard.
        "max_idle" => max_idle: Switch<Count<0, 65_535>> = 64,
    }
    later {}
}

/// One limit for all, or one for requests and one for tunnels.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slots {
    pub(crate) requests: Option<NonZeroU32>,
    /// `None`: tunnels take slots.
    pub(crate) tunnels: Option<NonZeroU32>,
}

impl Read for Slots {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let count = |SlotCount(n)| NonZeroU32::new(n);
        match &node.kind {
            Kind::Map(_) => {
                let map = SlotsMap::read(node, cx)?;
                let half = map.requests.is_absent() || map.tunnels.is_absent();
                if half && !map.refused.any() {
                    let draft = Draft::error(node.span, "found one half of `slots`");
                    cx.report(draft.expected("both: `slots: { requests: 8, tunnels: 500 }`"));
                }
                let (requests, tunnels) = (map.requests.value()?, map.tunnels.value()?);
                Some(Slots { requests: count(requests), tunnels: count(tunnels) })
            }
            _ => SlotCount::read(node, cx).map(|n| Slots { requests: count(n), tunnels: None }),
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([SlotCount::shape(shapes), SlotsMap::shape(shapes)])
    }
}

/// A worker is its address, or a map.
#[derive(Debug, Clone)]
pub(crate) struct Worker {
    pub(crate) map: WorkerMap,
}

impl Read for Worker {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let map = match &node.kind {
            Kind::Map(_) => WorkerMap::read(node, cx)?,
            _ => WorkerMap {
                address: Field::Given(Spanned::read(node, cx)?),
                ..WorkerMap::empty(node.span)
            },
        };
        Some(Worker { map })
    }

    fn as_items(node: &Node) -> Option<String> {
        crate::foreign::workers(node)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([WorkerAddress::shape(shapes), WorkerMap::shape(shapes)])
    }
}

/// `spill: true`, or a map.
#[derive(Debug, Clone)]
pub(crate) struct Spill(pub(crate) SpillMap);

impl Read for Spill {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(_) => SpillMap::read(node, cx).map(Spill),
            Kind::Scalar(s) if matches!(&*s.text, "true" | "on") => {
                Some(Spill(SpillMap::empty(node.span)))
            }
            _ => {
                cx.mismatch(node, "`true`, `false`, or a map");
                None
            }
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([json!({ "enum": [true, "true", "on"] }), SpillMap::shape(shapes)])
    }
}

impl Read for SecureCookie {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(s) if &*s.text == "auto" => Some(SecureCookie::Auto),
            Kind::Scalar(s) if matches!(&*s.text, "on" | "true") => Some(SecureCookie::On),
            Kind::Scalar(s) if matches!(&*s.text, "off" | "false") => Some(SecureCookie::Off),
            _ => {
                cx.mismatch(node, "one of auto, on, off");
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        json!({ "enum": ["auto", "on", "off", "true", "false", true, false] })
    }
}

/// `tcp: {}`, or `tcp:` alone.
#[derive(Debug, Clone)]
pub(crate) struct TcpCheck;

impl Read for TcpCheck {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) if entries.is_empty() => Some(TcpCheck),
            Kind::Scalar(s) if s.is_null() => Some(TcpCheck),
            _ => {
                cx.mismatch(node, "an empty map: `tcp: {}`");
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        any_of([json!({ "type": "object", "maxProperties": 0 }), json!({ "type": "null" })])
    }
}

words!(SameSite {
    "lax" => SameSite::Lax,
    "strict" => SameSite::Strict,
    "none" => SameSite::None,
} later {});

words!(OnLost { "rebalance" => OnLost::Rebalance, "fail" => OnLost::Fail } later {});
