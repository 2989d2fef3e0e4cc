//! What a route matches on, and what a probe or a retry asks of an answer.

use std::ops::RangeInclusive;

use serde_json::{Value, json};

use crate::env::Bad;
use crate::read::{Cx, OneOrMany, Read, did_you_mean};
use crate::schema::{IPV6, Shapes, any_of, called, list, scalar, text, words};
use crate::tree::{Kind, Node};

/// A host in lower case, maybe with `*.` before it.
#[derive(Debug, Clone)]
pub(crate) struct HostPattern(pub(crate) String);

impl Read for HostPattern {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let bad = Bad::new("", "a host, like `api.example.com` or `*.example.com`");
        one_of_several(node, bad.clone(), cx)?;
        let text = cx.scalar(node, &bad.expected)?.text.to_ascii_lowercase();
        if is_host(text.strip_prefix("*.").unwrap_or(&text)) {
            return Some(HostPattern(text.trim_end_matches('.').to_owned()));
        }
        let bad = if text.contains("://") || text.contains('/') {
            bad.hint("a host has no scheme and no path")
        } else if let Some((host, _)) = text.rsplit_once(':').filter(|(host, _)| is_host(host)) {
            bad.hint(format!("a host is matched without its port: `{host}`"))
        } else if text.contains(':') {
            bad.hint("a host is matched without its port")
        } else if matches!(&*text, "*" | "_" | ".*") {
            bad.hint("leave `host` out: every host then matches")
        } else if let Some(domain) = text.strip_prefix('.').filter(|domain| is_host(domain)) {
            bad.hint(format!("did you mean `\"*.{domain}\"`?"))
        } else if text.contains([' ', ',']) {
            bad.hint("several hosts are several matches: `match: [{ host: a.example.com }, { host: b.example.com }]`")
        } else if !text.is_ascii() {
            bad.hint("write it in its ASCII form (`xn--…`)")
        } else {
            bad
        };
        cx.wrong(node, bad);
        None
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("host", |_| {
            let host = format!(r"(?:\*\.)?{}\.*", host_pattern());
            called("a host, like `api.example.com` or `*.example.com`", scalar(&host))
        })
    }
}

/// What `is_host` takes, but for the dot at its end.
pub(super) fn host_pattern() -> String {
    let label = "[A-Za-z0-9_-]{1,63}";
    format!(r"(?:{label}(?:\.{label})*|\[{IPV6}\])")
}

