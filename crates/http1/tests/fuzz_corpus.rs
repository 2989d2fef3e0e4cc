//! What the fuzzer once found worth keeping, through the same checks.

use std::fs;
use std::path::Path;

#[path = "../fuzz/checks/body.rs"]
mod body;
#[path = "../fuzz/checks/head.rs"]
mod head;
#[path = "../fuzz/checks/peer.rs"]
mod peer;

#[test]
fn heads() {
    replay("head", head::check);
}

#[test]
fn bodies() {
    replay("body", body::check);
}

fn replay(target: &str, check: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count > 20, "{count}");
}
