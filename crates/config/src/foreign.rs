//! The words of other tools (nginx, HAProxy, Caddy, Traefik, Envoy, Kubernetes), and ours for them.
//!
//! Asked when a key or a word is unknown; knows no type of the configuration. The keys are in the
//! tables beside this file, values in `words`; `fill` writes the right line out.

mod fill;
mod words;

pub(crate) use fill::{worker as address, workers};
pub(crate) use words::{no_strategy, strategy, word};

use crate::tree::{Kind, Node};
use words::folded;

const TABLES: [&str; 2] = [include_str!("foreign/traffic.txt"), include_str!("foreign/pools.txt")];

/// Where a row holds in every section; what a section says itself goes before it.
const ANYWHERE: &str = "*";

/// What another tool's key means here.
pub(crate) struct Meant {
    /// The key of the same section; none where it stands elsewhere, or nowhere.
    pub(crate) ours: Option<&'static str>,
    pub(crate) hint: String,
}

/// One meaning, under all the names it has elsewhere.
struct Row {
    /// The sections, as `Keys::section` has them, between `|`.
    at: &'static str,
    /// Their words, folded, between spaces.
    theirs: &'static str,
    /// Our key of the same section.
    ours: Option<&'static str>,
    /// What to write; `<kind|example>` is filled from the value.
    write: &'static str,
}

/// What a key of another tool is called here. With `may_show` false its value is not looked at.
pub(crate) fn key(section: &str, name: &str, value: &Node, may_show: bool) -> Option<Meant> {
    let name = folded(name);
    let name = by_value(section, &name, value).unwrap_or(&name);
    let says = |row: &Row| row.theirs.split(' ').any(|word| word == name);
    let at = |row: &Row, section: &str| row.at.split('|').any(|at| at == section);
    let here = rows().find(|row| at(row, section) && says(row));
    let row = here.or_else(|| rows().find(|row| at(row, ANYWHERE) && says(row)))?;
    let write = fill::fill(row.write, value, may_show);
    Some(match row.ours {
        None => Meant { ours: None, hint: write },
        Some(ours) => Meant { ours: Some(ours), hint: format!("did you mean `{ours}`? {write}") },
    })
}

fn rows() -> impl Iterator<Item = Row> {
    let mut at = "";
    let lines = TABLES.iter().flat_map(|table| table.lines());
    lines.filter_map(move |line| {
        if let Some(section) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            at = section;
            return None;
        }
        let (theirs, rest) = line.split_once(" = ").filter(|_| !line.starts_with('#'))?;
        let (ours, write) = rest.split_once(" : ")?;
        Some(Row { at, theirs, ours: Some(ours).filter(|ours| *ours != "-"), write })
    })
}

/// Where the value says which of its meanings a word has, another word of that meaning.
fn by_value(section: &str, name: &str, value: &Node) -> Option<&'static str> {
    let Kind::Scalar(scalar) = &value.kind else { return None };
    match (section, name) {
        ("a listener", "host") => {
            scalar.text.parse::<std::net::IpAddr>().is_ok().then_some("address")
        }
        ("a route", "return" | "status") => {
            let status = scalar.text.get(..3).unwrap_or_default();
            matches!(status, "301" | "302" | "303" | "307" | "308").then_some("redir")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw;
    use crate::read::{Keyed as _, Keys};

    fn sections() -> Vec<Keys> {
        vec![
            raw::File::KEYS,
            raw::Dns::KEYS,
            raw::Admin::KEYS,
            raw::Metrics::KEYS,
            raw::Log::KEYS,
            raw::AccessLog::KEYS,
            raw::Listener::KEYS,
            raw::ListenerTimeouts::KEYS,
            raw::Limits::KEYS,
            raw::Route::KEYS,
            raw::RedirectMap::KEYS,
            raw::RespondMap::KEYS,
            raw::Match::KEYS,
            raw::RouteTimeouts::KEYS,
            raw::Retry::KEYS,
            raw::filter::Filter::KEYS,
            raw::filter::RateLimit::KEYS,
            raw::filter::Compression::KEYS,
            raw::filter::Rewrite::KEYS,
            raw::Pool::KEYS,
            raw::Affinity::KEYS,
            raw::Queue::KEYS,
            raw::pool::WorkerMap::KEYS,
            raw::Health::KEYS,
            raw::HttpCheck::KEYS,
            raw::Outlier::KEYS,
            raw::WarmUp::KEYS,
            raw::KeepAlive::KEYS,
            raw::Discover::KEYS,
        ]
    }

    #[test]
    fn every_row_names_sections_and_keys_that_exist() {
        let sections = sections();
        for row in rows() {
            for at in row.at.split('|').filter(|at| *at != ANYWHERE) {
                let keys = sections.iter().find(|keys| keys.section == at);
                let keys = keys.unwrap_or_else(|| panic!("there is no section `{at}`"));
                let has = |key: &&str| keys.built.contains(key) || keys.later.contains(key);
                let ours = row.ours.filter(|ours| !has(ours));
                assert_eq!(ours, None, "{at} has no such key");
                for word in row.theirs.split(' ') {
                    assert_eq!(folded(word), word, "{at}");
                    let ours = keys.built.iter().find(|key| **key == word);
                    assert_eq!(ours, None, "`{word}` is a key of {at}");
                }
            }
        }
    }

    #[test]
    fn a_word_of_a_section_has_one_meaning() {
        let mut seen = std::collections::HashSet::new();
        for row in rows() {
            for at in row.at.split('|') {
                for word in row.theirs.split(' ') {
                    assert!(seen.insert((at, word)), "`{word}` of `{at}` stands twice");
                }
            }
        }
    }
}
