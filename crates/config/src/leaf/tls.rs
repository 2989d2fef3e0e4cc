//! What only TLS has.

use serde_json::{Value, json};

use crate::env::Bad;
use crate::leaf::http::host_pattern;
use crate::leaf::{HostPattern, Text};
use crate::read::{Cx, Read, Spanned};
use crate::schema::{Shapes, any_of, called, text};
use crate::tree::{Kind, Node};

/// The versions that are still safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsVersion {
    Tls12,
    Tls13,
}

impl Read for TlsVersion {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "`1.2` or `1.3`";
        let text = &cx.scalar(node, expected)?.text;
        match &**text {
            "1.2" => return Some(TlsVersion::Tls12),
            "1.3" => return Some(TlsVersion::Tls13),
            _ => {}
        }
        let bad = Bad::new("", expected);
        let plain = text.to_ascii_lowercase();
        let plain = plain.trim_start_matches("tls").trim_start_matches(['v', '_']);
        cx.wrong(
            node,
            match plain {
                "1.2" | "12" => bad.hint("did you mean `1.2`?"),
                "1.3" | "13" => bad.hint("did you mean `1.3`?"),
                "1" | "1.0" | "10" | "1.1" | "11" => {
                    bad.hint("TLS 1.0 and 1.1 are not safe (RFC 8996) and not spoken")
                }
                _ => bad,
            },
        );
        None
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut version = text(r"1\.[23]");
        // Without quotes it is a number.
        version["type"] = json!(["string", "number"]);
        version["minimum"] = 1.2.into();
        version["maximum"] = 1.3.into();
        any_of([called("`1.2` or `1.3`", version)])
    }
}

/// Hosts, maybe with `*.` in front, to names of pools; `*` alone is every other one.
#[derive(Debug, Clone)]
pub(crate) struct SniMap {
    pub(crate) hosts: Vec<(String, Spanned<Text>)>,
    pub(crate) others: Option<Spanned<Text>>,
}

impl Read for SniMap {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            cx.mismatch(node, "a map of hosts to names of pools, like `{ a.example.com: app }`");
            return None;
        };
        if entries.is_empty() {
            cx.mismatch(node, "at least one host and its pool");
            return None;
        }
        let mut map = SniMap { hosts: Vec::new(), others: None };
        for (key, value) in entries {
            let pool = Spanned::<Text>::read(value, cx);
            if key.key() == Some("*") {
                map.others = pool;
                continue;
            }
            let Some(HostPattern(host)) = HostPattern::read(key, cx) else { continue };
            if map.hosts.iter().any(|(known, _)| *known == host) {
                let found = format!("found {} a second time", key.found());
                cx.wrong(key, Bad::new(found, "every host once"));
                continue;
            }
            map.hosts.extend(pool.map(|pool| (host, pool)));
        }
        Some(map)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let pool = Text::shape(shapes);
        let host = text(&format!(r"\*|(?:\*\.)?{}\.*", host_pattern()));
        json!({
            "description": "hosts and the pools that serve them",
            "type": "object",
            "minProperties": 1,
            "propertyNames": { "pattern": host["pattern"] },
            "additionalProperties": pool,
        })
    }
}
