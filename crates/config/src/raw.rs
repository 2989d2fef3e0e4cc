//! The file as it is written: every section, every key, what each key holds, and which are to come.
//!
//! This is the one table of the configuration's keys; the readers and the JSON Schema come from it.
//! The doc comment of a key is its description there, what stands behind `=` its default, which is
//! `convert`'s: a test compares the two.

use serde_json::{Value, json};

use crate::leaf::{
    AdminToken, Bytes, DnsServer, FilePath, LogTarget, Mode, Network, ShardCount, WorkerProtocol,
};
use crate::leaf::{
    BindAddress, BodyText, CookieName, CookieValues, Count, Directory, Dur, HeaderMap, HeaderText,
    HeaderValues, HostName, HostPattern, LocationPath, Methods, PathRegex, PathText, Percent,
    PercentOrZero, Present, QueryValues, RedirectStatus, RedirectTo, RespondStatus, RetryCause,
    RouteName, RoutesRef, Shares, SlotCount, StatusRange, StrategyRef, Text, Timeout, ValueRegex,
    WorkerAddress, WorkerName,
};
use crate::model::{AccessLogFormat, ClientFin, LogFormat, LogLevel, OnLost, Scheme};
use crate::read::{Cx, Many, Named, OneOrMany, Read, Spanned, Switch, section, words};
use crate::schema::{Shapes, any_of};
use crate::source::Span;
use crate::tree::{Kind, Node};

pub(crate) mod filter;

section! {
    /// One file, with what it includes.
    File is "the configuration" {
        /// Data-plane threads; `auto` is one per CPU the process may use.
        "shards" => shards: ShardCount = "auto",
        /// How long requests may take to end when the process stops.
        "grace_period" => grace_period: Dur = "30s",
        /// How long the process still accepts after it says that it is no longer ready.
        "drain_delay" => drain_delay: Switch<Dur> = "0s",
        /// Where the admin API listens.
        "admin" => admin: Switch<Admin> = { "bind": "unix:/run/isobar/admin.sock" },
        /// A read-only listener for `/live`, `/ready` and `/metrics`.
        "metrics" => metrics: Switch<Metrics> = "off",
        /// What the process says about itself, on stderr.
        "log" => log: Log,
        /// One line per request or connection.
        "access_log" => access_log: Switch<AccessLog> = "off",
        /// The networks whose `X-Forwarded-*` headers are believed.
        "trusted_proxies" => trusted_proxies: Switch<OneOrMany<Network>> = "off",
        /// More files, relative to this one; `*` and `?` in the last part of a path.
        "include" => include: Switch<OneOrMany<Text>> = "off",
        /// How host names of workers are resolved.
        "dns" => dns: Switch<Dns>,
        /// Lists of routes that several listeners share, by name.
        "sites" => sites: Named<Many<Route>>,
        /// Where traffic comes in, by name.
        "listeners" => listeners: Named<Listener>,
        /// Where traffic goes, by name.
        "pools" => pools: Named<Pool>,
    }
    later {}
}

section! {
    Dns is "dns" {
        /// `ip:port`, or `ip` for port 53, instead of the system's. Names are then looked up as they
        /// are, without search domains.
        "servers" => servers: OneOrMany<DnsServer>,
    }
    later {}
}

section! {
    Admin is "admin" {
        /// One address or several; without a token only a socket file or a loopback address.
        "bind" => bind: OneOrMany<BindAddress> = "unix:/run/isobar/admin.sock",
        /// The permission bits of the socket file: who may write to it runs the process.
        "mode" => mode: Mode,
        /// What a caller must present; not built yet.
        "token" => token: AdminToken = "off",
    }
    later {}
}

section! {
    Metrics is "metrics" {
        /// `ip:port`.
        "bind" => bind: BindAddress,
    }
    later {}
    needs { every("bind"); }
}

section! {
    Log is "log" {
        /// The least that is said.
        "level" => level: LogLevel = "info",
        /// For people or for machines.
        "format" => format: LogFormat = "text",
    }
    later {}
}

