//! The bench's generator: HTTP/1.1 requests at a fixed total rate over kept connections, whatever
//! the answers do; latency counts from the instant a request was due.
//!
//! `fixed_rate ADDRESS RATE CONNECTIONS SECONDS` prints one line of JSON.
//!
//! Every request leaves at an instant of its own: at 20,000 a second, 50 µs after the one before. A
//! generator whose timer ticks once a millisecond has the same rate and sends 20 at once, and that is
//! another load: a proxy that wakes up for 20 requests pays once for all, and two threads that wake
//! up for 10 each pay twice. What they share then says more of the bursts than of the proxy. So there
//! is a timer of nanoseconds here, and the answer says how well it went: `late_p50_us` and
//! `late_p99_us`, how long after they were due requests left. Those count too whose connection was
//! still busy, or whose core was.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
    Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
    Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

/// Every answer of the origin carries 1 KiB.
const BODY: usize = 1024;

/// How long after the last request answers are still waited for.
const PATIENCE: Duration = Duration::from_secs(5);

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, rate, connections, seconds] = words.as_slice() else {
        return Err(io::Error::other("usage: fixed_rate ADDRESS RATE CONNECTIONS SECONDS"));
    };
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let rate: f64 = rate.parse().map_err(io::Error::other)?;
    let connections: usize = connections.parse().map_err(io::Error::other)?;
    let seconds: f64 = seconds.parse().map_err(io::Error::other)?;
    let mut load = Load::connect(address, connections)?;
    load.run(rate, (rate * seconds) as u32)?;
    let unanswered: usize = load.clients.iter().map(|client| client.owed.len()).sum();
    let answered = load.latencies.len();
    load.latencies.sort_unstable();
    load.late.sort_unstable();
    println!(
        "{{\"requests\":{answered},\"errors\":{unanswered},\"rate\":{:.0},\"p50_us\":{},\
         \"p99_us\":{},\"late_p50_us\":{},\"late_p99_us\":{}}}",
        answered as f64 / seconds,
        micros_at(0.50, &load.latencies),
        micros_at(0.99, &load.latencies),
        micros_at(0.50, &load.late),
        micros_at(0.99, &load.late),
    );
    Ok(())
}

fn micros_at(quantile: f64, sorted: &[Duration]) -> u128 {
    let rank = (sorted.len() as f64 * quantile) as usize;
    sorted.get(rank.min(sorted.len().saturating_sub(1))).map_or(0, Duration::as_micros)
}

/// The timer among the events; the others are places of clients.
const TIMER: u64 = u64::MAX;

/// One thread for sending and receiving: it shares its core with the origin.
struct Load {
    epoll: OwnedFd,
    /// A time-out given to `epoll::wait` is rounded up to whole milliseconds.
    timer: OwnedFd,
    ready: Vec<epoll::Event>,
    clients: Vec<Client>,
    latencies: Vec<Duration>,
    late: Vec<Duration>,
}

impl Load {
    fn connect(address: SocketAddr, connections: usize) -> io::Result<Load> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), epoll::EventFlags::IN)?;
        let mut clients = Vec::with_capacity(connections);
        for at in 0..connections {
            let stream = TcpStream::connect(address)?;
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
            let data = epoll::EventData::new_u64(at as u64);
            epoll::add(&epoll, &stream, data, epoll::EventFlags::IN)?;
            clients.push(Client { stream, answer: [0; 4096], filled: 0, owed: VecDeque::new() });
        }
        let ready = Vec::with_capacity(connections + 1);
        Ok(Load { epoll, timer, ready, clients, latencies: Vec::new(), late: Vec::new() })
    }

    /// The connections take turns. What is due while its connection is busy leaves right after
    /// the answer, and its latency counts all the same.
    fn run(&mut self, rate: f64, requests: u32) -> io::Result<()> {
        let start = Instant::now() + Duration::from_millis(200);
        let due = |at: u32| start + Duration::from_secs_f64(f64::from(at) / rate);
        for at in 0..requests {
            while Instant::now() < due(at) {
                self.receive(due(at))?;
            }
            let turn = at as usize % self.clients.len();
            self.late.extend(self.clients[turn].ask(due(at))?);
        }
        let end = due(requests) + PATIENCE;
        while self.latencies.len() < requests as usize && Instant::now() < end {
            self.receive(end)?;
        }
        Ok(())
    }

    /// Takes the answers that are there, or waits for some until then.
    fn receive(&mut self, until: Instant) -> io::Result<()> {
        // Zero would disarm it. Setting it again also takes back that it has expired.
        let left = until.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec::try_from(left).map_err(io::Error::other)?;
        let timer = Itimerspec { it_interval: Timespec::default(), it_value };
        timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &timer)?;
        epoll::wait(&self.epoll, spare_capacity(&mut self.ready), None)?;
        for event in self.ready.drain(..) {
            let Some(client) = self.clients.get_mut(event.data.u64() as usize) else { continue };
            if let Some(asked) = client.receive()? {
                self.latencies.push(asked.elapsed());
                self.late.extend(client.send()?);
            }
        }
        Ok(())
    }
}

struct Client {
    stream: TcpStream,
    answer: [u8; 4096],
    filled: usize,
    /// When the requests were due that have no answer yet; the first of them has been sent.
    owed: VecDeque<Instant>,
}

impl Client {
    fn ask(&mut self, due: Instant) -> io::Result<Option<Duration>> {
        self.owed.push_back(due);
        if self.owed.len() == 1 { self.send() } else { Ok(None) }
    }

    /// Sends what is owed next, if anything, and says how late that was.
    fn send(&mut self) -> io::Result<Option<Duration>> {
        let Some(due) = self.owed.front() else { return Ok(None) };
        let late = due.elapsed();
        self.stream.write_all(REQUEST)?;
        Ok(Some(late))
    }

    /// When the request was due that is answered now.
    fn receive(&mut self) -> io::Result<Option<Instant>> {
        let read = self.stream.read(&mut self.answer[self.filled..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.filled += read;
        let answer = &self.answer[..self.filled];
        let Some(head) = memchr::memmem::find(answer, b"\r\n\r\n") else { return Ok(None) };
        if !answer.starts_with(b"HTTP/1.1 200") {
            return Err(io::Error::other("not 200"));
        }
        if self.filled < head + 4 + BODY {
            return Ok(None);
        }
        self.filled = 0;
        Ok(self.owed.pop_front())
    }
}
