use std::{
    fs,
    io::Read,
    os::unix::fs::symlink,
    path::PathBuf,
    thread,
    time::{Instant, UNIX_EPOCH},
};

use base64::Engine as _;

use super::*;

const BOUND: Duration = Duration::from_secs(10);

fn entry<'a>(target: &'a [u8], user_agent: &'a [u8]) -> Entry<'a> {
    Entry {
        at: UNIX_EPOCH + Duration::from_millis(1_795_436_108_042),
        request_id: b"id-1",
        client_ip: Some([192, 0, 2, 1].into()),
        listener: "web",
        proto: Some("HTTP/1.1"),
        method: Some(b"GET"),
        host: Some(b"a.example"),
        target: Some(target),
        path: target.split(|&byte| byte == b'?').next(),
        status: Some(200),
        bytes_in: 70,
        bytes_out: 1234,
        body_out: 1000,
        duration: Duration::from_micros(12_034),
        queue: Duration::ZERO,
        connect: Duration::from_micros(5),
        first_byte: Some(Duration::from_millis(11)),
        route: Some("main"),
        pool: Some("app"),
        worker: Some("w-1"),
        attempts: 1,
        reason: None,
        user_agent: Some(user_agent),
        referrer: None,
        authorization: None,
    }
}

fn tcp_entry() -> Entry<'static> {
    Entry {
        client_ip: None,
        proto: Some("tcp"),
        method: None,
        host: None,
        target: None,
        path: None,
        status: None,
        body_out: 1234,
        first_byte: None,
        route: None,
        reason: Some("no_worker"),
        worker: None,
        user_agent: None,
        ..entry(b"", b"")
    }
}

