//! Real workers: gunicorn (one synchronous worker), uvicorn and node, each in a process group of its
//! own that is killed by its id. The Python ones journal what they did, by the monotonic clock.

use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::queueing::Span;
use crate::scratch::Scratch;
use crate::skip;
use crate::sockets::free_address;

/// The interpreter that has gunicorn and uvicorn, or a note that the test is skipped.
#[derive(Clone, Debug)]
pub struct Python(PathBuf);

/// The same for Node.js.
#[derive(Clone, Debug)]
pub struct Node(PathBuf);

pub struct App {
    interpreter: PathBuf,
    kind: Kind,
    address: SocketAddr,
    scratch: Scratch,
    process: Option<Child>,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Gunicorn,
    /// gunicorn's worker of threads, which keeps connections this many seconds.
    GunicornThreads {
        keep_alive: u32,
    },
    /// With `--limit-concurrency` of this many.
    Uvicorn(u32),
    Node,
}

/// One request as the worker served it, from accept to close.
#[derive(Clone, Debug, PartialEq)]
pub struct Occupied {
    pub id: String,
    /// Since when the worker had waited for it: it was idle from then to `span.0`.
    pub idle_since: f64,
    pub span: Span,
    /// How long the connection's data had waited when it was accepted.
    pub backlog: f64,
    pub pid: u32,
}

impl Python {
    /// `$ISOBAR_TESTS_PYTHON`, or the virtual environment that `tests/run` makes.
    pub fn find(test: &str) -> Option<Python> {
        let found = Python::installed();
        if found.is_none() {
            skip::note(test, "no Python with gunicorn and uvicorn");
        }
        found
    }

    /// The same without a note.
    pub fn installed() -> Option<Python> {
        let named = std::env::var_os("ISOBAR_TESTS_PYTHON").map(PathBuf::from);
        let test_binary = std::env::current_exe().ok()?;
        let made = || test_binary.ancestors().map(|dir| dir.join("venv/bin/python"));
        named.or_else(|| made().find(|path| path.exists())).map(Python)
    }
}

impl Python {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Node {
    pub fn find(test: &str) -> Option<Node> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|dir| dir.join("node")).find(|p| p.exists());
        if found.is_none() {
            skip::note(test, "no node");
        }
        found.map(Node)
    }
}

impl App {
    pub fn start(python: &Python, kind: Kind) -> App {
        App::with(python.0.clone(), kind)
    }

    pub fn node(node: &Node) -> App {
        App::with(node.0.clone(), Kind::Node)
    }

    fn with(interpreter: PathBuf, kind: Kind) -> App {
        let address = free_address();
        let scratch = Scratch::new();
        let mut app = App { interpreter, kind, address, scratch, process: None };
        app.restart();
        app
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Starts it (again) on its address and waits until it listens.
    pub fn restart(&mut self) {
        self.kill();
        self.process = Some(self.command().spawn().expect("starts the interpreter"));
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(self.address).is_err() {
            assert!(Instant::now() < until, "{:?} does not listen:\n{}", self.kind, self.said());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL for its whole process group.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = kill_process_group(Pid::from_child(&process), Signal::KILL);
            let _ = process.wait();
        }
    }

    /// The lines of the journal, split into words.
    pub fn journal(&self) -> Vec<Vec<String>> {
        let text = std::fs::read_to_string(self.scratch.file("journal")).unwrap_or_default();
        let words = |line: &str| line.split(' ').map(str::to_owned).collect();
        text.lines().map(words).collect()
    }

    /// What the gunicorn worker noted of each connection it served.
    pub fn occupied(&self) -> Vec<Occupied> {
        self.journal().iter().filter_map(|words| Occupied::parse(words)).collect()
    }

    /// The identities of the requests whose handler began, as often as it began.
    pub fn executed(&self) -> Vec<String> {
        let journal = self.journal();
        let executed = journal.into_iter().filter(|words| words[0] == "executed");
        executed.map(|mut words| words.swap_remove(1)).collect()
    }

    pub fn said(&self) -> String {
        std::fs::read_to_string(self.scratch.file("output")).unwrap_or_default()
    }

    fn command(&self) -> Command {
        let apps = concat!(env!("CARGO_MANIFEST_DIR"), "/apps");
        let output = self.scratch.file("output");
        let output = std::fs::File::options().create(true).append(true).open(output);
        let mut command = Command::new(&self.interpreter);
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        match self.kind {
            Kind::Gunicorn => {
                command.args(["-m", "gunicorn", "-w", "1", "--log-level", "warning"]);
                command.args(["-k", "journal.Worker", "-b", &format!("{host}:{port}")]);
                command.arg("wsgi:app");
            }
            Kind::GunicornThreads { keep_alive } => {
                command.args(["-m", "gunicorn", "-w", "1", "--log-level", "warning"]);
                command.args(["-k", "gthread", "--threads", "8", "-b", &format!("{host}:{port}")]);
                command.args(["--keep-alive", &keep_alive.to_string(), "wsgi:app"]);
            }
            Kind::Uvicorn(limit) => {
                command.args(["-m", "uvicorn", "--log-level", "warning"]);
                command.args(["--host", &host, "--port", &port]);
                command.args(["--limit-concurrency", &limit.to_string(), "asgi:app"]);
            }
            Kind::Node => {
                command.args(["server.js", &host, &port]);
            }
        }
        command.current_dir(apps).env("PYTHONPATH", apps).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("JOURNAL", self.scratch.file("journal")).env("HOME", self.scratch.path());
        command
            .stdin(Stdio::null())
            .stderr(output.expect("an output file"))
            .stdout(Stdio::null())
            .process_group(0);
        command
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() && !self.said().is_empty() {
            eprintln!("--- {:?} said:\n{}---", self.kind, self.said());
        }
    }
}

impl Occupied {
    /// `occupied ID IDLE_SINCE ACCEPTED CLOSED BACKLOG_MS PID`
    fn parse(words: &[String]) -> Option<Occupied> {
        let [kind, id, idle_since, accepted, closed, backlog, pid] = words else { return None };
        let number = |text: &str| text.parse::<f64>().ok();
        (kind == "occupied").then_some(())?;
        Some(Occupied {
            id: id.clone(),
            idle_since: number(idle_since)?,
            span: (number(accepted)?, number(closed)?),
            backlog: number(backlog)? / 1e3,
            pid: pid.parse().ok()?,
        })
    }
}

/// Everything the gunicorn workers served, once that many requests are journalled: the line is
/// written after the client has its answer.
pub fn served(apps: &[App], requests: usize) -> Vec<Occupied> {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        let mut served: Vec<Occupied> = apps.iter().flat_map(App::occupied).collect();
        served.retain(|one| one.id != "-");
        if served.len() >= requests || Instant::now() > until {
            return served;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_of_the_journal() {
        let words: Vec<String> =
            "occupied 17 1.25 1.5 2.5 8 99".split(' ').map(Into::into).collect();
        let line = Occupied::parse(&words).unwrap();
        assert_eq!(
            line,
            Occupied {
                id: "17".into(),
                idle_since: 1.25,
                span: (1.5, 2.5),
                backlog: 0.008,
                pid: 99
            }
        );
        assert_eq!(Occupied::parse(&words[..4]), None);
    }
}
