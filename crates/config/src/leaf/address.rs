//! Where we listen, where a worker does, and where names are looked up.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde_json::Value;

use crate::env::Bad;
use crate::model::Address;
use crate::read::{Cx, Read};
use crate::schema::{IPV4, IPV6, PORT, Shapes, called, text};
use crate::tree::Node;

/// What the kernel keeps of a socket's path, without the final NUL.
const SOCKET_PATH: usize = 107;

/// The regular expression of a socket file.
const SOCKET: &str = r"unix:[^\u0000-\u001f\u007f-\u009f]*/[^\u0000-\u001f\u007f-\u009f]*(?<!/)";

/// The regular expression of a host name: its last label is no number.
const HOST: &str =
    r"(?:[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.)*(?=[0-9-]*[A-Za-z_])[A-Za-z0-9_][A-Za-z0-9_-]{0,62}\.?";

#[derive(Debug, Clone)]
pub(crate) enum BindAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Fd(i32),
}

impl Read for BindAddress {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "`ip:port`, `[ipv6]:port`, `unix:/path` or `fd:N`";
        let text = &cx.scalar(node, expected)?.text;
        bind(text, expected).map_err(|bad| cx.wrong(node, bad)).ok()
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("bind_address", |_| {
            let bind = format!("{IPV4}:{PORT}|\\[{IPV6}\\]:{PORT}|{SOCKET}|fd:[0-9]+");
            called("`ip:port`, `[ipv6]:port`, `unix:/path` or `fd:N`", text(&bind))
        })
    }
}

fn bind(text: &str, expected: &str) -> Result<BindAddress, Bad> {
    let bad = || Bad::new("", expected);
    if let Some(path) = text.strip_prefix("unix:") {
        return socket_path(path, expected).map(BindAddress::Unix);
    }
    if let Some(fd) = text.strip_prefix("fd:") {
        let digits = fd.bytes().all(|b| b.is_ascii_digit());
        // 0, 1 and 2 are the terminal's.
        return match fd.parse::<i32>() {
            Ok(fd) if digits && fd >= 3 => Ok(BindAddress::Fd(fd)),
            _ => Err(bad().hint("inherited descriptors begin at `fd:3`")),
        };
    }
    text.parse().map(BindAddress::Tcp).map_err(|_| {
        if let Some(port) = bare_port(text) {
            // nginx and Caddy would take every address, which is not to happen by accident.
            bad().hint(format!(
                "`127.0.0.1:{port}` for this machine only, `0.0.0.0:{port}` for everybody (\"[::]:{port}\": \
                 over IPv6, too)"
            ))
        } else if let Some((ours, theirs)) = text.split_once(':')
            && ours.parse::<u16>().is_ok()
            && theirs.parse::<u16>().is_ok()
        {
            bad().hint(format!("`0.0.0.0:{ours}`; `{theirs}` belongs to a worker's address"))
        } else if let Some((host, port)) = host_and_port(text) {
            match is_localhost(host) {
                true => bad().hint(format!("`127.0.0.1:{port}`, or \"[::1]:{port}\"")),
                false => bad().hint("a name is not looked up here: its IP address"),
            }
        } else {
            explain(text, bad(), 8080)
        }
    })
}

#[derive(Debug, Clone)]
pub(crate) enum WorkerAddress {
    At(Address),
    /// To be resolved; in lower case.
    Host {
        host: String,
        port: u16,
    },
}

impl fmt::Display for WorkerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WorkerAddress::At(address) => address.fmt(f),
            WorkerAddress::Host { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl Read for WorkerAddress {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "`ip:port`, `[ipv6]:port`, `host:port` or `unix:/path`";
        let text = &cx.scalar(node, expected)?.text;
        if let Some(path) = text.strip_prefix("unix:") {
            let path = socket_path(path, expected).map_err(|bad| cx.wrong(node, bad)).ok()?;
            return Some(WorkerAddress::At(Address::Unix(path)));
        }
        let bad = Bad::new("", expected);
        match text.parse::<SocketAddr>() {
            Ok(addr) if addr.port() == 0 => {
                cx.wrong(node, bad.hint("a worker's port is 1 to 65535"))
            }
            Ok(addr) => return Some(WorkerAddress::At(Address::Tcp(addr))),
            Err(_) => match host_and_port(text) {
                Some((_, 0)) => cx.wrong(node, bad.hint("a worker's port is 1 to 65535")),
                Some((host, port)) => {
                    return Some(WorkerAddress::Host { host: host.to_ascii_lowercase(), port });
                }
                None => cx.wrong(
                    node,
                    match bare_port(text) {
                        Some(port) => bad.hint(format!("did you mean `127.0.0.1:{port}`?")),
                        None if is_host(text) => {
                            bad.hint(format!("the port is missing, like `{text}:8000`"))
                        }
                        None => explain(text, bad, 8001),
                    },
                ),
            },
        }
        None
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("worker_address", |_| {
            let address = format!("{IPV4}:{PORT}|\\[{IPV6}\\]:{PORT}|{HOST}:{PORT}|{SOCKET}");
            called("`ip:port`, `[ipv6]:port`, `host:port` or `unix:/path`", text(&address))
        })
    }
}

