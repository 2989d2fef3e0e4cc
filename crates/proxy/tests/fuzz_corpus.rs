//! What the fuzzer once found worth keeping, through the same check.

use std::fs;
use std::path::Path;

#[path = "../fuzz/checks/route.rs"]
mod route;

#[test]
fn routes() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/route");
    let mut count = 0;
    for entry in fs::read_dir(corpus).unwrap() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| route::check(&input));
        assert!(outcome.is_ok(), "{}", path.display());
        count += 1;
    }
    assert!(count > 20, "{count}");
}
