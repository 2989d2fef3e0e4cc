//! The README's commands and configurations are run, not believed.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use isobar_tests::isobar::{Isobar, binary};
use isobar_tests::tls::{Authority, Wanted};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn every_configuration_in_the_readme_starts() {
    let blocks = blocks("yaml");
    assert!(!blocks.is_empty());
    for block in blocks {
        let mut isobar = Isobar::start(&any_port(&block));
        isobar.signal(Signal::TERM);
        let status = isobar.wait(PATIENCE).expect("it ends");
        assert!(status.success(), "{block}");
    }
}

#[test]
fn every_command_in_the_readme_runs() {
    let config = any_port(&blocks("yaml")[0]);
    let mut ran = Vec::new();
    for line in command_lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[0] {
            "demo" => {
                let mut demo = Command::new(binary());
                demo.args(&words).args(["--seconds", "1"]).stdin(Stdio::null());
                let output = demo.output().expect("runs");
                assert!(output.status.success(), "{line}: {output:?}");
            }
            "proxy" => run_until_ready(&any_port(&line)),
            "check" | "run" => {
                // The file is the README's own.
                let scratch = isobar_tests::scratch::Scratch::new();
                let admin =
                    format!("admin: {{ bind: \"unix:{}\" }}\n", scratch.file("s").display());
                let file = scratch.file("isobar.yaml");
                std::fs::write(&file, admin + &config).expect("writes");
                let line = line.replace("isobar.yaml", &file.display().to_string());
                match words[0] {
                    "run" => run_until_ready(&line),
                    _ => {
                        let check = Command::new(binary()).args(line.split_whitespace()).output();
                        assert!(check.expect("runs").status.success(), "{line}");
                    }
                }
            }
            other => panic!("nobody tests `isobar {other}`: add it here"),
        }
        ran.push(words[0].to_owned());
    }
    assert_eq!(ran, ["demo", "proxy", "check", "run"]);
}

/// A command that `--help` lists is in the README's table; one in the list of what is not done yet is
/// not listed there, and says so.
#[test]
fn the_readme_names_every_command_and_what_is_not_built() {
    let help = Command::new(binary()).arg("--help").output().expect("runs").stdout;
    let help = String::from_utf8(help).expect("UTF-8");
    let commands = help.split("Commands:").nth(1).expect("commands");
    let mut commands: Vec<(&str, bool)> = commands
        .lines()
        .take_while(|line| !line.starts_with("Options"))
        .filter_map(|line| line.strip_prefix("  ")?.split_once(' '))
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, _)| (name, true))
        .collect();
    assert!(commands.len() > 10, "{commands:?}");
    for later in
        ["spawn", "restart", "scale", "logs", "top", "dashboard", "diagnose", "simulate", "config"]
    {
        assert!(commands.iter().all(|(name, _)| *name != later), "{later} is listed");
        let output = Command::new(binary()).arg(later).output().expect("runs");
        assert_eq!(output.status.code(), Some(2), "{later}");
        commands.push((later, false));
    }
    let text = readme();
    let (done, later) = text.split_once("## What it does not do yet").expect("the section");
    let later = later.split("\n## ").next().unwrap_or_default();
    for (name, built) in commands {
        let named = |text: &str| {
            [format!("`isobar {name}`"), format!("`isobar {name} ")]
                .iter()
                .any(|n| text.contains(n))
        };
        assert_eq!(named(done), built, "isobar {name} in the README's commands");
        assert_eq!(named(later), !built, "isobar {name} in what the README calls not done");
    }
}

#[test]
fn the_configurations_beside_it_are_good() {
    // Passwords and keys are not in a repository.
    let scratch = isobar_tests::scratch::Scratch::new();
    let users = scratch.file("api.users");
    std::fs::write(&users, "ann:$2b$04$dmMkFdCgXjPBhFqX5a3qbuhaCKFWgshYTegaOup2PuMswv.gefC2W\n")
        .expect("writes");
    let wanted = Wanted { names: &["localhost"], ..Wanted::default() };
    let pair = Authority::new("root").issue(scratch.path(), "site", &wanted);
    for entry in std::fs::read_dir(root().join("configs")).expect("configs") {
        let path = entry.expect("an entry").path();
        let check = Command::new(binary())
            .arg("check")
            .arg("-c")
            .arg(&path)
            .env("API_USERS", &users)
            .env("SITE_CERT", &pair.cert)
            .env("SITE_KEY", &pair.key)
            .output();
        let check = check.expect("runs");
        assert!(check.status.success(), "{}: {check:?}", path.display());
    }
}

/// Starts it, waits until it is ready, ends it.
fn run_until_ready(line: &str) {
    let mut command = Command::new(binary());
    command.args(line.split_whitespace()).env("NO_COLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = Running(command.spawn().expect("starts"));
    let stderr = running.0.stderr.take().expect("its stderr");
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
        lines.map_while(Result::ok).for_each(|line| drop(tell.send(line)));
    });
    let mut said = String::new();
    let until = Instant::now() + PATIENCE;
    while !said.contains("ready: ") {
        let left = until.saturating_duration_since(Instant::now());
        match told.recv_timeout(left) {
            Ok(more) => said += &(more + "\n"),
            Err(_) => panic!("isobar {line} was not ready: {said}"),
        }
    }
    kill_process(Pid::from_child(&running.0), Signal::TERM).expect("it is there");
    assert!(running.0.wait().expect("waits").success(), "{line}");
}

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where it listens is the system's choice; where the workers are does not matter.
fn any_port(text: &str) -> String {
    text.replace("127.0.0.1:8080", "127.0.0.1:0")
}

/// What is typed after `isobar`, or after `cargo run --release --`. Nothing is installed for a test.
fn command_lines() -> Vec<String> {
    let joined: Vec<String> = blocks("sh").iter().map(|block| block.replace("\\\n", " ")).collect();
    let lines = joined.iter().flat_map(|block| block.lines());
    lines
        .filter(|line| !line.starts_with("apt-get "))
        .map(|line| {
            let rest = ["cargo run --release -- ", "isobar "].iter();
            let rest = rest.filter_map(|start| line.strip_prefix(start)).next();
            rest.unwrap_or_else(|| panic!("not a command of ours: {line}")).to_owned()
        })
        .collect()
}

/// The fenced blocks of this language.
fn blocks(language: &str) -> Vec<String> {
    let text = readme();
    let fence = format!("```{language}\n");
    let rest = text.split(&fence).skip(1);
    rest.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("README.md")
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