fn socket_path(path: &str, expected: &str) -> Result<PathBuf, Bad> {
    let bad = || Bad::new("", expected);
    if path.len() > SOCKET_PATH {
        return Err(bad().hint(format!("a socket's path has at most {SOCKET_PATH} bytes")));
    }
    if !path.contains('/') || path.ends_with('/') || path.chars().any(char::is_control) {
        return Err(bad().hint("`unix:` is followed by a path with a `/`"));
    }
    Ok(PathBuf::from(path))
}

/// `example` is the port that is missing.
fn explain(text: &str, bad: Bad, example: u16) -> Bad {
    if text.starts_with("https://") {
        bad.hint("an address has no `https://`: TLS to workers is not built yet, only plain HTTP")
    } else if text.contains("://") {
        let hint = "an address has no `http://` and no path";
        match crate::foreign::address(text) {
            Some(address) => bad.hint(format!("{hint}: `{address}`")),
            None => bad.hint(hint),
        }
    } else if text.parse::<std::net::Ipv6Addr>().is_ok() {
        bad.hint(format!("the port is missing, like \"[::1]:{example}\""))
    } else if text.parse::<std::net::Ipv4Addr>().is_ok() {
        bad.hint(format!("the port is missing, like `{text}:{example}`"))
    } else if let Some((address, path)) = text.split_once('/').filter(|(a, _)| is_address(a)) {
        bad.hint(format!("an address has no path: `{address}`; `/{path}` is for `match`"))
    } else if text.ends_with(';') {
        bad.hint("no `;` ends a line of YAML")
    } else if text.contains([' ', ',']) {
        bad.hint(
            "several are a list: `[127.0.0.1:8001, 127.0.0.1:8002]`; weights and slots are keys",
        )
    } else if text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u32>().is_ok_and(|p| p > 65_535))
    {
        bad.hint("a port is at most 65535")
    } else if text.starts_with('/') {
        bad.hint("a socket is written `unix:/path`")
    } else {
        bad
    }
}

/// `8080`, `:8080` and `*:8080` name no address.
fn bare_port(text: &str) -> Option<u16> {
    let port = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).unwrap_or(text);
    port.parse().ok().filter(|_| port.bytes().all(|b| b.is_ascii_digit()))
}

fn is_address(text: &str) -> bool {
    text.parse::<SocketAddr>().is_ok() || host_and_port(text).is_some()
}

fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let digits = port.bytes().all(|b| b.is_ascii_digit());
    Some((host, port.parse().ok().filter(|_| digits && is_host(host))?))
}

/// As RFC 1035 §2.3.1 has names, and with the `_` of many a service's. Something must tell it from
/// an address.
fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(fits) && !label.starts_with('-')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.split('.').all(label)
        && last.bytes().any(|b| b.is_ascii_alphabetic() || b == b'_')
}

/// Commonly two addresses, 127.0.0.1 and ::1.
pub(crate) fn is_localhost(host: &str) -> bool {
    host.strip_suffix('.').unwrap_or(host).eq_ignore_ascii_case("localhost")
}

/// A server that resolves names: port 53 unless it says another.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DnsServer(pub(crate) SocketAddr);

impl Read for DnsServer {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "`ip:port` or `ip`, which is port 53";
        let text = &cx.scalar(node, expected)?.text;
        let bare = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
        match bare.or_else(|_| text.parse::<SocketAddr>()) {
            Ok(addr) if addr.port() != 0 && !addr.ip().is_unspecified() => Some(DnsServer(addr)),
            _ => {
                cx.mismatch(node, expected);
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let server = format!("{IPV4}(?::{PORT})?|{IPV6}|\\[{IPV6}\\]:{PORT}");
        called("`ip:port` or `ip`, which is port 53", text(&server))
    }
}
