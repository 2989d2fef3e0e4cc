//! LC-08: a fault in one request's task costs that request and its connection, nothing else: it is
//! counted and logged, its slot comes free, the shard serves on.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use isobar_balance::strategy;
use isobar_pool::{
    Address, Buffer, IdleTime, KeepAlive, Life, Pool, PoolSettings, Queue, WorkerSpec,
};
use isobar_proxy::access_log::{AccessLog, Flushed, Format, Sink};
use isobar_proxy::filter::{Chain, Filter, RequestCx, ResponseCx, Step};
use isobar_proxy::metrics::{ListenerMetrics, RouteMetrics};
use isobar_proxy::route::{Action, Destination, RetryPolicy, RouteSpec, Routes};
use isobar_proxy::{
    ClientFin, ListenSocket, ListenerId, ListenerLimits, ListenerPlan, ListenerTimeouts,
    ProxyContext, RouteTable, Serve, TrustedProxies, serve_shard,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BOUND: Duration = Duration::from_secs(10);

/// Fails as a fault in our own code would.
struct Faulty;

impl Filter for Faulty {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        assert_ne!(cx.head().path_and_query(), b"/before", "on purpose");
        Step::Next
    }

    fn response(&self, cx: &mut ResponseCx<'_>) {
        assert_ne!(cx.request().path_and_query(), b"/behind", "on purpose");
    }
}

#[test]
fn lc_08_a_fault_costs_its_own_request_and_no_other() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("a runtime");
    let log = std::env::temp_dir().join(format!("isobar-fault-{}.log", std::process::id()));
    let lines = runtime.block_on(async {
        let access_log = AccessLog::start(Format::Json, Sink::File(log.clone())).expect("a log");
        let (context, inboxes) = ProxyContext::new(1, access_log.clone());
        let proxy = Proxy::start(&context).await;
        for inbox in inboxes {
            tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
        }
        let mut steady = proxy.client().await;
        assert!(ask(&mut steady, "/").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
        for path in ["/before", "/behind"] {
            let lost = ask(&mut proxy.client().await, path).await;
            let error = lost.expect_err("no answer, and no clean end that could pass for one");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{path}");
            // The one slot is free again, and a connection that was there before still is.
            let answer = ask(&mut steady, "/").await.expect("served on");
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
        assert_eq!(proxy.route.codes().collect::<Vec<_>>(), [("200", 3), ("500", 2)]);
        drop(steady);
        let left = async {
            while proxy.listener.connections() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, left).await.expect("every connection is counted out");
        assert_eq!(access_log.flush(BOUND), Flushed::Whole);
        std::fs::read_to_string(&log).expect("the log")
    });
    std::fs::remove_file(&log).expect("it is ours");
    assert_eq!(lines.matches("\"reason\":\"internal\"").count(), 2, "{lines}");
}

struct Proxy {
    address: std::net::SocketAddr,
    listener: Arc<ListenerMetrics>,
    route: Arc<RouteMetrics>,
}

impl Proxy {
    /// One listener, one route with the filter, one worker with one slot.
    async fn start(context: &ProxyContext) -> Proxy {
        let (listener, route) = (Arc::new(ListenerMetrics::new(1)), Arc::new(RouteMetrics::new(1)));
        let slots = NonZeroU32::new(1);
        let address = Address::Tcp(origin().await);
        let worker = WorkerSpec { name: "w".into(), address, weight: None, slots, tier: 0 };
        let destination = Destination {
            pool: Pool::start("app", settings(), vec![worker], 1),
            request_timeout: None,
            first_byte: None,
            body_idle: None,
            metrics: Arc::clone(&route),
        };
        let routes = Routes::build(vec![RouteSpec {
            name: "all".into(),
            matches: Vec::new(),
            filters: Chain::new(vec![Arc::new(Faulty)], Arc::clone(&route)),
            action: Action::Pool(destination),
            retry: RetryPolicy::never(),
        }]);
        let plan = plan(routes, Arc::clone(&listener));
        context.publish(RouteTable { version: 1, listeners: vec![Some(Arc::new(plan))] });
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
        socket.set_nonblocking(true).expect("a setting");
        let address = socket.local_addr().expect("its address");
        context.listen(ListenerId(0), ListenSocket::Tcp(socket));
        Proxy { address, listener, route }
    }

    async fn client(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("connects")
    }
}

fn settings() -> PoolSettings {
    PoolSettings {
        strategy: strategy::find("least_connections").expect("in the table"),
        options: strategy::Options::new(),
        queue: Some(Queue { max: 10, timeout: BOUND }),
        queue_per_slot: None,
        health: None,
        connect_timeout: BOUND,
        keep_alive: KeepAlive { idle: IdleTime::Learned, max_idle: 1 },
        spill: None,
        retry_budget: None,
        abandon_after: BOUND,
        affinity: None,
        buffer: Buffer { request: 0, response: 0 },
        life: Life::default(),
    }
}

fn plan(routes: Routes, metrics: Arc<ListenerMetrics>) -> ListenerPlan {
    ListenerPlan {
        name: "web".into(),
        serve: Serve::Http(routes),
        timeouts: ListenerTimeouts {
            header: BOUND,
            body_idle: BOUND,
            write_stall: BOUND,
            keep_alive: BOUND,
            idle: BOUND,
        },
        limits: ListenerLimits {
            connections: 0,
            per_client: 0,
            headers: 100,
            header_bytes: 8192,
            uri: 8192,
            body: 0,
        },
        client_fin: ClientFin::Answer,
        trusted: Arc::new(TrustedProxies::default()),
        filters: None,
        metrics,
    }
}

/// Answers whatever comes, on any number of connections.
async fn origin() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
    let address = listener.local_addr().expect("its address");
    tokio::task::spawn_local(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::task::spawn_local(async move {
                let mut request = [0; 4096];
                while let Ok(1..) = stream.read(&mut request).await {
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    stream.write_all(answer).await.expect("is read");
                }
            });
        }
    });
    address
}

async fn ask(client: &mut TcpStream, path: &str) -> std::io::Result<String> {
    let exchange = async {
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await?;
        let mut answer = [0; 4096];
        let length = client.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    tokio::time::timeout(BOUND, exchange).await.expect("an end in time")
}
