//! Listeners whose addresses and configurations come and go, in an order that only a test can choose.

mod kit;

use std::sync::Arc;

use isobar_proxy::access_log::AccessLog;
use isobar_proxy::metrics::{ListenerMetrics, RouteMetrics};
use isobar_proxy::route::{PathRules, Routes};
use isobar_proxy::{ListenerPlan, ProxyContext, RouteTable, Serve, serve_shard};
use kit::{BOUND, ask, connect, listen};
use tokio::io::AsyncReadExt;

async fn plan(metrics: &Arc<ListenerMetrics>) -> ListenerPlan {
    let routes = Routes::build(
        vec![kit::route(None, Arc::new(RouteMetrics::new(1))).await],
        PathRules::default(),
    );
    kit::plan(routes, Arc::clone(metrics))
}

/// LC-04: who stands in the back-log when the listener is removed has been let in by the kernel, and
/// is served like anybody, once.
#[test]
fn lc_04_the_back_log_of_a_removed_listener_is_served() {
    kit::runtime().block_on(async {
        let (context, inboxes) = ProxyContext::new(1, AccessLog::off());
        let metrics = Arc::new(ListenerMetrics::new(1));
        let listeners = vec![Some(Arc::new(plan(&metrics).await))];
        context.publish(RouteTable { version: 1, listeners });
        let address = listen(&context, 0);
        let mut clients = Vec::new();
        for _ in 0..8 {
            clients.push(connect(address).await);
        }
        context.publish(RouteTable { version: 2, listeners: vec![None] });
        for inbox in inboxes {
            tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
        }
        for client in &mut clients {
            let answer = ask(client, "/").await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        }
        drop(clients);
    });
}

