//! A listener with TLS in front of an origin, and OpenSSL's client before it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use super::{Authority, Client, Pair, Wanted};
use crate::isobar::Isobar;
use crate::origin::Origin;
use crate::scratch::Scratch;

/// An authority, its files, and what is in front of an origin.
pub struct Site {
    pub files: Scratch,
    pub authority: Authority,
}

impl Site {
    #[expect(clippy::new_without_default, reason = "it makes files")]
    pub fn new() -> Site {
        Site { files: Scratch::new(), authority: Authority::new("the test's root") }
    }

    pub fn issue(&self, name: &str, names: &[&str]) -> Pair {
        self.authority.issue(self.files.path(), name, &Wanted { names, ..Wanted::default() })
    }

    pub fn client(&self) -> Client {
        Client::of(&self.authority)
    }

    pub fn root(&self) -> String {
        self.authority.write(&self.files.file("root.pem")).display().to_string()
    }
}

pub fn start(shards: usize, origin: &Origin, tls: &str, more: &str) -> Isobar {
    Isobar::start(&config(shards, origin, tls, more))
}

pub fn config(shards: usize, origin: &Origin, tls: &str, more: &str) -> String {
    let worker = origin.address();
    format!(
        "shards: {shards}\n\
         listeners:\n  web:\n    bind: 127.0.0.1:0\n    tls: {tls}\n    pool: app\n{more}\
         pools:\n  app: {{ workers: [\"{worker}\"] }}\n"
    )
}

pub fn one(pair: &Pair) -> String {
    format!("{{ certificates: [{}] }}", files(pair))
}

pub fn files(pair: &Pair) -> String {
    format!("{{ cert: {}, key: {} }}", pair.cert.display(), pair.key.display())
}

/// OpenSSL's client, which says nothing after the handshake.
pub fn s_client(isobar: &Isobar, arguments: &[&str]) -> Output {
    s_client_on(isobar, arguments, b"")
}

/// It asks for `/` and waits for the end of the answer.
pub fn s_client_asks(isobar: &Isobar, arguments: &[&str], host: &str) -> Output {
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    s_client_on(isobar, arguments, request.as_bytes())
}

fn s_client_on(isobar: &Isobar, arguments: &[&str], input: &[u8]) -> Output {
    let address = isobar.address("web").to_string();
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &address]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl");
    let mut stdin = child.stdin.take().expect("its input");
    stdin.write_all(input).expect("sends");
    drop(stdin);
    child.wait_with_output().expect("openssl")
}
