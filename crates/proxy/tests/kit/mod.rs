//! One pool of one worker behind listeners of the real proxy, in the test's own thread.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use isobar_balance::strategy;
use isobar_pool::{
    Address, Buffer, IdleTime, KeepAlive, Life, Pool, PoolSettings, Queue, Via, WorkerSpec,
};
use isobar_proxy::filter::Chain;
use isobar_proxy::metrics::{ListenerMetrics, RouteMetrics};
use isobar_proxy::route::{Action, Destination, RetryPolicy, RouteBuffer, RouteSpec, Routes};
use isobar_proxy::{
    ClientFin, Forwarding, ListenSocket, ListenerId, ListenerLimits, ListenerPlan,
    ListenerTimeouts, ProxyContext, Serve, Underscores,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const BOUND: Duration = Duration::from_secs(10);

pub fn runtime() -> tokio::runtime::LocalRuntime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(tokio::runtime::LocalOptions::default())
        .expect("a runtime")
}

/// Of a worker with one slot.
pub async fn pool() -> Arc<Pool> {
    pool_at(origin().await, settings())
}

pub fn pool_at(origin: SocketAddr, settings: PoolSettings) -> Arc<Pool> {
    let slots = NonZeroU32::new(1);
    let address = Address::Tcp(origin);
    let worker = WorkerSpec {
        name: "w".into(),
        address,
        weight: None,
        slots,
        tunnels: None,
        tier: 0,
        tls: None,
    };
    Pool::start("app", settings, vec![worker], 1)
}

/// A route for everything, to a worker with one slot.
pub async fn route(filters: Option<Arc<Chain>>, metrics: Arc<RouteMetrics>) -> RouteSpec {
    let destination = Destination {
        pool: pool().await,
        request_timeout: None,
        first_byte: None,
        body_idle: None,
        buffer: RouteBuffer::default(),
        metrics,
    };
    RouteSpec {
        name: "all".into(),
        matches: Vec::new(),
        filters,
        action: Action::Pool(destination),
        retry: RetryPolicy::never(),
        ambiguous: None,
    }
}

/// At a port of the system's choice.
pub fn listen(context: &ProxyContext, id: u32) -> SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    socket.set_nonblocking(true).expect("a setting");
    let address = socket.local_addr().expect("its address");
    context.listen(ListenerId(id), ListenSocket::Tcp(socket));
    address
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.expect("connects")
}

pub fn settings() -> PoolSettings {
    PoolSettings {
        strategy: strategy::find("least_connections").expect("in the table"),
        options: strategy::Options::new(),
        queue: Some(Queue { max: 10, timeout: BOUND }),
        queue_per_slot: None,
        hold: None,
        health: None,
        connect_timeout: BOUND,
        keep_alive: KeepAlive { idle: IdleTime::Learned, max_idle: 1 },
        spill: None,
        retry_budget: None,
        abandon_after: BOUND,
        affinity: None,
        via: Via::On,
        overflow: isobar_pool::Overflow::Off,
        buffer: Buffer { request: 0, response: 0 },
        life: Life::default(),
    }
}

pub fn plan(routes: Routes, metrics: Arc<ListenerMetrics>) -> ListenerPlan {
    ListenerPlan {
        name: "web".into(),
        serve: Serve::Http(routes),
        timeouts: ListenerTimeouts {
            handshake: BOUND,
            header: BOUND,
            body_idle: BOUND,
            write_stall: BOUND,
            keep_alive: BOUND,
            half_close: BOUND,
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
        forwarding: Forwarding::default(),
        underscores: Underscores::Drop,
        proxy_protocol: isobar_proxy::ProxyProtocol::Off,
        tls: None,
        filters: None,
        metrics,
        connections: Arc::default(),
    }
}

/// Answers whatever comes, on any number of connections.
async fn origin() -> SocketAddr {
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

pub async fn ask(client: &mut TcpStream, path: &str) -> std::io::Result<String> {
    let exchange = async {
        client.write_all(format!("GET {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).await?;
        let mut answer = [0; 4096];
        let length = client.read(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
    };
    tokio::time::timeout(BOUND, exchange).await.expect("an end in time")
}
