//! `isobar check` on hostile files: refused with a place, without a panic, in time and memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use isobar_tests::isobar::binary;
use isobar_tests::scratch::Scratch;

const SECONDS: f64 = 3.0;
const MEMORY_KIB: u64 = 256 << 10;

#[derive(Debug)]
struct Verdict {
    status: ExitStatus,
    said: String,
    seconds: f64,
    peak_kib: u64,
}

#[test]
fn every_hostile_file_is_refused_with_its_place() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/hostile-configs"));
    let entries = fs::read_dir(folder).expect("tests/hostile-configs");
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let mut wrong = Vec::new();
    let mut slowest = 0.0_f64;
    for file in &files {
        let verdict = check(file);
        slowest = slowest.max(verdict.seconds);
        if let Some(why) = verdict.wrong().or_else(|| verdict.no_place(file)) {
            wrong.push(format!("{}: {why}: {verdict:?}", file.display()));
        }
    }
    println!("check: {} hostile files, slowest {slowest:.2} s, {} wrong", files.len(), wrong.len());
    assert!(files.len() >= 30, "only {} files", files.len());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What people who come from other tools write, and all that is told about it. A message that is changed
/// on purpose: `BLESS=1 cargo test -p isobar-tests --test check habits`, then read the difference.
#[test]
fn the_habits_of_other_tools_are_answered_word_by_word() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/hostile-configs/habits"));
    let entries = fs::read_dir(folder).expect("the folder");
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "yaml"));
    files.sort();
    let mut wrong = String::new();
    for file in &files {
        let name = file.file_name().expect("a name");
        let output = Command::new(binary())
            .args(["check", "-c"])
            .arg(name)
            .current_dir(folder)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .expect("runs the binary");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{}: {said}", file.display());
        assert_eq!(output.stdout, b"", "{}", file.display());
        let told = file.with_extension("txt");
        if std::env::var_os("BLESS").is_some() {
            fs::write(&told, &said).expect("writes");
        }
        if fs::read_to_string(&told).unwrap_or_default() != said {
            wrong.push_str(&format!("{} now says:\n{said}\n", file.display()));
        }
    }
    assert!(files.len() >= 60, "only {} files", files.len());
    assert!(wrong.is_empty(), "{wrong}");
}

/// The count is there in both forms, and JSON stays an array of problems.
#[test]
fn the_count_of_problems_ends_the_answer() {
    let scratch = Scratch::new();
    let file = scratch.file("isobar.yaml");
    let run = |text: &str, format: &str| {
        fs::write(&file, text).expect("writes");
        let mut command = Command::new(binary());
        let command = command.args(["check", "--format", format, "-c"]).arg(&file);
        command.env("NO_COLOR", "1").output().expect("runs the binary")
    };
    let bad = "trusted_proxies: [10.0.0.1/8]\nlisteners: { web: { bind: 80, pool: a } }\npools: { b: { workers: [] } }\n";
    let good = "trusted_proxies: [10.0.0.1/8]\nlisteners: { web: { bind: 127.0.0.1:0, pool: a } }\npools: { a: { workers: [127.0.0.1:1] } }\n";
    for (text, count, code) in [(bad, "3 errors, 1 warning", 1), (good, "1 warning", 0)] {
        for format in ["text", "json"] {
            let output = run(text, format);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(said.lines().last(), Some(count), "{format}: {said}");
            assert_eq!(output.status.code(), Some(code), "{format}: {said}");
        }
        let json: serde_json::Value =
            serde_json::from_slice(&run(text, "json").stdout).expect("JSON");
        let kinds = json.as_array().expect("an array").iter().map(|p| p["severity"].as_str());
        assert_eq!(kinds.filter(|kind| *kind == Some("warning")).count(), 1, "{json}");
    }
    let quiet = run(&good.replace("10.0.0.1/8", "10.0.0.0/8"), "text");
    assert_eq!(quiet.stderr, b"");
}

#[test]
fn what_is_no_file_of_sane_size_is_refused() {
    let scratch = Scratch::new();
    let fifo = scratch.file("fifo.yaml");
    let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let big = scratch.file("big.yaml");
    fs::write(&big, "# ten bytes".repeat(10_000_000)).expect("writes");
    let huge_scalar = scratch.file("scalar.yaml");
    fs::write(&huge_scalar, format!("shards: {}", "9".repeat(50_000_000))).expect("writes");
    let looping = scratch.file("loop.yaml");
    std::os::unix::fs::symlink(&looping, &looping).expect("links");
    let directory = scratch.file("directory.yaml");
    fs::create_dir(&directory).expect("makes");
    let absent = scratch.file("absent.yaml");
    let endless = PathBuf::from("/dev/zero");
    let including = scratch.file("includes.yaml");
    fs::write(&including, "include: [includes.yaml]\n").expect("writes");
    for file in [fifo, big, huge_scalar, looping, directory, absent, endless, including] {
        let verdict = check(&file);
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        assert_eq!(verdict.wrong(), None, "{name}: {verdict:?}");
        assert!(verdict.said.contains(&name), "{name} is not named: {verdict:?}");
    }
}

impl Verdict {
    fn wrong(&self) -> Option<&'static str> {
        if self.status.code() != Some(1) {
            return Some("exit code is not 1");
        }
        if self.said.contains("panicked") {
            return Some("it panicked");
        }
        if self.seconds > SECONDS {
            return Some("it took too long");
        }
        (self.peak_kib > MEMORY_KIB).then_some("it took too much memory")
    }

    /// `FILE:LINE:COLUMN` must be there, of this file or of one it includes.
    fn no_place(&self, file: &Path) -> Option<&'static str> {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let place = |line: &str| {
            let mut rest = line.split_once(name)?.1.strip_prefix(':')?.split(':');
            let number = |word: &str| {
                let digits: String = word.chars().take_while(char::is_ascii_digit).collect();
                digits.parse::<u32>().ok()
            };
            Some((number(rest.next()?)?, number(rest.next()?)?))
        };
        let found = self.said.lines().any(|line| place(line).is_some());
        (!found).then_some("no file:line:column")
    }
}

fn check(file: &Path) -> Verdict {
    let output = Scratch::new();
    let said = output.file("said");
    let open = || fs::File::options().create(true).append(true).open(&said).expect("a file");
    let began = Instant::now();
    let mut child = Command::new(binary())
        .arg("check")
        .arg("-c")
        .arg(file)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(open())
        .stderr(open())
        .spawn()
        .expect("runs the binary");
    let mut peak_kib = 0;
    let status = loop {
        peak_kib = peak_kib.max(peak_memory(child.id()));
        if let Some(status) = child.try_wait().expect("waits") {
            break status;
        }
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().expect("ends it");
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    let said = String::from_utf8_lossy(&fs::read(&said).expect("what it said")).into_owned();
    let said = said.chars().take(4_000).collect();
    Verdict { status, said, seconds: began.elapsed().as_secs_f64(), peak_kib }
}

fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
