//! What a route does: the shares of a split, where a redirect leads to, what an answer says.

use serde_json::{Value, json};

use super::http::{host_pattern, is_header_value, is_host, status};
use crate::env::Bad;
use crate::leaf::{Count, Text};
use crate::model::Scheme;
use crate::read::{Cx, Read, Spanned};
use crate::schema::{PORT, Shapes, any_of, called, scalar, text, words};
use crate::tree::{Kind, Node};

/// Pools and their shares: `{ stable: 95, canary: 5 }`.
#[derive(Debug, Clone)]
pub(crate) struct Shares(pub(crate) Vec<(Spanned<Text>, u32)>);

impl Read for Shares {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a map from pools to their shares, like `{ stable: 95, canary: 5 }`";
        let entries = match &node.kind {
            Kind::Map(entries) if !entries.is_empty() => entries,
            _ => {
                cx.mismatch(node, expected);
                return None;
            }
        };
        if entries.len() > 64 {
            cx.wrong(node, Bad::new("found more than 64 pools", "at most 64 pools in a split"));
            return None;
        }
        // All are read whatever one is: every problem is told.
        let one = |(key, value): &(Node, Node)| {
            let (pool, share) =
                (Spanned::<Text>::read(key, cx), Count::<0, 10_000>::read(value, cx));
            Some((pool?, share?.u32()))
        };
        let read: Vec<_> = entries.iter().map(one).collect();
        let shares: Vec<_> = read.into_iter().collect::<Option<_>>()?;
        if shares.iter().all(|(_, share)| *share == 0) {
            cx.wrong(node, Bad::new("found no share above zero", "at least one pool with a share"));
            return None;
        }
        // One round of turns is laid out in memory.
        if shares.iter().map(|(_, share)| share).sum::<u32>() > 65_536 {
            cx.wrong(node, Bad::new("found shares of more than 65536 together", "smaller shares"));
            return None;
        }
        Some(Shares(shares))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        json!({
            "type": "object",
            "additionalProperties": Count::<0, 10_000>::shape(shapes),
            "minProperties": 1,
            "maxProperties": 64,
        })
    }
}

/// A host without a port, in lower case.
#[derive(Debug, Clone)]
pub(crate) struct HostName(pub(crate) String);

impl Read for HostName {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a host without port, like `www.example.com`";
        let text = cx.scalar(node, expected)?.text.to_ascii_lowercase();
        if !is_host(&text) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(HostName(text.trim_end_matches('.').to_owned()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let host = scalar(&format!(r"{}\.*", host_pattern()));
        called("a host without port, like `www.example.com`", host)
    }
}

/// A path that a browser cannot take for anything else: `//host` and `/\\host` lead elsewhere.
#[derive(Debug, Clone)]
pub(crate) struct LocationPath(pub(crate) String);

impl Read for LocationPath {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let bad = Bad::new("", "a path that begins with one `/`");
        let text = &cx.scalar(node, &bad.expected)?.text;
        if is_location(text) {
            return Some(LocationPath(text.to_string()));
        }
        cx.wrong(node, location_hint(bad, text));
        None
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        called("a path that begins with one `/`", text(LOCATION))
    }
}

/// What `is_location` takes, and a little more.
const LOCATION: &str = r#"/(?:[!"$->@A-\[\]-~]*)"#;

fn is_location(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= 4096
        && path.bytes().all(|b| b.is_ascii_graphic() && !b"?#\\".contains(&b))
        && !path.contains("//")
        && whole_escapes(path)
        // What has no normal form cannot be put into one.
        && !path.to_ascii_lowercase().replace("%2e", ".").split('/').any(|s| matches!(s, "." | ".."))
}

/// Every `%` has its two digits, and none is a NUL.
pub(crate) fn whole_escapes(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit) && digits != b"00")
    })
}

fn location_hint(bad: Bad, path: &str) -> Bad {
    if path.contains(['?', '#']) {
        bad.hint("the query of the request is kept; a fragment is the client's")
    } else if path.contains("//") || path.contains('\\') {
        bad.hint("`//` and `\\` would lead to another host")
    } else {
        bad
    }
}

