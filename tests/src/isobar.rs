//! The built binary, started on a configuration in a directory of its own and killed, by its id,
//! when it goes out of scope. `$ISOBAR_BIN` names it; else the one beside the running test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::http::{Connection, Response};
use crate::metrics::Metrics;
use crate::scratch::Scratch;

const STARTS_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub struct Isobar {
    child: Child,
    scratch: Scratch,
    stderr: Arc<Heard>,
}

/// What the process has said so far.
#[derive(Debug, Default)]
struct Heard {
    text: Mutex<String>,
    more: Condvar,
}

impl Isobar {
    /// Starts on this configuration (the kit adds the admin socket) and waits until it is ready.
    pub fn start(config: &str) -> Isobar {
        let isobar = Isobar::spawn(config, |command| command);
        isobar.wait_until_ready();
        isobar
    }

    /// Starts without waiting; `adapt` may add arguments or change where output goes.
    pub fn spawn(config: &str, adapt: impl FnOnce(&mut Command) -> &mut Command) -> Isobar {
        let scratch = Scratch::new();
        let path = scratch.file("isobar.yaml");
        std::fs::write(&path, with_admin(config, &scratch)).expect("writes the configuration");
        let mut command = Command::new(binary());
        command.arg("run").arg("-c").arg(&path).current_dir(scratch.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        command.env("NO_COLOR", "1");
        let mut child = adapt(&mut command).spawn().expect("starts the binary");
        let stderr = Arc::new(Heard::default());
        if let Some(pipe) = child.stderr.take() {
            let heard = stderr.clone();
            std::thread::spawn(move || heard.listen(pipe));
        }
        Isobar { child, scratch, stderr }
    }

    pub fn wait_until_ready(&self) {
        let patience = Instant::now() + STARTS_WITHIN;
        while Instant::now() < patience {
            if self.try_admin("GET", "/ready", b"").is_ok_and(|answer| answer.status == 200) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("isobar was not ready within {STARTS_WITHIN:?}; it said:\n{}", self.stderr());
    }

    /// The address of the listener (or metrics socket) of that name, as it said on stderr.
    pub fn address(&self, name: &str) -> SocketAddr {
        let said = |text: &str| listening(text, name);
        let address = self.stderr.wait_for(STARTS_WITHIN, said);
        address.unwrap_or_else(|| panic!("no `listening on … ({name})` in:\n{}", self.stderr()))
    }

    pub fn stderr(&self) -> String {
        self.stderr.text.lock().expect("stderr").clone()
    }

    /// Waits until stderr contains that text.
    pub fn wait_to_hear(&self, text: &str, patience: Duration) -> bool {
        self.stderr.wait_for(patience, |all| all.contains(text).then_some(())).is_some()
    }

    /// The first line of stderr that has all of these words, once there is one.
    pub fn wait_for_line(&self, words: &[&str], patience: Duration) -> Option<String> {
        self.stderr.wait_for(patience, |all| {
            let found = all.lines().find(|line| words.iter().all(|word| line.contains(word)));
            found.map(str::to_owned)
        })
    }

    pub fn path(&self) -> &Path {
        self.scratch.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.scratch.file(name)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory it holds now, KiB.
    pub fn resident_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn open(&self, listener: &str) -> Connection {
        Connection::open(self.address(listener)).expect("connects to the listener")
    }

    pub fn admin(&self, method: &str, path: &str, body: &str) -> Response {
        self.try_admin(method, path, body.as_bytes()).expect("the admin socket answers")
    }

    pub fn try_admin(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<Response> {
        let mut connection = Connection::open_unix(&self.file("admin.sock"))?;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\n");
        if !body.is_empty() {
            head += "Content-Type: application/json\r\n";
        }
        head += &format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        connection.send(&[head.as_bytes(), body].concat())?;
        connection.response_to(method)
    }

    pub fn metrics(&self) -> Metrics {
        Metrics::parse(&self.admin("GET", "/metrics", "").text())
    }

    pub fn pool(&self, name: &str) -> serde_json::Value {
        let answer = self.admin("GET", &format!("/v1/pools/{name}"), "");
        serde_json::from_slice(&answer.body).expect("a pool as JSON")
    }

    /// One worker's field in `/v1/pools/{pool}`, as text.
    pub fn worker_health(&self, pool: &str, worker: &str) -> String {
        let pool = self.pool(pool);
        let workers = pool["workers"].as_array().cloned().unwrap_or_default();
        let found = workers.iter().find(|entry| entry["name"] == worker);
        let health = found.map(|entry| &entry["health"]);
        health.and_then(|health| health.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// At once: whoever reads the file has either all of the old or all of the new one.
    pub fn rewrite(&self, config: &str) {
        let (path, new) = (self.file("isobar.yaml"), self.file("isobar.yaml.new"));
        std::fs::write(&new, with_admin(config, &self.scratch)).expect("writes the file");
        std::fs::rename(new, path).expect("puts it in the other's place");
    }

    /// Runs another command of the binary against this one's admin socket.
    pub fn command(&self, arguments: &[&str]) -> Output {
        let admin = format!("unix:{}", self.file("admin.sock").display());
        let mut command = Command::new(binary());
        command.args(arguments).env("ISOBAR_ADMIN", admin).env("NO_COLOR", "1");
        command.current_dir(self.path()).stdin(Stdio::null());
        command.output().expect("runs the binary")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("the process is there");
    }

    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return Some(status);
            }
            if Instant::now() > until {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Isobar {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- isobar said:\n{}---", self.stderr());
        }
    }
}

impl Heard {
    fn listen(&self, pipe: impl Read) {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            let mut text = self.text.lock().expect("stderr");
            text.push_str(&String::from_utf8_lossy(&line));
            text.push('\n');
            self.more.notify_all();
        }
    }

    fn wait_for<T>(&self, patience: Duration, look: impl Fn(&str) -> Option<T>) -> Option<T> {
        let until = Instant::now() + patience;
        let mut text = self.text.lock().expect("stderr");
        loop {
            if let Some(found) = look(&text) {
                return Some(found);
            }
            let left = until.checked_duration_since(Instant::now())?;
            text = self.more.wait_timeout(text, left).expect("stderr").0;
        }
    }
}

pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("ISOBAR_BIN") {
        return PathBuf::from(path);
    }
    let test = std::env::current_exe().expect("the test's own path");
    let beside = test.ancestors().nth(2).expect("a target directory").join("isobar");
    assert!(
        beside.exists(),
        "no binary: run `tests/run`, or build it (`cargo build`) or set ISOBAR_BIN"
    );
    beside
}

/// A configuration that names its admin addresses itself says `ADMIN_SOCKET` for the kit's.
fn with_admin(config: &str, scratch: &Scratch) -> String {
    let socket = format!("unix:{}", scratch.file("admin.sock").display());
    match config.contains("ADMIN_SOCKET") {
        true => config.replace("ADMIN_SOCKET", &socket),
        false => format!("admin: {{ bind: \"{socket}\" }}\n{config}\n"),
    }
}

fn listening(text: &str, name: &str) -> Option<SocketAddr> {
    let suffix = format!(" ({name})");
    let announced = text.lines().filter_map(|line| line.split_once("listening on "));
    let mine = announced.filter_map(|(_, rest)| rest.trim_end().strip_suffix(&suffix));
    mine.filter_map(|address| address.trim().parse().ok()).next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_address_of_a_listener() {
        let text = "INFO listening on 127.0.0.1:81 (web)\nlistening on 127.0.0.1:82 (db)\n";
        assert_eq!(listening(text, "db"), Some("127.0.0.1:82".parse().unwrap()));
        assert_eq!(listening(text, "we"), None);
    }
}
