//! Writes the right line out: the value of a foreign key, as ours has it, else an example.

use super::words;
use crate::tree::{Kind, Node};

/// Fills every `<kind|example>` of `template`; with `may_show` false the value is never looked at.
pub(super) fn fill(template: &str, value: &Node, may_show: bool) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('<') {
        out.push_str(before);
        let Some((hole, after)) = after.split_once('>') else { break };
        let (kind, example) = hole.split_once('|').unwrap_or((hole, ""));
        let filled = if may_show { filled(kind, value) } else { None };
        out.push_str(&filled.unwrap_or_else(|| default(kind, example)));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn default(kind: &str, example: &str) -> String {
    match kind {
        "pool" => pool("app"),
        _ => example.to_owned(),
    }
}

fn filled(kind: &str, value: &Node) -> Option<String> {
    match kind {
        "list" => return list(value),
        "pool" => return pool_of(value),
        _ => {}
    }
    let text = only(value)?;
    match kind {
        "bind" => bind(&text),
        "addr" => worker(&text),
        "num" => text.parse::<u32>().ok().filter(|n| *n > 0).map(|n| n.to_string()),
        "time" => crate::units::duration(&text).ok().map(|_| text),
        "size" => size(&text),
        "path" => path(&text),
        "name" => token(&text),
        "strategy" => words::strategy(&text).or_else(|| token(&text)),
        _ => None,
    }
}

/// The scalar, or the only item of a list; short, and nothing that may be a secret.
fn only(value: &Node) -> Option<String> {
    match &value.kind {
        Kind::Scalar(scalar) if scalar.text.len() <= 100 && !scalar.is_secret() => {
            Some(scalar.text.trim_end_matches(';').to_string())
        }
        Kind::List(items) if items.len() == 1 => only(&items[0]),
        _ => None,
    }
}

fn token(text: &str) -> Option<String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.*".contains(c);
    (!text.is_empty() && text.chars().all(fits)).then(|| text.to_owned())
}

fn path(text: &str) -> Option<String> {
    let text = text.trim_end_matches('*');
    let text = if text.len() > 1 { text.trim_end_matches('/') } else { text };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./%~".contains(c);
    (text.starts_with('/') && text.chars().all(fits)).then(|| text.to_owned())
}