/// `/new`, `https://www.example.com` or `https://www.example.com:8443/new`.
#[derive(Debug, Clone)]
pub(crate) struct RedirectTo {
    pub(crate) origin: Option<(Scheme, String, Option<u16>)>,
    pub(crate) path: Option<String>,
}

impl Read for RedirectTo {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let bad = Bad::new("", "a path, or `https://host`, or `https://host/path`");
        let text = cx.scalar(node, &bad.expected)?.text.to_string();
        let (origin, path) = match text.split_once("://") {
            Some((scheme, rest)) => {
                let end = rest.find('/').unwrap_or(rest.len());
                match origin(scheme, &rest[..end]) {
                    Some(origin) => (Some(origin), Some(&rest[end..]).filter(|p| !p.is_empty())),
                    None => {
                        cx.wrong(node, bad);
                        return None;
                    }
                }
            }
            None => (None, Some(&*text)),
        };
        if path.is_some_and(|path| !is_location(path)) {
            cx.wrong(node, location_hint(bad, &text.replacen("://", ":", 1)));
            return None;
        }
        Some(RedirectTo { origin, path: path.map(str::to_owned) })
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let host = host_pattern();
        let to =
            format!(r"(?:[Hh][Tt][Tt][Pp][Ss]?://{host}\.*(?::{PORT})?(?:{LOCATION})?|{LOCATION})");
        called("a path, or `https://host`, or `https://host/path`", text(&to))
    }
}

fn origin(scheme: &str, authority: &str) -> Option<(Scheme, String, Option<u16>)> {
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        _ => return None,
    };
    let colon = authority.rfind(':').filter(|&at| !authority[at..].contains(']'));
    let (host, port) = authority.split_at(colon.unwrap_or(authority.len()));
    let port = match port.strip_prefix(':') {
        None => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
            Some(digits.parse().ok().filter(|port| *port > 0)?)
        }
        Some(_) => return None,
    };
    let host = host.to_ascii_lowercase();
    is_host(&host).then(|| (scheme, host.trim_end_matches('.').to_owned(), port))
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RedirectStatus(pub(crate) u16);

impl Read for RedirectStatus {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "one of 301, 302, 303, 307, 308";
        let found = status(&cx.scalar(node, expected)?.text);
        let found = found.filter(|status| matches!(status, 301 | 302 | 303 | 307 | 308));
        if found.is_none() {
            cx.mismatch(node, expected);
        }
        found.map(RedirectStatus)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let codes = [301, 302, 303, 307, 308];
        any_of([json!({ "enum": codes }), words(&["301", "302", "303", "307", "308"])])
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RespondStatus(pub(crate) u16);

impl Read for RespondStatus {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a status from 200 to 599";
        let found = status(&cx.scalar(node, expected)?.text).filter(|status| *status >= 200);
        if found.is_none() {
            cx.mismatch(node, expected);
        }
        found.map(RespondStatus)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut status = text("[2-5][0-9]{2}");
        status["type"] = json!(["integer", "string"]);
        status["minimum"] = 200.into();
        status["maximum"] = 599.into();
        called("a status from 200 to 599", status)
    }
}

/// Any text, of a size that may lie in memory for every reload.
#[derive(Debug, Clone)]
pub(crate) struct BodyText(pub(crate) String);

impl BodyText {
    const MOST: usize = 64 * 1024;
}

impl Read for BodyText {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = &cx.scalar(node, "the text of the body")?.text;
        if text.len() > Self::MOST {
            let found = format!("found a body of {} bytes", text.len());
            let bad = Bad::new(found, "at most 64KiB");
            cx.wrong(node, bad.hint("larger answers are for a worker to give"));
            return None;
        }
        Some(BodyText(text.to_string()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        json!({ "type": ["string", "number", "boolean"], "maxLength": Self::MOST })
    }
}

/// The value of one header.
#[derive(Debug, Clone)]
pub(crate) struct HeaderText(pub(crate) String);

impl Read for HeaderText {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a header's value: visible ASCII";
        let text = &cx.scalar(node, expected)?.text;
        if text.is_empty() || !is_header_value(text) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(HeaderText(text.to_string()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        called("a header's value: visible ASCII", scalar("[!-~](?:[ -~]*[!-~])?"))
    }
}
