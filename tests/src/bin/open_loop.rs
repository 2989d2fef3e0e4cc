//! The worker benchmark's generator: every request of a plan goes to every target, on a connection of
//! its own, whatever became of those before it.
//!
//! `open_loop PLAN START@TARGET…`: START is the instant of CLOCK_MONOTONIC at which the plan begins
//! for this target; not the same for all, or every request would find the machine busy with its own
//! copies. A target is `ADDRESS[,ADDRESS…]` (several: requests take turns, as clients of a DNS name
//! do). A line of the plan is `OFFSET KIND PATH` with OFFSET in seconds and KIND one of `get`,
//! `upload` (a body that takes its time), `download` (read as slowly). One line a request and target
//! comes out: `TARGET REQUEST SENT FIRST_BYTE ENDED WHAT`, WHAT being the status or a word for the
//! failure.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use isobar_tests::clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A client that has no answer by then gives up.
const PATIENCE: Duration = Duration::from_secs(30);
/// A slow client's body, and the time it takes for it.
const UPLOAD: usize = 8 << 10;
const SLOW_STEPS: usize = 8;
const SLOW_PAUSE: Duration = Duration::from_millis(50);
const SLOW_BUFFER: usize = 16 << 10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Get,
    Upload,
    Download,
}

#[derive(Debug)]
struct Planned {
    offset: f64,
    kind: Kind,
    path: String,
}

#[derive(Debug)]
struct Target {
    start: f64,
    addresses: Vec<SocketAddr>,
}

struct Shot {
    target: usize,
    request: usize,
    sent: f64,
    first_byte: f64,
    ended: f64,
    what: String,
}

fn main() -> io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [plan, targets @ ..] = words.as_slice() else {
        return Err(io::Error::other("usage: open_loop PLAN START@TARGET…"));
    };
    let plan = std::fs::read_to_string(plan)?;
    let plan: Vec<Planned> = plan.lines().map(planned).collect::<io::Result<_>>()?;
    let targets: Vec<Target> =
        targets.iter().map(|word| target(word)).collect::<io::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shots = runtime.block_on(run(plan, targets));
    let mut text = String::new();
    for shot in &shots {
        let Shot { target, request, sent, first_byte, ended, what } = shot;
        let _ = writeln!(text, "{target} {request} {sent:.6} {first_byte:.6} {ended:.6} {what}");
    }
    io::stdout().write_all(text.as_bytes())
}

fn planned(line: &str) -> io::Result<Planned> {
    let wrong = || io::Error::other(format!("not `OFFSET KIND PATH`: {line:?}"));
    let mut words = line.split(' ');
    let (Some(offset), Some(kind), Some(path)) = (words.next(), words.next(), words.next()) else {
        return Err(wrong());
    };
    let kind = match kind {
        "get" => Kind::Get,
        "upload" => Kind::Upload,
        "download" => Kind::Download,
        _ => return Err(wrong()),
    };
    Ok(Planned { offset: offset.parse().map_err(|_| wrong())?, kind, path: path.to_owned() })
}

fn target(word: &str) -> io::Result<Target> {
    let wrong = || io::Error::other(format!("not `START@ADDRESS[,ADDRESS…]`: {word:?}"));
    let (start, list) = word.split_once('@').ok_or_else(wrong)?;
    let addresses = list.split(',').map(|one| one.parse().map_err(|_| wrong()));
    Ok(Target {
        start: start.parse().map_err(|_| wrong())?,
        addresses: addresses.collect::<io::Result<_>>()?,
    })
}

async fn run(plan: Vec<Planned>, targets: Vec<Target>) -> Vec<Shot> {
    let mut instants: Vec<(f64, usize, usize)> = Vec::new();
    for (target, Target { start, .. }) in targets.iter().enumerate() {
        let of_target = plan.iter().enumerate().map(|(at, one)| (start + one.offset, target, at));
        instants.extend(of_target);
    }
    instants.sort_by(|a, b| a.0.total_cmp(&b.0));
    // A thread of its own keeps the time: the runtime's timers have milliseconds only.
    let (due, mut now_due) = tokio::sync::mpsc::channel(instants.len().max(1));
    let pace = std::thread::spawn(move || {
        for (instant, target, request) in instants {
            clock::sleep_until(instant);
            if due.blocking_send((target, request)).is_err() {
                return;
            }
        }
    });
    let mut under_way = Vec::new();
    while let Some((target, request)) = now_due.recv().await {
        let Planned { kind, path, .. } = &plan[request];
        let addresses = &targets[target].addresses;
        let address = addresses[request % addresses.len()];
        let shot = shoot(target, request, address, *kind, path.clone());
        under_way.push(tokio::spawn(shot));
    }
    let _ = pace.join();
    let mut shots = Vec::with_capacity(under_way.len());
    for shot in under_way {
        shots.extend(shot.await);
    }
    shots
}

