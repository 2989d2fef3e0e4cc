//! How much: numbers, durations, sizes, shares.

use std::num::NonZeroUsize;
use std::time::Duration;

use serde_json::{Value, json};

use crate::env::Bad;
use crate::model::Shards;
use crate::problem::Draft;
use crate::read::{Cx, Read, Switch, is_off};
use crate::schema::{Shapes, any_of, called, number, text};
use crate::tree::{Kind, Node};
use crate::units;

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

impl<const MIN: u64, const MAX: u64> Switch<Count<MIN, MAX>> {
    /// As a limit: 0 is none.
    pub(crate) fn limit(self) -> usize {
        self.on().map_or(0, Count::usize)
    }
}

impl<const MIN: u64, const MAX: u64> Read for Count<MIN, MAX> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = format!("a whole number from {MIN} to {MAX}");
        let text = &cx.scalar(node, &expected)?.text;
        match whole(text).filter(|n| (MIN..=MAX).contains(n)) {
            Some(n) => Some(Count(n)),
            None => {
                cx.wrong(node, Bad { hint: whole_hint(text), ..Bad::new("", expected) });
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        number(MIN, MAX)
    }
}

/// What is no whole number, and nearly one.
fn whole_hint(text: &str) -> Option<String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if text.len() > 12 {
        return None;
    }
    if let Some(number) = text.strip_suffix('%').filter(|number| digits(number)) {
        return Some(format!("did you mean `{number}`?"));
    }
    let (whole, tenths) = text.split_once('.')?;
    (digits(whole) && digits(tenths))
        .then(|| "whole numbers alone: 3 and 2 instead of 1.5 and 1".to_owned())
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
    called(units::DURATION, duration)
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
            called(units::SIZE, size)
        })
    }
}

/// A number of bytes up to a ceiling: what is above it would not be in force.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size<const MIN: u64, const MAX: u64>(pub(crate) u64);

impl<const MIN: u64, const MAX: u64> Size<MIN, MAX> {
    pub(crate) fn usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<const MIN: u64, const MAX: u64> Read for Size<MIN, MAX> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Bytes(bytes) = Bytes::read(node, cx)?;
        if !(MIN..=MAX).contains(&bytes) {
            let most = Self::most();
            let bad = Bad::new("", format!("a size of at most `{most}`"));
            cx.wrong(node, bad.hint(format!("`{most}` is the ceiling: one request may take it")));
            return None;
        }
        Some(Size(bytes))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut size = number(MIN, MAX);
        size["pattern"] = text(&units::size_pattern())["pattern"].take();
        size
    }
}

/// What has a ceiling, in the words of a file.
pub(crate) trait Most {
    const MOST: Self;

    fn most() -> String;
}

impl<const MIN: u64, const MAX: u64> Most for Count<MIN, MAX> {
    const MOST: Self = Count(MAX);

    fn most() -> String {
        MAX.to_string()
    }
}

impl<const MIN: u64, const MAX: u64> Most for Size<MIN, MAX> {
    const MOST: Self = Size(MAX);

    fn most() -> String {
        units::size_in_words(MAX)
    }
}

/// A limit that is always there, so that memory stays bounded: who asks for none gets the ceiling, and
/// is told so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Always<T>(pub(crate) T, pub(crate) Asked);

/// Who chose a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asked {
    Written,
    /// None was wanted; the ceiling holds, which was said.
    Ceiling,
}

impl<T: Read + Most> Read for Always<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let zero = matches!(&node.kind, Kind::Scalar(s) if units::size(&s.text) == Ok(0));
        if zero || is_off(node) {
            let message = format!("there always is such a limit: it is `{}` now", T::most());
            cx.report(
                Draft::warning(node.span, message).hint("say how much it should be".to_owned()),
            );
            return Some(Always(T::MOST, Asked::Ceiling));
        }
        T::read(node, cx).map(|limit| Always(limit, Asked::Written))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([T::shape(shapes), shapes.off(), json!({ "const": 0 })])
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
            // A share of one is not a percentage: 0.5 is half of all.
            let meant = match tenths(text) {
                _ if text.starts_with("0.") => text.parse().ok().map(|share: f64| share * 100.0),
                number => number.map(|tenths| f64::from(tenths) / 10.0),
            };
            let meant = meant.map(|share| format!("{}%", (share * 10.0).round() / 10.0));
            let meant = meant.filter(|share| share != "0%" && text.len() <= 8);
            cx.wrong(
                node,
                match meant {
                    Some(share) => bad.hint(format!("did you mean `{share}`?")),
                    None => bad,
                },
            );
        }
        thousandths.map(Percent)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let pattern = r"(?:[1-9][0-9]?(?:\.[0-9])?|0\.[1-9]|100(?:\.0)?)%";
        called("a share above `0%` and up to `100%`, like `20%`", text(pattern))
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
