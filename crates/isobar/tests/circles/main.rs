//! How far files of a crate may need each other in a circle. An arrow goes from a file to the file
//! that defines a name it uses; files that reach each other by arrows are a circle: none of them can
//! be read, or moved, without all the others.
//!
//! The table below is a ratchet: a crate's largest circle may shrink and never grow. Who knows whom
//! between crates is `tidy`'s.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

mod graph;
mod names;
mod source;

use graph::{Circle, Graph};
use source::Source;

/// The files in each crate's largest circle; 1: there is none.
const LARGEST: &[(&str, usize)] = &[
    // A line each, so that two changes that lower two rows do not meet.
    ("balance", 1),
    ("config", 3),
    ("http1", 5),
    ("isobar", 3),
    ("pool", 5),
    ("proxy", 4),
];

#[test]
fn circles_only_shrink() {
    let mut wrong = String::new();
    let allowed: BTreeMap<_, _> = LARGEST.iter().copied().collect();
    let crates = crates();
    for (name, src) in &crates {
        // A new crate begins without.
        let allowed = allowed.get(&**name).copied().unwrap_or(1);
        let graph = Graph::of(&sources(src));
        let circles = graph.circles();
        let largest = circles.first().map_or(1, Circle::len);
        if largest > allowed {
            let _ = writeln!(
                wrong,
                "\n{name}: {largest} files in a circle, and its row says {allowed}. Break it: a file below both for \
                 the name they share, a plain argument, or a function moved to what it needs"
            );
            circles
                .iter()
                .filter(|circle| circle.len() > allowed)
                .for_each(|circle| wrong += &circle.to_string());
        }
        if largest < allowed {
            let _ = writeln!(
                wrong,
                "\n{name}: {largest} files in its largest circle, and its row says {allowed}: lower the row to \
                 {largest}; a ratchet only shrinks"
            );
        }
    }
    for (name, _) in LARGEST.iter().filter(|(name, _)| !crates.contains_key(*name)) {
        let _ = writeln!(wrong, "\n{name}: there is no such crate, take its row out");
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The crates' names, and where their sources are.
fn crates() -> BTreeMap<String, PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path());
    let found: BTreeMap<_, _> = folders
        .map(|folder| {
            (folder.file_name().unwrap().to_str().unwrap().to_owned(), folder.join("src"))
        })
        .filter(|(_, src)| src.is_dir())
        .collect();
    assert!(found.len() > 4, "this looks at the wrong place");
    found
}

/// Every module of a crate by its path, `[]` being the crate itself; not what only tests know.
fn sources(src: &Path) -> BTreeMap<Vec<String>, Source> {
    let mut found = BTreeMap::new();
    let mut folders = vec![src.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && let Some(module) = module(path.strip_prefix(src).unwrap())
            {
                found.insert(module, Source::read(&fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found
}

fn module(file: &Path) -> Option<Vec<String>> {
    let parts = file.with_extension("");
    let parts: Vec<String> = parts.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let last = parts.last()?.as_str();
    let of_tests = parts.iter().any(|part| part == "tests") || last == "conformance";
    let programs = parts == ["main"] || parts[0] == "bin";
    match () {
        () if of_tests || programs => None,
        () if parts == ["lib"] => Some(Vec::new()),
        () => Some(parts),
    }
}

#[test]
fn a_file_is_a_module_unless_it_is_for_tests_or_a_program() {
    let path = |file: &str| module(Path::new(file)).map(|module| module.join("::"));
    assert_eq!(path("lib.rs").as_deref(), Some(""));
    assert_eq!(path("a/b.rs").as_deref(), Some("a::b"));
    for other in ["main.rs", "bin/x.rs", "a/tests.rs", "a/tests/b.rs", "filter/conformance.rs"] {
        assert_eq!(path(other), None, "{other}");
    }
}
