//! Which file takes which name from which other, and the circles among them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::names::{Module, Names};
use crate::source::Source;

/// Who takes what from whom.
#[derive(Default)]
pub(crate) struct Graph(BTreeMap<Module, BTreeMap<Module, BTreeSet<String>>>);

/// Files that all reach each other.
pub(crate) struct Circle<'g> {
    graph: &'g Graph,
    files: BTreeSet<&'g Module>,
}

impl Graph {
    pub(crate) fn of(sources: &BTreeMap<Module, Source>) -> Graph {
        let names = Names::of(sources);
        let mut graph = Graph::default();
        for (module, source) in sources {
            let taken = graph.0.entry(module.clone()).or_default();
            // To pass a name on is no use of it, unless it is used here as well.
            let mine = |name: Option<&String>| name.is_some_and(|name| source.words.contains(name));
            let uses = source.uses.iter().filter(|found| {
                !found.passed_on || mine(found.alias.as_ref().or(found.path.last()))
            });
            let paths =
                source.paths.iter().filter(|path| path[0].starts_with(|c: char| !c.is_uppercase()));
            for path in uses.map(|found| &found.path).chain(paths) {
                if let Some((home, name)) = names.home(module, path)
                    && home != *module
                {
                    taken.entry(home).or_default().insert(name);
                }
            }
        }
        graph
    }

    /// Of two files or more, the largest first.
    pub(crate) fn circles(&self) -> Vec<Circle<'_>> {
        let mut walk =
            Walk { graph: self, number: BTreeMap::new(), open: Vec::new(), found: Vec::new() };
        for module in self.0.keys() {
            walk.visit(module);
        }
        let mut circles = walk.found;
        circles.retain(|files| files.len() > 1);
        circles.sort_by_key(|files| std::cmp::Reverse(files.len()));
        circles.into_iter().map(|files| Circle { graph: self, files }).collect()
    }
}

/// Tarjan's: each file is numbered when it is met; whoever reaches no earlier open one closes a circle.
struct Walk<'g> {
    graph: &'g Graph,
    number: BTreeMap<&'g Module, usize>,
    open: Vec<&'g Module>,
    found: Vec<BTreeSet<&'g Module>>,
}

impl<'g> Walk<'g> {
    /// The earliest open file that this one reaches.
    fn visit(&mut self, module: &'g Module) -> usize {
        if let Some(&number) = self.number.get(module) {
            return if self.open.contains(&module) { number } else { usize::MAX };
        }
        let own = self.number.len();
        self.number.insert(module, own);
        let place = self.open.len();
        self.open.push(module);
        let graph = self.graph;
        let others = graph.0.get(module).into_iter().flatten();
        let earliest = others.map(|(other, _)| self.visit(other)).min().unwrap_or(own).min(own);
        if earliest == own {
            self.found.push(self.open.drain(place..).collect());
        }
        earliest
    }
}

impl Circle<'_> {
    pub(crate) fn len(&self) -> usize {
        self.files.len()
    }
}

/// A line for each file: what it takes from which others of the circle.
impl fmt::Display for Circle<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  a circle of {}:", self.len())?;
        for file in &self.files {
            let inside = self.graph.0[*file].iter().filter(|(other, _)| self.files.contains(other));
            let each = inside.map(|(other, names)| {
                let names: Vec<&str> = names.iter().map(String::as_str).collect();
                format!("{} ({})", shown(other), names.join(", "))
            });
            let each: Vec<String> = each.collect();
            writeln!(f, "    {} takes from {}", shown(file), each.join(", "))?;
        }
        Ok(())
    }
}

fn shown(module: &Module) -> String {
    if module.is_empty() { "lib".to_owned() } else { module.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let path = |module: &str| {
            module.split("::").filter(|word| *word != "lib").map(str::to_owned).collect()
        };
        let sources = files.iter().map(|(module, text)| (path(module), Source::read(text)));
        let graph = Graph::of(&sources.collect());
        graph.circles().iter().map(Circle::to_string).collect()
    }

    #[test]
    fn a_circle_names_who_takes_what_from_whom() {
        let found = circles(&[
            ("lib", "mod a; mod b; mod c; pub use a::A;"),
            ("a", "use crate::b::{self, B}; fn f() { b::g() } struct A;"),
            ("b", "use super::c; fn g() { c::h() } struct B;"),
            ("c", "fn h() { crate::A::new() }"),
            ("d", "use crate::a::A;"),
        ]);
        let lines = "  a circle of 3:\n    a takes from b (B, g)\n    b takes from c (h)\n    c takes from a (A)\n";
        assert_eq!(found, [lines]);
    }

    #[test]
    fn a_parent_that_only_lists_its_children_is_in_no_circle() {
        let child = ("a::b", "use super::Base; struct B;");
        assert_eq!(circles(&[("a", "mod b; pub use b::B; struct Base;"), child]), [""; 0]);
        // Used, and not only passed on.
        let used = circles(&[("a", "mod b; pub use b::B; struct Base(B);"), child]);
        assert_eq!(used.len(), 1, "{used:?}");
        let called = circles(&[("a", "mod b; struct Base; fn f() { b::B::new() }"), child]);
        assert_eq!(called.len(), 1, "{called:?}");
    }

    #[test]
    fn the_largest_circle_comes_first() {
        let found = circles(&[
            ("a", "use crate::b::B;"),
            ("b", "use crate::a::A;"),
            ("c", "use crate::d::D;"),
            ("d", "use crate::e::E;"),
            ("e", "use crate::c::C;"),
        ]);
        let sizes: Vec<&str> = found.iter().filter_map(|circle| circle.lines().next()).collect();
        assert_eq!(sizes, ["  a circle of 3:", "  a circle of 2:"]);
    }
}
