//! One file and everything it includes, as one.
//!
//! Called by `load`. It decides which files `include` names (relative to the file that says it, `*`
//! and `?` in the last part only), in which order, and that no file is read twice. Listeners, pools and
//! sites are merged by name; any other key is given in one file only.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::parse;
use crate::problem::Draft;
use crate::raw::{File, Worker};
use crate::read::{Cx, Field, Many, Named, Read, Spanned};
use crate::source::{self, FileId, MAX_FILE, MAX_TOTAL, ReadError, SourceKind, Span};
use crate::tree::{Kind, Node};

const MAX_FILES: usize = 1000;
const MAX_CHAIN: usize = 16;

/// Reads the main file; None = nothing to go on with.
pub(crate) fn load(path: &Path, cx: &mut Cx<'_>) -> Option<File> {
    let mut files = Files { seen: Vec::new(), chain: Vec::new() };
    let mut whole = None;
    files.add(path, None, &mut whole, cx);
    whole
}

/// The same for a text that is no file.
pub(crate) fn load_text(text: &str, cx: &mut Cx<'_>) -> Option<File> {
    let source = cx.sources.add(SourceKind::File, "<config>", text.to_owned());
    let mut files = Files { seen: Vec::new(), chain: Vec::new() };
    let mut whole = None;
    if text.len() as u64 > MAX_FILE {
        cx.incomplete = true;
        cx.report(unreadable(Span::start(source), "the configuration", &ReadError::TooBig));
        return None;
    }
    files.take(source, Path::new(""), &mut whole, cx);
    whole
}

/// A list of workers, which includes nothing.
pub(crate) fn load_workers(path: &Path, cx: &mut Cx<'_>) -> Option<Many<Worker>> {
    let shown = path.display().to_string();
    let text = source::open(path).and_then(|opened| source::read(opened, &mut cx.bytes_left));
    match text {
        Ok(text) => {
            let source = cx.sources.add(SourceKind::File, &shown, text);
            let node = parse::parse(source, "a list of workers, or `[]`", cx)?;
            Many::read(&node, cx)
        }
        Err(error) => {
            refuse(&shown, None, &error, cx);
            None
        }
    }
}

struct Files {
    seen: Vec<FileId>,
    /// The files that are being read, outermost first.
    chain: Vec<FileId>,
}

impl Files {
    /// `from` is where it is included.
    fn add(&mut self, path: &Path, from: Option<Span>, whole: &mut Option<File>, cx: &mut Cx<'_>) {
        let shown = path.display().to_string();
        let opened = match source::open(path) {
            Ok(opened) => opened,
            Err(error) => return refuse(&shown, from, &error, cx),
        };
        let id = opened.id;
        if let Some(span) = from {
            let what = if self.chain.contains(&id) {
                "includes itself, directly or through others"
            } else if self.seen.contains(&id) {
                "is included a second time"
            } else if self.seen.len() >= MAX_FILES || self.chain.len() >= MAX_CHAIN {
                "is one include too many"
            } else {
                ""
            };
            if !what.is_empty() {
                let expected = format!(
                    "every file once, at most {MAX_FILES} files and {MAX_CHAIN} levels of them"
                );
                cx.incomplete = true;
                cx.report(Draft::error(span, format!("`{shown}` {what}")).expected(expected));
                return;
            }
        }
        match source::read(opened, &mut cx.bytes_left) {
            Ok(text) => {
                let source = cx.sources.add(SourceKind::File, &shown, text);
                self.seen.push(id);
                self.chain.push(id);
                self.take(source, path.parent().unwrap_or(Path::new("")), whole, cx);
                self.chain.pop();
            }
            Err(error) => refuse(&shown, from, &error, cx),
        }
    }

    fn take(&mut self, source: u32, dir: &Path, whole: &mut Option<File>, cx: &mut Cx<'_>) {
        let file = parse::parse(source, "`listeners` and `pools`", cx)
            .filter(|node| is_no_prose(node, cx))
            .and_then(|node| File::read(&node, cx));
        let Some(mut file) = file else {
            cx.incomplete = true;
            return;
        };
        let include = std::mem::take(&mut file.include);
        cx.incomplete |= matches!(include, Field::Broken);
        match whole {
            Some(whole) => merge(whole, file, cx),
            None => *whole = Some(file),
        }
        let patterns = include.value().and_then(|switch| switch.on()).map_or(Vec::new(), |i| i.0);
        for Spanned { value: pattern, span } in patterns {
            match matching(dir, &pattern.text) {
                Ok(paths) => {
                    if paths.is_empty() {
                        let message = format!("{} matches no file", pattern.shown);
                        cx.report(Draft::warning(span, message));
                    }
                    for path in paths {
                        self.add(&path, Some(span), whole, cx);
                    }
                }
                Err(why) => {
                    cx.incomplete = true;
                    cx.report(
                        Draft::error(span, format!("cannot include {}: {why}", pattern.shown))
                            .expected("a file, or `*` and `?` in the last part of a path"),
                    );
                }
            }
        }
    }
}

/// Without a single `key: value` YAML takes a whole file, whatever its language, as one text.
fn is_no_prose(node: &Node, cx: &mut Cx<'_>) -> bool {
    if !matches!(node.kind, Kind::Scalar(_)) {
        return true;
    }
    let draft =
        Draft::error(node.span, "found no `key: value`: this is another tool's language, or none");
    cx.report(draft.expected("YAML, with `listeners:` and `pools:`").hint(
        "like `listeners: { web: { bind: 0.0.0.0:8080, pool: app } }` and `pools: { app: { workers: [127.0.0.1:8001] } }`"
            .to_owned(),
    ));
    false
}