section! {
    AccessLog is "access_log" {
        /// `json` has every field; `combined` is what nginx and Apache write.
        "format" => format: AccessLogFormat = "json",
        /// `stdout`, `stderr` or a file, which `SIGUSR1` opens anew.
        "path" => path: LogTarget = "stdout",
    }
    later {}
}

section! {
    Listener is "a listener" {
        /// One address or several: `ip:port`, `[ipv6]:port`, `unix:/path`, or `fd:N` (inherited).
        "bind" => bind: OneOrMany<BindAddress>,
        /// The permission bits of a socket file.
        "mode" => mode: Mode,
        /// What is spoken here.
        "protocol" => protocol: Protocol = "http",
        /// How long a client may take.
        "timeouts" => timeouts: ListenerTimeouts,
        /// How much a client may send.
        "limits" => limits: Limits,
        /// What a client's FIN means while its request is being answered.
        "client_fin" => client_fin: ClientFin = "answer",
        /// Which pool a request goes to: a list, or the name of a site. The most specific match wins.
        "routes" => routes: RoutesRef,
        /// Short for one route: everything goes to this pool.
        "pool" => pool: Text,
        /// What edits or answers requests before their route's filters do, in order.
        "filters" => filters: Switch<Many<filter::Filter>> = "off",
    }
    later { "tls", "proxy_protocol", "sni" }
    needs { every("bind"); one_of("routes", "pool"); }
}

section! {
    ListenerTimeouts is "a listener's timeouts" {
        /// For TLS and the PROXY protocol.
        "handshake" => handshake: Timeout = "10s",
        /// From a request's first byte to the end of its head.
        "header" => header: Timeout = "10s",
        /// Between two bytes of a request's body.
        "body_idle" => body_idle: Timeout = "30s",
        /// Between two bytes that the client takes.
        "write_stall" => write_stall: Timeout = "30s",
        // `off` could be read both ways.
        /// Between two requests of a connection; `0s`: it is closed after its answer.
        "keep_alive" => keep_alive: Dur = "75s",
        /// Without a byte either way, for TCP and upgraded connections.
        "idle" => idle: Timeout = "1h",
    }
    later {}
}

section! {
    /// 0 is no limit.
    Limits is "a listener's limits" {
        /// Connections at once.
        "connections" => connections: Switch<Count<0, 100_000_000>> = 20_000,
        /// Connections at once from one address (IPv6: one /64).
        "per_client" => per_client: Switch<Count<0, 100_000_000>> = 0,
        /// Header fields of a request.
        "headers" => headers: Switch<Count<0, 10_000>> = 100,
        /// Bytes of all header fields of a request.
        "header_bytes" => header_bytes: Switch<Bytes> = "32KiB",
        /// Bytes of a request's target.
        "uri" => uri: Switch<Bytes> = "8KiB",
        /// Bytes of a request's body.
        "body" => body: Switch<Bytes> = 0,
    }
    later {}
}

section! {
    Route is "a route" {
        /// Its label in logs and metrics, instead of its match.
        "name" => name: RouteName,
        /// What a request must have; a list: any of them. Without it, every request.
        "match" => matches: OneOrMany<Match>,
        /// The pool it goes to.
        "pool" => pool: Text,
        /// The pools it goes to, and each one's share.
        "split" => split: Shares,
        /// Sends the client elsewhere, with its query.
        "redirect" => redirect: Redirect,
        /// Answers without a worker.
        "respond" => respond: Respond,
        /// Instead of the pool's.
        "timeouts" => timeouts: RouteTimeouts,
        /// What may be tried again, on another worker.
        "retry" => retry: Switch<Retry>,
        /// What edits or answers requests before a worker gets them, in order.
        "filters" => filters: Switch<Many<filter::Filter>> = "off",
    }
    later {}
    needs { one_of("pool", "split", "redirect", "respond"); }
}

