//! What a route matches, what that is called, and whether anything is left for it to match.

use std::collections::HashMap;
use std::fmt::Write as _;

use crate::leaf::PathText;
use crate::model::{Cidr, Match, ValueMatch};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Field, OneOrMany, Spanned, Switch};

pub(super) fn matches(field: Field<OneOrMany<raw::Match>>, cx: &mut Cx<'_>) -> Vec<Match> {
    let Some(OneOrMany(all)) = field.value() else { return Vec::new() };
    all.into_iter().map(|Spanned { value, .. }| one(value, cx)).collect()
}

fn one(raw: raw::Match, cx: &mut Cx<'_>) -> Match {
    let paths = [
        ("path", raw.path.as_given().map(|given| given.span)),
        ("path_prefix", raw.path_prefix.as_given().map(|given| given.span)),
        ("path_regex", raw.path_regex.as_given().map(|given| given.span)),
    ];
    let mut paths = paths.into_iter().filter_map(|(key, span)| Some((key, span?)));
    if let (Some((first, span)), Some((second, _))) = (paths.next(), paths.next()) {
        cx.report(
            Draft::error(span, format!("found both `{first}` and `{second}`"))
                .expected("one of them: `path` is exact"),
        );
    }
    for (key, path) in [("path", &raw.path), ("path_prefix", &raw.path_prefix)] {
        if let Some(Spanned { value: PathText(path), span }) = path.as_given()
            && path.contains('*')
        {
            let message = format!("`*` in `{key}` is taken literally");
            cx.report(Draft::warning(*span, message).hint(instead_of_star(path)));
        }
    }
    never(&raw, cx);
    let clients = raw.client.value().and_then(Switch::on);
    Match {
        host: raw.host.value().map(|h| h.0),
        path: raw.path.value().map(|p| p.0),
        path_prefix: raw.path_prefix.value().map(|p| p.0),
        path_regex: raw.path_regex.value().map(|p| p.0),
        methods: raw.method.value().map_or(Vec::new(), |m| m.0),
        headers: raw.header.value().map_or(Vec::new(), |h| h.0),
        query: raw.query.value().map_or(Vec::new(), |q| q.0),
        cookies: raw.cookie.value().map_or(Vec::new(), |c| c.0),
        clients: clients.map_or(Vec::new(), |OneOrMany(all)| {
            all.into_iter().map(|network| network.value.0).collect()
        }),
    }
}

/// What no request can have.
fn never(raw: &raw::Match, cx: &mut Cx<'_>) {
    for path in [&raw.path, &raw.path_prefix] {
        let Some(Spanned { value: PathText(path), span }) = path.as_given() else { continue };
        let why = if !crate::leaf::whole_escapes(path) {
            "a `%` is followed by two hexadecimal digits, and `%00` is refused"
        } else if is_above_the_root(path) {
            "`..` leads above the root, and such a request is refused"
        } else {
            continue;
        };
        cx.report(Draft::warning(*span, "no request has this path").hint(why.to_owned()));
    }
    if let Some(Spanned { value, span }) = raw.method.as_given() {
        for method in value.0.iter().filter(|method| matches!(&***method, "CONNECT" | "TRACE")) {
            let message = format!("no route takes {method}: it is answered with 405");
            cx.report(Draft::warning(*span, message));
        }
    }
    if let Some(Spanned { value, span }) = raw.path_regex.as_given()
        && crate::leaf::is_plain_path(&value.0.text)
    {
        let path = &value.0.text;
        let message = format!("this expression matches `{path}` alone");
        let hint =
            format!("`path_prefix: {path}` takes all below it, `path: {path}` this one path");
        cx.report(Draft::warning(*span, message).hint(hint));
    }
}

fn is_above_the_root(path: &str) -> bool {
    let mut depth = 0_i32;
    let parts = path.split('/').filter(|part| !matches!(*part, "" | "."));
    parts.into_iter().any(|part| {
        depth += if part == ".." { -1 } else { 1 };
        depth < 0
    })
}

/// What whoever writes a `*` wants.
fn instead_of_star(path: &str) -> String {
    match path.trim_end_matches('*') {
        prefix if prefix.contains('*') => {
            "`path_regex` takes a pattern, like `/users/[^/]+/files`".to_owned()
        }
        "/" => "without a path every request matches".to_owned(),
        prefix if prefix.ends_with('/') => {
            let prefix = prefix.trim_end_matches('/');
            format!("`path_prefix: {prefix}` takes everything below it")
        }
        prefix => format!("`path_regex: {prefix}.*`; `path_prefix` takes whole segments"),
    }
}