fn refuse(shown: &str, from: Option<Span>, error: &ReadError, cx: &mut Cx<'_>) {
    cx.incomplete = true;
    match (from, error) {
        (_, ReadError::NotUtf8 { valid }) => {
            // What is valid before it tells the place.
            let line = valid.split('\n').count() as u32;
            let column = valid.rsplit('\n').next().unwrap_or("").chars().count() as u32 + 1;
            let source = cx.sources.add(SourceKind::File, shown, valid.clone());
            cx.report(
                Draft::error(
                    Span { source, line, column, width: 1 },
                    "found a byte that is not UTF-8",
                )
                .expected("a text file in UTF-8"),
            );
        }
        (Some(span), error) => cx.report(unreadable(span, &format!("`{shown}`"), error)),
        (None, error) => {
            let source = cx.sources.add(SourceKind::File, shown, String::new());
            cx.report(unreadable(Span::start(source), "the file", error));
        }
    }
}

fn unreadable(span: Span, what: &str, error: &ReadError) -> Draft {
    Draft::error(span, why(what, error)).expected("a YAML file")
}

pub(crate) fn why(what: &str, error: &ReadError) -> String {
    match error {
        ReadError::Io(error) => format!("cannot read {what}: {error}"),
        ReadError::NotAFile(kind) => format!("cannot read {what}: it is {kind}"),
        ReadError::TooBig => format!("{what} is bigger than {} MiB", MAX_FILE >> 20),
        ReadError::TooMuch => format!("all files together are bigger than {} MiB", MAX_TOTAL >> 20),
        ReadError::NotUtf8 { .. } => format!("{what} is not UTF-8"),
    }
}

/// The files a pattern names, in order; a name without `*` and `?` names one, be it there or not.
fn matching(dir: &Path, pattern: &str) -> Result<Vec<PathBuf>, String> {
    let path = dir.join(pattern);
    let wild = |s: &str| s.contains(['*', '?', '[']);
    let Some(last) = path.file_name().and_then(OsStr::to_str).filter(|_| !pattern.ends_with('/'))
    else {
        return Err("it names no file".to_owned());
    };
    if !wild(last) && !wild(pattern) {
        return Ok(vec![path]);
    }
    let above = Path::new(pattern).parent().and_then(Path::to_str).unwrap_or("");
    if wild(above) || last.contains('[') {
        return Err("only `*` and `?` in the last part are understood".to_owned());
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let entries = match std::fs::read_dir(parent) {
        Ok(entries) => entries,
        // Like an empty one: `conf.d` need not exist.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(|e| e.to_string())?.file_name();
        let Some(name) = name.to_str().filter(|n| !n.starts_with('.')) else { continue };
        if glob(last.as_bytes(), name.as_bytes()) {
            names.push(name.to_owned());
        }
        if names.len() > MAX_FILES {
            return Err(format!("more than {MAX_FILES} files match"));
        }
    }
    names.sort();
    Ok(names.into_iter().map(|name| path.with_file_name(name)).collect())
}

/// `*` is any run of bytes, `?` one byte. Linear but for going back to the last star.
fn glob(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

fn merge(whole: &mut File, file: File, cx: &mut Cx<'_>) {
    macro_rules! once {
        ($($field:ident),*) => { $( once(stringify!($field), &mut whole.$field, file.$field, cx); )* };
    }
    once!(shards, grace_period, drain_delay, admin, metrics, log, access_log, trusted_proxies, dns);
    named("listener", &mut whole.listeners, file.listeners, cx);
    named("pool", &mut whole.pools, file.pools, cx);
    named("site", &mut whole.sites, file.sites, cx);
    whole.refused.and(file.refused);
}

fn once<T>(key: &str, whole: &mut Field<T>, more: Field<T>, cx: &mut Cx<'_>) {
    match (&*whole, &more) {
        (Field::Absent, _) => *whole = more,
        (_, Field::Given(second)) => cx.report(
            Draft::error(second.span, format!("`{key}` is given in more than one file"))
                .expected("it in one file"),
        ),
        _ => {}
    }
}

fn named<T>(what: &str, whole: &mut Field<Named<T>>, more: Field<Named<T>>, cx: &mut Cx<'_>) {
    let more = match more {
        Field::Absent => return,
        // Names may be missing now that are not missing in the files.
        Field::Broken => {
            cx.incomplete = true;
            return;
        }
        Field::Given(more) => more,
    };
    let Field::Given(all) = whole else {
        *whole = Field::Given(more);
        return;
    };
    for (name, value) in more.value.0 {
        match all.value.0.iter().find(|(known, _)| known.value == name.value) {
            None => all.value.0.push((name, value)),
            Some((known, _)) => {
                let place = format!("{}:{}", cx.sources.name(known.span.source), known.span.line);
                let message = format!("found the {what} `{}` a second time", name.value);
                cx.report(
                    Draft::error(name.span, message)
                        .expected("every name once")
                        .hint(format!("it is given at {place} already")),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for (pattern, name, fits) in [
            ("*.yaml", "a.yaml", true),
            ("*.yaml", "a.yaml~", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*a*b*", "xxaxxbxx", true),
            ("*a*b", "xxaxxbxx", false),
            ("", "", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), name.as_bytes()), fits, "{pattern} {name}");
        }
        assert!(!glob("*a".repeat(50).as_bytes(), "a".repeat(49).as_bytes()));
    }
}