/// A name or an address, as it may stand in a URL, maybe with the root's dot.
pub(super) fn is_host(text: &str) -> bool {
    let text = text.trim_end_matches('.');
    let label = |l: &str| {
        !l.is_empty()
            && l.len() <= 63
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let ipv6 = text.strip_prefix('[').and_then(|r| r.strip_suffix(']'));
    let ipv6 = ipv6.is_some_and(|r| r.parse::<std::net::Ipv6Addr>().is_ok());
    text.len() <= 253 && (ipv6 || text.split('.').all(label))
}

/// A list where one value stands in a match: None = reported.
fn one_of_several(node: &Node, bad: Bad, cx: &mut Cx<'_>) -> Option<()> {
    let Kind::List(items) = &node.kind else { return Some(()) };
    let key = cx.key;
    let shown = |node: &Node| match &node.kind {
        Kind::Scalar(s) if is_plain(&s.text) && !s.is_secret() => Some(s.text.to_string()),
        _ => None,
    };
    let texts: Vec<String> = items.iter().filter_map(shown).take(3).collect();
    let quoted = |text: &String| match text.starts_with('*') {
        true => format!("{{ {key}: \"{text}\" }}"),
        false => format!("{{ {key}: {text} }}"),
    };
    let hint = match &texts[..] {
        [] => format!("one value of `{key}`"),
        [one] => format!("without the brackets: `{key}: {one}`"),
        several => {
            let each: Vec<String> = several.iter().map(quoted).collect();
            format!("any of several is a list of matches: `match: [{}]`", each.join(", "))
        }
    };
    cx.wrong(node, bad.hint(hint));
    None
}

/// What needs no quotes in a message's example.
fn is_plain(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./*".contains(c);
    !text.is_empty() && text.len() <= 60 && text.chars().all(fits)
}

/// A path as it stands in a request line.
#[derive(Debug, Clone)]
pub(crate) struct PathText(pub(crate) String);

impl Read for PathText {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let bad = Bad::new("", "a path that begins with `/`");
        one_of_several(node, bad.clone(), cx)?;
        let text = &cx.scalar(node, &bad.expected)?.text;
        let visible = text.bytes().all(|b| b.is_ascii_graphic());
        if text.starts_with('/') && text.len() <= 4096 && visible && !text.contains(['?', '#']) {
            return Some(PathText(text.to_string()));
        }
        let bad = if text.contains(['?', '#']) {
            bad.hint("a path ends before `?` and `#`")
        } else if !visible {
            bad.hint("spaces and letters beyond ASCII are percent-encoded")
        } else if text.starts_with(['^', '~', '(']) {
            bad.hint("an expression is `path_regex: '/users/[0-9]+'`")
        } else if !text.starts_with('/') && is_plain(text) {
            bad.hint(format!("a path is absolute: `/{text}`"))
        } else if !text.starts_with('/') {
            bad.hint("a path is absolute")
        } else {
            bad
        };
        cx.wrong(node, bad);
        None
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("path", |_| {
            called("a path that begins with `/`", text(r#"/[!"$->@-~]{0,4095}"#))
        })
    }
}

/// RFC 6265 §4.1.1.
#[derive(Debug, Clone)]
pub(crate) struct CookieName(pub(crate) String);

impl Read for CookieName {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "the name of a cookie: letters, digits and `-_.`";
        let text = &cx.scalar(node, expected)?.text;
        if !is_token(text) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(CookieName(text.to_string()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        scalar(TOKEN)
    }
}

/// The `Path` of a cookie: a path that ends before `;`.
#[derive(Debug, Clone)]
pub(crate) struct CookiePath(pub(crate) String);

impl Read for CookiePath {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let PathText(path) = PathText::read(node, cx)?;
        if path.contains(';') {
            let bad = Bad::new("", "a path without `;`");
            cx.wrong(node, bad.hint("a cookie's attributes are parted by `;`"));
            return None;
        }
        Some(CookiePath(path))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        called("a path that begins with `/`, without `;`", text(r#"/[!"$-:<->@-~]{0,4095}"#))
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Methods(pub(crate) Vec<String>);

impl Read for Methods {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let OneOrMany(all) = OneOrMany::<Method>::read(node, cx)?;
        if all.is_empty() && matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            cx.mismatch(node, "at least one method");
            return None;
        }
        let mut methods: Vec<String> = all.into_iter().map(|m| m.value.0).collect();
        methods.sort();
        methods.dedup();
        Some(Methods(methods))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let method = Method::shape(shapes);
        let mut methods = list(method.clone());
        methods["minItems"] = 1.into();
        any_of([method, methods])
    }
}

#[derive(Debug, Clone)]
struct Method(String);

impl Read for Method {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a method, like `GET`";
        let text = &cx.scalar(node, expected)?.text;
        if !is_token(text) || text.contains('|') {
            let several = text.contains(['|', ',', ' ']);
            let hint = several.then(|| "several are a list: `[GET, POST]`".to_owned());
            cx.wrong(node, Bad { hint, ..Bad::new("", expected) });
            return None;
        }
        Some(Method(text.to_ascii_uppercase()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        scalar(TOKEN)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct HeaderMap(pub(crate) Vec<(String, String)>);

impl Read for HeaderMap {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            cx.mismatch(node, "a map of header names to values");
            return None;
        };
        let mut headers = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = key.key().unwrap_or_default().to_ascii_lowercase();
            if !is_token(&name) {
                cx.mismatch(key, "a header's name");
                continue;
            }
            if headers.iter().any(|(n, _)| *n == name) {
                let bad =
                    Bad::new(format!("found {} a second time", key.found()), "every header once");
                cx.wrong(key, bad.hint("the case of a header's name means nothing"));
                continue;
            }
            let expected = "a header's value: visible ASCII";
            let Some(scalar) = cx.scalar(value, expected) else { continue };
            if !is_header_value(&scalar.text) {
                cx.mismatch(value, expected);
                continue;
            }
            headers.push((name, scalar.text.to_string()));
        }
        headers.sort();
        Some(HeaderMap(headers))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("headers", |_| {
            json!({
                "description": "header names and values",
                "type": "object",
                "propertyNames": { "pattern": text(TOKEN)["pattern"] },
                "additionalProperties": scalar("|[!-~](?:[ -~]*[!-~])?"),
            })
        })
    }
}

/// A route's label.
#[derive(Debug, Clone)]
pub(crate) struct RouteName(pub(crate) String);

impl Read for RouteName {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a name of at most 255 printable characters";
        let text = &cx.scalar(node, expected)?.text;
        if text.trim().is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(RouteName(text.to_string()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        scalar(r"(?=.*\S)[^\u0000-\u001f\u007f-\u009f]{1,255}")
    }
}

/// `200` or `200-299`.
#[derive(Debug, Clone)]
pub(crate) struct StatusRange(pub(crate) RangeInclusive<u16>);

impl Read for StatusRange {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a status or a range of them, like `200` or `200-299`";
        let text = &cx.scalar(node, expected)?.text;
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        match (status(from), status(to)) {
            (Some(from), Some(to)) if from <= to => Some(StatusRange(from..=to)),
            _ => {
                let class = text.to_ascii_lowercase();
                let class =
                    class.strip_suffix("xx").filter(|n| ["1", "2", "3", "4", "5"].contains(n));
                let hint = match (class, text.contains([',', ' ', '|'])) {
                    (Some(n), _) => Some(format!("did you mean `{n}00-{n}99`?")),
                    (None, true) => Some("several are a list: `[200, 204]`".to_owned()),
                    (None, false) => None,
                };
                cx.wrong(node, Bad { hint, ..Bad::new("", expected) });
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut status = text("[1-5][0-9]{2}(?:-[1-5][0-9]{2})?");
        status["type"] = json!(["integer", "string"]);
        status["minimum"] = 100.into();
        status["maximum"] = 599.into();
        called("a status or a range of them, like `200` or `200-299`", status)
    }
}

pub(super) fn status(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|n| digits && (100..=599).contains(n))
}

/// What may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryCause {
    Connect,
    Reset,
    Status(u16),
}

impl Read for RetryCause {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "one of connect, reset, or a status from 400 to 599";
        let scalar = cx.scalar(node, expected)?;
        match &*scalar.text {
            "connect" => return Some(RetryCause::Connect),
            "reset" => return Some(RetryCause::Reset),
            "grpc_unavailable" => cx.not_built(node.span, "`grpc_unavailable`"),
            text => {
                if let Some(status) = status(text).filter(|status| *status >= 400) {
                    return Some(RetryCause::Status(status));
                }
                let mut bad = Bad::new("", expected);
                bad.hint = crate::foreign::word("when", text)
                    .or_else(|| did_you_mean(text, ["connect", "reset"]));
                cx.wrong(node, bad);
            }
        }
        None
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut status = text("[45][0-9]{2}");
        status["type"] = json!(["integer", "string"]);
        status["minimum"] = 400.into();
        status["maximum"] = 599.into();
        any_of([words(&["connect", "reset"]), called("a status from 400 to 599", status)])
    }
}

/// The regular expression of what `is_token` takes.
pub(crate) const TOKEN: &str = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}";

pub(crate) fn is_header_value(text: &str) -> bool {
    let visible = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    visible && text.trim() == text
}

pub(crate) fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.len() <= 256 && text.bytes().all(fits)
}