fn line(format: Format, entry: &Entry<'_>) -> String {
    let mut out = Vec::new();
    match format {
        Format::Json => json::write(entry, &mut out),
        Format::Combined => combined::write(entry, &mut out),
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn the_json_keys_are_those_of_the_contract() {
    assert_eq!(
        line(Format::Json, &entry(b"/x", b"curl/8")),
        "{\"ts\":\"2026-11-23T12:15:08.042Z\",\"request_id\":\"id-1\",\"client_ip\":\"192.0.2.1\",\
         \"listener\":\"web\",\"proto\":\"HTTP/1.1\",\"method\":\"GET\",\"host\":\"a.example\",\
         \"path\":\"/x\",\"status\":200,\"bytes_in\":70,\"bytes_out\":1234,\"duration_ms\":12.034,\
         \"queue_ms\":0.000,\"connect_ms\":0.005,\"first_byte_ms\":11.000,\"route\":\"main\",\
         \"pool\":\"app\",\"worker\":\"w-1\",\"attempts\":1,\"reason\":null,\
         \"user_agent\":\"curl/8\"}\n"
    );
}

#[test]
fn a_tcp_connection_has_the_same_keys() {
    let tcp = line(Format::Json, &tcp_entry());
    for null in ["client_ip", "method", "host", "path", "status", "first_byte_ms", "worker"] {
        assert!(tcp.contains(&format!("\"{null}\":null")), "{null} in {tcp}");
    }
    assert!(tcp.contains("\"reason\":\"no_worker\""));
    assert_eq!(tcp.matches("\":").count(), 21);
}

#[test]
fn combined_is_what_analysers_know() {
    let whole = Entry {
        referrer: Some(b"https://r.example/?q"),
        // ann:secret
        authorization: Some(b"Basic YW5uOnNlY3JldA=="),
        ..entry(b"/x?a=b&c", b"curl/8")
    };
    assert_eq!(
        line(Format::Combined, &whole),
        "192.0.2.1 - ann [23/Nov/2026:12:15:08 +0000] \"GET /x?a=b&c HTTP/1.1\" 200 1000 \
         \"https://r.example/?q\" \"curl/8\"\n"
    );
    assert_eq!(
        line(Format::Combined, &entry(b"/x", b"curl/8")),
        "192.0.2.1 - - [23/Nov/2026:12:15:08 +0000] \"GET /x HTTP/1.1\" 200 1000 \"-\" \"curl/8\"\n"
    );
    assert_eq!(
        line(Format::Combined, &tcp_entry()),
        "- - - [23/Nov/2026:12:15:08 +0000] \"-\" - 1234 \"-\" \"-\"\n"
    );
}

#[test]
fn a_name_is_one_word_and_no_password() {
    for (authorization, name) in [
        (&b"basic  YW5uOnNlY3JldA=="[..], "ann"),
        // a b"c:x
        (b"Basic YSBiImM6eA==", "a\\x20b\\x22c"),
        // annsecret, :secret
        (b"Basic YW5uc2VjcmV0", "-"),
        (b"Basic OnNlY3JldA==", "-"),
        (b"Basic !", "-"),
        (b"Bearer YW5uOnNlY3JldA==", "-"),
        (b"", "-"),
    ] {
        let entry = Entry { authorization: Some(authorization), ..entry(b"/", b"") };
        let line = line(Format::Combined, &entry);
        assert!(line.starts_with(&format!("192.0.2.1 - {name} [")), "{line}");
        assert!(!line.contains("secret"), "{line}");
    }
    // As long as a name may be, and longer.
    for (length, shown) in [(300, true), (3_000, false)] {
        let name = "n".repeat(length);
        let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{name}:secret"));
        let field = format!("Basic {encoded}");
        let entry = Entry { authorization: Some(field.as_bytes()), ..entry(b"/", b"") };
        assert_eq!(line(Format::Combined, &entry).contains(&name), shown, "{length}");
    }
}

#[test]
fn ad_07_nobody_writes_a_line_of_his_own() {
    for (sent, json, combined) in [
        (&b"a\r\nb"[..], "a\\u000d\\u000ab", "a\\x0d\\x0ab"),
        (b"\x1b[31m", "\\u001b[31m", "\\x1b[31m"),
        (b"\",\"status\":1,\"x\":\"", "\\\",\\\"status\\\":1,\\\"x\\\":\\\"", "\\x22,\\x22status"),
        (b"\\", "\\\\", "\\x5c"),
        (b"\xff\xfe!", "\\ufffd\\ufffd!", "\\xff\\xfe!"),
        (b"\xc0\xae", "\\ufffd\\ufffd", "\\xc0\\xae"),
        ("\u{9b}31m".as_bytes(), "\\u009b31m", "\\xc2\\x9b31m"),
        ("\u{2028}".as_bytes(), "\\u2028", "\\xe2\\x80\\xa8"),
        (b"\0\x7f", "\\u0000\\u007f", "\\x00\\x7f"),
        ("grüße".as_bytes(), "grüße", "gr\\xc3\\xbc\\xc3\\x9fe"),
    ] {
        for (format, expected) in [(Format::Json, json), (Format::Combined, combined)] {
            let referred = Entry { referrer: Some(sent), ..entry(b"/", b"") };
            let fields = if format == Format::Combined { &[referred][..] } else { &[] };
            for entry in [&entry(sent, b""), &entry(b"/", sent)].into_iter().chain(fields) {
                let line = line(format, entry);
                assert!(line.contains(expected), "{expected} in {line}");
                assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
            }
        }
    }
}

#[test]
fn every_line_of_every_thread_arrives_once() {
    let (dir, path) = place("threads");
    let log = AccessLog::start(Format::Json, Sink::File(path.clone())).unwrap();
    let threads = (0..4).map(|index| {
        let log = log.clone();
        thread::spawn(move || {
            isobar_balance::shard::enter(index);
            for at in 0..1000 {
                log.write(&entry(format!("/{index}/{at}/").as_bytes(), b""));
            }
        })
    });
    threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(log.flush(BOUND), Flushed::Whole);
    let lines = fs::read_to_string(&path).unwrap();
    assert_eq!((lines.lines().count() as u64, log.dropped()), (4000, 0));
    assert!(lines.lines().all(|line| line.starts_with("{\"ts\"") && line.ends_with('}')));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_moved_file_is_let_go_on_reopen() {
    let (dir, path) = place("reopen");
    let log = AccessLog::start(Format::Json, Sink::File(path.clone())).unwrap();
    log.write(&entry(b"/before", b""));
    log.flush(BOUND);
    let moved = path.with_extension("1");
    fs::rename(&path, &moved).unwrap();
    log.reopen();
    log.write(&entry(b"/after", b""));
    log.flush(BOUND);
    assert!(fs::read_to_string(moved).unwrap().contains("/before"));
    assert!(fs::read_to_string(&path).unwrap().contains("/after"));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn sl_10_a_full_disk_never_stops_a_writer_and_recovers() {
    let (dir, path) = place("full");
    symlink("/dev/full", &path).unwrap();
    let log = AccessLog::start(Format::Json, Sink::File(path.clone())).unwrap();
    log.write(&entry(b"/kept", b""));
    assert_eq!(log.flush(Duration::from_millis(20)), Flushed::Partly);
    overfill(&log);
    fs::remove_file(&path).unwrap();
    assert_eq!(log.flush(BOUND), Flushed::Whole);
    let lines = fs::read_to_string(&path).unwrap();
    assert!(lines.contains("/kept"));
    assert!(lines.lines().all(|line| line.starts_with("{\"ts\"") && line.ends_with('}')));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn sl_10_a_stuck_pipe_never_stops_a_writer_and_recovers() {
    let (dir, path) = place("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &path,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    // Nobody reads yet: neither the start nor the lines wait for it.
    let log = AccessLog::start(Format::Json, Sink::File(path.clone())).unwrap();
    log.write(&entry(b"/early", b""));
    let mut reader = fs::File::open(&path).unwrap();
    overfill(&log);
    assert_eq!(log.flush(Duration::from_millis(20)), Flushed::Partly);
    // The reader goes on reading; the log ends with the pipe's last writer.
    let reader = thread::spawn(move || {
        let mut lines = String::new();
        reader.read_to_string(&mut lines).map(|_| lines)
    });
    assert_eq!(log.flush(BOUND), Flushed::Whole);
    drop(log);
    let lines = reader.join().unwrap().unwrap();
    assert!(lines.contains("/early"));
    assert!(lines.lines().all(|line| line.starts_with("{\"ts\"") && line.ends_with('}')));
    fs::remove_dir_all(dir).unwrap();
}

/// Writes until lines are dropped; that must take no time to speak of.
fn overfill(log: &AccessLog) {
    let started = Instant::now();
    let long = vec![b'x'; 64 * 1024];
    let lost = log.dropped();
    for _ in 0..(5 * buffers::MOST / long.len()) {
        log.write(&entry(b"/lost", &long));
    }
    assert!(log.dropped() > lost);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_file_that_cannot_be_opened_is_refused_at_the_start() {
    let sink = Sink::File(PathBuf::from("/nowhere/at/all.log"));
    assert!(AccessLog::start(Format::Json, sink).is_err());
}

/// A disk that hangs, for example one of the network.
#[test]
fn a_file_that_does_not_open_does_not_stop_the_start() {
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let open = move || {
        let _ = held.recv();
        Ok(None)
    };
    let sink = Sink::File(PathBuf::from("/a/disk/that/hangs"));
    let began = Instant::now();
    let started = Writer::start_within(Duration::from_millis(50), Format::Json, sink, open);
    let error = started.err().expect("no writer");
    assert!(error.to_string().contains("within 50ms"), "{error}");
    assert!(began.elapsed() < BOUND);
    drop(hold);
}

#[test]
fn off_is_off() {
    let log = AccessLog::off();
    log.write(&entry(b"/", b""));
    assert_eq!((log.enabled(), log.dropped(), log.flush(BOUND)), (false, 0, Flushed::Whole));
}

fn place(name: &str) -> (PathBuf, PathBuf) {
    let dir = std::env::temp_dir().join(format!("isobar-log-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let path = dir.join("access.log");
    (dir, path)
}