section! {
    RedirectMap is "a redirect" {
        /// A path, or `https://host`, or `https://host/path`; instead of the parts.
        "to" => to: RedirectTo,
        /// Brings its usual port, unless `port` says another.
        "scheme" => scheme: Scheme,
        /// Without a port.
        "host" => host: HostName,
        /// The port of the new URL.
        "port" => port: Count<1, 65_535>,
        /// Instead of the whole path.
        "path" => path: LocationPath,
        /// Instead of the prefix that the route matches.
        "path_prefix" => path_prefix: LocationPath,
        /// 301 and 308 are permanent; 307 and 308 keep the method.
        "status" => status: RedirectStatus = 302,
    }
    later {}
    needs {
        some_of("to", "scheme", "host", "port", "path", "path_prefix");
        at_most_one_of("to", "scheme");
        at_most_one_of("to", "host");
        at_most_one_of("to", "port");
        at_most_one_of("to", "path", "path_prefix");
    }
}

section! {
    RespondMap is "an answer" {
        /// From 200 to 599; 204, 205 and 304 have no body.
        "status" => status: RespondStatus = 200,
        /// At most 64KiB.
        "body" => body: BodyText,
        /// Where there is a body, `text/plain; charset=utf-8` if nothing else is said.
        "content_type" => content_type: HeaderText,
        /// End-to-end headers, each once.
        "headers" => headers: HeaderMap,
    }
    later {}
    needs { some_of("status", "body"); }
}

section! {
    /// Everything given must hold.
    Match is "a match" {
        /// The request's host, without its port; `*.` before it stands for one label or more.
        "host" => host: HostPattern,
        /// The whole path.
        "path" => path: PathText,
        /// Whole segments from the path's beginning.
        "path_prefix" => path_prefix: PathText,
        /// One method or several.
        "method" => method: Methods,
        /// A regular expression for the whole path, in its normal form.
        "path_regex" => path_regex: PathRegex,
        /// Header fields and what their values must be.
        "header" => header: HeaderValues,
        /// Query parameters and what their values must be.
        "query" => query: QueryValues,
        /// Cookies and what their values must be.
        "cookie" => cookie: CookieValues,
        /// The networks the client is in, past the proxies that are trusted.
        "client" => client: Switch<OneOrMany<Network>> = "off",
    }
    later {}
    needs { at_most_one_of("path", "path_prefix", "path_regex"); }
}

section! {
    ValueMap is "what a value must be" {
        /// A regular expression for the whole value.
        "regex" => regex: ValueRegex,
        /// Whatever it says, it is there.
        "present" => present: Present,
    }
    later {}
    needs { one_of("regex", "present"); }
}

section! {
    RouteTimeouts is "timeouts" {
        /// The whole exchange; off, unless given. It never cuts tunnels and event streams.
        "request" => request: Switch<Dur>,
        /// From the request's last byte to the answer's first; 60 s, unless given.
        "first_byte" => first_byte: Switch<Dur>,
    }
    later {}
}

section! {
    Retry is "retry" {
        // A request remembers at most eight workers it tried.
        /// All tries together.
        "attempts" => attempts: Count<1, 8> = 2,
        /// For one try, up to its response's head; what takes longer is tried again.
        "per_try" => per_try: Switch<Dur> = "off",
        /// Which failures are tried again. A response with a status of the list is not passed on
        /// while there are tries left.
        "when" => when: OneOrMany<RetryCause> = ["connect", "reset"],
        /// So much of a request's body is kept to be sent again.
        "replay" => replay: Switch<Bytes> = "64KiB",
    }
    later {}
}

section! {
    Pool is "a pool" {
        /// How a worker is chosen.
        "strategy" => strategy: StrategyRef = "least_connections",
        /// A client stays on its worker by a cookie.
        "affinity" => affinity: Switch<Affinity> = "off",
        /// Requests a worker serves at once, unless it says otherwise; `off` is no limit.
        "slots" => slots: Switch<SlotCount> = "off",
        /// Where requests wait while every slot is taken. Without it: where slots exist, for 10 s, as
        /// many as a hundred times the slots.
        "queue" => queue: Switch<Queue>,
        /// Addresses, or maps with more to say.
        "workers" => workers: Many<Worker>,
        /// Where more workers are found.
        "discover" => discover: Switch<Discover> = "off",
        /// Probes. Without them refused connections alone take a worker out.
        "health" => health: Switch<Health> = "off",
        /// For all routes that lead here.
        "timeouts" => timeouts: RouteTimeouts,
        /// What retries may add to the requests of ten seconds; at least 30 are always allowed.
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
        /// What the workers speak.
        "protocol" => protocol: WorkerProtocol = "http1",
        /// When a worker's own traffic takes it out for a while.
        "outlier" => outlier: Switch<Outlier> = "off",
        /// With a smaller share of the workers up, ejections and probe time-outs are ignored; refused
        /// connections never are.
        "panic_below" => panic_below: Switch<PercentOrZero> = 0,
        /// How long a worker takes to its full share after it came up, in ten steps.
        "slow_start" => slow_start: Switch<Dur> = "0s",
        /// What a worker is asked before it serves, at its start and when it comes back.
        "warm_up" => warm_up: Switch<WarmUp> = "off",
    }
    later {
        "tls", "send_proxy_protocol", "run",
    }
    needs { some_of("workers", "discover"); }
}

