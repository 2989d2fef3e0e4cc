//! The bench's worker: one thread, as cheap as it gets, so that the proxy is what is measured.
//!
//! `origin ADDRESS…` answers `/` with 1 KiB, `/sleep/MS` the same after that long, `/big` with
//! 10 MiB, on each address, and says `listening on ADDRESS` for each.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let addresses: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers: &'static Answers = Box::leak(Box::new(Answers::new()));
    runtime.block_on(async {
        let mut accepting = Vec::new();
        for address in addresses {
            let listener = TcpListener::bind(&address).await?;
            println!("listening on {}", listener.local_addr()?);
            accepting.push(tokio::spawn(accept(listener, answers)));
        }
        for task in accepting {
            task.await.map_err(io::Error::other)?;
        }
        Ok(())
    })
}

struct Answers {
    small: Vec<u8>,
    closing: Vec<u8>,
    big: Vec<u8>,
}

impl Answers {
    fn new() -> Answers {
        let answer = |more: &str, length: usize| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nServer: origin\r\nDate: Mon, 23 Nov 2026 08:00:00 GMT\r\n\
                 Content-Type: text/plain\r\nCache-Control: no-cache\r\n{more}\
                 Content-Length: {length}\r\n\r\n"
            );
            let mut bytes = head.into_bytes();
            bytes.resize(bytes.len() + length, b'x');
            bytes
        };
        Answers {
            small: answer("", 1024),
            closing: answer("Connection: close\r\n", 1024),
            big: answer("", 10 << 20),
        }
    }
}

async fn accept(listener: TcpListener, answers: &'static Answers) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(async move {
                // The other side may leave whenever it likes.
                let _ = serve(stream, answers).await;
            });
        }
    }
}

async fn serve(mut stream: TcpStream, answers: &'static Answers) -> io::Result<()> {
    let mut buffer = vec![0; 8192];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        if read == 0 {
            return Ok(());
        }
        filled += read;
        let mut used = 0;
        while let Some(end) = head_end(&buffer[used..filled]) {
            let head = &buffer[used..used + end];
            let closing = contains(head, b"onnection: close");
            if let Some(pause) = pause(head) {
                tokio::time::sleep(pause).await;
            }
            let answer = match () {
                () if head.starts_with(b"GET /big") => &answers.big,
                () if closing => &answers.closing,
                () => &answers.small,
            };
            stream.write_all(answer).await?;
            if closing {
                return Ok(());
            }
            used += end;
        }
        buffer.copy_within(used..filled, 0);
        filled -= used;
        if filled == buffer.len() {
            return Err(io::Error::other("a head of more than 8 KiB"));
        }
    }
}

fn head_end(bytes: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, b"\r\n\r\n").map(|at| at + 4)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    memchr::memmem::find(bytes, needle).is_some()
}

fn pause(head: &[u8]) -> Option<Duration> {
    let rest = head.strip_prefix(b"GET /sleep/")?;
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit());
    let milliseconds = digits.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'));
    Some(Duration::from_millis(milliseconds))
}
