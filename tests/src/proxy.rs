//! `isobar proxy`: the binary without a file. It is killed, by its id, when it goes out of scope.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::http::{Connection, Response};
use crate::isobar::binary;
use crate::scratch::Scratch;
use crate::sockets::free_address;
use crate::wait;

pub struct Proxy {
    child: Child,
    from: SocketAddr,
    _scratch: Scratch,
}

impl Proxy {
    /// In front of `worker`, with more arguments.
    pub fn start(worker: SocketAddr, more: &[&str]) -> Proxy {
        let (scratch, from) = (Scratch::new(), free_address());
        let child = Command::new(binary())
            .args(["proxy", "--from", &from.to_string(), "--to", &worker.to_string()])
            .args(more)
            .current_dir(scratch.path())
            .env("XDG_RUNTIME_DIR", scratch.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Proxy { child: child.expect("starts"), from, _scratch: scratch }
    }

    /// Its first answer, as soon as it listens.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        wait::until(|| Connection::open(self.from).and_then(|mut client| client.get(path)).ok())
    }

    /// The first line that it writes to stdout.
    pub fn first_line(&mut self) -> String {
        let stdout = self.child.stdout.take().expect("it was not asked before");
        let line = BufReader::new(stdout).lines().next();
        line.and_then(Result::ok).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
