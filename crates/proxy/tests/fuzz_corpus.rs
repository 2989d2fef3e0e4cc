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

/// Paths of the pieces that servers read differently, before a few routes each.
#[test]
fn odd_paths() {
    const PIECES: [&str; 16] = [
        "/", "/", "a", "b", "c", "..", ".", ";", "%2F", "%2f", "%5C", "%2e", "~", "?", "//", ";..",
    ];
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..1_500 {
        let rules = rng.u8(..6);
        let mut input = vec![rules];
        input.extend((0..usize::from(rules) * 2 + 2).map(|_| rng.u8(..)));
        input.push(b'/');
        let pieces = rng.usize(..9);
        (0..pieces).for_each(|_| input.extend(PIECES[rng.usize(..PIECES.len())].bytes()));
        route::check(&input);
    }
}
