//! From a tree to typed values, gathering every problem on the way.
//!
//! `section!` makes a struct, its key table and its reader from one table in `raw`; leaves implement
//! [`Read`] in `leaf`. A reader that returns None has reported why, and says in its shape what it takes.
//! What values mean to each other is decided later, in `convert`.

mod near;
mod tables;

use serde_json::{Value, json};

use crate::env::{Bad, Lookup};
use crate::problem::{Concealment, Draft, Gathered};
use crate::schema::{Shapes, any_of, list};
use crate::source::{Sources, Span};
use crate::tree::{Kind, Node, Scalar};
pub(crate) use near::did_you_mean;
use near::{nearest, suggestion};
pub(crate) use tables::{section, words};

/// What every reader needs at hand.
pub(crate) struct Cx<'a> {
    pub(crate) sources: Sources,
    pub(crate) env: Lookup<'a>,
    pub(crate) nodes_left: usize,
    pub(crate) expansion_left: usize,
    pub(crate) bytes_left: u64,
    /// Something could not be read whole: what is missing may only look missing.
    pub(crate) incomplete: bool,
    /// The key whose value is being read.
    pub(crate) key: &'static str,
    concealed: Concealment,
    gathered: Gathered,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(env: Lookup<'a>) -> Cx<'a> {
        Cx {
            sources: Sources::default(),
            env,
            nodes_left: crate::tree::MAX_NODES,
            expansion_left: crate::env::MAX_EXPANSION,
            bytes_left: crate::source::MAX_TOTAL,
            incomplete: false,
            key: "",
            concealed: Concealment::default(),
            gathered: Gathered::default(),
        }
    }

    pub(crate) fn report(&mut self, draft: Draft) {
        self.gathered.push(draft);
    }

    /// For warnings alone: an error elsewhere never hides an error.
    pub(crate) fn has_errors(&self) -> bool {
        self.gathered.has_errors()
    }

    pub(crate) fn finish(self) -> Result<crate::problem::Problems, crate::problem::Problems> {
        self.gathered.finish(&self.sources, &self.concealed)
    }

    /// Something else was expected than what stands at `node`.
    pub(crate) fn mismatch(&mut self, node: &Node, expected: &str) {
        self.wrong(node, Bad::new("", expected));
    }

    pub(crate) fn wrong(&mut self, node: &Node, bad: Bad) {
        if matches!(node.kind, Kind::Broken) {
            return;
        }
        let found = match &node.kind {
            Kind::Scalar(s) if !s.is_null() && self.concealed.hides(node.span) => {
                "found a text, which is not shown".to_owned()
            }
            _ if bad.found.is_empty() => format!("found {}", node.found()),
            _ => bad.found,
        };
        let secret = matches!(&node.kind, Kind::Scalar(s) if s.is_secret());
        let hint = match bad.hint {
            Some(_) if secret => None,
            None if !self.concealed.hides(node.span) => habit(node, self.key),
            hint => hint,
        };
        self.report(Draft::error(node.span, found).expected(bad.expected).hint(hint));
    }

    pub(crate) fn not_built(&mut self, span: Span, what: &str) {
        self.report(
            Draft::error(span, format!("{what} is not built yet"))
                .expected("a version of isobar that has it"),
        );
    }

    /// A scalar that says something.
    pub(crate) fn scalar<'n>(&mut self, node: &'n Node, expected: &str) -> Option<&'n Scalar> {
        match &node.kind {
            Kind::Scalar(s) if !s.is_null() => Some(s),
            _ => {
                self.mismatch(node, expected);
                None
            }
        }
    }

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

/// A section of secrets, or of where they are: what stands in its place, or in it under a wrong key,
/// may be one, and is never shown.
#[derive(Debug, Clone)]
pub(crate) struct Concealed<T>(pub(crate) T);

impl<T: Read + Keyed> Read for Concealed<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    let name = key.key().unwrap_or_default();
                    if !T::KEYS.built.contains(&name) {
                        cx.concealed.add(value);
                        if nearest(name, T::KEYS.built.iter().copied()).is_none() {
                            cx.concealed.add(key);
                        }
                    }
                }
            }
            _ => cx.concealed.add(node),
        }
        T::read(node, cx).map(Concealed)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        T::shape(shapes)
    }
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

pub(crate) trait Read: Sized {
    /// None = reported.
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self>;

    /// The JSON Schema of what `read` takes: never narrower than it.
    fn shape(shapes: &mut Shapes<'_>) -> Value;

    /// How a list of it is written, for whoever wrote `node` instead of a list.
    fn as_items(_node: &Node) -> Option<String> {
        None
    }
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(crate) struct Spanned<T> {
    pub(crate) value: T,
    pub(crate) span: Span,
}

impl<T: Read> Read for Spanned<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        T::read(node, cx).map(|value| Spanned { value, span: node.span })
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        T::shape(shapes)
    }
}

/// What a section says about one of its keys.
#[derive(Debug, Clone, Default)]
pub(crate) enum Field<T> {
    #[default]
    Absent,
    /// It is there, and its problem has been reported.
    Broken,
    Given(Spanned<T>),
}

impl<T> Field<T> {
    pub(crate) fn given(self) -> Option<Spanned<T>> {
        match self {
            Field::Given(spanned) => Some(spanned),
            Field::Absent | Field::Broken => None,
        }
    }

    pub(crate) fn as_given(&self) -> Option<&Spanned<T>> {
        match self {
            Field::Given(spanned) => Some(spanned),
            Field::Absent | Field::Broken => None,
        }
    }

    pub(crate) fn value(self) -> Option<T> {
        self.given().map(|s| s.value)
    }

