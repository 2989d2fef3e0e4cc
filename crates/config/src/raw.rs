//! The file as it is written: every section, every key, what each key holds, and which are to come.
//!
//! This is the one table of the configuration's keys; readers (and whatever describes the keys) come
//! from it. Defaults and meaning are `convert`'s.

use crate::leaf::{AdminToken, Bytes, LogTarget, Mode, Network, ShardCount, Spill, WorkerProtocol};
use crate::leaf::{
    BindAddress, Count, Dur, HeaderMap, HostPattern, Methods, PathText, RetryCause, RouteName,
    RoutesRef, Shares, SlotCount, StatusRange, StrategyRef, Text, Timeout, WorkerAddress,
    WorkerName,
};
use crate::model::{AccessLogFormat, ClientFin, LogFormat, LogLevel};
use crate::read::{Cx, Many, Named, OneOrMany, Read, Spanned, Switch, section, words};
use crate::source::Span;
use crate::tree::{Kind, Node};

section! {
    /// One file.
    File is "the configuration" {
        "shards" => shards: ShardCount,
        "grace_period" => grace_period: Dur,
        "drain_delay" => drain_delay: Switch<Dur>,
        "admin" => admin: Switch<Admin>,
        "metrics" => metrics: Switch<Metrics>,
        "log" => log: Log,
        "access_log" => access_log: Switch<AccessLog>,
        "trusted_proxies" => trusted_proxies: Switch<OneOrMany<Network>>,
        "include" => include: Switch<OneOrMany<Text>>,
        "sites" => sites: Named<Many<Route>>,
        "listeners" => listeners: Named<Listener>,
        "pools" => pools: Named<Pool>,
    }
    later { "dns" }
}

section! {
    Admin is "admin" {
        "bind" => bind: OneOrMany<BindAddress>,
        "mode" => mode: Mode,
        "token" => token: AdminToken,
    }
    later {}
}

section! {
    Metrics is "metrics" {
        "bind" => bind: BindAddress,
    }
    later {}
}

section! {
    Log is "log" {
        "level" => level: LogLevel,
        "format" => format: LogFormat,
    }
    later {}
}

section! {
    AccessLog is "access_log" {
        "format" => format: AccessLogFormat,
        "path" => path: LogTarget,
    }
    later {}
}

section! {
    Listener is "a listener" {
        "bind" => bind: OneOrMany<BindAddress>,
        "mode" => mode: Mode,
        "protocol" => protocol: Protocol,
        "timeouts" => timeouts: ListenerTimeouts,
        "limits" => limits: Limits,
        "client_fin" => client_fin: ClientFin,
        "routes" => routes: RoutesRef,
        "pool" => pool: Text,
    }
    later { "tls", "proxy_protocol", "filters", "sni" }
}

section! {
    ListenerTimeouts is "a listener's timeouts" {
        "handshake" => handshake: Timeout,
        "header" => header: Timeout,
        "body_idle" => body_idle: Timeout,
        "write_stall" => write_stall: Timeout,
        // 0s = the connection is closed after its answer: `off` could be read both ways.
        "keep_alive" => keep_alive: Dur,
        "idle" => idle: Timeout,
    }
    later {}
}

section! {
    Limits is "a listener's limits" {
        "connections" => connections: Switch<Count<0, 100_000_000>>,
        "per_client" => per_client: Switch<Count<0, 100_000_000>>,
        "headers" => headers: Switch<Count<0, 10_000>>,
        "header_bytes" => header_bytes: Switch<Bytes>,
        "uri" => uri: Switch<Bytes>,
        "body" => body: Switch<Bytes>,
    }
    later {}
}

section! {
    Route is "a route" {
        "name" => name: RouteName,
        "match" => matches: OneOrMany<Match>,
        "pool" => pool: Text,
        "split" => split: Shares,
        "timeouts" => timeouts: RouteTimeouts,
        "retry" => retry: Switch<Retry>,
    }
    later { "redirect", "respond", "filters" }
}

section! {
    Match is "a match" {
        "host" => host: HostPattern,
        "path" => path: PathText,
        "path_prefix" => path_prefix: PathText,
        "method" => method: Methods,
        "header" => header: HeaderMap,
    }
    later { "query", "cookie", "path_regex" }
}

section! {
    RouteTimeouts is "timeouts" {
        "request" => request: Switch<Dur>,
        "first_byte" => first_byte: Switch<Dur>,
    }
    later {}
}

section! {
    Retry is "retry" {
        // A request remembers at most eight workers it tried.
        "attempts" => attempts: Count<1, 8>,
        "per_try" => per_try: Switch<Dur>,
        "when" => when: OneOrMany<RetryCause>,
    }
    later { "replay" }
}

section! {
    Pool is "a pool" {
        "strategy" => strategy: StrategyRef,
        "slots" => slots: Switch<SlotCount>,
        "queue" => queue: Switch<Queue>,
        "workers" => workers: Many<Worker>,
        "health" => health: Switch<Health>,
        "timeouts" => timeouts: RouteTimeouts,
        "abandon_after" => abandon_after: Switch<Dur>,
        "buffer" => buffer: Switch<Buffer>,
        "connect_timeout" => connect_timeout: Timeout,
        "keep_alive" => keep_alive: Switch<KeepAlive>,
        "protocol" => protocol: WorkerProtocol,
    }
    later {
        "discover", "outlier", "retry_budget", "slow_start", "warm_up", "panic_below", "affinity",
        "tls", "send_proxy_protocol", "run",
    }
}

section! {
    Queue is "a queue" {
        "max" => max: Count<1, 1_000_000_000>,
        "timeout" => timeout: Timeout,
    }
    later {}
}

section! {
    WorkerMap is "a worker" {
        "name" => name: WorkerName,
        "address" => address: WorkerAddress,
        "weight" => weight: Count<1, 10_000>,
        "slots" => slots: Switch<SlotCount>,
        "tier" => tier: Count<0, 255>,
    }
    later { "resolve", "tls", "send_proxy_protocol" }
}

section! {
    Health is "health" {
        "http" => http: HttpCheck,
        "tcp" => tcp: TcpCheck,
        "interval" => interval: Timeout,
        "timeout" => timeout: Timeout,
        "rise" => rise: Count<1, 1000>,
        "fall" => fall: Count<1, 1000>,
    }
    later { "grpc" }
}

section! {
    HttpCheck is "health.http" {
        "path" => path: PathText,
        "expect" => expect: OneOrMany<StatusRange>,
        "host" => host: HostPattern,
        "port" => port: Count<0, 65_535>,
    }
    later {}
}

section! {
    Buffer is "a buffer" {
        "request" => request: Switch<Bytes>,
        "response" => response: Switch<Bytes>,
        "spill" => spill: Spill,
    }
    later {}
}

section! {
    KeepAlive is "keep_alive" {
        "idle" => idle: Timeout,
        "max_idle" => max_idle: Switch<Count<0, 65_535>>,
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Tcp,
}

words!(Protocol { "http" => Protocol::Http, "tcp" => Protocol::Tcp } later { "udp" });

words!(LogLevel {
    "error" => LogLevel::Error,
    "warn" => LogLevel::Warn,
    "info" => LogLevel::Info,
    "debug" => LogLevel::Debug,
    "trace" => LogLevel::Trace,
} later {});

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
