//! What a configuration says once it has been believed: every default applied, every name resolved.
//!
//! Made only by this crate (from a file, or from the flags of `isobar proxy`); `isobar` turns it into
//! live parts. Nothing here knows YAML, a position in a file, or how a strategy works. There is no
//! `Option` where the configuration has a default: `None` always means "the user wants none".

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

mod filter;
mod pool;
mod tls;

pub use filter::{
    BasicAuth, Coding, Compression, FieldEdits, Filter, Forwarding, RateKey, RateLimit, Rewrite,
    User,
};

pub use pool::{
    Address, Affinity, Buffer, Burst, Check, Health, Hold, Host, IdleTime, KeepAlive, ListedWorker,
    OnLost, Outlier, Pool, Queue, SameSite, Secret, SecureCookie, Spill, Strategy, WarmUp, Worker,
};

pub use tls::{ClientAuth, ClientCa, Tls, TlsCertificate, UnknownName, WorkerTls};

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    pub shards: Shards,
    pub grace_period: Duration,
    pub drain_delay: Duration,
    /// Where the admin API listens; empty = it is off.
    pub admin: Vec<AdminBind>,
    pub metrics: Option<SocketAddr>,
    pub log: Log,
    pub access_log: Option<AccessLog>,
    pub trusted_proxies: Vec<Cidr>,
    /// The one field that names the client, in lower case; `None` = `X-Forwarded-For`.
    pub client_ip_header: Option<String>,
    /// Who resolves host names; empty = whom the system asks.
    pub dns_servers: Vec<SocketAddr>,
    pub listeners: BTreeMap<String, Listener>,
    pub pools: BTreeMap<String, Pool>,
}

impl Config {
    /// What `isobar check` says about a good file.
    pub fn summary(&self) -> Summary {
        let routes = self.listeners.values().map(|l| match &l.kind {
            ListenerKind::Http { routes } => routes.len(),
            ListenerKind::Tcp { .. } | ListenerKind::Passthrough(_) => 0,
        });
        Summary {
            listeners: self.listeners.len(),
            routes: routes.sum(),
            pools: self.pools.len(),
            workers: self.pools.values().map(|p| p.workers.len()).sum(),
        }
    }
}

/// How much a configuration holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    pub listeners: usize,
    pub routes: usize,
    pub pools: usize,
    /// As they are written: a host name is one.
    pub workers: usize,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            (self.listeners, "listener"),
            (self.routes, "route"),
            (self.pools, "pool"),
            (self.workers, "worker"),
        ];
        for (i, (count, word)) in parts.into_iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            let plural = if count == 1 { "" } else { "s" };
            write!(f, "{comma}{count} {word}{plural}")?;
        }
        Ok(())
    }
}

/// How many data-plane threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shards {
    /// One per CPU the process may use.
    Auto,
    Count(NonZeroUsize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminBind {
    Unix {
        path: PathBuf,
        mode: u32,
    },
    /// Always a loopback address: a token is needed for others, and that is not built yet.
    Tcp(SocketAddr),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    pub level: LogLevel,
    pub format: LogFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    pub format: AccessLogFormat,
    pub path: AccessLogPath,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLogFormat {
    Json,
    Combined,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLogPath {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// A network: the first `len` bits of `addr` count, the others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    pub addr: IpAddr,
    pub len: u8,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    pub name: String,
    pub binds: Vec<Bind>,
    pub kind: ListenerKind,
    pub timeouts: Timeouts,
    pub limits: Limits,
    pub proxy_protocol: ProxyProtocol,
    pub tls: Option<Tls>,
    pub client_fin: ClientFin,
    pub ambiguous_paths: AmbiguousPaths,
    pub slashes: Slashes,
    pub underscores: Underscores,
    /// Whether workers get a `Forwarded`: the listener's word, else that of the whole configuration.
    pub forwarded: OnOff,
    /// Before those of the route.
    pub filters: Vec<Filter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    Tcp(SocketAddr),
    Unix {
        path: PathBuf,
        mode: u32,
    },
    /// A listening socket this process inherited.
    Fd(i32),
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Tcp(addr) => addr.fmt(f),
            Bind::Unix { path, .. } => write!(f, "unix:{}", path.display()),
            Bind::Fd(fd) => write!(f, "fd:{fd}"),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerKind {
    Http {
        routes: Vec<Route>,
    },
    Tcp {
        pool: String,
    },
    /// TLS is passed on as it comes.
    Passthrough(Passthrough),
}

/// Pools by the host that a client asks for in its first words (SNI).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passthrough {
    /// In lower case, some with `*.` in front.
    pub names: BTreeMap<String, String>,
    /// For all others; `None`: they are turned away.
    pub otherwise: Option<String>,
}

impl Passthrough {
    pub fn pools(&self) -> impl Iterator<Item = &String> {
        self.names.values().chain(&self.otherwise)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    pub handshake: Duration,
    pub header: Duration,
    pub body_idle: Duration,
    pub write_stall: Duration,
    pub keep_alive: Duration,
    /// For TCP and upgraded tunnels of which one side has closed.
    pub half_close: Duration,
    /// For TCP and upgraded tunnels.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            handshake: Duration::from_secs(10),
            header: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            half_close: Duration::from_secs(30),
            idle: Duration::from_secs(3600),
        }
    }
}

/// What one listener takes at most; 0 = no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    pub per_client: usize,
    pub headers: usize,
    pub header_bytes: usize,
    pub uri: usize,
    pub body: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 20_000,
            per_client: 0,
            headers: 100,
            header_bytes: 32 * 1024,
            uri: 8 * 1024,
            body: 0,
        }
    }
}