section! {
    Affinity is "affinity" {
        /// The cookie's name.
        "cookie" => cookie: CookieName = "isobar",
        /// How long a request waits for its worker while every slot of it is taken; `off`: not at all.
        "wait" => wait: Switch<Dur> = "1s",
        /// When the worker is gone, or the wait is over: choose anew, or answer with 503.
        "on_lost" => on_lost: OnLost = "rebalance",
        /// What signs the cookies, the same for all processes in front of the same workers. Without
        /// it cookies hold until the process ends.
        "secret" => secret: SecretFrom,
    }
    later {}
}

section! {
    /// One of the two.
    SecretFrom is "a secret" {
        /// A file whose first line it is.
        "file" => file: Text,
        /// A variable of the environment.
        "env" => env: Text,
    }
    later {}
    needs { one_of("file", "env"); }
}

section! {
    Queue is "a queue" {
        /// Requests that may wait; the next one is answered with 503.
        "max" => max: Count<1, 1_000_000_000>,
        /// How long one may wait.
        "timeout" => timeout: Timeout = "10s",
    }
    later {}
}

section! {
    WorkerMap is "a worker" {
        /// Its label in logs, metrics and commands, instead of its address.
        "name" => name: WorkerName,
        /// `ip:port`, `[ipv6]:port`, `host:port` or `unix:/path`. Each address that a host name resolves
        /// to is a worker.
        "address" => address: WorkerAddress,
        /// Its relative share.
        "weight" => weight: Count<1, 10_000>,
        /// Requests it serves at once.
        "slots" => slots: Switch<SlotCount>,
        /// 0 serves first; 1 and more are backups.
        "tier" => tier: Count<0, 255> = 0,
        /// How long what a host name resolves to is believed.
        "resolve" => resolve: Resolve,
    }
    later { "tls", "send_proxy_protocol" }
    needs { every("address"); }
}

section! {
    Resolve is "resolve" {
        /// At least so long, whatever its TTL; failures are repeated no sooner.
        "min" => min: Dur = "1s",
        /// At most so long, whatever its TTL.
        "max" => max: Dur = "30s",
    }
    later {}
}

section! {
    Discover is "discover" {
        /// A list of workers as in a pool, watched; relative to this file.
        "file" => file: FilePath,
    }
    later {}
    needs { every("file"); }
}