/// nginx's `10m` is 10 MiB.
fn size(text: &str) -> Option<String> {
    if crate::units::size(text).is_ok() {
        return Some(text.to_owned());
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_uppercase();
    let unit = unit.chars().next().filter(|c| "KMG".contains(*c))?;
    digits.parse::<u32>().ok().map(|n| format!("{n}{unit}iB"))
}

fn bind(text: &str) -> Option<String> {
    let text = text.split_whitespace().next()?;
    let text = text.rsplit("://").next().unwrap_or(text);
    if text.starts_with("unix:") && token(&text[5..].replace('/', "")).is_some() {
        return Some(text.to_owned());
    }
    let port = text.strip_prefix(':').or_else(|| text.strip_prefix("*:")).unwrap_or(text);
    if port.parse::<u16>().is_ok() {
        return Some(format!("0.0.0.0:{port}"));
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Some(format!("{text}:8080"));
    }
    let quoted = |addr: std::net::SocketAddr| match addr.is_ipv6() {
        true => format!("\"{addr}\""),
        false => addr.to_string(),
    };
    text.replace("localhost", "127.0.0.1").parse().ok().map(quoted)
}

/// A worker's address out of a URL, a port, or an address.
pub(crate) fn worker(text: &str) -> Option<String> {
    // nginx has options behind the address: `server 127.0.0.1:8001 weight=2`.
    let text = text.strip_prefix("server ").unwrap_or(text).split_whitespace().next()?;
    let (secure, text) = match text.split_once("://") {
        Some(("http" | "h2c" | "tcp", rest)) => (false, rest),
        Some(("https", rest)) => (true, rest),
        Some(_) => return None,
        None => (false, text),
    };
    if let Some(path) = text.strip_prefix("unix:") {
        let path = path.trim_start_matches("//").split(':').next()?;
        return token(&path.replace('/', "")).map(|_| format!("unix:{path}"));
    }
    if text.starts_with('/') && text.len() > 1 {
        return token(&text.replace('/', "")).map(|_| format!("unix:{text}"));
    }
    let text = text.split('/').next().filter(|text| !text.is_empty() && !text.contains('@'))?;
    let port = text.strip_prefix(':').unwrap_or(text);
    if port.parse::<u16>().is_ok_and(|port| port > 0) {
        return Some(format!("127.0.0.1:{port}"));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.:[]".contains(c);
    let has_port = text.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    let bracket = if text.starts_with('[') { "\"" } else { "" };
    match (text.chars().all(fits), has_port, secure) {
        (true, true, _) => Some(format!("{bracket}{text}{bracket}")),
        (true, false, true) if !text.contains(':') => Some(format!("{text}:443")),
        (true, false, false) if !text.contains(':') => Some(format!("{text}:80")),
        _ => None,
    }
}

/// `[127.0.0.1:8001, 127.0.0.1:8002]`, of whatever somebody lists.
fn list(value: &Node) -> Option<String> {
    let items: Vec<String> = match &value.kind {
        Kind::List(items) => items.iter().take(4).filter_map(item).collect(),
        Kind::Map(entries) => match entries.first().map(|(_, node)| node) {
            Some(first) if matches!(first.kind, Kind::List(_)) => return list(first),
            _ => entries.iter().take(4).filter_map(|(_, node)| item(node)).collect(),
        },
        Kind::Scalar(_) => {
            let text = only(value)?;
            let many = text.split([',', ' ']).filter(|part| !part.is_empty());
            many.filter_map(worker).collect()
        }
        Kind::Broken => return None,
    };
    (!items.is_empty()).then(|| format!("[{}]", items.join(", ")))
}

/// A list of workers, for whoever wrote a map or several in a row.
pub(crate) fn workers(value: &Node) -> Option<String> {
    let entries = match &value.kind {
        Kind::Map(entries) => entries,
        Kind::Scalar(s) if s.text.parse::<u16>().is_ok_and(|n| n < 1024) => {
            return Some(format!(
                "a list of addresses, like `workers: [127.0.0.1:8001]`; how much each may do at once is `slots: {}`",
                s.text
            ));
        }
        _ => return list(value).map(|list| format!("a list of workers: `workers: {list}`")),
    };
    let named = |(key, node): &(Node, Node)| match &node.kind {
        Kind::Scalar(_) => {
            Some(format!("{{ name: {}, address: {} }}", token(key.key()?)?, item(node)?))
        }
        _ => item(node),
    };
    let own =
        entries.iter().any(|(key, _)| matches!(key.key(), Some("address" | "slots" | "weight")));
    let items: Vec<String> = match own {
        true => vec![format!("{{ address: {} }}", item(value)?)],
        false => entries.iter().take(4).filter_map(named).collect(),
    };
    (!items.is_empty()).then(|| format!("a list of workers: `workers: [{}]`", items.join(", ")))
}

/// An address, or a map that has one.
fn item(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Map(entries) => {
            let names = ["url", "address", "server", "uri", "target", "dial", "addr"];
            let named = |name: &str| names.contains(&words::folded(name).as_str());
            let entry = entries.iter().find(|(key, _)| key.key().is_some_and(named))?;
            worker(&only(&entry.1)?)
        }
        _ => worker(&only(node)?),
    }
}

/// A pool by its name; an address is a worker of one.
fn pool_of(value: &Node) -> Option<String> {
    let addresses = match &value.kind {
        Kind::Scalar(_) => {
            let text = only(value)?;
            let name = text.strip_prefix("http://").unwrap_or(&text);
            if let Some(name) = token(name.trim_end_matches('/'))
                && !name.contains('.')
                && name.parse::<u16>().is_err()
            {
                return Some(pool(&name));
            }
            list(value)?
        }
        _ => list(value)?,
    };
    Some(format!("write `pool: app`, and among the pools `app: {{ workers: {addresses} }}`"))
}

fn pool(name: &str) -> String {
    format!("write `pool: {name}`, the name of one of the `pools:`")
}