async fn shoot(
    target: usize,
    request: usize,
    address: SocketAddr,
    kind: Kind,
    path: String,
) -> Shot {
    let sent = clock::monotonic();
    let mut first_byte = f64::NAN;
    let asked = ask(address, kind, &path, &mut first_byte);
    let what = match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(status)) => status.to_string(),
        Ok(Err(error)) => word(&error).to_owned(),
        Err(_) => "timeout".to_owned(),
    };
    Shot { target, request, sent, first_byte, ended: clock::monotonic(), what }
}

fn word(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
        io::ErrorKind::UnexpectedEof => "cut",
        io::ErrorKind::InvalidData => "garbled",
        _ => "failed",
    }
}

async fn ask(address: SocketAddr, kind: Kind, path: &str, first_byte: &mut f64) -> io::Result<u16> {
    let socket = TcpSocket::new_v4()?;
    if kind == Kind::Download {
        socket.set_recv_buffer_size(SLOW_BUFFER as u32)?;
    }
    let mut stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let (method, length) = match kind {
        Kind::Upload => ("POST", format!("Content-Length: {UPLOAD}\r\n")),
        Kind::Get | Kind::Download => ("GET", String::new()),
    };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: app.example\r\nUser-Agent: open_loop\r\n\
         Accept: */*\r\n{length}Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    if kind == Kind::Upload {
        for _ in 0..SLOW_STEPS {
            tokio::time::sleep(SLOW_PAUSE).await;
            stream.write_all(&[b'u'; UPLOAD / SLOW_STEPS]).await?;
        }
    }
    read_answer(&mut stream, kind, first_byte).await
}

/// The status, once the whole answer was read: as long as it says, or else to its end.
async fn read_answer(stream: &mut TcpStream, kind: Kind, first_byte: &mut f64) -> io::Result<u16> {
    let mut buffer = vec![0; SLOW_BUFFER];
    let mut head = Vec::new();
    let mut left = None;
    loop {
        if left == Some(0) {
            return status(&head);
        }
        let read = stream.read(&mut buffer).await?;
        if first_byte.is_nan() {
            *first_byte = clock::monotonic();
        }
        match (read, left) {
            (0, Some(usize::MAX)) => return status(&head),
            (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            (_, Some(usize::MAX)) => {}
            (_, Some(length)) => left = Some(length.saturating_sub(read)),
            (_, None) => {
                head.extend_from_slice(&buffer[..read]);
                if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
                    let got = head.len() - end - 4;
                    left = Some(
                        length(&head[..end]).map_or(usize::MAX, |all| all.saturating_sub(got)),
                    );
                }
            }
        }
        if kind == Kind::Download {
            tokio::time::sleep(SLOW_PAUSE).await;
        }
    }
}

fn status(head: &[u8]) -> io::Result<u16> {
    let code = head.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let code = code.and_then(|code| std::str::from_utf8(code).ok()?.parse().ok());
    code.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn length(head: &[u8]) -> Option<usize> {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_plan() {
        let read = planned("0.125 upload /r/7?ms=20").unwrap();
        assert_eq!(
            (read.offset, read.kind, read.path.as_str()),
            (0.125, Kind::Upload, "/r/7?ms=20")
        );
        assert!(planned("0.125 dance /").is_err());
    }

    #[test]
    fn a_target_begins_when_it_says() {
        let read = target("12.5@127.0.0.1:1,127.0.0.1:2").unwrap();
        assert_eq!((read.start, read.addresses.len()), (12.5, 2));
        assert!(target("127.0.0.1:1").is_err() && target("1@host").is_err());
    }

    #[test]
    fn a_head_is_read() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\nX: y";
        assert_eq!((status(head).unwrap(), length(head)), (503, Some(12)));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nX: y"), None);
        assert!(status(b"nonsense").is_err());
    }
}
