//! The file as it is written: every section, every key, what each key holds, and which are to come.
//!
//! This is the one table of the configuration's keys; the readers and the JSON Schema come from it.
//! The doc comment of a key is its description there, what stands behind `=` its default, which is
//! `convert`'s: a test compares the two.

use serde_json::Value;

use crate::leaf::{
    AdminToken, Always, BindAddress, BodyText, Bytes, CookieValues, Count, DnsServer, Dur,
    FieldName, HeaderMap, HeaderText, HeaderValues, HostName, HostPattern, LocationPath, LogTarget,
    Methods, Mode, Network, PathRegex, PathText, Present, ProxyNetworks, QueryValues,
    RedirectStatus, RedirectTo, RespondStatus, RetryCause, RouteName, RoutesRef, ShardCount,
    Shares, Size, Text, Timeout, ValueRegex,
};
use crate::model::{
    AccessLogFormat, AmbiguousPaths, ClientFin, LogFormat, LogLevel, OnOff, Scheme, Underscores,
};
use crate::read::{Cx, Many, Named, OneOrMany, Read, Spanned, Switch, section, words};
use crate::schema::{Shapes, any_of};
use crate::source::Span;
use crate::tree::{Kind, Node};

pub(crate) mod filter;
pub(crate) mod pool;

pub(crate) use pool::{
    Affinity, Buffer, Burst, Discover, Health, HttpCheck, KeepAlive, Outlier, Pool, Queue, Resolve,
    Slots, Spill, WarmUp, Worker,
};

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
        /// Filters for every request of this listener, in order; a route's own filters come after
        /// them.
        "filters" => filters: Switch<Many<filter::Filter>> = "off",
    }
    later { "tls", "proxy_protocol", "sni", "http2", "udp", "errors" }
    needs { every("bind"); one_of("routes", "pool"); }
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

section! {
    Route is "a route" like "{ match: { path_prefix: /api }, pool: app }" {
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
        /// Instead of the pool's.
        "buffer" => buffer: Switch<RouteBuffer>,
        /// What may be tried again, on another worker.
        "retry" => retry: Switch<Retry>,
        /// Filters for the requests of this route, in order.
        "filters" => filters: Switch<Many<filter::Filter>> = "off",
        /// Instead of the listener's, where the path as it was sent leads to this route.
        "ambiguous_paths" => ambiguous_paths: AmbiguousPaths,
    }
    later { "errors" }
    needs { one_of("pool", "split", "redirect", "respond"); }
}

section! {
    /// `off`: nothing is read ahead of the worker or of the client.
    RouteBuffer is "a route's buffer" like "{ request: off, response: off }" {
        /// Of a request's body; `off`: it is streamed to the worker.
        "request" => request: Switch<Size<0, { 1 << 30 }>>,
        /// Of an answer; `off`: it is streamed to the client.
        "response" => response: Switch<Size<0, { 1 << 30 }>>,
    }
    later {}
}

section! {
    RedirectMap is "a redirect" like "{ to: /new, status: 308 }" {
        /// A path, or `https://host`, or `https://host/path`; instead of the parts.
        "to" => to: RedirectTo,
        /// `http` or `https`, with its usual port unless `port` is given.
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
    RespondMap is "an answer" like "{ status: 200, body: hello }" {
        /// From 200 to 599; 204, 205 and 304 have no body.
        "status" => status: RespondStatus = 200,
        /// At most 64KiB.
        "body" => body: BodyText,
        /// The media type of the body. Without it: `text/plain; charset=utf-8`.
        "content_type" => content_type: HeaderText,
        /// End-to-end headers, each once.
        "headers" => headers: HeaderMap,
    }
    later {}
    needs { some_of("status", "body"); }
}

section! {
    /// Everything given must hold.
    Match is "a match" like "{ host: api.example.com, path_prefix: /v1 }" {
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
    ValueMap is "what a value must be" like "{ present: true }" {
        /// A regular expression for the whole value.
        "regex" => regex: ValueRegex,
        /// It must be there, with any value.
        "present" => present: Present,
    }
    later {}
    needs { one_of("regex", "present"); }
}

section! {
    RouteTimeouts is "timeouts" like "{ request: 30s, first_byte: 10s }" {
        /// The whole exchange; off, unless given. It never cuts tunnels and event streams.
        "request" => request: Switch<Dur>,
        /// From the request's last byte to the answer's first, or for as long as the worker takes
        /// nothing of the request; 60 s, unless given.
        "first_byte" => first_byte: Switch<Dur>,
        /// Between two pieces of the answer's body; 60 s, unless given. Event streams may be silent
        /// for as long as tunnels.
        "body_idle" => body_idle: Switch<Dur>,
    }
    later {}
}

section! {
    Retry is "retry" like "{ attempts: 2, when: [connect, reset] }" {
        // A request remembers at most eight workers it tried.
        /// How often a request is tried in all, the first time included.
        "attempts" => attempts: Count<1, 8> = 2,
        /// How long one try may take until the head of its response; a slower one is given up and
        /// tried again.
        "per_try" => per_try: Switch<Dur> = "off",
        /// Which failures are tried again. A response with a status of the list is not passed on
        /// while there are tries left.
        "when" => when: OneOrMany<RetryCause> = ["connect", "reset"],
        /// How much of a request's body is kept so that it can be sent again; at most 64MiB.
        "replay" => replay: Switch<Size<0, { 64 << 20 }>> = "64KiB",
    }
    later {}
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

section! {
    /// Where a secret is: never in this file.
    Secret is "a secret" like "{ file: /etc/isobar/users }" {
        /// A file, relative to this one.
        "file" => file: Text,
        /// An environment variable.
        "env" => env: Text,
    }
    later {}
    needs { one_of("file", "env"); }
}
