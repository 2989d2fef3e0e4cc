//! The file as it is written: every section, every key, what each key holds, and which are to come.
//!
//! This is the one table of the configuration's keys; the readers and the JSON Schema come from it.
//! The doc comment of a key is its description there, what stands behind `=` its default, which is
//! `convert`'s: a test compares the two.

use crate::leaf::{
    AdminToken, Always, BindAddress, Bytes, Count, DnsServer, Dur, FieldName, LogTarget, Mode,
    ProxyNetworks, ShardCount, Size, SniMap, Text, Timeout,
};
use crate::model::{
    AccessLogFormat, AmbiguousPaths, ClientFin, LogFormat, LogLevel, OnOff, Scheme, Underscores,
};
use crate::read::{Many, Named, OneOrMany, Spanned, Switch, section, words};
use crate::source::Span;

pub(crate) mod filter;
pub(crate) mod pool;
pub(crate) mod route;
mod secret;
mod tls;
mod values;

pub(crate) use pool::{
    Affinity, Buffer, Burst, Discover, Health, HttpCheck, KeepAlive, Outlier, Pool, Queue, Resolve,
    Slots, Spill, WarmUp, Worker, WorkerTls,
};
pub(crate) use route::{
    Match, Redirect, RedirectMap, Respond, RespondMap, Retry, Route, RouteBuffer, RouteTimeouts,
    RoutesRef,
};
pub(crate) use secret::Secret;
pub(crate) use tls::{Certificate, ClientAuth, Tls};

