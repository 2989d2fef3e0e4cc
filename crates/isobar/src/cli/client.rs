//! Speaks to the running process: HTTP requests over its admin socket, each on a connection of its own.
//!
//! Tries the doors in order and uses the first that opens and leads to the process that is meant.
//! What it finds instead is said: no socket, a socket that nobody listens on, one that may not be
//! opened, a process with another file. Every step is bounded in time: a command in a container's
//! HEALTHCHECK must never hang.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::failed::ErrorText;
use super::find::{Door, Doors, Meant};
use super::output::{complain, plain};
use crate::duplex::Duplex;

const CONNECT: Duration = Duration::from_secs(2);
const ANSWER: Duration = Duration::from_secs(5);
/// A reload waits for the first probes of new workers.
const CHANGED: Duration = Duration::from_secs(30);
const MOST: usize = 64 * 1024 * 1024;

/// The ways to the running process.
pub(crate) struct Reach {
    ways: Doors,
}

/// The running process that is meant.
pub(crate) struct Process {
    door: Door,
    /// What it says of itself; null where it is older than the question.
    about: Value,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

/// Runs a command's few requests to their end.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> Result<T, ErrorText> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    Ok(runtime.map_err(|error| format!("no runtime: {error}"))?.block_on(work))
}

impl Reach {
    pub(crate) fn new(ways: Doors) -> Reach {
        Reach { ways }
    }

    /// The process that is meant. One that may not be the one is said on stderr.
    pub(crate) fn find(&self) -> Result<Process, ErrorText> {
        let (process, passed) = block_on(self.search())??;
        for failure in passed {
            complain(&format!("note: {failure}"));
        }
        if let Meant::Perhaps(file) = &self.ways.meant
            && let Some(other) = process.runs_other_than(file)
        {
            let (door, file) = (process.door.name(), file.display());
            complain(&format!("note: {door} is {other}; {file} is not its configuration"));
        }
        Ok(process)
    }

    /// As `find`, for what concerns the file itself: it must be the one that is meant or found.
    pub(crate) fn find_the_files(&self) -> Result<Process, ErrorText> {
        let process = self.find()?;
        if let Meant::Perhaps(file) = &self.ways.meant
            && let Some(other) = process.runs_other_than(file)
        {
            let own = process.file().map_or_else(String::new, |own| format!(": -c {}", plain(own)));
            let file = file.display();
            return Err(format!("{other}, not {file}; nothing was done. Name its own file{own}"));
        }
        Ok(process)
    }

    /// The first answer that any door gives, whoever gives it, unless a file is named.
    pub(crate) fn fetch_any(&self, path: &str) -> Result<Answer, ErrorText> {
        if let Meant::File(_) = self.ways.meant {
            return self.find()?.fetch(path);
        }
        block_on(async {
            let mut failures = Vec::new();
            for door in &self.ways.doors {
                match open(door).await {
                    Ok(stream) => {
                        return exchange(stream, door, Method::GET, path, Bytes::new()).await;
                    }
                    Err(failure) => failures.push(failure),
                }
            }
            Err(self.unreachable(&failures))
        })?
    }

    /// Beside the process: the doors before it that should have opened.
    async fn search(&self) -> Result<(Process, Vec<String>), ErrorText> {
        let mut failures = Vec::new();
        for door in &self.ways.doors {
            let stream = match open(door).await {
                Ok(stream) => stream,
                Err(failure) => {
                    failures.push(failure);
                    continue;
                }
            };
            let about = exchange(stream, door, Method::GET, "/v1/process", Bytes::new()).await;
            let about = match about.and_then(|answer| answer.about(door)) {
                Ok(about) => about,
                Err(text) => {
                    failures.push(Failure { text, absent: false });
                    continue;
                }
            };
            let process = Process { door: door.clone(), about };
            if let Meant::File(file) = &self.ways.meant
                && let Some(other) = process.runs_other_than(file)
            {
                let text = format!("{} is {other}, not {}", door.name(), file.display());
                failures.push(Failure { text, absent: false });
                continue;
            }
            let passed = failures.into_iter().filter(|failure| !failure.absent);
            return Ok((process, passed.map(|failure| failure.text).collect()));
        }
        Err(self.unreachable(&failures))
    }

    fn unreachable(&self, failures: &[Failure]) -> ErrorText {
        let tried: Vec<&str> = failures.iter().map(|failure| &*failure.text).collect();
        let tried = match &tried[..] {
            [only] => format!(": {only}"),
            several => several.iter().map(|one| format!("\n  {one}")).collect(),
        };
        let whom = match &self.ways.meant {
            Meant::File(file) => format!("a running isobar with {}", file.display()),
            _ => String::from("a running isobar"),
        };
        match &self.ways.unread {
            None => format!("cannot reach {whom}{tried}"),
            Some(problems) => format!(
                "{problems}\ncannot reach {whom}{tried}\nThe configuration, which may name another \
                 admin address, cannot be read: try --admin ADDR"
            ),
        }
    }
}

impl Process {
    pub(crate) fn about(&self) -> &Value {
        &self.about
    }

    /// The configuration it runs with, if it has one.
    pub(crate) fn file(&self) -> Option<&str> {
        self.about["file"].as_str()
    }

