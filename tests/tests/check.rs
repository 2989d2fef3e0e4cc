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
