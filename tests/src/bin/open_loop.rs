//! The worker benchmark's generator: every request of a plan goes to every target at the same
//! instant, on a connection of its own, whatever became of those before it. So all targets get the
//! same load at the same time on the same machine.
//!
//! `open_loop PLAN START TARGET…`: a target is `ADDRESS[,ADDRESS…]` (several: requests take turns,
//! as clients of a DNS name do). START is an instant of CLOCK_MONOTONIC; a line of the plan is
//! `OFFSET KIND PATH` with OFFSET in seconds and KIND one of `get`, `upload` (a body that takes its
//! time), `download` (read as slowly). One line a request and target comes out:
//! `TARGET REQUEST SENT FIRST_BYTE ENDED WHAT`, WHAT being the status or a word for the failure.

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
    let [plan, start, targets @ ..] = words.as_slice() else {
        return Err(io::Error::other("usage: open_loop PLAN START TARGET…"));
    };
    let plan = std::fs::read_to_string(plan)?;
    let plan: Vec<Planned> = plan.lines().map(planned).collect::<io::Result<_>>()?;
    let start: f64 = start.parse().map_err(io::Error::other)?;
    let targets: Vec<Vec<SocketAddr>> =
        targets.iter().map(|list| addresses(list)).collect::<io::Result<_>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shots = runtime.block_on(run(plan, start, targets));
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

fn addresses(list: &str) -> io::Result<Vec<SocketAddr>> {
    list.split(',').map(|one| one.parse().map_err(io::Error::other)).collect()
}

async fn run(plan: Vec<Planned>, start: f64, targets: Vec<Vec<SocketAddr>>) -> Vec<Shot> {
    let offsets: Vec<f64> = plan.iter().map(|request| request.offset).collect();
    // A thread of its own keeps the time: the runtime's timers have milliseconds only.
    let (due, mut now_due) = tokio::sync::mpsc::channel(offsets.len().max(1));
    let pace = std::thread::spawn(move || {
        for (request, offset) in offsets.into_iter().enumerate() {
            clock::sleep_until(start + offset);
            if due.blocking_send(request).is_err() {
                return;
            }
        }
    });
    let mut under_way = Vec::new();
    while let Some(request) = now_due.recv().await {
        let Planned { kind, path, .. } = &plan[request];
        // Nobody is always the first.
        for turn in 0..targets.len() {
            let target = (request + turn) % targets.len();
            let address = targets[target][request % targets[target].len()];
            let shot = shoot(target, request, address, *kind, path.clone());
            under_way.push(tokio::spawn(shot));
        }
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
    fn a_head_is_read() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 12\r\nX: y";
        assert_eq!((status(head).unwrap(), length(head)), (503, Some(12)));
        assert_eq!(length(b"HTTP/1.1 200 OK\r\nX: y"), None);
        assert!(status(b"nonsense").is_err());
    }
}
