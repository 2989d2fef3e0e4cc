//! Any path and any few routes: the path has the normal form that a reference gives it, which is its
//! own normal form, the route found is the one that a look at every match finds, and so is the route
//! of every reading of a path that is taken.

use std::cmp::Reverse;
use std::sync::Arc;

use isobar_http1::{Limits, Parsed, RequestHead};
use isobar_proxy::metrics::RouteMetrics;
use isobar_proxy::route::{
    Action, Answer, Match, PathMatch, PathRules, Reply, Respond, RetryPolicy, RouteQuery,
    RouteSpec, Routes, Value,
    path::{self, Slashes},
};

const HOSTS: [&str; 6] = ["a.x", "b.a.x", "c.b.a.x", "x", "y", "*.a.x"];
const WILDCARDS: [&str; 6] = ["a.x", "*.x", "*.a.x", "*.b.a.x", "b.a.x", "y"];
const PATHS: [&str; 8] = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/b", "/%2F", "/~a"];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "A"];

/// The first byte says how many routes; each takes two bytes; two more choose the request, the rest
/// is its path.
pub fn check(data: &[u8]) {
    let [count, data @ ..] = data else { return };
    let Some((rules, data)) = data.split_at_checked(usize::from(count % 12) * 2) else { return };
    let [host, method, sent @ ..] = data else { return };
    let Some(path) = normal(sent) else { return };
    let rules: Vec<Rule> = rules.chunks_exact(2).map(Rule::of).collect();
    let asked = Request {
        host: pick(&HOSTS[..5], *host),
        method: pick(&METHODS, *method),
        flagged: method & 128 != 0,
        path: path.split(|b| *b == b'?').next().unwrap_or_default(),
    };
    let fits =
        rules.iter().enumerate().filter_map(|(at, rule)| Some((rule.rank(&asked)?, Reverse(at))));
    let expected = fits.max().map(|(_, Reverse(at))| at);
    assert_eq!(found(&rules, &asked, &path), expected, "{asked:?} in {rules:?}");
    every_reading_leads_there(&rules, &asked, &path);
}

/// The path is taken only if all its readings lead to one route, and refused otherwise.
fn every_reading_leads_there(rules: &[Rule], asked: &Request<'_>, path: &[u8]) {
    let all: Option<Vec<Vec<u8>>> = readings(asked.path).into_iter().collect();
    let routes: Option<Vec<Option<usize>>> =
        all.map(|all| all.iter().map(|read| found(rules, asked, read)).collect());
    let expected = routes.filter(|routes| routes.iter().all(|one| *one == routes[0]));
    let expected = expected.map(|routes| (routes[0], path.to_vec()));
    assert_eq!(lead(rules, asked, path), expected, "{asked:?} in {rules:?}");
}

/// Every reading by plain replacing, the path as it is first; `None`: above the root.
fn readings(path: &[u8]) -> Vec<Option<Vec<u8>>> {
    let text = String::from_utf8_lossy(path).into_owned();
    let strip = |text: &str| {
        let elements = text.split('/').map(|element| element.split(';').next().unwrap_or_default());
        elements.collect::<Vec<_>>().join("/")
    };
    let decode = |text: &str, slash: bool, backslash: bool| {
        let text = if slash { text.replace("%2F", "/") } else { text.to_owned() };
        if backslash { text.replace("%5C", "/") } else { text }
    };
    let mut all = Vec::new();
    for (slash, backslash) in [(false, false), (true, false), (false, true), (true, true)] {
        let decoded = decode(&text, slash, backslash);
        for read in [strip(&decoded), decode(&strip(&text), slash, backslash), decoded] {
            all.push(reference(read.as_bytes()));
        }
    }
    all.swap(0, 2);
    all
}

/// Its normal form, if it has one and a head may carry it.
fn normal(sent: &[u8]) -> Option<Vec<u8>> {
    let end = sent.iter().position(|b| *b == b'?').unwrap_or(sent.len());
    let ours = path::normalise(sent, Slashes::Merge).ok().map(|path| path.into_owned());
    if sent == b"*" {
        return None;
    }
    let theirs = reference(&sent[..end]).map(|path| [&path[..], &sent[end..]].concat());
    assert_eq!(ours, theirs, "{}", sent.escape_ascii());
    let once = ours?;
    let twice = path::normalise(&once, Slashes::Merge).map(|path| path.into_owned());
    assert_eq!(twice.as_ref(), Ok(&once), "{}", sent.escape_ascii());
    once.iter().all(|b| b.is_ascii_graphic() && *b != b'#').then_some(once)
}

/// Segment by segment.
fn reference(path: &[u8]) -> Option<Vec<u8>> {
    let decoded = decoded(path)?;
    let mut segments = decoded.split(|b| *b == b'/');
    if !segments.next()?.is_empty() {
        return None;
    }
    let (mut kept, mut open) = (Vec::new(), true);
    for segment in segments {
        open = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()?),
            other => kept.push(other),
        }
    }
    let mut out = Vec::new();
    for segment in &kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    if open || kept.is_empty() {
        out.push(b'/');
    }
    Some(out).filter(|_| !path.is_empty())
}