section! {
    Health is "health" {
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
    Outlier is "outlier" {
        /// Answers of 500 and more, or none at all, in a row.
        "consecutive_failures" => consecutive_failures: Switch<Count<1, 1_000_000>> = 5,
        /// Answers of 502, 503 or 504, or connections that failed, in a row.
        "gateway_failures" => gateway_failures: Switch<Count<1, 1_000_000>> = "off",
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
    WarmUp is "warm_up" {
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
    HttpCheck is "health.http" {
        /// What is asked for.
        "path" => path: PathText,
        /// The statuses that are good.
        "expect" => expect: OneOrMany<StatusRange> = "200-299",
        /// The `Host` header, instead of the worker's address.
        "host" => host: HostPattern,
        /// Another port than the worker's own; 0 is its own.
        "port" => port: Count<0, 65_535> = 0,
    }
    later {}
    needs { every("path"); }
}

section! {
    /// Where slots exist: 64 KiB each way; else off.
    Buffer is "a buffer" {
        /// Of a request's body, before a slot is taken.
        "request" => request: Switch<Bytes>,
        /// Of an answer, so that the slot is free when the worker is.
        "response" => response: Switch<Bytes>,
        /// Where slots exist: the rest of a request's body waits on disk until it is whole, so that a
        /// slow upload holds no worker.
        "spill" => spill: Switch<Spill> = "off",
    }
    later {}
}

section! {
    SpillMap is "spill" {
        /// An existing directory; its files have no names. Without it: the system's for temporary
        /// files.
        "dir" => dir: Directory,
        /// Of one request; what is beyond is streamed.
        "max" => max: Bytes = "1GiB",
        /// Of all requests of the pool together; what is beyond is streamed.
        "total" => total: Bytes = "8GiB",
    }
    later {}
}

section! {
    KeepAlive is "keep_alive" {
        /// How long a connection may lie idle. Without it: safely less than each worker lets it, as
        /// it announces or as was observed, and at most 60 s.
        "idle" => idle: Timeout,
        /// Idle connections kept per worker and shard.
        "max_idle" => max_idle: Switch<Count<0, 65_535>> = 64,
    }
    later {}
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
                address: crate::read::Field::Given(Spanned::read(node, cx)?),
                ..WorkerMap::empty(node.span)
            },
        };
        Some(Worker { map })
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

/// A redirect is where it leads to, or a map.
#[derive(Debug, Clone)]
pub(crate) struct Redirect(pub(crate) RedirectMap);

impl Read for Redirect {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let map = match &node.kind {
            Kind::Map(_) => RedirectMap::read(node, cx)?,
            _ => {
                let to = crate::read::Field::Given(Spanned::read(node, cx)?);
                RedirectMap { to, ..RedirectMap::empty(node.span) }
            }
        };
        Some(Redirect(map))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([RedirectTo::shape(shapes), RedirectMap::shape(shapes)])
    }
}

/// An answer is its status, or a map.
#[derive(Debug, Clone)]
pub(crate) struct Respond(pub(crate) RespondMap);

impl Read for Respond {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let map = match &node.kind {
            Kind::Map(_) => RespondMap::read(node, cx)?,
            _ => {
                let status = crate::read::Field::Given(Spanned::read(node, cx)?);
                RespondMap { status, ..RespondMap::empty(node.span) }
            }
        };
        Some(Respond(map))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([RespondStatus::shape(shapes), RespondMap::shape(shapes)])
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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Tcp,
}

words!(Protocol { "http" => Protocol::Http, "tcp" => Protocol::Tcp } later { "udp" });

words!(Scheme { "http" => Scheme::Http, "https" => Scheme::Https } later {});

words!(LogLevel {
    "error" => LogLevel::Error,
    "warn" => LogLevel::Warn,
    "info" => LogLevel::Info,
    "debug" => LogLevel::Debug,
    "trace" => LogLevel::Trace,
} later {});

words!(OnLost { "rebalance" => OnLost::Rebalance, "fail" => OnLost::Fail } later {});

words!(LogFormat { "text" => LogFormat::Text, "json" => LogFormat::Json } later {});

words!(AccessLogFormat {
    "json" => AccessLogFormat::Json,
    "combined" => AccessLogFormat::Combined,
} later { "logfmt" });

words!(ClientFin { "answer" => ClientFin::Answer, "abort" => ClientFin::Abort } later {});

impl File {
    /// What `isobar proxy` says instead of a file.
    pub(crate) fn of(listener: Listener, pool: Pool, span: Span) -> File {
        let name = |name: &str| Spanned { value: name.to_owned(), span };
        let given = |value| crate::read::Field::Given(Spanned { value, span });
        let listeners = Named(vec![(
            name("web"),
            crate::read::Field::Given(Spanned { value: listener, span }),
        )]);
        let pools = crate::read::Field::Given(Spanned {
            value: Named(vec![(
                name("app"),
                crate::read::Field::Given(Spanned { value: pool, span }),
            )]),
            span,
        });
        File { listeners: given(listeners), pools, ..File::empty(span) }
    }
}
