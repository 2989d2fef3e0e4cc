//! From YAML to a tree.
//!
//! Built from parser events in one pass, which is where bombs die: depth, nodes (aliases expanded) and
//! expanded text are counted over all files together. Duplicate keys, tags and second documents are
//! refused here, `${VAR}` is filled in here. What the keys mean is not known here.

use std::collections::{HashMap, HashSet};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, StrInput};

use crate::env;
use crate::problem::Draft;
use crate::read::{Cx, MAX_NODES};
use crate::source::Span;
use crate::tree::{Kind, Node, Scalar};

mod advice;

const MAX_DEPTH: usize = 64;

/// The one document of a source, or None and at least one problem. `expected`: in an empty one.
pub(crate) fn parse(source: u32, expected: &str, cx: &mut Cx<'_>) -> Option<Node> {
    let text = cx.sources.text(source).to_owned();
    let options = granit_parser::options! {
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        disallow_directives: true,
    };
    let parser = Parser::new_from_str_with_options(&text, options);
    let mut tree = Builder { parser, source, text: &text, expected, anchors: HashMap::new(), cx };
    match tree.document() {
        Ok(node) => Some(node),
        Err(draft) => {
            tree.cx.report(draft);
            None
        }
    }
}

struct Builder<'t, 'c, 'p> {
    parser: Parser<'t, StrInput<'t>>,
    source: u32,
    text: &'t str,
    expected: &'t str,
    /// Finished anchored nodes, and how many nodes each is.
    anchors: HashMap<usize, (Node, usize)>,
    cx: &'c mut Cx<'p>,
}

type Marked<'t> = (Event<'t>, granit_parser::Span);