/// However many commands a shard has not heard yet: a listener that came and went is gone.
#[test]
fn commands_keep_their_order() {
    const LISTENERS: u32 = 8;
    kit::runtime().block_on(async {
        let (context, inboxes) = ProxyContext::new(1, AccessLog::off());
        let metrics = Arc::new(ListenerMetrics::new(1));
        let plan = Arc::new(plan(&metrics).await);
        let all = |plan: Option<&Arc<ListenerPlan>>| RouteTable {
            version: 1,
            listeners: (0..LISTENERS).map(|_| plan.cloned()).collect(),
        };
        // More than a shard's inbox has room for.
        for _ in 0..300 {
            context.publish(all(Some(&plan)));
        }
        let addresses: Vec<_> = (0..LISTENERS).map(|id| listen(&context, id)).collect();
        context.publish(all(None));
        for inbox in inboxes {
            tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
        }
        let refused = async {
            for address in &addresses {
                while tokio::net::TcpStream::connect(address).await.is_ok() {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::time::timeout(BOUND, refused).await.expect("nobody accepts there any more");
    });
}

/// Why a kept connection may serve no request after the next.
#[derive(Clone, Copy, Debug)]
enum Ends {
    Drain,
    Removed,
    Tcp,
}

/// A request that has arrived on a kept connection is answered, whatever ends the connection at that
/// moment; who has sent none sees an end, and no reset.
#[test]
fn a_request_that_has_arrived_is_answered_when_its_connection_is_to_end() {
    // On a thread each: a shard's thread serves one process's table.
    for ends in [Ends::Drain, Ends::Removed, Ends::Tcp] {
        let case = std::thread::spawn(move || kit::runtime().block_on(arrives_as_it(ends)));
        case.join().expect("the case holds");
    }
}

async fn arrives_as_it(ends: Ends) {
    let (context, inboxes) = ProxyContext::new(1, AccessLog::off());
    let metrics = Arc::new(ListenerMetrics::new(1));
    let http = Arc::new(plan(&metrics).await);
    context.publish(RouteTable { version: 1, listeners: vec![Some(http)] });
    let address = listen(&context, 0);
    for inbox in inboxes {
        tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
    }
    let (mut asks, mut silent) = (connect(address).await, connect(address).await);
    for client in [&mut asks, &mut silent] {
        let answer = ask(client, "/").await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        // Its memory is kept for a second: both ways of being idle are to be met.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    asks.try_write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").expect("room for a request");
    match ends {
        Ends::Drain => context.drain(),
        Ends::Removed => context.publish(RouteTable { version: 2, listeners: vec![None] }),
        Ends::Tcp => {
            let mut tcp = plan(&metrics).await;
            tcp.serve = Serve::Tcp(kit::pool().await);
            let listeners = vec![Some(Arc::new(tcp))];
            context.publish(RouteTable { version: 2, listeners });
        }
    }
    let mut answer = String::new();
    tokio::time::timeout(BOUND, asks.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("no reset");
    assert!(answer.starts_with("HTTP/1.1 200"), "{ends:?}: {answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{ends:?}: {answer}");
    let rest = tokio::time::timeout(BOUND, silent.read(&mut [0])).await.expect("in time");
    assert_eq!(rest.expect("no reset"), 0, "{ends:?}");
}

/// A full listener ends idle connections to make room. One whose next request has arrived is not idle,
/// even where its runtime has not heard of that yet.
#[test]
fn a_request_that_has_arrived_is_answered_when_its_connection_is_to_make_room() {
    // The request comes at a different moment each: in one of them just before the connection ends.
    for turns in 0..6 {
        let case = std::thread::spawn(move || kit::runtime().block_on(arrives_after(turns)));
        case.join().expect("the case holds");
    }
}

async fn arrives_after(turns: usize) {
    let (context, inboxes) = ProxyContext::new(1, AccessLog::off());
    let metrics = Arc::new(ListenerMetrics::new(1));
    let mut plan = plan(&metrics).await;
    plan.limits.connections = 1;
    context.publish(RouteTable { version: 1, listeners: vec![Some(Arc::new(plan))] });
    let address = listen(&context, 0);
    for inbox in inboxes {
        tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
    }
    let mut kept = connect(address).await;
    ask(&mut kept, "/").await.expect("an answer");
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    // The kernel connects it; the shard, which is this thread, learns of it later.
    let newcomer = std::net::TcpStream::connect(address).expect("connects");
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    let sent = kept.try_write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    let mut answer = [0; 256];
    let read = tokio::time::timeout(BOUND, kept.read(&mut answer)).await.expect("in time");
    // It may have ended before it was asked; a request that it took is answered.
    if sent.is_ok() && !matches!(read, Ok(0)) {
        let length = read.unwrap_or_else(|error| panic!("{turns}: {error}"));
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{turns}: {:?}", &answer[..length]);
    }
    newcomer.set_nonblocking(true).expect("a setting");
    let mut newcomer = tokio::net::TcpStream::from_std(newcomer).expect("registers");
    let answer = ask(&mut newcomer, "/").await.expect("room");
    assert!(answer.starts_with("HTTP/1.1 200"), "{turns}: {answer}");
}

/// `limits.connections` is the listener's, however many addresses it has. Who is idle makes room.
#[test]
fn a_listeners_addresses_share_its_limit() {
    kit::runtime().block_on(async {
        let (context, inboxes) = ProxyContext::new(1, AccessLog::off());
        let metrics = Arc::new(ListenerMetrics::new(1));
        let mut plan = plan(&metrics).await;
        plan.limits.connections = 2;
        let plan = Arc::new(plan);
        let listeners = vec![Some(Arc::clone(&plan)), Some(plan)];
        context.publish(RouteTable { version: 1, listeners });
        let addresses = [listen(&context, 0), listen(&context, 1)];
        for inbox in inboxes {
            tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
        }
        let mut clients = Vec::new();
        for at in 0..6 {
            let mut client = connect(addresses[at % 2]).await;
            let answer = ask(&mut client, "/").await.expect("an answer");
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let open = async {
                while metrics.connections() > 2 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(BOUND, open).await.expect("two at most");
            clients.push(client);
        }
    });
}