/// Whether proxies say who their clients are, before anything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyProtocol {
    Off,
    Accept,
    Require,
}

/// What a path means whose readings lead to different routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AmbiguousPaths {
    Refuse,
    Keep,
    Decode,
}

/// What becomes of a client's header names with `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underscores {
    Drop,
    /// But for those that stand for a name that a proxy sets or strips.
    Keep,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOff {
    On,
    Off,
}

/// What becomes of `//` in a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slashes {
    Merge,
    Keep,
}

/// What a client's FIN means while its request is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFin {
    Answer,
    Abort,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The given name, else the match in words, else `all`.
    pub name: String,
    /// Any of them; empty = everything.
    pub matches: Vec<Match>,
    pub action: Action,
    pub retry: Retry,
    pub filters: Vec<Filter>,
    /// Instead of the listener's.
    pub ambiguous_paths: Option<AmbiguousPaths>,
}

/// What a route does with the requests it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Pool(Destination),
    /// Shares, in the order of the file; a pool without one is left out.
    Split(Vec<(Destination, NonZeroU32)>),
    Redirect(Redirect),
    Respond(Respond),
}

/// What of the request's URL is replaced; the query is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    pub status: u16,
    pub scheme: Option<Scheme>,
    /// Lower case, without a port.
    pub host: Option<String>,
    pub port: Option<u16>,
    pub path: Option<NewPath>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NewPath {
    Whole(String),
    /// Instead of the prefix that the route matches.
    Prefix(String),
}

/// An answer that needs no worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Respond {
    pub status: u16,
    /// `content-type` among them, where there is a body.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// A pool as one route uses it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    pub pool: String,
    /// The route's, else the pool's.
    pub timeouts: RouteTimeouts,
    /// The route's.
    pub buffer: RouteBuffer,
}

/// Bytes read ahead, 0 = off; `None`: as the pool says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteBuffer {
    pub request: Option<usize>,
    pub response: Option<usize>,
}

/// Everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// Lower case; may start with `*.`.
    pub host: Option<String>,
    pub path: Option<String>,
    pub path_prefix: Option<String>,
    pub path_regex: Option<Pattern>,
    /// Upper case; empty = any.
    pub methods: Vec<String>,
    /// Names in lower case.
    pub headers: Vec<(String, ValueMatch)>,
    /// Decoded.
    pub query: Vec<(String, ValueMatch)>,
    pub cookies: Vec<(String, ValueMatch)>,
    /// Any of them; empty = any client.
    pub clients: Vec<Cidr>,
}

/// What a value must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueMatch {
    Present,
    Exact(String),
    Regex(Pattern),
}

/// A regular expression, compiled so that it matches the whole of what it is given.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
    pub regex: regex::bytes::Regex,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteTimeouts {
    pub request: Option<Duration>,
    pub first_byte: Option<Duration>,
    pub body_idle: Option<Duration>,
}

impl Default for RouteTimeouts {
    fn default() -> Self {
        let minute = Some(Duration::from_secs(60));
        RouteTimeouts { request: None, first_byte: minute, body_idle: minute }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// All tries together; 1 = never again.
    pub attempts: u32,
    /// To a response's head; what takes longer is tried again.
    pub per_try: Option<Duration>,
    pub when: RetryWhen,
    /// Bytes of a request's body kept to be sent again; 0 = only what came with its head.
    pub replay: usize,
}

impl Default for Retry {
    fn default() -> Self {
        Retry { attempts: 2, per_try: None, when: RetryWhen::default(), replay: 64 * 1024 }
    }
}

/// The failures that may be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryWhen {
    pub connect: bool,
    pub reset: bool,
    /// Of responses; in order, each once.
    pub statuses: Vec<u16>,
}

impl Default for RetryWhen {
    fn default() -> Self {
        RetryWhen { connect: true, reset: true, statuses: Vec::new() }
    }
}
