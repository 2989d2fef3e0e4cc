//! Which of many matches is the most specific that fits: host, then path (exact, expression,
//! prefix), then method, then the number of headers, query parameters and cookies, then the client,
//! then the order of the file. Generic over what a match leads to, and blind to how a request is
//! stored; used by [`super::Routes`] only.

use std::{cmp::Reverse, collections::HashMap};

use super::{
    Match, PathMatch, host, path,
    predicate::{Asked, Fields},
    trie::Trie,
};
use path::Slashes;

pub(crate) struct Table<T> {
    /// In what form the paths of matches stand here.
    slashes: Slashes,
    exact: HashMap<Box<[u8]>, Paths<T>>,
    /// Under the labels behind `*.`, from the right.
    wildcards: Trie<Paths<T>>,
    any: Paths<T>,
}

/// The longest name that DNS allows; a longer one is nobody's host.
pub(super) const LONGEST_HOST: usize = 253;

impl<T: Clone> Table<T> {
    pub(crate) fn build(entries: impl Iterator<Item = (Vec<Match>, T)>, slashes: Slashes) -> Self {
        let (exact, wildcards, any) = (HashMap::new(), Trie::new(), Paths::default());
        let mut table = Self { slashes, exact, wildcards, any };
        for (matches, to) in entries {
            if matches.is_empty() {
                table.add(Match::default(), to);
            } else {
                matches.into_iter().for_each(|one| table.add(one, to.clone()));
            }
        }
        table.exact.values_mut().for_each(Paths::complete);
        table.wildcards.complete(Paths::complete);
        table.any.complete();
        table
    }

    fn add(&mut self, one: Match, to: T) {
        let host = one.host.as_deref().filter(|host| *host != "*").map(str::as_bytes);
        let paths = match host.map(|host| (host, host.strip_prefix(b"*."))) {
            None => &mut self.any,
            Some((_, Some(parent))) => self.wildcards.entry(labels(&host::normalise(parent))),
            Some((host, None)) => {
                self.exact.entry(host::normalise(host).into_owned().into()).or_default()
            }
        };
        paths.add(one, to, self.slashes);
    }

    /// What it leads to, and how many bytes of the path are the prefix that was asked for.
    pub(crate) fn find<F: Fields + ?Sized>(&self, asked: &Asked<'_, F>) -> Option<(&T, usize)> {
        if !(self.exact.is_empty() && self.wildcards.is_empty()) {
            let host = host::normalise(asked.host);
            let exact = self.exact.get(&*host).and_then(|paths| paths.find(asked));
            if exact.is_some() {
                return exact;
            }
            // `*.example.com` does not cover `example.com`: at least one label must be left over.
            if let Some(dot) = memchr::memchr(b'.', &host).filter(|_| host.len() <= LONGEST_HOST) {
                let found = self
                    .wildcards
                    .covering(labels(&host[dot + 1..]))
                    .find_map(|paths| paths.find(asked));
                if found.is_some() {
                    return found;
                }
            }
        }
        self.any.find(asked)
    }
}

fn labels(host: &[u8]) -> impl Iterator<Item = &[u8]> {
    host.rsplit(|&byte| byte == b'.')
}

/// The elements of a path; a slash at its end adds none, and two in a row have an empty one between
/// them.
pub(super) fn elements(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let none = path.is_empty();
    let path = path.strip_suffix(b"/").unwrap_or(path);
    path.split(|&byte| byte == b'/').skip(usize::from(none))
}

/// A path of a match in the form that requests are matched in.
pub(super) fn normal(path: &str, slashes: Slashes) -> Vec<u8> {
    let normal = path::normalise(path.as_bytes(), slashes);
    // A pattern without a normal form can match nothing.
    normal.map_or_else(|_| path.as_bytes().to_vec(), |path| path.into_owned())
}

/// The rules of one host.
struct Paths<T> {
    exact: HashMap<Box<[u8]>, Rules<T>>,
    /// Under the elements that every path begins with that the expression matches: only those
    /// expressions are tried that have a chance.
    expressions: Trie<Rules<T>>,
    prefixes: Trie<Rules<T>>,
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), expressions: Trie::new(), prefixes: Trie::new() }
    }
}

impl<T> Paths<T> {
    fn add(&mut self, one: Match, to: T, slashes: Slashes) {
        let mut prefix = 0;
        let rules = match &one.path {
            Some(PathMatch::Exact(path)) => {
                self.exact.entry(normal(path, slashes).into()).or_default()
            }
            Some(PathMatch::Regex(regex)) => {
                self.expressions.entry(elements(regex.beginning().as_bytes()))
            }
            Some(PathMatch::Prefix(path)) => {
                let path = normal(path, slashes);
                prefix = elements(&path).map(|element| 1 + element.len()).sum();
                self.prefixes.entry(elements(&path))
            }
            None => self.prefixes.entry(std::iter::empty()),
        };
        rules.0.push(Rule { asks: one, to, prefix });
    }

    fn complete(&mut self) {
        self.exact.values_mut().for_each(Rules::complete);
        self.expressions.complete(Rules::complete);
        self.prefixes.complete(Rules::complete);
    }

    fn find<F: Fields + ?Sized>(&self, asked: &Asked<'_, F>) -> Option<(&T, usize)> {
        let exact = self.exact.get(asked.path).and_then(|rules| rules.find(asked));
        if let Some(found) = exact {
            return Some(found.answer());
        }
        if !self.expressions.is_empty() {
            let mut covering = self.expressions.covering(elements(asked.path));
            if let Some(found) = covering.find_map(|rules| rules.find(asked)) {
                return Some(found.answer());
            }
        }
        let mut covering = self.prefixes.covering(elements(asked.path));
        covering.find_map(|rules| rules.find(asked)).map(Rule::answer)
    }
}

/// The rules of one host and path, the most specific first.
struct Rules<T>(Vec<Rule<T>>);

struct Rule<T> {
    asks: Match,
    to: T,
    /// Length of the prefix as it stands at the front of every path that it covers.
    prefix: usize,
}

impl<T> Rule<T> {
    fn answer(&self) -> (&T, usize) {
        (&self.to, self.prefix)
    }
}

impl<T> Default for Rules<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Rules<T> {
    /// A stable sort: the file's order decides between equals.
    fn complete(&mut self) {
        self.0.sort_by_key(|rule| Reverse(rule.asks.rank()));
    }

    fn find<F: Fields + ?Sized>(&self, asked: &Asked<'_, F>) -> Option<&Rule<T>> {
        self.0.iter().find(|rule| {
            rule.asks.has_method(asked.method)
                && match &rule.asks.path {
                    Some(PathMatch::Regex(regex)) => regex.is_match(asked.path),
                    _ => true,
                }
                && rule.asks.lacks(asked).is_none()
        })
    }
}

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;
