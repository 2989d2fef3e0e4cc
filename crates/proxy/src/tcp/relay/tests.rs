use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixStream},
};

use isobar_pool::Seen;

use super::*;

const IDLE: Duration = Duration::from_secs(60);

async fn pair() -> (TcpStream, Stream) {
    let (outside, inside) = sockets().await;
    (outside, inside.into())
}

async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (outside, inside) = tokio::join!(TcpStream::connect(address), listener.accept());
    (outside.unwrap(), inside.unwrap().0)
}

/// The same whether or not a side has closed.
impl From<Duration> for Silence {
    fn from(limit: Duration) -> Self {
        Self { idle: limit, half_close: limit }
    }
}

/// Client, worker, and the relay between them; its streams are closed when it ends.
async fn relayed(
    silence: impl Into<Silence>,
) -> (TcpStream, TcpStream, impl Future<Output = RelayEnd>) {
    let (client, mut inner_client) = pair().await;
    let (worker, mut inner_worker) = pair().await;
    let silence = silence.into();
    let end = async move {
        relay(&mut inner_client, &mut inner_worker, Early::default(), silence, |_, _| {}).await
    };
    (client, worker, end)
}

#[tokio::test]
async fn l4_01_the_client_closes_its_side_and_gets_the_answer() {
    let (mut client, mut worker, end) = relayed(IDLE).await;
    let talk = async move {
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        worker.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "question");
        worker.write_all(b"an answer").await.unwrap();
        drop(worker);
        heard.clear();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "an answer");
    };
    let (end, ()) = tokio::join!(end, talk);
    assert_eq!(end, RelayEnd { from_client: 8, from_worker: 9, clean: true, how: How::Done });
}

#[tokio::test]
async fn l4_01_the_worker_closes_its_side_and_goes_on_reading() {
    let (mut client, mut worker, end) = relayed(IDLE).await;
    let talk = async move {
        worker.write_all(b"hello").await.unwrap();
        worker.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "hello");
        client.write_all(b"still here").await.unwrap();
        drop(client);
        heard.clear();
        worker.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "still here");
    };
    let (end, ()) = tokio::join!(end, talk);
    assert_eq!(end, RelayEnd { from_client: 10, from_worker: 5, clean: true, how: How::Done });
}

