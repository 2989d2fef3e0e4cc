//! The worker benchmark measures what it says: its arithmetic has tests of its own, and a short run
//! of it on a real server fills every figure and writes its three files.

use std::path::Path;
use std::process::{Command, Output};

use isobar_tests::apps::{Node, Python};
use isobar_tests::isobar::binary;
use isobar_tests::scratch::Scratch;

#[test]
fn its_arithmetic_is_right() {
    let Some(python) = python("worker benchmark, arithmetic") else { return };
    let discover = ["-m", "unittest", "discover", "-t", "tests/bench", "tests/bench/fleet"];
    let output = Command::new(python).args(discover).current_dir(root()).output().expect("runs");
    assert!(output.status.success(), "{}", said(&output));
}

/// node, because its workers start at once; `none` beside it shows that a front makes a difference
/// to the workers' journals.
#[test]
fn a_short_run_fills_every_figure() {
    let (test, scratch) = ("worker benchmark, a short run", Scratch::new());
    let (Some(python), Some(_), Some(_)) = (python(test), Node::find(test), Python::find(test))
    else {
        return;
    };
    let mut run = Command::new(python);
    run.arg("tests/bench/workers").args(["--servers", "node", "--workloads", "uniform,recycle"]);
    run.args(["--fronts", "none,isobar", "--seconds", "4", "--rounds", "1", "--out"]);
    run.arg(scratch.path()).current_dir(root()).env("ISOBAR_BIN", binary());
    let output = run.output().expect("runs");
    assert!(output.status.success(), "{}", said(&output));

    let text = std::fs::read_to_string(scratch.file("workers.json")).expect("the figures");
    let result: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let cells = result["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 2, "{text}");
    for cell in cells {
        let ideal = cell["ideal"]["p99"].as_f64().expect("an ideal");
        let isobar = &cell["fronts"]["isobar"];
        let requests = isobar["requests"].as_u64().expect("requests");
        assert!(requests > 200, "{cell}");
        let by_worker = isobar["requests_by_worker"].as_array().expect("workers");
        let served: u64 = by_worker.iter().filter_map(serde_json::Value::as_u64).sum();
        // The journals know every request, and nobody failed.
        assert_eq!((by_worker.len(), served), (4, requests), "{cell}");
        assert_eq!(isobar["errors"], serde_json::json!({}), "{cell}");
        let p99 = isobar["p99"].as_f64().expect("a p99");
        assert!(p99 >= 20.0 && ideal >= 20.0, "{cell}");
        assert!(p99 <= 3.0 * ideal + 20.0, "far from an ideal queue: {cell}");
    }
    for file in ["workers.md", "workers.svg"] {
        let page = std::fs::read_to_string(scratch.file(file)).expect(file);
        assert!(page.contains("isobar") && page.contains("recycle"), "{file}:\n{page}");
    }
}

/// Any Python can run the benchmark; its servers have one of their own.
fn python(test: &str) -> Option<&'static str> {
    let there = Command::new("python3").arg("--version").output().is_ok();
    if !there {
        isobar_tests::skip::note(test, "no python3");
    }
    there.then_some("python3")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
