//! Files that want to crash, hang, flood or fool us: each is refused, with its place.

mod kit;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobar_config::{Colour, Problems, Severity, load, load_str};
use kit::registry;
use proptest::prelude::*;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/hostile-configs")
}

fn refused(path: &Path) -> Problems {
    let before = on_cpu();
    let problems = load(path, &registry()).expect_err(&path.display().to_string());
    ends_soon(&path.display().to_string(), on_cpu() - before);
    assert!(!problems.is_empty());
    let text = problems.render(Colour::Never);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.contains("hunter2"), "{text}");
    assert!(!problems.to_json().contains("hunter2"));
    problems
}

#[test]
fn every_hostile_file_is_refused_with_line_and_column() {
    let mut count = 0;
    for entry in fs::read_dir(fixtures()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e != "yaml") {
            continue;
        }
        let problems = refused(&path);
        let first = problems.iter().find(|p| p.severity == Severity::Error).unwrap();
        assert!(first.line.unwrap() >= 1 && first.column.unwrap() >= 1, "{}", path.display());
        count += 1;
    }
    assert!(count >= 30, "{count}");
}

/// What people see. `BLESS=1 cargo test` writes the snapshots anew.
#[test]
fn the_text_is_as_it_was() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut wrong = String::new();
    for name in [
        "alias-bomb",
        "bad-discovery",
        "bad-environment",
        "bad-filters",
        "bad-matches",
        "bad-retries",
        "bad-routes",
        "bad-tls",
        "dangling-pool",
        "duplicate-key",
        "http-and-tcp",
        "many-mistakes",
        "bad-life",
        "not-built-yet",
        "ports",
        "secrets",
        "tabs",
        "unknown-keys",
        "wrong-shapes",
    ] {
        let text = refused(&fixtures().join(format!("{name}.yaml"))).render(Colour::Never);
        let text = text.replace(&format!("{}/", fixtures().display()), "");
        let path = golden.join(format!("{name}.txt"));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &text).unwrap();
        }
        let before = fs::read_to_string(&path).unwrap_or_default();
        if text != before {
            let _ = writeln!(wrong, "--- {name}, now:\n{text}");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn json_has_the_place() {
    let json = refused(&fixtures().join("unknown-keys.yaml")).to_json();
    let all: serde_json::Value = serde_json::from_str(&json).unwrap();
    let first = &all[0];
    assert_eq!(first["line"], 1);
    assert_eq!(first["column"], 1);
    assert_eq!(first["severity"], "error");
    assert_eq!(first["hint"], "did you mean `listeners`?");
    assert_eq!(first["source"], "listners:");
}

#[test]
fn colour_only_where_asked() {
    let problems = refused(&fixtures().join("tabs.yaml"));
    assert!(problems.render(Colour::Always).contains("\u{1b}[1;31merror\u{1b}[0m"));
    assert!(!problems.render(Colour::Never).contains('\u{1b}'));
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir =
            std::env::temp_dir().join(format!("isobar-hostile-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_is_no_file_is_not_opened() {
    let dir = Dir::new("nofile");
    let fifo = dir.0.join("fifo.yaml");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let socket = dir.0.join("socket.yaml");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let looped = dir.0.join("loop.yaml");
    std::os::unix::fs::symlink(&looped, &looped).unwrap();
    let zero = dir.0.join("zero.yaml");
    std::os::unix::fs::symlink("/dev/zero", &zero).unwrap();
    let big = dir.0.join("big.yaml");
    fs::File::create(&big).unwrap().set_len(100 * 1024 * 1024).unwrap();
    for (path, word) in [
        (fifo.as_path(), "it is a FIFO"),
        (dir.0.as_path(), "it is a directory"),
        (zero.as_path(), "it is a device"),
        (Path::new("/dev/zero"), "it is a device"),
        (socket.as_path(), "it is a socket"),
        (looped.as_path(), "ymbolic links"),
        (big.as_path(), "bigger than 1 MiB"),
        (Path::new("/does/not/exist.yaml"), "No such file"),
    ] {
        let text = refused(path).to_string();
        assert!(
            text.contains(word) && text.contains(":1:1: error: "),
            "{}: {text}",
            path.display()
        );
        // The same, included.
        let main = dir.0.join("main.conf");
        fs::write(&main, format!("include: '{}'\n", path.display())).unwrap();
        let text = refused(&main).to_string();
        assert!(text.contains(word) && text.contains(":1:10: error: "), "{text}");
    }
}

#[test]
fn all_files_together_have_a_bound() {
    let dir = Dir::new("total");
    let text = format!("# {}\n", "x".repeat(1024 * 1024 - 100));
    for n in 0..20 {
        fs::write(dir.0.join(format!("{n}.yaml")), &text).unwrap();
    }
    let main = dir.0.join("main.conf");
    fs::write(&main, "include: '*.yaml'\n").unwrap();
    let text = refused(&main).to_string();
    assert!(text.contains("all files together are bigger than 16 MiB"), "{text}");
}

#[test]
fn big_texts_end_soon() {
    let keys = |line: fn(usize) -> String| (0..).map(line).take(40_000).collect::<String>();
    let anchors: String = (0..20_000).map(|n| format!("- &a{n} x\n")).collect();
    for (what, text) in [
        ("flow", "[".repeat(1 << 20)),
        ("flow maps", "{a: ".repeat(1 << 18)),
        ("dashes", "- ".repeat(1 << 19)),
        ("questions", "? ".repeat(1 << 19)),
        ("keys", keys(|n| format!("key{n}: 1\n"))),
        ("same keys", keys(|_| "shards: 0\n".to_owned())),
        ("near keys", keys(|n| format!("listener{n}: 1\n"))),
        ("a long scalar", format!("shards: {}", "x".repeat(1 << 20)[..1_000_000].to_owned())),
        ("a long key", format!("? {}\n: 1", "x".repeat(1_000_000))),
        ("variables", format!("shards: {}", "${PATH}".repeat(100_000))),
        ("anchors", anchors),
        ("documents", "---\n".repeat(1 << 18)),
        ("colons", ":".repeat(1 << 20)),
        ("items", "-\n".repeat(1 << 19)),
        ("too big", " ".repeat((1 << 20) + 1)),
        ("aliases", format!("a: &a [{}]\nb: [{}]", "x,".repeat(1000), "*a,".repeat(100_000))),
    ] {
        let before = on_cpu();
        let problems = load_str(&text, &registry()).expect_err(what);
        let rendered = problems.render(Colour::Never);
        ends_soon(what, on_cpu() - before);
        assert!(rendered.len() < 200_000, "{what}: {}", rendered.len());
    }
}

/// Small to write, big to hold: what is read from the tree is bigger than the tree.
#[test]
fn many_small_things_end_soon() {
    let pool = |item: &str, times: usize| {
        format!("x: &x {item}\npools: {{ app: {{ workers: [{}] }} }}", "*x,".repeat(times))
    };
    let routes = |times: usize| {
        format!(
            "x: &x {{ pool: a, match: {{ path: / }} }}\nlisteners: {{ web: {{ bind: 127.0.0.1:1, routes: [{}] }} }}",
            "*x,".repeat(times)
        )
    };
    for (what, text) in [
        ("workers", pool("127.0.0.1:1", 240_000)),
        ("worker maps", pool("{ address: 127.0.0.1:1 }", 120_000)),
        ("empty maps", pool("{}", 240_000)),
        ("routes", routes(60_000)),
    ] {
        let before = on_cpu();
        let problems = load_str(&text, &registry()).expect_err(what);
        assert!(problems.len() > 1);
        ends_soon(what, on_cpu() - before);
    }
}

/// A megabyte that wants to cost much may cost as much as so many plain files.
const PLAIN_FILES: u32 = 60;

/// Compared with a plain file on the same machine at the same time: a busy or a slow one takes longer
/// for both. Only if it took long is that measured.
#[track_caller]
fn ends_soon(what: &str, used: Duration) {
    const SOON: Duration = Duration::from_millis(500);
    if used < SOON {
        return;
    }
    let pools: String =
        (0..2_000).map(|n| format!("  p{n}: {{ workers: [127.0.0.1:1] }}\n")).collect();
    let text = format!("listeners: {{ web: {{ bind: 127.0.0.1:1, pool: p0 }} }}\npools:\n{pools}");
    let before = on_cpu();
    load_str(&text, &registry()).expect("a plain file");
    let plain = on_cpu() - before;
    assert!(used < plain * PLAIN_FILES, "{what}: {used:?}, a plain file: {plain:?}");
}

/// How long this thread has been running: what a busy machine makes it wait is not its work.
fn on_cpu() -> Duration {
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanos = account.split(' ').next().and_then(|nanos| nanos.parse().ok());
    Duration::from_nanos(nanos.expect("nanoseconds"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = load_str(&String::from_utf8_lossy(&bytes), &registry()).map_err(|p| p.to_string());
    }

    #[test]
    fn arbitrary_yaml_never_panics(text in "[a-c:\\- \n\\[\\]{},&*!|>'\"#%$?\t\u{e9}\u{4e16}]{0,120}") {
        let _ = load_str(&text, &registry()).map_err(|p| p.to_string());
    }

    /// A good file with one place broken: still no panic, and a refusal has a place.
    #[test]
    fn broken_good_files_never_panic(at in 0usize..10_000, with in "[ -~\n]{0,4}", cut in 0usize..6) {
        let good = include_str!("../../../tests/hostile-configs/not-built-yet.yaml");
        let at = at % good.len();
        let end = (at + cut).min(good.len());
        let text = format!("{}{with}{}", &good[..at], &good[end..]);
        if let Err(problems) = load_str(&text, &registry()) {
            prop_assert!(problems.iter().all(|p| p.line.is_some()));
            prop_assert!(problems.iter().next().is_some());
        }
    }
}
