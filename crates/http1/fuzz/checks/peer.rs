//! What hyper's server makes of the same bytes: the first request, whole, or nothing.

use std::cell::RefCell;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

/// A request as it was understood.
#[derive(Debug, PartialEq, Eq)]
pub struct Understood {
    pub method: Vec<u8>,
    /// Names in lower case.
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// None: refused, or the body is not whole.
pub fn first_request(input: &[u8]) -> Option<Understood> {
    let first = Rc::new(RefCell::new(None));
    let seen = Rc::clone(&first);
    let service = service_fn(move |request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
            let fields = head.headers.iter();
            seen.borrow_mut().get_or_insert(body.map(|body| {
                Understood {
                    method: head.method.as_str().as_bytes().to_vec(),
                    fields: fields
                        .map(|(name, value)| (name.as_str().into(), value.as_bytes().into()))
                        .collect(),
                    body,
                }
            }));
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut server = http1::Builder::new();
    server.header_read_timeout(None);
    let wire = Wire { input: input.to_vec(), at: 0 };
    let mut connection = pin!(server.serve_connection(wire, service));
    let mut cx = Context::from_waker(Waker::noop());
    // The wire is always ready: what is not done after some polls waits for nothing.
    for _ in 0..64 {
        if connection.as_mut().poll(&mut cx).is_ready() || first.borrow().is_some() {
            break;
        }
    }
    first.take().flatten()
}

/// The bytes, then the end; answers go nowhere.
struct Wire {
    input: Vec<u8>,
    at: usize,
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.input.len().min(self.at + buffer.remaining());
        buffer.put_slice(&self.input[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