/// The label of a route without a name, like `GET api.example.com/v1*`. It is public (a metric label):
/// a header's value is not told.
pub(super) fn in_words(matches: &[Match]) -> String {
    let words: Vec<String> = matches.iter().map(one_in_words).collect();
    if words.is_empty() { "all".to_owned() } else { words.join(" | ") }
}

fn one_in_words(m: &Match) -> String {
    let mut out = String::new();
    if !m.methods.is_empty() {
        let _ = write!(out, "{} ", m.methods.join(","));
    }
    out.push_str(m.host.as_deref().unwrap_or(""));
    match (&m.path, &m.path_prefix, &m.path_regex) {
        (Some(path), ..) => out.push_str(path),
        (None, Some(prefix), _) => {
            let _ = write!(out, "{prefix}*");
        }
        (None, None, Some(regex)) => {
            let _ = write!(out, "~{}", regex.text);
        }
        (None, None, None) => {}
    }
    for (name, _) in &m.headers {
        let _ = write!(out, " [{name}]");
    }
    for (name, _) in &m.query {
        let _ = write!(out, " [?{name}]");
    }
    for (name, _) in &m.cookies {
        let _ = write!(out, " [cookie {name}]");
    }
    if !m.clients.is_empty() {
        out.push_str(" [client]");
    }
    let out = out.trim();
    if out.is_empty() { "all".to_owned() } else { out.to_owned() }
}

/// The matches of the routes so far, by host and path: only those can hide another.
#[derive(Default)]
pub(super) struct Seen(HashMap<(Option<String>, String), Vec<Match>>);

/// So many of one host and path are remembered: what a file may cost is bounded.
const COMPARED: usize = 64;

impl Seen {
    /// Whether none of a route's matches can ever win: each asks for no less than one of an earlier
    /// route that is looked at first.
    pub(super) fn hides(&mut self, matches: &[Match]) -> bool {
        let everything = [Match::default()];
        let matches = if matches.is_empty() { &everything[..] } else { matches };
        let hidden = matches.iter().all(|one| {
            let before = self.0.get(&place(one)).map_or(&[][..], Vec::as_slice);
            before.iter().any(|earlier| hides(earlier, one))
        });
        for one in matches {
            let place = self.0.entry(place(one)).or_default();
            if place.len() < COMPARED {
                place.push(one.clone());
            }
        }
        hidden
    }
}

/// Two matches with the same key stand in the same place of the table.
fn place(one: &Match) -> (Option<String>, String) {
    let trimmed = |prefix: &str| prefix.trim_end_matches('/').to_owned();
    let path = match (&one.path, &one.path_prefix, &one.path_regex) {
        (Some(path), ..) => format!("={path}"),
        (None, Some(prefix), _) => format!("*{}", trimmed(prefix)),
        (None, None, Some(regex)) => format!("~{}", regex.text),
        (None, None, None) => String::from("*"),
    };
    (one.host.clone(), path)
}

/// Where both fit, `earlier` is taken; and wherever `one` fits, so does `earlier`.
fn hides(earlier: &Match, one: &Match) -> bool {
    let rank = |m: &Match| {
        let client = !m.clients.is_empty();
        (!m.methods.is_empty(), m.headers.len(), m.query.len(), m.cookies.len(), client)
    };
    let methods = earlier.methods.is_empty()
        || (!one.methods.is_empty() && one.methods.iter().all(|m| earlier.methods.contains(m)));
    let clients = earlier.clients.is_empty()
        || (!one.clients.is_empty()
            && one.clients.iter().all(|net| earlier.clients.iter().any(|e| holds(e, net))));
    rank(earlier) >= rank(one)
        && methods
        && clients
        && implied(&earlier.headers, &one.headers)
        && implied(&earlier.query, &one.query)
        && implied(&earlier.cookies, &one.cookies)
}

/// Whoever has all of `by` has all of `these`.
fn implied(these: &[(String, ValueMatch)], by: &[(String, ValueMatch)]) -> bool {
    these.iter().all(|(name, wanted)| {
        let mut same = by.iter().filter(|(other, _)| other == name);
        same.any(|(_, given)| *wanted == ValueMatch::Present || wanted == given)
    })
}

fn holds(outer: &Cidr, inner: &Cidr) -> bool {
    let bits = |cidr: &Cidr| match cidr.addr {
        std::net::IpAddr::V4(ip) => u128::from(ip.to_bits()) << 96,
        std::net::IpAddr::V6(ip) => ip.to_bits(),
    };
    let mask = u128::MAX.checked_shl(128 - u32::from(outer.len)).unwrap_or(0);
    outer.addr.is_ipv4() == inner.addr.is_ipv4()
        && outer.len <= inner.len
        && bits(outer) & mask == bits(inner) & mask
}
