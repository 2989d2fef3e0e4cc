//! The smallest values a key can hold: here names and words, below them the rest by kind.
//!
//! Called by the readers of `raw`. Each type says what it expects and reports what it finds instead;
//! none knows which key it stands under.

use serde_json::Value;

use crate::read::{Cx, Read, Spanned, is_off};
use crate::schema::{PRINTABLE, Shapes, scalar};
use crate::tree::{Kind, Node};

mod address;
mod field;
mod file;
mod filter;
mod http;
mod matching;
mod network;
mod on_off;
mod quantity;
mod route;
mod tls;

pub(crate) use address::{BindAddress, DnsServer, WorkerAddress, is_localhost};
pub(crate) use field::{FieldMap, FieldName};
pub(crate) use file::{Directory, FilePath, LogTarget, Mode};
pub(crate) use filter::{CodingWord, ForwardingWord, MediaType, Rate, RateKeyText, Realm};
pub(crate) use http::{
    CookieName, CookiePath, HeaderMap, HostPattern, Methods, PathText, RetryCause, RouteName,
    StatusRange, TOKEN, is_header_value, is_token,
};
pub(crate) use matching::{PathRegex, Present, ValueRegex, is_plain_path};
pub(crate) use network::{Network, Networks, ProxyNetworks};
pub(crate) use quantity::{
    Always, Asked, Bytes, Count, Dur, Percent, PercentOrZero, ShardCount, Size, SlotCount, Timeout,
};
pub(crate) use route::{
    BodyText, HeaderText, HostName, LocationPath, RedirectStatus, RedirectTo, RespondStatus,
    Shares, whole_escapes,
};
pub(crate) use tls::{SniMap, TlsVersion};

/// Any text.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    /// As messages may show it.
    pub(crate) shown: String,
}

impl Read for Text {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a name")?;
        if scalar.text.is_empty() || scalar.text.chars().any(char::is_control) {
            cx.mismatch(node, "a name");
            return None;
        }
        Some(Text { text: scalar.text.to_string(), shown: scalar.shown() })
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        scalar(PRINTABLE)
    }
}

/// A worker may also be named like an address.
#[derive(Debug, Clone)]
pub(crate) struct WorkerName(pub(crate) String);

impl Read for WorkerName {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "a name of at most 255 characters without spaces";
        let text = &cx.scalar(node, expected)?.text;
        let fits = |c: char| !c.is_whitespace() && !c.is_control();
        if text.is_empty() || text.len() > 255 || !text.chars().all(fits) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(WorkerName(text.to_string()))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        scalar(r"[^\s\u0000-\u001f\u007f-\u009f]{1,255}")
    }
}

/// A strategy by name, or a map of its name to its options. Whether there is one is asked later.
#[derive(Debug, Clone)]
pub(crate) struct StrategyRef {
    pub(crate) name: Spanned<String>,
    /// As messages may show it.
    pub(crate) shown: String,
    /// Names and texts, each with its place.
    pub(crate) options: Vec<StrategyOption>,
    /// Some could not be read: what is missing may only look missing.
    pub(crate) incomplete: bool,
}

impl Read for StrategyRef {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "the name of a strategy, or a map of one name to its options";
        let (name, options) = match &node.kind {
            Kind::Map(entries) => match &entries[..] {
                [(name, options)] => (name, Some(options)),
                _ => {
                    cx.mismatch(node, expected);
                    return None;
                }
            },
            _ => (node, None),
        };
        let scalar = cx.scalar(name, expected)?;
        let (options, incomplete) = options.map_or((Vec::new(), false), |o| options_of(o, cx));
        Some(StrategyRef {
            name: Spanned { value: scalar.text.to_string(), span: name.span },
            shown: scalar.shown(),
            options,
            incomplete,
        })
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.strategies()
    }
}

type StrategyOption = (Spanned<Text>, Spanned<Text>);

/// Those that can be read, and whether one could not.
fn options_of(node: &Node, cx: &mut Cx<'_>) -> (Vec<StrategyOption>, bool) {
    let entries = match &node.kind {
        Kind::Map(entries) => entries,
        Kind::Scalar(s) if s.is_null() => return (Vec::new(), false),
        _ => {
            cx.mismatch(node, "a map of options");
            return (Vec::new(), true);
        }
    };
    let mut text_of = |node: &Node, expected: &str| {
        let scalar = cx.scalar(node, expected)?;
        let value = Text { text: scalar.text.to_string(), shown: scalar.shown() };
        Some(Spanned { value, span: node.span })
    };
    let mut options = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = text_of(key, "the name of an option");
        let text = text_of(value, "a word or a number");
        options.extend(name.zip(text));
    }
    let incomplete = options.len() < entries.len();
    (options, incomplete)
}

/// Only HTTP/1 is spoken to workers so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerProtocol;

crate::read::words!(WorkerProtocol { "http1" => WorkerProtocol } later { "h2c", "h2" });

/// Not built; never shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AdminToken;

impl Read for AdminToken {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(AdminToken);
        }
        cx.not_built(node.span, "`token`");
        None
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.off()
    }
}