#[tokio::test]
async fn l4_02_a_reset_of_either_side_is_a_reset_for_the_other() {
    for how in [How::ClientReset, How::WorkerReset] {
        let (client, worker, end) = relayed(IDLE).await;
        let (leaver, mut other) = match how {
            How::ClientReset => (client, worker),
            _ => (worker, client),
        };
        let talk = async move {
            leaver.set_zero_linger().unwrap();
            drop(leaver);
            other.read(&mut [0]).await
        };
        let (end, read) = tokio::join!(end, talk);
        assert_eq!((end.how, end.clean), (how, false));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn l4_03_a_silent_relay_ends_and_a_busy_one_does_not() {
    let (mut client, mut worker, end) = relayed(IDLE).await;
    tokio::time::pause();
    let started = Instant::now();
    let talk = async move {
        for _ in 0..3 {
            tokio::time::sleep(IDLE - Duration::from_secs(1)).await;
            client.write_all(b"x").await.unwrap();
            worker.read_exact(&mut [0]).await.unwrap();
        }
        // Neither side closes: the relay has to.
        assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        assert_eq!(worker.read(&mut [0]).await.unwrap(), 0);
    };
    let (end, ()) = tokio::join!(end, talk);
    assert_eq!((end.how, end.from_client), (How::Idle, 3));
    let lasted = started.elapsed();
    let expected = (IDLE - Duration::from_secs(1)) * 3 + IDLE;
    assert!(lasted >= expected && lasted < expected + Duration::from_secs(1), "{lasted:?}");
}

/// Whichever side closes first: the other one has so long, from the last byte on.
#[tokio::test]
async fn a_half_closed_relay_ends_when_nothing_moves() {
    const HALF: Duration = Duration::from_millis(300);
    for client_closes in [true, false] {
        let silence = Silence { idle: IDLE, half_close: HALF };
        let (client, worker, end) = relayed(silence).await;
        let (mut closes, mut stays) =
            if client_closes { (client, worker) } else { (worker, client) };
        let talk = async move {
            let mut heard = [0; 1];
            tokio::time::sleep(HALF * 2).await;
            // Open on both sides it only has to be idle for less than a minute.
            closes.write_all(b"x").await.unwrap();
            stays.read_exact(&mut heard).await.unwrap();
            closes.shutdown().await.unwrap();
            for _ in 0..4 {
                tokio::time::sleep(HALF / 2).await;
                stays.write_all(b"y").await.unwrap();
                closes.read_exact(&mut heard).await.unwrap();
            }
            let began = Instant::now();
            assert_eq!(closes.read(&mut heard).await.unwrap(), 0, "its connection is closed");
            (began.elapsed(), stays)
        };
        let (end, (took, _stays)) = tokio::join!(end, talk);
        assert_eq!((end.how, end.clean), (How::Idle, true));
        assert!(took >= HALF / 2 && took < HALF * 4, "{took:?}");
    }
}

/// Either side closes its direction and is reset while the other says nothing.
#[tokio::test]
async fn a_reset_is_noticed_behind_a_fin() {
    for client_leaves in [true, false] {
        let (client, worker, end) = relayed(IDLE).await;
        let (mut leaves, _stays) = if client_leaves { (client, worker) } else { (worker, client) };
        let leave = async move {
            leaves.shutdown().await.unwrap();
            tokio::time::sleep(LOOK / 2).await;
            leaves.set_zero_linger().unwrap();
            drop(leaves);
            Instant::now()
        };
        let (end, left) = tokio::join!(end, leave);
        let who = if client_leaves { How::ClientReset } else { How::WorkerReset };
        assert_eq!(end.how, who);
        assert!(left.elapsed() < Duration::from_secs(1), "{:?}", left.elapsed());
    }
}

#[tokio::test]
async fn an_endless_idle_time_is_one() {
    let (client, worker, end) = relayed(Duration::MAX).await;
    drop((client, worker));
    assert!(end.await.clean);
}

#[tokio::test]
async fn what_was_read_early_comes_first() {
    let (mut client, mut inner_client) = pair().await;
    let (mut worker, mut inner_worker) = pair().await;
    client.write_all(b" 2").await.unwrap();
    worker.write_all(b" b").await.unwrap();
    client.shutdown().await.unwrap();
    worker.shutdown().await.unwrap();
    let early = Early { from_client: b"1".to_vec(), from_worker: b"a".to_vec() };
    let end = relay(&mut inner_client, &mut inner_worker, early, IDLE.into(), |_, _| {}).await;
    drop((inner_client, inner_worker));
    let (mut to_worker, mut to_client) = (String::new(), String::new());
    worker.read_to_string(&mut to_worker).await.unwrap();
    client.read_to_string(&mut to_client).await.unwrap();
    assert_eq!((&*to_worker, &*to_client), ("1 2", "a b"));
    assert_eq!((end.from_client, end.from_worker), (3, 3));
}

#[tokio::test]
async fn bytes_somebody_looked_at_without_reading_are_not_lost() {
    let (mut client, mut inner_client) = pair().await;
    let (worker, mut inner_worker) = pair().await;
    client.write_all(&vec![7; 3 * SCRATCH]).await.unwrap();
    inner_client.readable().await.unwrap();
    // As `waiting` does it: the runtime forgets what it knew.
    assert_eq!(inner_client.peek(), Seen::Bytes);
    let read = tokio::spawn(read_slowly(worker));
    drop(client);
    let (_, received) = tokio::join!(
        async move {
            relay(&mut inner_client, &mut inner_worker, Early::default(), IDLE.into(), |_, _| {})
                .await
        },
        read
    );
    assert_eq!(received.unwrap(), 3 * SCRATCH as u64);
}

#[tokio::test]
async fn unix_sockets_are_relayed_as_well() {
    let (mut client, mut inner_client) = pair().await;
    let (mut worker, inner_worker) = UnixStream::pair().unwrap();
    let mut inner_worker = Stream::from(inner_worker);
    client.write_all(b"hi").await.unwrap();
    client.shutdown().await.unwrap();
    worker.write_all(b"ho").await.unwrap();
    worker.shutdown().await.unwrap();
    let end =
        relay(&mut inner_client, &mut inner_worker, Early::default(), IDLE.into(), |_, _| {}).await;
    assert_eq!((end.from_client, end.from_worker, end.how), (2, 2, How::Done));
}

const BULK: usize = 64 * 1024 * 1024;

#[tokio::test]
async fn sl_12_sixty_four_mebibytes_both_ways_with_slow_readers() {
    let (client, worker, end) = relayed(IDLE).await;
    let ((client_in, client_out), (worker_in, worker_out)) =
        (client.into_split(), worker.into_split());
    let (end, up, down, sent_up, sent_down) = tokio::join!(
        tokio::spawn(end),
        tokio::spawn(read_slowly(worker_in)),
        tokio::spawn(read_slowly(client_in)),
        tokio::spawn(send(client_out)),
        tokio::spawn(send(worker_out)),
    );
    sent_up.unwrap();
    sent_down.unwrap();
    assert_eq!((up.unwrap(), down.unwrap()), (BULK as u64, BULK as u64));
    let end = end.unwrap();
    assert_eq!((end.from_client, end.from_worker), (BULK as u64, BULK as u64));
}

async fn send(mut to: tokio::net::tcp::OwnedWriteHalf) {
    let block = vec![7; 1024 * 1024];
    for _ in 0..BULK / block.len() {
        to.write_all(&block).await.unwrap();
    }
    to.shutdown().await.unwrap();
}

async fn read_slowly(mut from: impl tokio::io::AsyncRead + Unpin) -> u64 {
    let (mut block, mut sum) = (vec![0; 100_000], 0);
    loop {
        match from.read(&mut block).await.unwrap() {
            0 => return sum,
            read => {
                assert!(block[..read].iter().all(|&byte| byte == 7));
                sum += read as u64;
            }
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_the_writer() {
    let (client, inner_client) = sockets().await;
    let (worker, inner_worker) = sockets().await;
    for socket in [&client, &worker, &inner_client, &inner_worker] {
        let socket = SockRef::from(socket);
        socket.set_recv_buffer_size(32 * 1024).unwrap();
        socket.set_send_buffer_size(32 * 1024).unwrap();
    }
    let (mut inner_client, mut inner_worker) = (inner_client.into(), inner_worker.into());
    tokio::time::pause();
    let writer = async {
        let (block, mut taken) = (vec![0; 16 * 1024], 0);
        loop {
            client.writable().await.unwrap();
            taken += client.try_write(&block).unwrap_or(0);
            assert!(taken < 1024 * 1024, "nothing holds the writer back");
        }
    };
    // The clock only runs on when no byte moves any more.
    let end = tokio::select! {
        () = writer => None,
        end = relay(&mut inner_client, &mut inner_worker, Early::default(), IDLE.into(), |_, _| {}) => Some(end),
    };
    assert_eq!(end.map(|end| end.how), Some(How::Idle));
}
