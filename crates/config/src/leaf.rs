//! The smallest values a key can hold: numbers, durations, sizes, words, names.
//!
//! Called by the readers of `raw`. Each type says what it expects and reports what it finds instead;
//! none knows which key it stands under. Addresses are in `leaf/address`, matches in `leaf/http`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::env::Bad;
use crate::model::{AccessLogPath, Cidr, Shards};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Many, OneOrMany, Read, Spanned, is_off};
use crate::schema::{
    IPV4, IPV6, PRINTABLE, Shapes, any_of, described, list, number, scalar, text, words,
};
use crate::tree::{Kind, Node, Scalar};
use crate::units;

mod address;
mod field;
mod filter;
mod http;
mod matching;
mod route;

pub(crate) use address::{BindAddress, DnsServer, WorkerAddress};
pub(crate) use field::{FieldMap, FieldName};
pub(crate) use filter::{CodingWord, ForwardingWord, MediaType, Rate, RateKeyText, Realm};
pub(crate) use http::{
    CookieName, HeaderMap, HostPattern, Methods, PathText, RetryCause, RouteName, StatusRange,
};
pub(crate) use matching::{
    CookieValues, HeaderValues, PathRegex, Present, QueryValues, ValueRegex,
};
pub(crate) use route::{
    BodyText, HeaderText, HostName, LocationPath, RedirectStatus, RedirectTo, RespondStatus, Shares,
};

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

/// A name for a listener, a pool or a site: it becomes a metric label and a part of a URL.
pub(crate) fn name(key: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let expected = "a name of at most 128 letters, digits, `-`, `_` or `.`";
    let text = &cx.scalar(key, expected)?.text;
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || text.len() > 128 || !text.chars().all(fits) {
        cx.mismatch(key, expected);
        return None;
    }
    Some(text.to_string())
}

/// The same for the schema.
pub(crate) fn name_shape() -> Value {
    json!({ "pattern": text("[A-Za-z0-9_.-]{1,128}")["pattern"] })
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

/// A whole number within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Count<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Count<MIN, MAX> {
    pub(crate) fn u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    pub(crate) fn usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Read for Count<MIN, MAX> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = format!("a whole number from {MIN} to {MAX}");
        let text = &cx.scalar(node, &expected)?.text;
        match whole(text).filter(|n| (MIN..=MAX).contains(n)) {
            Some(n) => Some(Count(n)),
            None => {
                cx.mismatch(node, &expected);
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        number(MIN, MAX)
    }
}

/// A number as YAML writes numbers.
fn whole(text: &str) -> Option<u64> {
    // Only what can be a number is handed on: the environment may have filled in anything.
    let plausible = text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_digit() || c == '+')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
    if plausible { serde_yaml::from_str(text).ok() } else { None }
}

/// `slots: 1`; counting tunnels apart is to come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotCount(pub(crate) u32);

impl Read for SlotCount {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if let Kind::Map(entries) = &node.kind
            && entries.iter().all(|(k, _)| matches!(k.key(), Some("requests" | "tunnels")))
        {
            cx.not_built(node.span, "`slots` with `requests` and `tunnels`");
            return None;
        }
        if let Kind::Scalar(s) = &node.kind
            && &*s.text == "0"
        {
            let bad = Bad::new("", "a whole number from 1 to 1000000");
            cx.wrong(node, bad.hint("`off` means no limit"));
            return None;
        }
        Count::<1, 1_000_000>::read(node, cx).map(|n| SlotCount(n.u32()))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        Count::<1, 1_000_000>::shape(shapes)
    }
}

/// A span of time; zero is one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dur(pub(crate) Duration);

impl Read for Dur {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = &cx.scalar(node, "a duration with its unit, like `5s`")?.text;
        units::duration(text).map(Dur).map_err(|bad| cx.wrong(node, bad)).ok()
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("duration", |_| duration(&units::duration_pattern(), 0))
    }
}

/// A span of time after which something ends: never zero; `off` is for ever.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeout(pub(crate) Duration);

impl Read for Timeout {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Timeout(units::FOREVER));
        }
        let Dur(duration) = Dur::read(node, cx)?;
        if duration.is_zero() {
            let bad = Bad::new("", "a duration above zero");
            cx.wrong(node, bad.hint("`off` means no time-out"));
            return None;
        }
        Some(Timeout(duration))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let off = shapes.off();
        let timeout = shapes.named("timeout", |_| {
            // Zero in any spelling has no other digit.
            duration(&format!("(?=.*[1-9])(?:{})", units::duration_pattern()), 1)
        });
        any_of([timeout, off])
    }
}

