//! Speaks to the running process: one HTTP request over its admin socket.
//!
//! Tries the doors in order and uses the first that opens. Every step is bounded in time: a command
//! in a container's HEALTHCHECK must never hang.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::Told;
use super::find::{Door, Doors};

const CONNECT: Duration = Duration::from_secs(2);
/// A reload waits for the first probes of new workers.
const ANSWER: Duration = Duration::from_secs(30);
const MOST: usize = 64 * 1024 * 1024;

/// The ways to the running process.
pub(crate) struct Reach {
    ways: Doors,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Reach {
    pub(crate) fn new(ways: Doors) -> Reach {
        Reach { ways }
    }

    pub(crate) fn fetch(&self, path: &str) -> Result<Answer, Told> {
        self.ask(Method::GET, path, Bytes::new())
    }

    pub(crate) fn post(&self, path: &str, body: &serde_json::Value) -> Result<Answer, Told> {
        self.ask(Method::POST, path, body.to_string().into())
    }

    fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Told> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        runtime.block_on(async {
            let mut failures = Vec::new();
            for door in &self.ways.doors {
                match timeout(CONNECT, open(door)).await {
                    Ok(Ok(stream)) => return exchange(stream, door, method, path, body).await,
                    Ok(Err(error)) => failures.push(format!("{}: {error}", door.name())),
                    Err(_) => failures.push(format!("{}: no answer", door.name())),
                }
            }
            let tried = failures.join("; ");
            Err(match &self.ways.unread {
                None => format!("cannot reach a running isobar ({tried})"),
                Some(problems) => format!(
                    "{problems}\ncannot reach a running isobar ({tried}); the configuration, which \
                     may name another admin address, cannot be read: try --admin ADDR"
                ),
            })
        })
    }
}

impl Answer {
    /// The body, if the process did what was asked; its own words if not.
    pub(crate) fn accepted(self) -> Result<serde_json::Value, Told> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        if self.status.is_success() {
            return Ok(body);
        }
        let word = |key: &str| body[key].as_str().filter(|text| !text.is_empty());
        Err(word("diagnostics")
            .or(word("detail"))
            .or(word("title"))
            .map_or_else(|| format!("refused with status {}", self.status), str::to_owned))
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

trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

async fn open(door: &Door) -> std::io::Result<Box<dyn Duplex>> {
    Ok(match door {
        Door::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Door::Tcp(addr) => Box::new(TcpStream::connect(addr).await?),
        Door::Host(host) => Box::new(TcpStream::connect(host.as_str()).await?),
    })
}

async fn exchange(
    stream: Box<dyn Duplex>,
    door: &Door,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Answer, Told> {
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", door.name());
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, door.host())
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| failed(&error))?;
    let talk = async {
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| failed(&error))?;
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MOST).collect().await;
        driver.abort();
        Ok(Answer { status, body: body.map_err(|error| failed(&error))?.to_bytes() })
    };
    timeout(ANSWER, talk).await.unwrap_or_else(|_| Err(failed(&"no answer in time")))
}
