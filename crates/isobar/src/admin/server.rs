//! HTTP/1.1 for a handful of callers: bounded in connections, bytes and time, so that nobody who
//! may connect can keep others from it. One request per connection; who asks rarely pays little
//! for it, and there is no idle connection to look after. Where all places are taken, whoever has
//! waited longest for its peer (to say what it wants, or to read the answer) makes room.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use isobar_proxy::ListenSocket;
use tokio::net::{TcpListener, UnixListener};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout};

use super::problem::{Answer, Problem};
use super::visitors::{Inside, Visit, Visitors};
use super::{Door, api, guard};
use crate::control::Control;
use crate::duplex::Duplex;

const CONNECTIONS: usize = 64;
const HEAD: Duration = Duration::from_secs(1);
/// Request and answer together: a stalled reader is sent away. A reload waits for probes.
const WHOLE: Duration = Duration::from_secs(30);
const BODY: usize = 64 * 1024;
/// How long accepting pauses when it fails, and how often that is said.
const PAUSE: Duration = Duration::from_millis(50);
const COMPLAIN: Duration = Duration::from_secs(10);

pub(crate) enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Registers the socket with this thread's runtime.
pub(crate) fn listener(socket: ListenSocket) -> io::Result<Listener> {
    Ok(match socket {
        ListenSocket::Tcp(socket) => Listener::Tcp(TcpListener::from_std(socket)?),
        ListenSocket::Unix(socket) => Listener::Unix(UnixListener::from_std(socket)?),
    })
}

impl Listener {
    async fn accept(&self) -> io::Result<Box<dyn Duplex>> {
        Ok(match self {
            Listener::Tcp(listener) => Box::new(listener.accept().await?.0),
            Listener::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

pub(crate) async fn serve(listener: Listener, door: Door, control: Arc<Control>) {
    let visitors = Visitors::new(CONNECTIONS);
    let mut complained: Option<Instant> = None;
    loop {
        match listener.accept().await {
            Ok(stream) => {
                // Where everybody is being served, the next ones wait in the kernel's back-log.
                let visit = visitors.admit().await;
                let (inside, control) = (Inside(visit.clone()), control.clone());
                let task = tokio::spawn(async move {
                    // Whoever is not done by now has left or never will be.
                    let _ = timeout(WHOLE, converse(stream, door, control, &inside.0)).await;
                });
                visit.can_be_ended_by(task.abort_handle());
                // It is heard before it could have to make room for the next one.
                yield_now().await;
            }
            Err(error) => {
                if complained.is_none_or(|at| at.elapsed() > COMPLAIN) {
                    tracing::warn!(%error, ?door, "admin: connections cannot be accepted");
                    complained = Some(Instant::now());
                }
                sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(stream: Box<dyn Duplex>, door: Door, control: Arc<Control>, visit: &Visit) {
    let service = service_fn(move |request: Request<Incoming>| {
        let control = control.clone();
        async move {
            let answer = respond(request, door, &control, visit).await;
            visit.waits();
            Ok::<Answer, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(BODY)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "admin: a connection ended");
    }
}

async fn respond(
    request: Request<Incoming>,
    door: Door,
    control: &Arc<Control>,
    visit: &Visit,
) -> Answer {
    let outcome = async {
        guard::admit(door, request.method(), request.headers())?;
        let path = request.uri().path().to_owned();
        match *request.method() {
            Method::POST => {
                // Until its body is whole we wait for the peer, and not the peer for us.
                let body = body(request).await?;
                visit.is_served();
                api::post(control, &path, &body).await
            }
            _ => {
                visit.is_served();
                api::get(control, door, &path).await
            }
        }
    };
    outcome.await.unwrap_or_else(|problem: Problem| problem.answer())
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Problem> {
    let limited = Limited::new(request.into_body(), BODY).collect().await;
    limited.map(|body| body.to_bytes()).map_err(|error| {
        let status = if error.is::<http_body_util::LengthLimitError>() {
            StatusCode::PAYLOAD_TOO_LARGE
        } else {
            StatusCode::BAD_REQUEST
        };
        Problem::new(status, error.to_string())
    })
}