/// YAML's bare `0` is a duration; where zero is none, `least` says so.
fn duration(pattern: &str, least: u64) -> Value {
    let mut duration = text(pattern);
    duration["type"] = json!(["string", "integer"]);
    duration["minimum"] = least.into();
    duration["maximum"] = 0.into();
    described(units::DURATION, duration)
}

/// A number of bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes(pub(crate) u64);

impl Read for Bytes {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let text = &cx.scalar(node, "a size, like `64KiB`")?.text;
        units::size(text).map(Bytes).map_err(|bad| cx.wrong(node, bad)).ok()
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("size", |_| {
            let mut size = number(0, units::MOST_SIZE);
            size["pattern"] = text(&units::size_pattern())["pattern"].take();
            described(units::SIZE, size)
        })
    }
}

/// A share above nothing and up to all, in thousandths: `20%`, `12.5%`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percent(pub(crate) u32);

impl Read for Percent {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let bad = Bad::new("", "a share above `0%` and up to `100%`, like `20%`");
        let text = &cx.scalar(node, &bad.expected)?.text;
        let thousandths =
            text.strip_suffix('%').and_then(tenths).filter(|n| (1..=1000).contains(n));
        if thousandths.is_none() {
            let number = tenths(text).is_some_and(|n| n > 0);
            let bad = if number { bad.hint(format!("did you mean `{text}%`?")) } else { bad };
            cx.wrong(node, bad);
        }
        thousandths.map(Percent)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let pattern = r"(?:[1-9][0-9]?(?:\.[0-9])?|0\.[1-9]|100(?:\.0)?)%";
        described("a share above `0%` and up to `100%`, like `20%`", text(pattern))
    }
}

/// Of a number with at most one decimal.
fn tenths(text: &str) -> Option<u32> {
    let (whole, tenth) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |s: &str| !s.is_empty() && s.len() <= 3 && s.bytes().all(|b| b.is_ascii_digit());
    let number = |s: &str| if digits(s) { s.parse::<u32>().ok() } else { None };
    Some(number(whole)? * 10 + number(tenth).filter(|_| tenth.len() == 1)?)
}

/// A share, or `0` for none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PercentOrZero(pub(crate) u32);

impl Read for PercentOrZero {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(s) if matches!(&*s.text, "0" | "0%") => Some(PercentOrZero(0)),
            _ => Percent::read(node, cx).map(|Percent(thousandths)| PercentOrZero(thousandths)),
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let none = serde_json::json!({ "enum": [0, "0", "0%"] });
        any_of([Percent::shape(shapes), none])
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct ShardCount(pub(crate) Shards);

impl Read for ShardCount {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "`auto`, or a whole number from 1 to 256";
        let text = &cx.scalar(node, expected)?.text;
        let count = whole(text).filter(|n| *n <= 256).and_then(|n| NonZeroUsize::new(n as usize));
        match (&**text, count) {
            ("auto", _) => Some(ShardCount(Shards::Auto)),
            (_, Some(n)) => Some(ShardCount(Shards::Count(n))),
            _ => {
                cx.mismatch(node, expected);
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        any_of([json!({ "const": "auto" }), number(1, 256)])
    }
}

/// The permission bits of a socket file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode(pub(crate) u32);

impl Read for Mode {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "permission bits in octal, like \"0660\"";
        let text = &cx.scalar(node, expected)?.text;
        let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let mode = u32::from_str_radix(text, 8).ok().filter(|m| octal && *m <= 0o777);
        if mode.is_none() {
            cx.mismatch(node, expected);
        }
        mode.map(Mode)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut mode = text("0?[0-7]{3}");
        // Without quotes some YAML readers make a number of it.
        mode["type"] = json!(["string", "integer"]);
        mode["minimum"] = 0.into();
        mode["maximum"] = 777.into();
        described("permission bits in octal, like \"0660\"", mode)
    }
}

/// A network, with a word about bits that mean nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network(pub(crate) Cidr);

impl Read for Network {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let scalar = cx.scalar(node, "a network, like `10.0.0.0/8`")?;
        let (cidr, spare) = units::cidr(&scalar.text).map_err(|bad| cx.wrong(node, bad)).ok()?;
        if spare {
            let message = format!("{} has bits behind its length", scalar.shown());
            let meant = format!("`{}/{}`", cidr.addr, cidr.len);
            cx.report(Draft::warning(node.span, message).expected(meant));
        }
        Some(Network(cidr))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.named("network", |_| {
            let network = format!("{IPV4}(?:/[0-9]{{1,2}})?|{IPV6}(?:/[0-9]{{1,3}})?");
            described("a network or an address, like `10.0.0.0/8`", text(&network))
        })
    }
}

