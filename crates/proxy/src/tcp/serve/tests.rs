use std::{future::Future, num::NonZeroU32};

use isobar_balance::strategy;
use isobar_pool::{Address, Buffer, IdleTime, KeepAlive, PoolSettings, Queue, Via, WorkerSpec};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

fn pool(workers: &[&TcpListener], slots: u32) -> Arc<Pool> {
    let settings = PoolSettings {
        strategy: strategy::find("round_robin").unwrap(),
        options: Default::default(),
        queue: Some(Queue { max: 10, timeout: Duration::from_secs(10) }),
        queue_per_slot: None,
        hold: None,
        health: None,
        connect_timeout: Duration::from_secs(1),
        keep_alive: KeepAlive { idle: IdleTime::Learned, max_idle: 64 },
        spill: None,
        retry_budget: None,
        abandon_after: Duration::from_secs(30),
        affinity: None,
        via: Via::On,
        overflow: isobar_pool::Overflow::Off,
        buffer: Buffer { request: 0, response: 0 },
        life: isobar_pool::Life::default(),
    };
    let spec = |(at, listener): (usize, &&TcpListener)| WorkerSpec {
        name: format!("w{at}"),
        address: Address::Tcp(listener.local_addr().unwrap()),
        weight: None,
        slots: NonZeroU32::new(slots),
        tunnels: None,
        tier: 0,
        tls: None,
    };
    Pool::start("app", settings, workers.iter().enumerate().map(spec).collect(), 1)
}

async fn bind() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

async fn connect() -> (TcpStream, Stream) {
    let listener = bind().await;
    let address = listener.local_addr().unwrap();
    let (outside, inside) = tokio::join!(TcpStream::connect(address), listener.accept());
    (outside.unwrap(), inside.unwrap().0.into())
}

struct Served {
    metrics: Arc<ListenerMetrics>,
    log: AccessLog,
    file: std::path::PathBuf,
}

impl Served {
    fn new(name: &str) -> Self {
        let file = std::env::temp_dir().join(format!("isobar-tcp-{name}-{}", std::process::id()));
        let sink = crate::access_log::Sink::File(file.clone());
        let log = AccessLog::start(crate::access_log::Format::Json, sink).unwrap();
        Self { metrics: Arc::new(ListenerMetrics::new(1)), log, file }
    }

    fn serve(&self, pool: &Arc<Pool>, stream: Stream) -> impl Future<Output = ()> + use<> {
        let (metrics, log, pool) = (self.metrics.clone(), self.log.clone(), pool.clone());
        async move {
            let minute = Duration::from_secs(60);
            let silence = Silence { idle: minute, half_close: minute };
            let terms = Terms { listener: "db", silence, metrics: &metrics, log: &log };
            serve(&terms, &pool, stream, Vec::new(), None).await;
        }
    }

    /// The lines of the log, which has no more to come.
    fn lines(self) -> Vec<String> {
        self.log.flush(Duration::from_secs(10));
        let text = std::fs::read_to_string(&self.file).unwrap();
        std::fs::remove_file(&self.file).unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn one_connection_one_lease_one_line() {
    let (worker, served) = (bind().await, Served::new("one"));
    let pool = pool(&[&worker], 1);
    let (mut client, stream) = connect().await;
    let talk = async {
        client.write_all(b"ping").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut at_worker, _) = worker.accept().await.unwrap();
        let mut heard = String::new();
        at_worker.read_to_string(&mut heard).await.unwrap();
        at_worker.write_all(b"pong!").await.unwrap();
        drop(at_worker);
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "pingpong!");
    };
    tokio::join!(served.serve(&pool, stream), talk);
    assert_eq!((served.metrics.received(), served.metrics.sent()), (4, 5));
    let lines = served.lines();
    assert_eq!(lines.len(), 1);
    for part in ["\"proto\":\"tcp\"", "\"worker\":\"w0\"", "\"bytes_in\":4,\"bytes_out\":5"] {
        assert!(lines[0].contains(part), "{part} in {}", lines[0]);
    }
    assert!(lines[0].contains("\"attempts\":1,\"reason\":null"), "{}", lines[0]);
}

#[tokio::test]
async fn a_worker_that_refuses_costs_an_attempt_not_the_connection() {
    let (dead, worker, served) = (bind().await, bind().await, Served::new("refused"));
    let pool = pool(&[&dead, &worker], 0);
    drop(dead);
    for _ in 0..2 {
        let (client, stream) = connect().await;
        let talk = async {
            let (at_worker, _) = worker.accept().await.unwrap();
            drop((at_worker, client));
        };
        tokio::join!(served.serve(&pool, stream), talk);
    }
    let lines = served.lines();
    assert!(lines.iter().all(|line| line.contains("\"worker\":\"w1\"")), "{lines:?}");
    assert!(lines.iter().any(|line| line.contains("\"attempts\":2,\"reason\":null")), "{lines:?}");
}

#[tokio::test]
async fn l4_02_who_gets_no_worker_gets_a_reset() {
    let (dead, served) = (bind().await, Served::new("none"));
    let pool = pool(&[&dead], 0);
    drop(dead);
    let (mut client, stream) = connect().await;
    let (read, ()) =
        tokio::join!(async { client.read(&mut [0]).await }, served.serve(&pool, stream));
    assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    let lines = served.lines();
    assert!(lines[0].contains("\"reason\":\"connect_refused\""), "{lines:?}");
}

#[tokio::test]
async fn the_queue_holds_a_socket_unread_and_lets_it_go_when_its_client_left() {
    let (worker, served) = (bind().await, Served::new("queue"));
    let pool = pool(&[&worker], 1);
    let (first, stream) = connect().await;
    let holds = tokio::spawn(served.serve(&pool, stream));
    let (at_worker, _) = worker.accept().await.unwrap();

    let (mut second, stream) = connect().await;
    second.write_all(b"early").await.unwrap();
    let waits = tokio::spawn(served.serve(&pool, stream));
    let (third, stream) = connect().await;
    drop(third);
    // The slot is still taken: only the client's leaving can end this one.
    served.serve(&pool, stream).await;
    assert!(!waits.is_finished());
    assert_eq!(served.metrics.received(), 0);

    drop((first, at_worker));
    let (mut at_worker, _) = worker.accept().await.unwrap();
    let mut heard = [0; 5];
    at_worker.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"early");
    drop((at_worker, second));
    holds.await.unwrap();
    waits.await.unwrap();
    let lines = served.lines();
    assert_eq!(lines.len(), 3);
    assert!(lines[0].contains("\"reason\":\"client_gone\""), "{lines:?}");
    assert!(lines[0].contains("\"worker\":null,\"attempts\":0"), "{lines:?}");
}
