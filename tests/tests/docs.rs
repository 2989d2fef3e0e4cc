//! The docs name things that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

#[test]
fn the_architecture_begins_at_the_line_that_picks() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).expect("it");
    assert!(text.lines().count() <= 200);
    let link = text.split("](").nth(1).and_then(|rest| rest.split(')').next()).expect("a link");
    let (path, line) = link.split_once("#L").expect("a link to a line");
    let file = std::fs::read_to_string(root().join("docs").join(path)).expect(path);
    let number: usize = line.parse().expect("a line number");
    let line = file.lines().nth(number - 1).unwrap_or_default();
    assert!(line.contains("picker.pick("), "{link} is {line:?}");
}

#[test]
fn links_in_the_docs_lead_somewhere() {
    for file in documents() {
        let text = std::fs::read_to_string(&file).expect("reads");
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = link.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") {
                continue;
            }
            let target = file.parent().expect("a folder").join(path);
            assert!(target.exists(), "{}: {link}", file.display());
        }
    }
}

/// Each `file.rs: test` of docs/contributing.md is a test of that name in tests/tests.
#[test]
fn every_named_test_exists() {
    let text = std::fs::read_to_string(root().join("docs/contributing.md")).expect("it");
    let named: BTreeSet<(&str, &str)> = text
        .split('`')
        .filter_map(|code| code.split_once(".rs: "))
        .filter(|(file, _)| !file.contains('/'))
        .collect();
    assert!(named.len() >= 10, "{named:?}");
    for (file, test) in named {
        let path = root().join(format!("tests/tests/{file}.rs"));
        let source = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(source.contains(&format!("fn {test}")), "no {test} in {}", path.display());
    }
}

fn documents() -> Vec<PathBuf> {
    let run = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let listed = String::from_utf8(run.expect("git").stdout).expect("UTF-8");
    let paths = listed.split('\0').filter(|path| path.ends_with(".md"));
    let there: Vec<PathBuf> = paths.map(|path| root().join(path)).filter(|p| p.exists()).collect();
    assert!(!there.is_empty());
    there
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
