//! Where a path leads: from the words in a file to the module that defines the name. What a module
//! imports or passes on (`pub use`) is followed to its origin, so that a parent that lists its
//! children's names is not taken for their home.

use std::collections::{BTreeMap, HashMap};

use crate::source::Source;

/// A module by its path in the crate; `[]` is the crate itself.
pub(crate) type Module = Vec<String>;

/// A module, and words that follow it.
type Way = (Module, Vec<String>);

/// Longer chains of `pub use` are not followed.
const LONGEST_CHAIN: usize = 8;

pub(crate) struct Names<'s> {
    sources: &'s BTreeMap<Module, Source>,
    /// What is not a module's own, by the name it has there.
    imported: HashMap<&'s Module, HashMap<String, Way>>,
}

impl<'s> Names<'s> {
    pub(crate) fn of(sources: &'s BTreeMap<Module, Source>) -> Names<'s> {
        let mut names = Names { sources, imported: HashMap::new() };
        for (module, source) in sources {
            let mut imported = HashMap::new();
            for found in &source.uses {
                let Some((base, words)) = names.absolute(module, &found.path) else { continue };
                if let Some(name) = found.alias.as_ref().or(words.last()) {
                    imported.insert(name.clone(), (base, words));
                }
            }
            names.imported.insert(module, imported);
        }
        names
    }

    /// The module that defines what `path`, written in `module`, names, and the name. `None`: it is of
    /// another crate, or a module as such.
    pub(crate) fn home(&self, module: &Module, path: &[String]) -> Option<(Module, String)> {
        let (base, words) = self.absolute(module, path).or_else(|| {
            let (base, words) = self.imported[module].get(path.first()?)?;
            Some((base.clone(), [&words[..], &path[1..]].concat()))
        })?;
        let (home, words) = self.follow(base, words, 0);
        Some((home, words.into_iter().next()?))
    }

    /// A path that begins with a keyword or a child; other crates' have no way here.
    fn absolute(&self, module: &Module, path: &[String]) -> Option<Way> {
        let (first, words) = path.split_first()?;
        match first.as_str() {
            "crate" => Some((Module::new(), words.to_vec())),
            "self" => Some((module.clone(), words.to_vec())),
            "super" => {
                let up = path.iter().take_while(|word| *word == "super").count();
                let base = module[..module.len().saturating_sub(up)].to_vec();
                Some((base, path[up..].to_vec()))
            }
            _ => self.child(module, first).map(|_| (module.clone(), path.to_vec())),
        }
    }

    fn child(&self, module: &Module, name: &str) -> Option<Module> {
        let child = [&module[..], &[name.to_owned()]].concat();
        self.sources.contains_key(&child).then_some(child)
    }

    fn follow(&self, mut module: Module, mut words: Vec<String>, depth: usize) -> Way {
        while let Some(first) = words.first() {
            if let Some(child) = self.child(&module, first) {
                module = child;
                words.remove(0);
                continue;
            }
            let imported = self.imported.get(&module).and_then(|imported| imported.get(first));
            match imported {
                Some((base, origin))
                    if depth < LONGEST_CHAIN && (base, &origin[..]) != (&module, &words[..1]) =>
                {
                    let words = [&origin[..], &words[1..]].concat();
                    return self.follow(base.clone(), words, depth + 1);
                }
                _ => break,
            }
        }
        (module, words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `file`: its module's path, `|`, its text.
    fn crate_of(files: &[&str]) -> BTreeMap<Module, Source> {
        let read = |file: &&str| {
            let (module, text) = file.split_once('|').unwrap();
            let module = module.split("::").filter(|word| !word.is_empty()).map(str::to_owned);
            (module.collect(), Source::read(text))
        };
        files.iter().map(read).collect()
    }

    fn home(sources: &BTreeMap<Module, Source>, module: &str, path: &str) -> Option<String> {
        let words = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
        let (home, name) = Names::of(sources).home(&words(module), &words(path))?;
        Some(format!("{} {name}", home.join("::")))
    }

    #[test]
    fn a_name_that_is_passed_on_lives_where_it_is_defined() {
        let sources = crate_of(&[
            "|pub use a::Far;",
            "a|mod b; pub(crate) use b::{Near, Far as Renamed}; pub use self::b::Far;",
            "a::b|struct Near; struct Far;",
            "c|use crate::a::Near;",
        ]);
        for path in ["crate::Far", "crate::a::Far", "crate::a::Renamed", "super::a::b::Far"] {
            assert_eq!(home(&sources, "c", path).as_deref(), Some("a::b Far"), "{path}");
        }
        assert_eq!(home(&sources, "c", "Near::new").as_deref(), Some("a::b Near"));
        assert_eq!(home(&sources, "a", "b::Near").as_deref(), Some("a::b Near"));
    }

    #[test]
    fn super_goes_up_as_often_as_it_is_written() {
        let sources = crate_of(&["|", "a|", "a::b|", "a::b::c|", "d|"]);
        assert_eq!(home(&sources, "a::b::c", "super::f").as_deref(), Some("a::b f"));
        assert_eq!(home(&sources, "a::b::c", "super::super::f").as_deref(), Some("a f"));
        assert_eq!(home(&sources, "a::b::c", "super::super::super::d::f").as_deref(), Some("d f"));
    }

    #[test]
    fn a_module_as_such_and_other_crates_are_nobodys_home() {
        let sources = crate_of(&["|", "a|use std::fmt; use crate::b;", "b|"]);
        for path in ["std::fmt::Write", "fmt::Write", "crate::b", "serde::Serialize"] {
            assert_eq!(home(&sources, "a", path), None, "{path}");
        }
        assert_eq!(home(&sources, "a", "b::f").as_deref(), Some("b f"));
    }

    #[test]
    fn names_that_are_passed_round_in_a_ring_end() {
        let sources = crate_of(&["a|pub use crate::b::X;", "b|pub use crate::a::X;", "c|"]);
        assert!(home(&sources, "c", "crate::a::X").is_some());
    }
}
