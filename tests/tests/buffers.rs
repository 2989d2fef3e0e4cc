//! Slow clients before few slots: what memory does not hold of their bodies waits on disk, both ways,
//! by default. `ISOBAR_BUFFERS=full tests/run e2e buffers` moves 50 MB each way at 200 KB/s, and 40
//! uploads of 100 MB in a container of 256 MiB whose only directory is in memory.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use isobar_tests::cgroup::Cgroup;
use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::load::{failures, get, open_loop, poisson};
use isobar_tests::origin::{Next, Origin, Request, Visit, respond};
use isobar_tests::queueing::quantile;
use isobar_tests::{skip, wait};

const PATIENCE: Duration = Duration::from_secs(20);

/// Read from the worker as fast as it gives, whatever the client takes.
const SLOTS: &str = "slots: 1, ";

#[test]
fn a_slow_upload_and_a_slow_download_hold_no_worker() {
    let (length, rate) = if full() { (50_000_000, 200_000) } else { (6_000_000, 1_500_000) };
    let origin = Origin::start(answer);
    let isobar = start(SLOTS, "", &origin);
    let web = isobar.address("web");
    let arrivals = poisson(20.0, if full() { 60.0 } else { 3.0 }, 7);
    let normal = || {
        let shots = open_loop(web, &arrivals, 8, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        let took: Vec<f64> = shots.iter().map(|shot| shot.ended - shot.scheduled).collect();
        quantile(&took, 0.99)
    };
    let alone = normal();
    let over = AtomicBool::new(false);
    let (beside, down, up) = std::thread::scope(|scope| {
        let down = scope.spawn(|| slow_download(web, length, rate, &over));
        let up = scope.spawn(|| slow_upload(web, length, rate, &over));
        let mut beside = normal();
        for _ in 0..2 {
            if beside > 2.0 * alone {
                beside = beside.min(normal());
            }
        }
        over.store(true, Ordering::Relaxed);
        (beside, down.join().expect("a download"), up.join().expect("an upload"))
    });
    println!(
        "{} MB each way at {} KB/s: p99 of normal requests {:.1} ms, alone {:.1} ms; {down:?}, {up:?}",
        length / 1_000_000,
        rate / 1000,
        beside * 1e3,
        alone * 1e3
    );
    assert!(beside <= (2.0 * alone).max(0.1), "{beside} instead of {alone}");
    // Whole and in order: both ends compare every byte.
    wait::until(|| (isobar.metrics().sum("isobar_worker_in_flight", &[]) == 0.0).then_some(()));
}

/// The worker is free long before its client has read the answer.
#[test]
fn a_download_lets_go_of_its_worker_at_once() {
    for (pool, frees) in [("", true), ("buffer: { spill: off }, ", false)] {
        let origin = Origin::start(answer);
        let isobar = start(&format!("{SLOTS}{pool}"), "", &origin);
        let mut slow = isobar.open("web");
        slow.send(b"GET /down/30000000 HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        origin.wait_for(1, Duration::from_secs(10));
        let free = || isobar.metrics().sum("isobar_worker_in_flight", &[]) == 0.0;
        if frees {
            wait::until(|| free().then_some(()));
        } else {
            std::thread::sleep(Duration::from_millis(500));
            assert!(!free(), "streamed: the worker waits for its client");
        }
        let response = slow.response_to("GET").expect("an answer");
        assert!(response.body == pattern(30_000_000), "whole and in order");
    }
}

/// No room, no directory, a full account: streamed, said, and nothing lost.
#[test]
fn without_room_an_answer_is_streamed() {
    let rooms = ["{ max: 300KB }", "{ total: 300KB }", "{ dir: /nowhere/at/all }"];
    for room in rooms {
        let origin = Origin::start(answer);
        let isobar = start(&format!("{SLOTS}buffer: {{ spill: {room} }}, "), "", &origin);
        let mut slow = isobar.open("web");
        slow.send(b"GET /down/30000000 HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        let said = isobar.wait_to_hear("a body is not kept on disk", PATIENCE);
        assert!(said, "{room}");
        let response = slow.response_to("GET").expect("an answer");
        assert!(response.body == pattern(30_000_000), "{room}");
    }
}

/// A file system of 8 MB that is full in the middle of both bodies.
#[test]
fn a_full_disk_loses_nothing() {
    let Some(disk) = Disk::small() else {
        return skip::note("full disk", "no file system can be mounted here");
    };
    let origin = Origin::start(answer);
    let dir = disk.0.display();
    let pool = format!("{SLOTS}buffer: {{ spill: {{ dir: {dir}, total: 1GiB }} }}, ");
    let isobar = start(&pool, "", &origin);
    let mut slow = isobar.open("web");
    slow.send(b"GET /down/30000000 HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
    assert!(isobar.wait_to_hear("No space left", PATIENCE));
    let response = slow.response_to("GET").expect("an answer");
    assert!(response.body == pattern(30_000_000));
    let answer = isobar.open("web").request("PUT", "/up", &pattern(20_000_000));
    assert_eq!(answer.expect("an answer").status, 200);
}

/// Events, gRPC and what asks for it go to the client as they come, and hold their worker.
#[test]
fn what_is_wanted_piece_by_piece_is_not_kept() {
    let fields = ["Content-Type: application/grpc+proto", "X-Accel-Buffering: no"];
    for field in fields {
        let origin = Origin::start(move |_: &Request, visit: &mut Visit| {
            let head = format!("HTTP/1.1 200 OK\r\n{field}\r\nContent-Length: 20000000\r\n\r\n");
            match visit.write(head.as_bytes()).and_then(|()| visit.write(&pattern(20_000_000))) {
                Ok(()) => Next::Keep,
                Err(_) => Next::Close,
            }
        });
        let isobar = start(SLOTS, "", &origin);
        let mut slow = isobar.open("web");
        slow.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").expect("sent");
        origin.wait_for(1, Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(isobar.metrics().sum("isobar_worker_in_flight", &[]), 1.0, "{field}");
        assert!(slow.response_to("GET").expect("an answer").body == pattern(20_000_000));
    }
}

/// Both sides talk in turn over one chunked upload, with the defaults, and at once where the route
/// says so.
#[test]
fn both_sides_may_talk_in_turn() {
    for (route, at_once) in [("", false), ("buffer: { request: off, response: off }, ", true)] {
        let origin = Origin::visits(|visit| {
            if visit.read_head().is_err() {
                return;
            }
            let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
            let _ = visit.write(head);
            // One line for each that comes.
            while let Ok(line) = visit.read_some() {
                if line.is_empty()
                    || visit.write(b"3\r\n{}\n\r\n").is_err()
                    || line.ends_with(b"0\r\n\r\n")
                {
                    break;
                }
            }
            let _ = visit.write(b"0\r\n\r\n");
        });
        let isobar = start(SLOTS, route, &origin);
        let mut client = TcpStream::connect(isobar.address("web")).expect("connects");
        client.set_read_timeout(Some(Duration::from_secs(10))).expect("a setting");
        let began = Instant::now();
        let send = |text: &str| std::io::Write::write_all(&mut &client, text.as_bytes());
        send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n")
            .expect("sent");
        let mut got = String::new();
        for turn in 0..3 {
            while got.matches("{}").count() <= turn {
                let mut piece = [0; 1024];
                let read = client.read(&mut piece).expect("an answer to each line");
                assert!(read > 0, "{got}");
                got += &String::from_utf8_lossy(&piece[..read]);
            }
            if turn == 0 {
                let waited = began.elapsed();
                assert_eq!(waited < Duration::from_millis(900), at_once, "{waited:?}");
            }
            std::io::Write::write_all(&mut client, b"3\r\n{}\n\r\n").expect("sent");
        }
    }
}

/// Nothing but memory to write to: uploads are streamed before they take too much of it.
#[test]
fn uploads_into_memory_do_not_fill_a_small_container() {
    let (uploads, length, room) =
        if full() { (40, 100_000_000, 256) } else { (12, 30_000_000, 96) };
    let Some(cgroup) = Cgroup::with_memory(room << 20) else {
        return skip::note("small container", "no memory cgroup can be made here");
    };
    let origin = Origin::start(answer);
    let pool = format!("{SLOTS}queue: {{ timeout: 20s }}, ");
    let mut isobar =
        Isobar::spawn(&config(&pool, "", &origin), |command| command.env("TMPDIR", "/dev/shm"));
    cgroup.take(isobar.pid());
    isobar.wait_until_ready();
    let web = isobar.address("web");
    let piece = vec![b'x'; 250_000];
    std::thread::scope(|scope| {
        for _ in 0..uploads {
            scope.spawn(|| {
                let mut upload = Connection::open(web).expect("connects");
                let head =
                    format!("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
                let mut sent = upload.send(head.as_bytes());
                let until = Instant::now() + Duration::from_secs(if full() { 60 } else { 4 });
                while sent.is_ok() && Instant::now() < until {
                    sent = upload.send(&piece);
                    std::thread::sleep(Duration::from_millis(25));
                }
            });
        }
    });
    assert!(isobar.child().try_wait().expect("its status").is_none(), "it lives");
    assert!(isobar.wait_to_hear("`buffer.spill.total` is reached", PATIENCE));
}

/// `/down/N` gives N bytes; `/up` looks at what came; anything else takes 5 ms.
fn answer(request: &Request, visit: &mut Visit) -> Next {
    let bytes = request.target.strip_prefix("/down/").and_then(|n| n.parse().ok());
    let wrote = match bytes {
        Some(length) => visit.write(&respond(200, &pattern(length))),
        None if request.target == "/up" => {
            let whole = request.body == pattern(request.body.len());
            visit.write(&respond(if whole { 200 } else { 500 }, b""))
        }
        None => {
            std::thread::sleep(Duration::from_millis(5));
            visit.write(&respond(200, b"ok"))
        }
    };
    if wrote.is_ok() { Next::Keep } else { Next::Close }
}

fn pattern(length: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..251).collect();
    let mut bytes = period.repeat(length / period.len() + 1);
    bytes.truncate(length);
    bytes
}

/// Reads at this rate until it is over, then as fast as it can; says how much came slowly.
fn slow_download(web: SocketAddr, length: usize, rate: usize, over: &AtomicBool) -> usize {
    let mut stream = TcpStream::connect(web).expect("connects");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a setting");
    let head = format!("GET /down/{length} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    std::io::Write::write_all(&mut stream, head.as_bytes()).expect("sent");
    let (mut got, mut piece) = (Vec::new(), vec![0; rate / 20]);
    let mut slowly = 0;
    loop {
        let read = stream.read(&mut piece).expect("it goes on");
        got.extend_from_slice(&piece[..read]);
        if read == 0 {
            break;
        }
        if !over.load(Ordering::Relaxed) {
            slowly = got.len();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert!(got.ends_with(&pattern(length)), "whole and in order");
    slowly
}

fn slow_upload(web: SocketAddr, length: usize, rate: usize, over: &AtomicBool) -> usize {
    let mut upload = Connection::open(web).expect("connects");
    let head = format!("PUT /up HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    upload.send(head.as_bytes()).expect("sent");
    let mut slowly = 0;
    for piece in pattern(length).chunks(rate / 20) {
        upload.send(piece).expect("it goes on");
        if !over.load(Ordering::Relaxed) {
            slowly += piece.len();
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    assert_eq!(upload.response_to("PUT").expect("an answer").status, 200);
    slowly
}

fn start(pool: &str, route: &str, origin: &Origin) -> Isobar {
    Isobar::start(&config(pool, route, origin))
}

fn config(pool: &str, route: &str, origin: &Origin) -> String {
    let worker = origin.address();
    format!(
        "shards: 2\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", routes: [{{ {route}pool: app }}] }} }}\n\
         pools: {{ app: {{ {pool}workers: [\"{worker}\"] }} }}\n"
    )
}

/// A small file system in memory; unmounted when it goes out of scope.
struct Disk(std::path::PathBuf);

impl Disk {
    fn small() -> Option<Disk> {
        let path = std::env::temp_dir().join(format!("isobar-disk-{}", std::process::id()));
        std::fs::create_dir_all(&path).ok()?;
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"])
            .arg(&path)
            .status();
        mounted.ok()?.success().then_some(Disk(path))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = std::fs::remove_dir(&self.0);
    }
}

fn full() -> bool {
    std::env::var_os("ISOBAR_BUFFERS").is_some_and(|how| how == "full")
}