    pub(crate) fn fetch(&self, path: &str) -> Result<Answer, ErrorText> {
        block_on(self.get(path))?
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, ErrorText> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer, ErrorText> {
        block_on(self.ask(Method::POST, path, body.to_string().into()))?
    }

    async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ErrorText> {
        let stream = open(&self.door).await.map_err(|failure| failure.text)?;
        exchange(stream, &self.door, method, path, body).await
    }

    /// Who it is, if it runs with another file than this, or with none. One that does not say is
    /// believed.
    fn runs_other_than(&self, file: &Path) -> Option<String> {
        let pid = self.about["pid"].as_u64()?;
        match self.file() {
            Some(own) if is_same(Path::new(own), file) => None,
            Some(own) => Some(format!("process {pid}, which runs with {}", plain(own))),
            None => Some(format!("process {pid}, which was started without a file")),
        }
    }
}

/// One file, however it is named.
fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| {
        path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.into())
    };
    whole(one) == whole(other)
}

impl Answer {
    /// The body, if the process did what was asked; its own words if not.
    pub(crate) fn accepted(self) -> Result<Value, ErrorText> {
        let body = self.json();
        if self.status.is_success() {
            return Ok(body);
        }
        let word = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
        // Diagnostics have lines; nothing else in them may steer the terminal.
        let lines = |text: &str| text.lines().map(plain).collect::<Vec<_>>().join("\n");
        Err(word("diagnostics")
            .or(word("detail"))
            .or(word("title"))
            .map_or_else(|| format!("refused with status {}", self.status), lines))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// What the process says of itself, if it is an isobar at all.
    fn about(self, door: &Door) -> Result<Value, ErrorText> {
        let body = self.json();
        match self.status {
            StatusCode::OK if body["pid"].is_u64() => Ok(body),
            // One of ours that is older, or a door that answers less; it says so when asked.
            StatusCode::NOT_FOUND if body["title"].is_string() => Ok(Value::Null),
            status if body["detail"].is_string() => {
                let detail = plain(body["detail"].as_str().unwrap_or_default());
                Err(format!("{}: refused with status {status}: {detail}", door.name()))
            }
            status => Err(format!(
                "{}: something answers there (status {}), but not an isobar's admin API",
                door.name(),
                status.as_u16()
            )),
        }
    }
}

impl Door {
    fn name(&self) -> String {
        match self {
            Door::Unix(path) => format!("unix:{}", path.display()),
            Door::Tcp(addr) => addr.to_string(),
            Door::Host(host) => host.clone(),
        }
    }

    /// What the process checks against DNS rebinding.
    fn host(&self) -> String {
        match self {
            Door::Unix(_) => String::from("localhost"),
            Door::Tcp(addr) => addr.to_string(),
            Door::Host(host) => host.clone(),
        }
    }
}

/// Why a door did not lead to a process.
struct Failure {
    text: String,
    /// There is no such door: nothing to wonder about.
    absent: bool,
}

async fn open(door: &Door) -> Result<Box<dyn Duplex>, Failure> {
    let connect = async {
        Ok(match door {
            Door::Unix(path) => Box::new(UnixStream::connect(path).await?) as Box<dyn Duplex>,
            Door::Tcp(addr) => Box::new(TcpStream::connect(addr).await?),
            Door::Host(host) => Box::new(TcpStream::connect(host.as_str()).await?),
        })
    };
    let opened: std::io::Result<_> = timeout(CONNECT, connect).await.unwrap_or_else(|_| {
        let text = format!("no connection within {}s", CONNECT.as_secs());
        Err(std::io::Error::new(ErrorKind::TimedOut, text))
    });
    opened.map_err(|error| {
        let why = match (door, error.kind()) {
            (Door::Unix(_), ErrorKind::NotFound) => String::from("there is no such socket"),
            (Door::Unix(path), ErrorKind::ConnectionRefused) if path.exists() => String::from(
                "the socket is there, but no process listens on it: its isobar has ended",
            ),
            (Door::Unix(_), ErrorKind::PermissionDenied) => String::from(
                "permission denied: only its owner may open it (another user, or sudo), unless \
                 `admin` has another `mode`",
            ),
            (Door::Tcp(_) | Door::Host(_), ErrorKind::ConnectionRefused) => {
                String::from("nothing listens there")
            }
            _ => error.to_string(),
        };
        let absent = error.kind() == ErrorKind::NotFound;
        Failure { text: format!("{}: {why}", door.name()), absent }
    })
}

async fn exchange(
    stream: Box<dyn Duplex>,
    door: &Door,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Answer, ErrorText> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", door.name());
    let not_http = |error: hyper::Error| match &error {
        // It may have said something before it was asked.
        error if error.is_parse() || error.is_canceled() => {
            failed(&"what listens there is not an isobar's admin API")
        }
        error if error.is_incomplete_message() => failed(&"closed without an answer"),
        error => failed(error),
    };
    let patience = if method == Method::GET { ANSWER } else { CHANGED };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, door.host())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| failed(&error))?;
    let talk = async {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(not_http)?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(not_http)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await;
        driver.abort();
        Ok(Answer { status, body: body.map_err(|error| failed(&error))?.to_bytes() })
    };
    timeout(patience, talk).await.unwrap_or_else(|_| {
        let seconds = patience.as_secs();
        Err(failed(&format_args!(
            "no answer within {seconds}s: the process is stopped or has too much to do"
        )))
    })
}
