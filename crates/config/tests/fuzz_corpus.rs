//! What the fuzzer once found worth keeping, and every file there is, through the same check.

mod kit;

use std::fs;
use std::path::PathBuf;

#[path = "../fuzz/checks/config.rs"]
mod config;

#[test]
fn configurations() {
    let corpus = kit::root().join("crates/config/fuzz/corpus/config");
    let mut files: Vec<PathBuf> =
        fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() > 20, "{}", files.len());
    files.extend(kit::yaml_files("configs"));
    files.extend(kit::yaml_files("tests/hostile-configs"));
    for path in files {
        let input = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| config::check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
    }
}
