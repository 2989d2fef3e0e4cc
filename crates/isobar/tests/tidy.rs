//! The house's rules that a machine can check: who may know whom, how long a file may be, no
//! sleeping and no fixed ports in tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const LONGEST_FILE: usize = 600;

/// What each crate may know of ours (docs/architecture.md).
const EDGES: &[(&str, &[&str])] = &[
    ("isobar-config", &["isobar-tls"]),
    ("isobar-balance", &[]),
    ("isobar-http1", &[]),
    ("isobar-tls", &[]),
    ("isobar-simulate", &["isobar-balance"]),
    ("isobar-pool", &["isobar-balance", "isobar-http1", "isobar-tls"]),
    ("isobar-spawn", &["isobar-balance", "isobar-pool"]),
    ("isobar-proxy", &["isobar-balance", "isobar-pool", "isobar-http1", "isobar-tls"]),
    (
        "isobar",
        &[
            "isobar-config",
            "isobar-balance",
            "isobar-pool",
            "isobar-proxy",
            "isobar-tls",
            "isobar-simulate",
            "isobar-spawn",
        ],
    ),
];

/// Virtual clocks move by sleeping: in these files `sleep(` costs no time.
const PAUSED: [&str; 2] = ["start_paused", "time::pause()"];

#[test]
fn crates_know_only_whom_they_may() {
    let allowed: BTreeMap<_, _> = EDGES.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in metadata()["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        // The end-to-end tests know what they need.
        let Some(allowed) = allowed.get(name) else { continue };
        for dependency in package["dependencies"].as_array().unwrap() {
            let known = dependency["name"].as_str().unwrap();
            let ours = known == "isobar" || known.starts_with("isobar-");
            if ours && !allowed.contains(&known) {
                wrong.push(format!("{name} must not know {known}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_crate_is_missing_from_the_edges() {
    for package in metadata()["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let manifest = package["manifest_path"].as_str().unwrap();
        let known = EDGES.iter().any(|(known, _)| *known == name);
        assert!(known || !manifest.contains("/crates/"), "add {name} to EDGES");
    }
}

#[test]
fn files_are_short() {
    let long: Vec<_> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST_FILE)
        .collect();
    assert!(long.is_empty(), "longer than {LONGEST_FILE} lines: {long:#?}");
}

#[test]
fn unit_tests_do_not_sleep() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let tests = test_part(&path, &text);
        let paused = PAUSED.iter().any(|mark| text.contains(mark));
        if path.starts_with("crates") && !is_integration(&path) && !paused {
            found.extend(hits(&path, tests, |line| line.contains("sleep(")));
        }
    }
    assert!(found.is_empty(), "wait for an event instead: {found:#?}");
}

#[test]
fn tests_do_not_bind_fixed_ports() {
    // A port in an address that is only read, parsed or refused is fine.
    let binds = |line: &str| {
        ["TcpListener::bind(\"", "UdpSocket::bind(\""].iter().any(|call| {
            let after = line.split(call).nth(1).and_then(|rest| rest.split('"').next());
            after.is_some_and(|address| !address.ends_with(":0"))
        })
    };
    let mut found = Vec::new();
    for (path, text) in sources() {
        found.extend(hits(&path, test_part(&path, &text), binds));
    }
    assert!(found.is_empty(), "bind port 0: {found:#?}");
}

fn hits(path: &Path, text: &str, wrong: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//") && wrong(line));
    lines.map(|line| format!("{}: {}", path.display(), line.trim())).collect()
}

/// What follows the first `#[cfg(test)]`, or all of a file that is nothing but tests.
fn test_part<'t>(path: &Path, text: &'t str) -> &'t str {
    if is_integration(path) || path.file_stem().is_some_and(|stem| stem == "tests") {
        return text;
    }
    // Written apart, so that this very file does not match.
    text.find(concat!("#[cfg(", "test)]")).map_or("", |at| &text[at..])
}

fn is_integration(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests")
}

/// Every Rust file of the repository, by its path from the root.
fn sources() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("crates"), root().join("tests")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 20, "this looks at the wrong place");
    found
}

fn metadata() -> serde_json::Value {
    let mut cargo = Command::new(env!("CARGO"));
    let cargo = cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let output = cargo.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
