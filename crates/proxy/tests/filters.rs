//! A filter sees the answer that is sent, once, whoever made it; what is tried again it never sees.

mod kit;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use isobar_pool::{Buffer, PoolSettings};
use isobar_proxy::access_log::AccessLog;
use isobar_proxy::filter::{Chain, Filter, ResponseCx};
use isobar_proxy::metrics::{ListenerMetrics, RouteMetrics};
use isobar_proxy::route::{Action, PathRules, RetryPolicy, RouteSpec, Routes};
use isobar_proxy::{ProxyContext, RouteTable, serve_shard};
use kit::{ask, connect, listen};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Notes the status of every answer that it sees.
#[derive(Default)]
struct Seen(Mutex<Vec<u16>>);

impl Filter for Seen {
    fn response(&self, cx: &mut ResponseCx<'_>) {
        self.0.lock().expect("no panic").push(cx.head().status());
    }
}

/// What the worker does, by path; `/again` is cut the first time only.
const CUT: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab";
const WHOLE: &str = "HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nabcde";
const BAD_CHUNK: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nnonsense";
const UNASKED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";

async fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("its address");
    let asked_again = Rc::new(Cell::new(false));
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let asked_again = Rc::clone(&asked_again);
            tokio::task::spawn_local(async move {
                let mut request = [0; 4096];
                let Ok(read @ 1..) = stream.read(&mut request).await else { return };
                let line = String::from_utf8_lossy(&request[..read]).into_owned();
                let answer = match line.split(' ').nth(1) {
                    Some("/again") if asked_again.replace(true) => WHOLE,
                    Some("/again" | "/cut") => CUT,
                    Some("/chunk") => BAD_CHUNK,
                    Some("/switch") => UNASKED,
                    _ => WHOLE,
                };
                stream.write_all(answer.as_bytes()).await.expect("is read");
            });
        }
    });
    address
}

#[test]
fn a_filter_sees_the_answer_that_is_sent_and_sees_it_once() {
    kit::runtime().block_on(async {
        let (context, inboxes) = ProxyContext::new(1, AccessLog::off());
        let route = Arc::new(RouteMetrics::new(1));
        let seen = Arc::new(Seen::default());
        let filters = Chain::new(vec![Arc::clone(&seen) as Arc<dyn Filter>], Arc::clone(&route));
        let spec = kit::route(filters, route).await;
        let settings =
            PoolSettings { buffer: Buffer { request: 0, response: 1024 }, ..kit::settings() };
        let Action::Pool(mut destination) = spec.action else { panic!("it leads to a pool") };
        destination.pool = kit::pool_at(origin().await, settings);
        let retry = RetryPolicy { attempts: 2, reset: true, ..RetryPolicy::never() };
        let spec = RouteSpec { action: Action::Pool(destination), retry, ..spec };
        let routes = Routes::build(vec![spec], PathRules::default());
        let plan = Arc::new(kit::plan(routes, Arc::new(ListenerMetrics::new(1))));
        context.publish(RouteTable { version: 1, listeners: vec![Some(plan)] });
        let address = listen(&context, 0);
        for inbox in inboxes {
            tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
        }
        let expected =
            [("/", 201), ("/again", 201), ("/cut", 502), ("/chunk", 502), ("/switch", 502)];
        for (path, status) in expected {
            let answer = ask(&mut connect(address).await, path).await.expect("an answer");
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
            let seen = std::mem::take(&mut *seen.0.lock().expect("no panic"));
            assert_eq!(seen, [status], "{path}");
        }
        context.stop();
    });
}