/// Unreserved characters stand for themselves, every other escape stays, in upper case.
fn decoded(path: &[u8]) -> Option<Vec<u8>> {
    let (mut out, mut at) = (Vec::new(), 0);
    while let Some(&byte) = path.get(at) {
        at += 1;
        match byte {
            0 | b'\\' => return None,
            b'%' => {
                let digits =
                    path.get(at..at + 2).filter(|d| d.iter().all(u8::is_ascii_hexdigit))?;
                let meant = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
                at += 2;
                match meant {
                    0 => return None,
                    b if b.is_ascii_alphanumeric() || b"-._~".contains(&b) => out.push(b),
                    b => out.extend_from_slice(format!("%{b:02X}").as_bytes()),
                }
            }
            other => out.push(other),
        }
    }
    Some(out)
}

#[derive(Debug)]
struct Request<'a> {
    host: &'a str,
    method: &'a str,
    /// Has the header `x-flag: 1`.
    flagged: bool,
    path: &'a [u8],
}

#[derive(Debug)]
struct Rule {
    host: Option<&'static str>,
    path: Option<(bool, &'static str)>,
    method: Option<&'static str>,
    flag: bool,
}

impl Rule {
    fn of(bytes: &[u8]) -> Rule {
        let [first, second] = [bytes[0], bytes[1]];
        Rule {
            host: (first & 1 != 0).then(|| pick(&WILDCARDS, first >> 1)),
            path: (second & 1 != 0).then(|| (second & 2 != 0, pick(&PATHS, second >> 2 & 7))),
            method: (second & 32 != 0).then(|| pick(&METHODS, second >> 6)),
            flag: first & 128 != 0,
        }
    }

    /// None: it does not fit. Host, path, method, headers, as the Gateway API orders them.
    fn rank(&self, asked: &Request<'_>) -> Option<(usize, usize, bool, bool)> {
        let host = match self.host.map(|host| (host, host.strip_prefix("*."))) {
            None => 0,
            Some((_, Some(parent))) => {
                let before = asked.host.strip_suffix(parent)?;
                (before.len() > 1 && before.ends_with('.')).then(|| parent.split('.').count())?
            }
            Some((host, None)) => (host == asked.host).then_some(usize::MAX)?,
        };
        let path = match self.path {
            None => 0,
            Some((true, exact)) => (exact.as_bytes() == asked.path).then_some(usize::MAX)?,
            Some((false, prefix)) => {
                let prefix = prefix.trim_end_matches('/');
                let rest = asked.path.strip_prefix(prefix.as_bytes())?;
                matches!(rest.first(), None | Some(b'/')).then(|| prefix.matches('/').count())?
            }
        };
        let fits = self.method.is_none_or(|method| method == asked.method)
            && (!self.flag || asked.flagged);
        fits.then_some((host, path, self.method.is_some(), self.flag))
    }

    fn spec(&self, name: String) -> RouteSpec {
        let one = Match {
            host: self.host.map(str::to_owned),
            path: self.path.map(|(exact, path)| match exact {
                true => PathMatch::Exact(path.to_owned()),
                false => PathMatch::Prefix(path.to_owned()),
            }),
            methods: self.method.map(str::to_owned).into_iter().collect(),
            headers: self
                .flag
                .then(|| ("x-flag".to_owned(), Value::Exact("1".to_owned())))
                .into_iter()
                .collect(),
            ..Match::default()
        };
        let reply =
            Reply::Respond(Respond { status: 204, headers: Box::default(), body: Vec::new() });
        RouteSpec {
            name,
            matches: vec![one],
            filters: None,
            action: Action::Answer(Box::new(Answer {
                reply,
                metrics: Arc::new(RouteMetrics::new(1)),
            })),
            retry: RetryPolicy::never(),
            ambiguous: None,
        }
    }
}

fn found(rules: &[Rule], asked: &Request<'_>, target: &[u8]) -> Option<usize> {
    let (routes, head) = (routes(rules), head(asked));
    let found = routes.find(&RouteQuery { target, client: None, head: &head })?;
    Some(found.name.parse().expect("a number"))
}

/// The route, and what is forwarded.
fn lead(rules: &[Rule], asked: &Request<'_>, target: &[u8]) -> Option<(Option<usize>, Vec<u8>)> {
    let (routes, head) = (routes(rules), head(asked));
    let led = routes.lead(&RouteQuery { target, client: None, head: &head }).ok()?;
    let route = led.route.map(|route| route.name.parse().expect("a number"));
    Some((route, led.target.into_owned()))
}

fn routes(rules: &[Rule]) -> Routes {
    let specs = rules.iter().enumerate().map(|(at, rule)| rule.spec(at.to_string())).collect();
    Routes::build(specs, PathRules::default())
}

fn head(asked: &Request<'_>) -> RequestHead {
    let flag = if asked.flagged { "X-Flag: 1\r\n" } else { "" };
    let Request { host, method, .. } = asked;
    let text = format!("{method} / HTTP/1.1\r\nHost: {host}\r\n{flag}\r\n");
    let mut head = RequestHead::new();
    assert_eq!(head.parse(text.as_bytes(), &Limits::default()), Ok(Parsed::Complete(text.len())));
    head
}

fn pick<'a>(of: &[&'a str], at: u8) -> &'a str {
    of[usize::from(at) % of.len()]
}
