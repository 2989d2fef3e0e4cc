//! The docs name things that exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use isobar_tests::isobar::binary;
use isobar_tests::scratch::Scratch;
use isobar_tests::tls::{Authority, Wanted};

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

/// Who copies a configuration out of a page can run it.
#[test]
fn every_whole_configuration_in_the_docs_is_good() {
    let scratch = Scratch::new();
    // The files that they name.
    Authority::new("root").issue(scratch.path(), "site", &Wanted::default());
    let mut seen = 0;
    for page in documents() {
        let text = std::fs::read_to_string(&page).expect("reads");
        let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
        for block in blocks.filter(|block| is_whole(block)) {
            let file = scratch.file("isobar.yaml");
            std::fs::write(&file, block).expect("writes");
            let check = Command::new(binary()).arg("check").arg("-c").arg(&file).output();
            let check = check.expect("runs");
            assert!(check.status.success(), "{}:\n{block}\n{check:?}", page.display());
            seen += 1;
        }
    }
    assert!(seen >= 8, "{seen}");
}

fn is_whole(block: &str) -> bool {
    ["listeners:", "pools:"].iter().all(|key| block.lines().any(|line| line == *key))
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

/// Tags like H1-29 and `h1_29` are of a family that docs/contributing.md explains, and no family is
/// without a case.
#[test]
fn every_family_of_tags_is_explained() {
    let text = std::fs::read_to_string(root().join("docs/contributing.md")).expect("it");
    let table = text.split("| tag | cases of |").nth(1).expect("the table");
    let rows = table.lines().take_while(|line| line.is_empty() || line.starts_with('|')).skip(2);
    let explained: BTreeSet<&str> = rows.filter_map(|row| row.split('|').nth(1)).collect();
    let explained: BTreeSet<String> = explained.iter().map(|tag| tag.trim().to_owned()).collect();
    let mut used = BTreeSet::new();
    for file in listed(".rs") {
        let source = std::fs::read_to_string(&file).expect("reads");
        let words = source.split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
        used.extend(words.filter_map(family));
    }
    assert_eq!(explained, used, "explained, used");
}

/// `H1` of `H1-29` and of `h1_29_head_limits`.
fn family(word: &str) -> Option<String> {
    let (family, rest) = word.split_at_checked(2)?;
    let (number, upper) = match rest.strip_prefix('-') {
        Some(number) => (number, true),
        None => (rest.strip_prefix('_')?.split_once('_')?.0, false),
    };
    let two_digits = number.len() == 2 && number.bytes().all(|byte| byte.is_ascii_digit());
    let first = family.chars().next()?;
    let letter = if upper { first.is_ascii_uppercase() } else { first.is_ascii_lowercase() };
    (two_digits && letter).then(|| family.to_ascii_uppercase())
}

fn documents() -> Vec<PathBuf> {
    listed(".md")
}

fn listed(ending: &str) -> Vec<PathBuf> {
    let run = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let listed = String::from_utf8(run.expect("git").stdout).expect("UTF-8");
    let paths = listed.split('\0').filter(|path| path.ends_with(ending));
    let there: Vec<PathBuf> = paths.map(|path| root().join(path)).filter(|p| p.exists()).collect();
    assert!(!there.is_empty());
    there
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
