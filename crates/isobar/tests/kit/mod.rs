//! The binary at work in a directory of its own, and a worker that is a thread of the test.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

/// One listener `web` on a free port, one pool with the worker `w1`, an admin socket.
pub(crate) fn config(dir: &Dir, pool: &str, worker: &str) -> String {
    format!(
        "admin: {{ bind: \"unix:{}\", mode: \"0600\" }}\n\
         shards: 1\n\
         listeners:\n  web: {{ bind: \"127.0.0.1:0\", pool: {pool} }}\n\
         pools:\n  {pool}: {{ workers: [{{ name: w1, address: \"{worker}\" }}] }}\n",
        dir.path("admin.sock").display()
    )
}

pub(crate) fn isobar(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_isobar"));
    let command = command.args(args).env("NO_COLOR", "1").env_remove("ISOBAR_ADMIN");
    command.stdin(Stdio::null()).output().unwrap()
}

/// The binary at work; killed when it goes out of scope.
pub(crate) struct Running {
    child: Child,
    pub(crate) dir: Dir,
    lines: Receiver<String>,
    heard: std::cell::RefCell<String>,
}

impl Running {
    pub(crate) fn start(config: impl FnOnce(&Dir) -> String) -> Running {
        let dir = Dir::new();
        let path = dir.write("isobar.yaml", &config(&dir));
        Running::spawn(dir, &["run", "-c", &path])
    }

    pub(crate) fn spawn(dir: Dir, args: &[&str]) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_isobar"));
        command.args(args).env("NO_COLOR", "1").stdin(Stdio::null());
        // A default admin socket must not be one that other processes know.
        command.env("XDG_RUNTIME_DIR", dir.path("run"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, lines) = channel();
        thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(say.send(line)));
        });
        Running { child, dir, lines, heard: Default::default() }
    }

    pub(crate) fn said(&self) -> String {
        self.heard.borrow().clone()
    }

    /// Reads on until `find` finds something in what was said.
    fn hear<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        loop {
            if let Some(found) = find(&self.heard.borrow()) {
                return found;
            }
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => *self.heard.borrow_mut() += &(line + "\n"),
                Err(_) => panic!("it never said {what}:\n{}", self.said()),
            }
        }
    }

    pub(crate) fn wait_for(&self, text: &str) {
        self.hear(text, |said| said.contains(text).then_some(()));
    }

    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        let of_name = |(address, of): (&str, &str)| (of == name).then(|| address.parse().ok());
        let find = |said: &str| said.lines().filter_map(listening).find_map(of_name).flatten();
        self.hear(&format!("listening on … ({name})"), find)
    }

    pub(crate) fn config(&self) -> String {
        fs::read_to_string(self.dir.path("isobar.yaml")).unwrap()
    }

    pub(crate) fn rewrite(&self, config: &str) {
        self.dir.write("isobar.yaml", config);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Output {
        let admin = self.dir.path("admin.sock");
        let mut command = Command::new(env!("CARGO_BIN_EXE_isobar"));
        command.args(args).env("NO_COLOR", "1").env("ISOBAR_ADMIN", admin).output().unwrap()
    }

    pub(crate) fn get(&self, path: &str) -> (u16, String) {
        self.request("GET", path, "")
    }

    pub(crate) fn request(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = UnixStream::connect(self.dir.path("admin.sock")).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // An answer that comes early closes the door on the rest of the body.
        let _ = stream.write_all(body.as_bytes());
        answer(&mut stream)
    }

    pub(crate) fn worker(&self) -> serde_json::Value {
        let pool: serde_json::Value = serde_json::from_str(&self.get("/v1/pools/app").1).unwrap();
        pool["workers"][0].clone()
    }

    /// The supervisor applies a change on its own time; each look is a request.
    pub(crate) fn wait_until_worker(&self, key: &str, value: impl Into<serde_json::Value>) {
        let (value, until) = (value.into(), std::time::Instant::now() + PATIENCE);
        while self.worker()[key] != value {
            assert!(std::time::Instant::now() < until, "{key} is {}", self.worker()[key]);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        // Its end closes stderr: wait for that, bounded, then for the status.
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => *self.heard.borrow_mut() += &(line + "\n"),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(_) => panic!("it does not end:\n{}", self.said()),
            }
        }
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// "listening on ADDRESS (NAME)".
pub(crate) fn listening(line: &str) -> Option<(&str, &str)> {
    let (address, name) = line.split_once("listening on ")?.1.split_once(" (")?;
    Some((address, name.strip_suffix(')')?))
}

/// An HTTP/1.1 server that answers with its name; `/slow` waits to be released.
pub(crate) struct Worker {
    pub(crate) address: SocketAddr,
    arrived: Receiver<()>,
    go: Sender<()>,
}

impl Worker {
    pub(crate) fn start(name: &'static str) -> Worker {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, arrived) = channel();
        let (go, release) = channel::<()>();
        let release = std::sync::Arc::new(std::sync::Mutex::new(release));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (tell, release) = (tell.clone(), release.clone());
                thread::spawn(move || {
                    let mut reader = BufReader::new(stream);
                    while let Some(path) = request(&mut reader) {
                        if path == "/slow" {
                            let _ = tell.send(());
                            let _ = release.lock().unwrap().recv();
                        }
                        let length = name.len();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{name}");
                        if reader.get_mut().write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Worker { address, arrived, go }
    }

    pub(crate) fn arrived(&self) {
        self.arrived.recv_timeout(PATIENCE).unwrap();
    }

    pub(crate) fn release(&self) {
        self.go.send(()).unwrap();
    }
}

/// Reads one head; the path it asks for.
pub(crate) fn request(reader: &mut impl BufRead) -> Option<String> {
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|n| *n > 0)?;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 2 {
        line.clear();
    }
    first.split(' ').nth(1).map(str::to_owned)
}

pub(crate) fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub(crate) fn get(address: SocketAddr, path: &str) -> (u16, String) {
    answer(&mut ask(address, path))
}

/// Status and body of an answer that ends with its connection.
pub(crate) fn answer(stream: &mut impl Read) -> (u16, String) {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = text(&bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("no answer: {text:?}")), body.to_owned())
}

/// A listener that was closed refuses; while its shard is at it, it may still reset.
pub(crate) fn refused(address: SocketAddr) {
    let until = std::time::Instant::now() + PATIENCE;
    while let Ok(stream) = TcpStream::connect(address) {
        let _ = stream.shutdown(Shutdown::Both);
        assert!(std::time::Instant::now() < until, "{address} still listens");
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A directory of its own, gone with its owner.
pub(crate) struct Dir(PathBuf);

impl Dir {
    pub(crate) fn new() -> Dir {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("isobar-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(Path::new(name))
    }

    /// Writes a file; its path as an argument.
    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