    pub(crate) fn or(self, default: T) -> T {
        self.value().unwrap_or(default)
    }

    pub(crate) fn is_absent(&self) -> bool {
        matches!(self, Field::Absent)
    }
}

impl<T: Read> Field<T> {
    pub(crate) fn read(node: &Node, cx: &mut Cx<'_>) -> Field<T> {
        Spanned::read(node, cx).map_or(Field::Broken, Field::Given)
    }
}

/// What may be turned off by `off` as well as `false`.
#[derive(Debug, Clone)]
pub(crate) enum Switch<T> {
    Off,
    On(T),
}

impl<T> Switch<T> {
    pub(crate) fn on(self) -> Option<T> {
        match self {
            Switch::Off => None,
            Switch::On(value) => Some(value),
        }
    }
}

impl<T: Read> Read for Switch<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        if is_off(node) {
            return Some(Switch::Off);
        }
        // A file may be named like that.
        if says_no(node) && cx.key != "include" {
            let bad = Bad::new("", "`off`, or what it should be");
            cx.wrong(node, bad.hint("did you mean `off`?"));
            return None;
        }
        T::read(node, cx).map(Switch::On)
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        any_of([T::shape(shapes), shapes.off()])
    }
}

/// A list, or its only item.
#[derive(Debug, Clone)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<Spanned<T>>);

impl<T: Read> Read for OneOrMany<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) => read_all(items, cx).map(OneOrMany),
            _ => Spanned::read(node, cx).map(|one| OneOrMany(vec![one])),
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let item = T::shape(shapes);
        any_of([item.clone(), list(item)])
    }
}

/// A list; items that are broken are reported and left out.
#[derive(Debug, Clone)]
pub(crate) struct Many<T>(pub(crate) Vec<Spanned<T>>);

impl<T: Read> Read for Many<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &node.kind {
            Kind::List(items) => read_all(items, cx).map(Many),
            _ => {
                let bad = Bad::new("", "a list");
                let hint = T::as_items(node).unwrap_or_else(|| match &node.kind {
                    Kind::Map(_) => {
                        "each item begins with `- `; a list of one thing is written `[thing]`"
                            .to_owned()
                    }
                    _ => "a list of one thing is written `[thing]`".to_owned(),
                });
                cx.wrong(node, bad.hint(hint));
                None
            }
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        list(T::shape(shapes))
    }
}

/// None = every item was reported: an empty list is one that is empty in the file.
fn read_all<T: Read>(items: &[Node], cx: &mut Cx<'_>) -> Option<Vec<Spanned<T>>> {
    let read: Vec<_> = items.iter().filter_map(|item| Spanned::read(item, cx)).collect();
    (items.is_empty() || !read.is_empty()).then_some(read)
}

/// A map from names that the user chose.
#[derive(Debug, Clone)]
pub(crate) struct Named<T>(pub(crate) Vec<(Spanned<String>, Field<T>)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Named(Vec::new())
    }
}

impl<T: Read> Read for Named<T> {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            let bad = Bad::new("", "a map from names, like `{ NAME: … }`");
            cx.wrong(node, Bad { hint: named_items(node), ..bad });
            return None;
        };
        let mut named = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            // A broken one still takes its name: who refers to it is not wrong as well.
            let value = Field::read(value, cx);
            if let Some(name) = crate::leaf::name(key, cx) {
                named.push((Spanned { value: name, span: key.span }, value));
            }
        }
        Some(Named(named))
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        json!({
            "type": "object",
            "propertyNames": crate::leaf::name_shape(),
            "additionalProperties": T::shape(shapes),
        })
    }
}

pub(crate) fn is_off(node: &Node) -> bool {
    matches!(&node.kind, Kind::Scalar(s) if matches!(&*s.text, "off" | "false"))
}

/// Words that mean `off` to people, and to other tools.
fn says_no(node: &Node) -> bool {
    let Kind::Scalar(scalar) = &node.kind else { return false };
    let words = [
        "no",
        "n",
        "off",
        "false",
        "none",
        "never",
        "disabled",
        "disable",
        "unlimited",
        "infinite",
        "infinity",
        "inf",
        "-1",
    ];
    scalar.text.len() <= 9 && words.contains(&scalar.text.to_ascii_lowercase().as_str())
}

/// A list of named things is a map here.
fn named_items(node: &Node) -> Option<String> {
    let Kind::List(items) = &node.kind else { return None };
    let Kind::Map(entries) = &items.first()?.kind else {
        return Some("a name is a key: no `- ` before it, and a `:` behind it".to_owned());
    };
    let named = entries.iter().find(|(key, _)| matches!(key.key(), Some("name" | "id")));
    let name = match named.map(|(_, value)| &value.kind) {
        Some(Kind::Scalar(name)) if !name.is_secret() && name.text.len() <= 40 => &*name.text,
        _ => "NAME",
    };
    Some(format!("a name is a key: `{name}:` instead of `- name: {name}`, and the rest below it"))
}

/// Habits from other files that can be seen in any value.
fn habit(node: &Node, key: &str) -> Option<String> {
    let Kind::Scalar(scalar) = &node.kind else { return None };
    let text = &*scalar.text;
    if let Some(hint) = crate::foreign::word(key, text) {
        return Some(hint);
    }
    if let Some(name) = crate::env::bare_variable(text) {
        return Some(format!("a variable is written `${{{name}}}`"));
    }
    let short = text.len() <= 60 && !scalar.is_secret();
    match text.strip_suffix([';', ',']) {
        Some(plain) if short => Some(format!("no `;` or `,` ends a line of YAML: `{plain}`")),
        _ => None,
    }
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
