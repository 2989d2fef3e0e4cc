//! The keys of a section: which there are, what is said of one that is not among them, and what that
//! one may have been meant to be.

use super::Cx;
use super::near::{nearest, suggestion};
use crate::problem::Draft;
use crate::tree::{Kind, Node};

pub(crate) trait Keyed {
    const KEYS: Keys;
}

/// The keys of a section.
pub(crate) struct Keys {
    /// As a person would say it: "a pool".
    pub(crate) section: &'static str,
    pub(crate) built: &'static [&'static str],
    /// Will be one, but is not built yet.
    pub(crate) later: &'static [&'static str],
    /// What they mean to each other: the name of a rule, and keys.
    pub(crate) needs: &'static [(&'static str, &'static [&'static str])],
}

/// The keys of a section that were refused: what they would have given is not missed as well.
#[derive(Debug, Clone, Default)]
pub(crate) struct Refused {
    /// One that is not built yet: it may stand for any other.
    later: bool,
    /// One that is like none there is.
    unknown: bool,
    /// The keys that were meant, where that is plain.
    meant: Vec<&'static str>,
}

impl Refused {
    /// Whether one of these keys was meant, as far as anybody can tell.
    pub(crate) fn instead_of(&self, keys: &[&str]) -> bool {
        self.later || self.meant.iter().any(|meant| keys.contains(meant))
    }

    /// Whether it was told already, in a way, that these keys are missing.
    pub(crate) fn excuses(&self, keys: &[&str]) -> bool {
        self.unknown || self.instead_of(keys)
    }

    /// The same section goes on in another file.
    pub(crate) fn and(&mut self, more: Refused) {
        self.later |= more.later;
        self.unknown |= more.unknown;
        self.meant.extend(more.meant);
    }

    /// For a section whose keys say what it is: whatever was refused might have said it.
    pub(crate) fn any(&self) -> bool {
        self.later || self.unknown || !self.meant.is_empty()
    }
}

impl Cx<'_> {
    /// The keys that a section does not have, or whose time has not come; `all` are its entries.
    pub(crate) fn other_keys(
        &mut self,
        others: &[(&Node, &Node)],
        all: &[(Node, Node)],
        keys: &Keys,
        refused: &mut Refused,
    ) {
        let mut told = None;
        for (key, value) in others {
            let name = key.key().unwrap_or_default();
            let foreign = match self.gathered.is_full() || keys.later.contains(&name) {
                true => None,
                false => {
                    let may_show =
                        ![key.span, value.span].iter().any(|at| self.concealed.hides(*at));
                    crate::foreign::key(keys.section, name, value, may_show)
                }
            };
            // A file that is another tool's altogether is told so once.
            if let Some(foreign) = foreign.as_ref().filter(|foreign| foreign.ours.is_none())
                && keys.section == "the configuration"
                && told.replace(foreign.hint.clone()).as_ref() == Some(&foreign.hint)
            {
                refused.unknown = true;
                continue;
            }
            self.other_key(key, value, foreign, all, keys, refused);
        }
    }

    fn other_key(
        &mut self,
        key: &Node,
        value: &Node,
        foreign: Option<crate::foreign::Meant>,
        all: &[(Node, Node)],
        keys: &Keys,
        refused: &mut Refused,
    ) {
        let (name, shown) = match &key.kind {
            Kind::Scalar(s) => (&*s.text, s.shown()),
            _ => return,
        };
        if keys.later.contains(&name) {
            if !is_nothing(value) {
                self.not_built(key.span, &shown);
                refused.later = true;
            }
            return;
        }
        // More words about a mistake would be read by nobody.
        if self.gathered.is_full() {
            refused.unknown = true;
            self.report(Draft::error(key.span, format!("unknown key {shown}")));
            return;
        }
        let message = match self.concealed.hides(key.span) {
            true => format!("unknown key in {}, which is not shown", keys.section),
            false => format!("unknown key {shown} in {}", keys.section),
        };
        let (meant, expected, hint) = match foreign {
            Some(foreign) => {
                let expected = foreign.ours.map(|ours| format!("`{ours}`"));
                let elsewhere = || "no such key here".to_owned();
                (foreign.ours, expected.unwrap_or_else(elsewhere), Some(foreign.hint))
            }
            None => {
                let meant = nearest(name, keys.built.iter().chain(keys.later).copied());
                (meant, format!("one of {}", keys.built.join(", ")), meant.map(suggestion))
            }
        };
        let hint = hint.or_else(|| missing(all, keys));
        self.report(Draft::error(key.span, message).expected(expected).hint(hint));
        match meant {
            Some(key) if keys.later.contains(&key) => refused.later = true,
            Some(key) => refused.meant.push(key),
            None => refused.unknown = true,
        }
    }
}

/// What the section lacks: an unknown key may be meant to give it.
fn missing(all: &[(Node, Node)], keys: &Keys) -> Option<String> {
    let given = |key: &&str| all.iter().any(|(name, _)| name.key() == Some(*key));
    let mut lacks: Vec<String> = Vec::new();
    for (rule, needed) in keys.needs {
        match *rule {
            "every" => {
                let absent = needed.iter().filter(|key| !given(key));
                lacks.extend(absent.map(|key| format!("`{key}`")));
            }
            "one_of" | "some_of" if !needed.iter().any(given) => {
                let each: Vec<String> = needed.iter().map(|key| format!("`{key}`")).collect();
                lacks.push(format!("one of {}", each.join(", ")));
            }
            _ => {}
        }
    }
    (!lacks.is_empty()).then(|| format!("{} lacks {}", keys.section, lacks.join(" and ")))
}

/// Turns nothing on: allowed even where the thing is not built yet.
fn is_nothing(node: &Node) -> bool {
    match &node.kind {
        Kind::Scalar(s) => matches!(&*s.text, "off" | "false" | "0" | "0s" | "0%"),
        Kind::List(items) => items.is_empty(),
        Kind::Map(_) => false,
        Kind::Broken => true,
    }
}