/// At least one network; one may stand without the list.
#[derive(Debug, Clone)]
pub(crate) struct Networks(pub(crate) Vec<Cidr>);

impl Read for Networks {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let OneOrMany(all) = OneOrMany::<Network>::read(node, cx)?;
        if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            cx.mismatch(node, "at least one network");
            return None;
        }
        Some(Networks(all.into_iter().map(|network| network.value.0).collect()))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let network = Network::shape(shapes);
        let mut networks = list(network.clone());
        networks["minItems"] = 1.into();
        any_of([network, networks])
    }
}

#[derive(Debug, Clone)]
pub(crate) struct LogTarget(pub(crate) AccessLogPath);

impl Read for LogTarget {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "stdout, stderr, or a path with a `/`";
        let text = &cx.scalar(node, expected)?.text;
        let control = text.chars().any(char::is_control);
        match &**text {
            "stdout" => Some(LogTarget(AccessLogPath::Stdout)),
            "stderr" => Some(LogTarget(AccessLogPath::Stderr)),
            path if path.contains('/') && !path.ends_with('/') && !control => {
                Some(LogTarget(AccessLogPath::File(PathBuf::from(path))))
            }
            _ => {
                cx.mismatch(node, expected);
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let path = text(r"[^\u0000-\u001f\u007f-\u009f]*/[^\u0000-\u001f\u007f-\u009f]*(?<!/)");
        any_of([words(&["stdout", "stderr"]), path])
    }
}

/// The path of a file; relative to the file that says it.
#[derive(Debug, Clone)]
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Read for FilePath {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "the path of a file";
        let text = &cx.scalar(node, expected)?.text;
        if text.is_empty() || text.ends_with('/') || text.chars().any(char::is_control) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(FilePath(PathBuf::from(&**text)))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        scalar(&format!("{PRINTABLE}(?<!/)"))
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
        Some(StrategyRef {
            name: Spanned { value: scalar.text.to_string(), span: name.span },
            shown: scalar.shown(),
            options: options.map_or(Some(Vec::new()), |o| strategy_options(o, cx))?,
        })
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        shapes.strategies()
    }
}

type StrategyOption = (Spanned<Text>, Spanned<Text>);

fn strategy_options(node: &Node, cx: &mut Cx<'_>) -> Option<Vec<StrategyOption>> {
    let entries = match &node.kind {
        Kind::Map(entries) => entries,
        Kind::Scalar(s) if s.is_null() => return Some(Vec::new()),
        _ => {
            cx.mismatch(node, "a map of options");
            return None;
        }
    };
    let mut options = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        let name = text_of(cx.scalar(key, "the name of an option")?);
        let text = text_of(cx.scalar(value, "a word or a number")?);
        options.push((
            Spanned { value: name, span: key.span },
            Spanned { value: text, span: value.span },
        ));
    }
    Some(options)
}

fn text_of(scalar: &Scalar) -> Text {
    Text { text: scalar.text.to_string(), shown: scalar.shown() }
}

/// `routes: NAME` is a site.
#[derive(Debug, Clone)]
pub(crate) enum RoutesRef {
    Site(Text),
    List(Vec<Spanned<raw::Route>>),
}

impl Read for RoutesRef {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Scalar(s) if !s.is_null() => Text::read(node, cx).map(RoutesRef::Site),
            Kind::List(_) => Many::read(node, cx).map(|Many(routes)| RoutesRef::List(routes)),
            _ => {
                cx.mismatch(node, "a list of routes, or the name of a site");
                None
            }
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([Text::shape(shapes), Many::<raw::Route>::shape(shapes)])
    }
}

/// Only HTTP/1 is spoken to workers so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WorkerProtocol;

crate::read::words!(WorkerProtocol { "http1" => WorkerProtocol } later { "h2c", "h2" });

/// A directory, by its absolute path: where the process starts means nothing.
#[derive(Debug, Clone)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Read for Directory {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "an absolute path of a directory, like `/var/tmp`";
        let text = &cx.scalar(node, expected)?.text;
        if !text.starts_with('/') || text.chars().any(char::is_control) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(Directory(PathBuf::from(&**text)))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let path = text(r"/[^\u0000-\u001f\u007f-\u009f]*");
        described("an absolute path of a directory, like `/var/tmp`", path)
    }
}

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
