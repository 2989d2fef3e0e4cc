//! The shape of the house: which crate may know which, how long a file may grow, and that the docs
//! name things that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Every edge between our crates; dev-dependencies may differ.
const EDGES: &[(&str, &[&str])] = &[
    ("isobar-balance", &[]),
    ("isobar-config", &[]),
    ("isobar-http1", &[]),
    ("isobar-pool", &["isobar-balance"]),
    ("isobar-proxy", &["isobar-balance", "isobar-http1", "isobar-pool"]),
    ("isobar", &["isobar-balance", "isobar-config", "isobar-http1", "isobar-pool", "isobar-proxy"]),
    ("isobar-tests", &[]),
];
const LONGEST: usize = 600;

#[test]
fn crates_know_only_what_they_may() {
    let run = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output();
    let metadata: Value =
        serde_json::from_slice(&run.expect("cargo metadata").stdout).expect("JSON");
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name");
        let allowed = EDGES.iter().find(|(owner, _)| *owner == name);
        let (_, allowed) = allowed.unwrap_or_else(|| panic!("{name} is not in the table"));
        let ours = package["dependencies"].as_array().expect("dependencies").iter();
        let ours = ours.filter(|dependency| dependency["kind"].is_null());
        for dependency in ours.filter_map(|dependency| dependency["name"].as_str()) {
            let known = !dependency.starts_with("isobar") || allowed.contains(&dependency);
            assert!(known, "{name} must not know {dependency}");
        }
        assert_ne!(package["description"].as_str().unwrap_or_default(), "", "{name}: description");
    }
}

#[test]
fn no_file_is_too_long_to_read() {
    for file in files("rs") {
        let text = std::fs::read_to_string(&file).expect("reads");
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines", file.display());
        assert_ne!(file.file_name().and_then(|name| name.to_str()), Some("mod.rs"));
    }
}

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
    for file in files("md") {
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

fn files(ending: &str) -> Vec<PathBuf> {
    let run = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let listed = String::from_utf8(run.expect("git").stdout).expect("UTF-8");
    let paths = listed.split('\0').filter(|path| path.ends_with(&format!(".{ending}")));
    let there: Vec<PathBuf> = paths.map(|path| root().join(path)).filter(|p| p.exists()).collect();
    assert!(!there.is_empty());
    there
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