impl<'t> Builder<'t, '_, '_> {
    fn document(&mut self) -> Result<Node, Draft> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Draft::error(self.span(&span), "found a second document")
                        .expected("one document a file")
                        .hint("use `include` for more files".to_owned()));
                }
                Event::DocumentStart(..) => {}
                event => root = Some(self.node((event, span), 0)?.0),
            }
        }
        root.filter(|n| !matches!(&n.kind, Kind::Scalar(s) if s.is_null())).ok_or_else(|| {
            Draft::error(Span::start(self.source), "the file is empty").expected(self.expected)
        })
    }

    /// A node and how many nodes it is.
    fn node(&mut self, (event, span): Marked<'t>, depth: usize) -> Result<(Node, usize), Draft> {
        let at = self.span(&span);
        if depth > MAX_DEPTH {
            return Err(too_deep(at));
        }
        self.spend(1, at)?;
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => (0, false),
        };
        if tag {
            self.cx.report(
                Draft::error(at, "found a YAML tag")
                    .expected("a plain value: tags mean nothing here"),
            );
        }
        let (node, count) = match event {
            Event::Scalar(text, style, ..) => (self.scalar(&text, style, at), 1),
            Event::SequenceStart(..) => self.list(at, depth)?,
            Event::MappingStart(..) => self.map(at, depth)?,
            Event::Alias(id) => {
                let Some((_, count)) = self.anchors.get(&id) else {
                    return Err(Draft::error(at, "found an alias inside its own anchor")
                        .expected("an alias of something complete"));
                };
                let count = *count;
                self.spend(count, at)?;
                let node = self.anchors.get(&id).map(|(node, _)| node.clone());
                (node.unwrap_or(Node { span: at, kind: Kind::Broken }), count)
            }
            _ => return Err(Draft::error(at, "found no value").expected("a value")),
        };
        if anchor != 0 {
            self.spend(count, at)?;
            self.anchors.insert(anchor, (node.clone(), count));
        }
        Ok((node, count))
    }

    fn list(&mut self, span: Span, depth: usize) -> Result<(Node, usize), Draft> {
        let mut items = Vec::new();
        let mut count = 1;
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::SequenceEnd) {
                return Ok((Node { span, kind: Kind::List(items) }, count));
            }
            let (item, n) = self.node(next, depth + 1)?;
            items.push(item);
            count += n;
        }
    }

    fn map(&mut self, span: Span, depth: usize) -> Result<(Node, usize), Draft> {
        let mut entries: Vec<(Node, Node)> = Vec::new();
        let mut seen: HashSet<Box<str>> = HashSet::new();
        let mut count = 1;
        loop {
            let next = self.next()?;
            if matches!(next.0, Event::MappingEnd) {
                return Ok((Node { span, kind: Kind::Map(entries) }, count));
            }
            let (key, n) = self.node(next, depth + 1)?;
            let next = self.next()?;
            let (value, m) = self.node(next, depth + 1)?;
            count += n + m;
            match &key.kind {
                Kind::Scalar(name) if !name.is_null() => {
                    if seen.insert(name.text.clone()) {
                        entries.push((key, value));
                    } else {
                        let first = entries.iter().find(|(k, _)| k.key() == Some(&name.text));
                        let line = first.map_or(0, |(k, _)| k.span.line);
                        let message = format!("found {} a second time", name.shown());
                        self.cx.report(
                            Draft::error(key.span, message)
                                .expected("every key once")
                                .hint(format!("it is given in line {line} already")),
                        );
                    }
                }
                Kind::Broken => {}
                _ => self.cx.report(
                    Draft::error(key.span, format!("found {} as a key", key.found()))
                        .expected("a name"),
                ),
            }
        }
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Span) -> Node {
        let plain = style == ScalarStyle::Plain;
        let kind = match env::expand(text, self.cx.env, &mut self.cx.expansion_left) {
            Ok(None) => {
                if let Some(name) = env::bare_variable(text) {
                    let message = format!("`${name}` stands for itself here");
                    let hint =
                        format!("a variable is written `${{{name}}}`, and one `$` alone `$$`");
                    self.cx.report(Draft::warning(span, message).hint(hint));
                }
                Kind::Scalar(Scalar { text: text.into(), written: None, plain })
            }
            Ok(Some(filled)) => {
                Kind::Scalar(Scalar { text: filled.into(), written: Some(text.into()), plain })
            }
            Err(bad) => {
                self.cx.report(Draft::error(span, bad.found).expected(bad.expected).hint(bad.hint));
                Kind::Broken
            }
        };
        Node { span, kind }
    }

    fn spend(&mut self, nodes: usize, span: Span) -> Result<(), Draft> {
        match self.cx.nodes_left.checked_sub(nodes) {
            Some(left) => {
                self.cx.nodes_left = left;
                Ok(())
            }
            None => Err(Draft::error(span, format!("found more than {MAX_NODES} values"))
                .expected("a smaller configuration (aliases count as what they stand for)")),
        }
    }

    fn next(&mut self) -> Result<Marked<'t>, Draft> {
        match self.parser.next_event() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Err(Draft::error(Span::start(self.source), "the file ends too early")),
        }
    }

    fn syntax(&self, error: &granit_parser::ScanError) -> Draft {
        let mark = error.marker();
        let span = Span {
            source: self.source,
            line: mark.line().max(1) as u32,
            column: mark.col() as u32 + 1,
            width: 1,
        };
        match error.kind() {
            ErrorKind::RecursionLimitExceeded => too_deep(span),
            ErrorKind::TabNotAllowed | ErrorKind::TabInBlockIndentation => {
                Draft::error(span, "found a tab").expected("spaces: YAML indents with nothing else")
            }
            kind => {
                let upto: Vec<&str> = self.text.split('\n').take(span.line as usize).collect();
                let (line, before) = upto.split_last().unwrap_or((&"", &[]));
                let says =
                    |line: &&&str| !matches!(line.trim_start().chars().next(), None | Some('#'));
                let above = before.iter().rev().find(says).unwrap_or(&"");
                let advice = advice::advice(kind, line, above);
                Draft::error(span, format!("not valid YAML: {}", error.info()))
                    .expected("YAML")
                    .hint(advice.map(str::to_owned))
            }
        }
    }

    fn span(&self, span: &granit_parser::Span) -> Span {
        let (start, end) = (span.start, span.end);
        let width = if start.line() == end.line() && end.col() > start.col() {
            end.col() - start.col()
        } else {
            1
        };
        Span {
            source: self.source,
            line: start.line().max(1) as u32,
            column: start.col() as u32 + 1,
            width: width as u32,
        }
    }
}

fn too_deep(span: Span) -> Draft {
    Draft::error(span, format!("nested deeper than {MAX_DEPTH} levels"))
        .expected("no level deeper than a configuration needs")
}