section! {
    /// One file, with what it includes.
    File is "the configuration" like "{ listeners: { web: { bind: 0.0.0.0:8080, pool: app } }, pools: { app: { workers: [127.0.0.1:8001] } } }" {
        /// Data-plane threads; `auto` is one per CPU the process may use.
        "shards" => shards: ShardCount = "auto",
        /// How long requests may take to end when the process stops.
        "grace_period" => grace_period: Dur = "30s",
        /// How long the process still accepts connections after `/ready` says 503.
        "drain_delay" => drain_delay: Switch<Dur> = "0s",
        /// Where the admin API listens.
        "admin" => admin: Switch<Admin> = { "bind": "unix:/run/isobar/admin.sock" },
        /// A read-only listener for `/live`, `/ready` and `/metrics`.
        "metrics" => metrics: Switch<Metrics> = "off",
        /// What the process says about itself, on stderr.
        "log" => log: Log,
        /// One line per request or connection.
        "access_log" => access_log: Switch<AccessLog> = "off",
        /// The networks whose `X-Forwarded-*` headers are believed. `private` is RFC 1918, loopback,
        /// link-local and ULA.
        "trusted_proxies" => trusted_proxies: Switch<OneOrMany<ProxyNetworks>> = "off",
        /// The header that names the client, instead of `X-Forwarded-For`; believed from
        /// `trusted_proxies` only.
        "client_ip_header" => client_ip_header: Switch<FieldName> = "off",
        /// Whether workers get `Forwarded` (RFC 7239), too. It says the same as `X-Forwarded-*`.
        "forwarded" => forwarded: OnOff = "off",
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
    Dns is "dns" like "{ servers: [127.0.0.1:53] }" {
        /// `ip:port`, or `ip` for port 53, instead of the system's. Names are then looked up as they
        /// are, without search domains.
        "servers" => servers: OneOrMany<DnsServer>,
    }
    later {}
}

section! {
    Admin is "admin" like "{ bind: \"unix:/run/isobar/admin.sock\" }" {
        /// One address or several; without a token only a socket file or a loopback address.
        "bind" => bind: OneOrMany<BindAddress> = "unix:/run/isobar/admin.sock",
        /// The permission bits of the socket file. Whoever may write to it controls the process.
        "mode" => mode: Mode,
        /// What a caller must present; not built yet.
        "token" => token: AdminToken = "off",
    }
    later {}
}

section! {
    Metrics is "metrics" like "{ bind: 127.0.0.1:9464 }" {
        /// `ip:port`.
        "bind" => bind: BindAddress,
    }
    later {}
    needs { every("bind"); }
}

section! {
    Log is "log" like "{ level: info }" {
        /// Messages below this level are not logged.
        "level" => level: LogLevel = "info",
        /// For people or for machines.
        "format" => format: LogFormat = "text",
    }
    later {}
}

section! {
    AccessLog is "access_log" like "{ format: json, path: stdout }" {
        /// `json` has every field; `combined` is what nginx and Apache write.
        "format" => format: AccessLogFormat = "json",
        /// `stdout`, `stderr` or a file, which `SIGUSR1` opens anew.
        "path" => path: LogTarget = "stdout",
    }
    later { "fields", "only", "sample" }
}

section! {
    Listener is "a listener" like "{ bind: 0.0.0.0:8080, pool: app }" {
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
        /// Whether proxies say in front of everything who their clients are (PROXY protocol, versions 1 and
        /// 2). Only `trusted_proxies` are believed.
        "proxy_protocol" => proxy_protocol: Switch<ProxyHeaders> = "off",
        /// TLS for every connection: HTTPS, or TLS in front of any other protocol.
        "tls" => tls: Switch<Tls> = "off",
        /// What it means if a client closes its sending side while its request is being answered:
        /// it waits for the answer, or it has left.
        "client_fin" => client_fin: ClientFin = "answer",
        /// What to do with a path that can be read in several ways (`%2F` and `%5C` as `/`,
        /// elements without their `;…`), if these lead to different routes: refuse it with 400, use
        /// it as it was sent, or use it fully decoded.
        "ambiguous_paths" => ambiguous_paths: AmbiguousPaths = "refuse",
        /// Whether `//` in a path is `/`; `off` keeps it in what is matched and forwarded.
        "merge_slashes" => merge_slashes: OnOff = true,
        /// What to do with header names that contain `_`. A name that equals one that Isobar sets
        /// or strips, if `_` is read as `-`, is always dropped.
        "underscores" => underscores: Underscores = "drop",
        /// Like the key at the top of the file, for this listener only.
        "forwarded" => forwarded: OnOff,
        /// Which pool a request goes to: a list, or the name of a site. The most specific match wins.
        "routes" => routes: RoutesRef,
        /// Short for one route: everything goes to this pool.
        "pool" => pool: Text,
        /// TLS that is passed on as it comes (with `protocol: tcp`): which pool by the host that a client
        /// asks for. `"*"` is for all other hosts, and for clients that name none; without it they are
        /// turned away.
        "sni" => sni: Switch<SniMap> = "off",
        /// Filters for every request of this listener, in order; a route's own filters come after
        /// them.
        "filters" => filters: Switch<Many<filter::Filter>> = "off",
    }
    later { "http2", "udp", "errors" }
    needs { every("bind"); one_of("routes", "pool", "sni"); }
}

section! {
    ListenerTimeouts is "a listener's timeouts" like "{ header: 10s, idle: 1h }" {
        /// For TLS and the PROXY protocol.
        "handshake" => handshake: Timeout = "10s",
        /// From a request's first byte to the end of its head.
        "header" => header: Timeout = "10s",
        /// Between two bytes of a request's body.
        "body_idle" => body_idle: Timeout = "30s",
        /// How long a client may take no byte of its answer.
        "write_stall" => write_stall: Timeout = "30s",
        // `off` could be read both ways.
        /// Between two requests of a connection; `0s`: it is closed after its answer.
        "keep_alive" => keep_alive: Dur = "75s",
        /// Without a byte either way, for TCP and upgraded connections of which one side has closed.
        "half_close" => half_close: Timeout = "30s",
        /// Without a byte either way, for TCP and upgraded connections.
        "idle" => idle: Timeout = "1h",
    }
    later {}
}

section! {
    /// 0 is no limit; of `headers`, `header_bytes` and `uri` it is as much as there may be.
    Limits is "a listener's limits" like "{ connections: 20000, body: 10MiB }" {
        /// Connections at once.
        "connections" => connections: Switch<Count<0, 100_000_000>> = 20_000,
        /// Connections at once from one address (IPv6: one /64).
        "per_client" => per_client: Switch<Count<0, 100_000_000>> = 0,
        /// Header fields of a request; at most 10000.
        "headers" => headers: Always<Count<1, 10_000>> = 100,
        /// Bytes of all header fields of a request; at most 1MiB.
        "header_bytes" => header_bytes: Always<Size<1, { 1 << 20 }>> = "32KiB",
        /// Bytes of a request's target; at most 1MiB.
        "uri" => uri: Always<Size<1, { 1 << 20 }>> = "8KiB",
        /// Bytes of a request's body; 0 is no limit, unlike 0 in the filter `max_body`, which refuses
        /// every body.
        "body" => body: Switch<Bytes> = 0,
    }
    later {}
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProxyHeaders {
    Accept,
    Require,
}

words!(ProxyHeaders {
    "accept" => ProxyHeaders::Accept,
    "require" => ProxyHeaders::Require,
} later {});

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

words!(LogFormat { "text" => LogFormat::Text, "json" => LogFormat::Json } later {});

words!(AccessLogFormat {
    "json" => AccessLogFormat::Json,
    "combined" => AccessLogFormat::Combined,
} later { "logfmt" });

words!(AmbiguousPaths {
    "refuse" => AmbiguousPaths::Refuse,
    "keep" => AmbiguousPaths::Keep,
    "decode" => AmbiguousPaths::Decode,
} later {});

words!(Underscores { "drop" => Underscores::Drop, "keep" => Underscores::Keep } later {});

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
