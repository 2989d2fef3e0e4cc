//! An answer that comes before the upload is whole reaches the client that still sends, whatever that
//! client is, and whoever made the answer.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use isobar_tests::apps::Python;
use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, Visit, after};
use isobar_tests::skip;

/// More than all buffers on the way hold.
const UPLOAD: usize = 16 << 20;

/// Each way to upload, twice before either kind of early answer.
#[test]
fn every_client_gets_its_answer() {
    let ((limits, _reads), origin) = (limits_bodies(), answers_401());
    let worker = no_slots(&origin);
    let body = limits.file("body");
    std::fs::write(&body, vec![b'x'; UPLOAD]).expect("writes the body");
    let (mut failed, mut missing) = (Vec::new(), BTreeSet::new());
    for (isobar, status) in [(&limits, "413"), (&worker, "401")] {
        let (mut asked, mut heard) = (0, 0);
        for mut client in (0..2).flat_map(|_| clients(isobar.address("web"), &body)) {
            let output = client.command.stdin(Stdio::null()).output();
            let output = match output {
                Ok(output) if output.status.code() != Some(NOT_THERE) => output,
                _ => {
                    missing.insert(client.name);
                    continue;
                }
            };
            asked += 1;
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            if said.contains(status) {
                heard += 1;
            } else {
                failed.push(format!("{} for {status}: {said}", client.name));
            }
        }
        println!("{heard} of {asked} clients got their early {status}");
        assert!(asked >= 2, "at least one client, twice");
    }
    if !missing.is_empty() {
        let missing: Vec<_> = missing.into_iter().collect();
        skip::note("early_answers, some clients", &format!("no {}", missing.join(", ")));
    }
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A client of 100 KB/s that reads when it has sent what it has: three seconds of it.
#[test]
fn a_slow_upload_is_not_cut_before_its_answer_is_read() {
    let ((limits, _reads), origin) = (limits_bodies(), answers_401());
    let worker = no_slots(&origin);
    for (isobar, status) in [(&limits, "413"), (&worker, "401")] {
        let mut client = upload(isobar);
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(3) {
            client.write_all(&[b'x'; 10_000]).expect("it is still taken");
            std::thread::sleep(Duration::from_millis(100));
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).expect("the answer, and an end");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
    }
}

/// Answers of filters and of routes, of a worker with slots, and that there is none.
#[test]
fn whoever_answers_early_is_heard() {
    let origin = answers_401();
    let address = origin.address();
    let isobar = Isobar::start(&format!(
        "shards: 1\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [\n\
           {{ match: {{ path: /deny }}, filters: [deny: [0.0.0.0/0]], pool: app }},\n\
           {{ match: {{ path: /max }}, filters: [max_body: 1KiB], pool: app }},\n\
           {{ match: {{ path: /said }}, respond: {{ status: 403, body: no }} }},\n\
           {{ match: {{ path: /moved }}, redirect: {{ to: /there }} }},\n\
           {{ match: {{ path: /slots }}, pool: slots }} ] }} }}\n\
         pools:\n\
         \x20 app: {{ workers: [\"{address}\"] }}\n\
         \x20 slots: {{ slots: 1, buffer: {{ request: off }}, workers: [\"{address}\"] }}\n"
    ));
    let cases = [
        ("/deny", 403),
        ("/max", 413),
        ("/said", 403),
        ("/moved", 302),
        ("/nowhere", 404),
        ("/slots", 401),
    ];
    for (path, status) in cases {
        let mut client = upload_to(isobar.address("web"), path);
        // All of it first, as many clients do, then the answer.
        let mut left = UPLOAD;
        while left > 0 {
            let piece = left.min(64 * 1024);
            client.write_all(&vec![b'x'; piece]).unwrap_or_else(|error| {
                panic!("{path}: {error} with {left} bytes still to send");
            });
            left -= piece;
        }
        let mut client = Connection::over(client).expect("a connection");
        let answer = client.response_to("POST").expect(path);
        assert_eq!(answer.status, status, "{path}");
    }
}

/// Who neither sends nor leaves is waited for, but not for ever.
#[test]
fn a_silent_client_is_given_up() {
    let (isobar, _origin) = limits_bodies();
    let mut client = upload(&isobar);
    let mut answer = String::new();
    let began = Instant::now();
    client.read_to_string(&mut answer).expect("the answer, and an end");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(1), "told at once: {:?}", began.elapsed());
    std::thread::sleep(Duration::from_millis(1_500));
    client.write_all(b"x").expect("it is still listened to");
    let open = || isobar.metrics().sum("isobar_connections_active", &[]);
    assert_eq!(open(), 1.0);
    let began = Instant::now();
    while open() > 0.0 {
        assert!(began.elapsed() < Duration::from_secs(8), "five seconds of silence are enough");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What a client's process says by its exit code when it is not installed.
const NOT_THERE: i32 = 77;

struct Client {
    name: String,
    command: Command,
}

fn clients(address: SocketAddr, body: &Path) -> Vec<Client> {
    let url = format!("http://{address}/upload");
    let apps = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/apps"));
    let file = body.display().to_string();
    let mut clients = Vec::new();
    let mut add = |name: &str, program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments);
        clients.push(Client { name: name.to_owned(), command });
    };
    let data = format!("@{file}");
    let curl = ["-s", "-S", "-m", "40", "-o", "/dev/null", "-w", "%{http_code}", "--data-binary"];
    let curl = [&curl[..], &[&data, &url]].concat();
    add("curl", Path::new("curl"), &curl);
    add("curl that expects nothing", Path::new("curl"), &[&curl[..], &["-H", "Expect:"]].concat());
    let chunked = [&curl[..], &["-H", "Expect:", "-H", "Transfer-Encoding: chunked"]].concat();
    add("curl in chunks", Path::new("curl"), &chunked);
    let post = format!("--post-file={file}");
    add(
        "wget",
        Path::new("wget"),
        &["-q", "-S", "-t", "1", "-T", "40", "-O", "/dev/null", &post, &url],
    );
    let ab = ["-q", "-v", "2", "-s", "40", "-n", "1", "-p", &file, "-T", "text/plain", &url];
    add("ab", Path::new("ab"), &ab);
    let script = apps.join("upload.mjs").display().to_string();
    for kind in ["http", "fetch"] {
        add(&format!("node {kind}"), Path::new("node"), &[&script, kind, &url, &file]);
    }
    let script = apps.join("upload.py").display().to_string();
    let python = Python::installed();
    let python = python.as_ref().map_or(Path::new("python3"), Python::path);
    for kind in ["http_client", "urllib", "urllib3", "requests", "httpx", "aiohttp"] {
        add(kind, python, &[&script, kind, &url, &file]);
    }
    clients
}

/// Answers 413 by itself, before a worker that would read it all.
fn limits_bodies() -> (Isobar, Origin) {
    let origin = Origin::start(after(Duration::ZERO, "whole"));
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", limits: {{ body: 1MiB }}, pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ));
    (isobar, origin)
}

/// Answers behind the head, and closes without having read the body.
fn answers_401() -> Origin {
    Origin::visits(|visit: &mut Visit| {
        if let Ok(Some(request)) = visit.read_head() {
            visit.record(request);
            let head =
                "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
            let _ = visit.write(format!("{head}no").as_bytes());
            visit.close();
        }
    })
}

fn no_slots(origin: &Origin) -> Isobar {
    Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"] }} }}\n",
        origin.address()
    ))
}

fn upload(isobar: &Isobar) -> TcpStream {
    upload_to(isobar.address("web"), "/")
}

/// The head of an upload.
fn upload_to(address: SocketAddr, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("connects");
    client.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    client.set_write_timeout(Some(Duration::from_secs(20))).expect("set");
    let head = format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: {UPLOAD}\r\n\r\n");
    client.write_all(head.as_bytes()).expect("sends");
    client
}
