//! A test that cannot run here says so in `$ISOBAR_TESTS_SKIPPED`, which `tests/run` counts.

use std::io::Write;

/// Notes that the calling test did not run, and why. The caller returns.
pub fn note(test: &str, why: &str) {
    eprintln!("skipped: {test}: {why}");
    let Some(path) = std::env::var_os("ISOBAR_TESTS_SKIPPED") else { return };
    let file = std::fs::OpenOptions::new().append(true).create(true).open(path);
    if let Ok(mut file) = file {
        let _ = writeln!(file, "{test}: {why}");
    }
}
