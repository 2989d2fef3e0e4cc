//! The bench's generator: HTTP/1.1 requests at a fixed total rate over kept connections, whatever
//! the answers do; latency counts from the instant a request should have left.
//!
//! `fixed_rate ADDRESS RATE CONNECTIONS SECONDS` prints one line of JSON.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, connections, seconds] = words.as_slice() else {
        return Err(io::Error::other("usage: fixed_rate ADDRESS RATE CONNECTIONS SECONDS"));
    };
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let rate: f64 = rate.parse().map_err(io::Error::other)?;
    let connections: u32 = connections.parse().map_err(io::Error::other)?;
    let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (mut latencies, errors) = runtime.block_on(run(address, rate, connections, seconds));
    latencies.sort_unstable();
    let at = |quantile: f64| {
        let rank = (latencies.len() as f64 * quantile) as usize;
        latencies.get(rank.min(latencies.len().saturating_sub(1))).map_or(0, |d| d.as_micros())
    };
    println!(
        "{{\"requests\":{},\"errors\":{errors},\"rate\":{:.0},\"p50_us\":{},\"p99_us\":{}}}",
        latencies.len(),
        latencies.len() as f64 / seconds,
        at(0.50),
        at(0.99)
    );
    Ok(())
}

async fn run(
    address: SocketAddr,
    rate: f64,
    connections: u32,
    seconds: f64,
) -> (Vec<Duration>, u64) {
    let period = Duration::from_secs_f64(f64::from(connections) / rate);
    let start = Instant::now() + Duration::from_millis(200);
    let end = start + Duration::from_secs_f64(seconds);
    // Spread evenly over one period.
    let client =
        |i: u32| tokio::spawn(client(address, start + period * i / connections, period, end));
    let clients: Vec<_> = (0..connections).map(client).collect();
    let mut latencies = Vec::new();
    let mut errors = 0;
    for client in clients {
        match client.await {
            Ok(Ok(mut mine)) => latencies.append(&mut mine),
            Ok(Err(_)) | Err(_) => errors += 1,
        }
    }
    (latencies, errors)
}

async fn client(
    address: SocketAddr,
    first: Instant,
    period: Duration,
    end: Instant,
) -> io::Result<Vec<Duration>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut latencies = Vec::new();
    let mut buffer = vec![0; 16384];
    let mut due = first;
    while due < end {
        tokio::time::sleep_until(due).await;
        stream.write_all(REQUEST).await?;
        read_answer(&mut stream, &mut buffer).await?;
        latencies.push(due.elapsed());
        due += period;
    }
    Ok(latencies)
}

async fn read_answer(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += read;
        let Some(head) = memchr::memmem::find(&buffer[..filled], b"\r\n\r\n") else { continue };
        if !buffer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other("not 200"));
        }
        // Every answer of the origin carries 1 KiB.
        if filled >= head + 4 + 1024 {
            return Ok(());
        }
    }
}
