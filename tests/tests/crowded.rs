//! More who want in than there is room for: who has kept us waiting for longest makes room, and
//! nobody keeps an orchestrator or an operator from asking how we are.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use isobar_tests::http::Connection;
use isobar_tests::isobar::{Isobar, binary};
use isobar_tests::origin::{Origin, after};
use isobar_tests::sockets::Inherited;

fn limited(origin: &Origin, shards: u32, limits: &str) -> Isobar {
    Isobar::start(&format!(
        "shards: {shards}\nmetrics: {{ bind: \"127.0.0.1:0\" }}\n\
         listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app, limits: {{ {limits} }} }} }}\n\
         pools: {{ app: {{ workers: [\"{}\"], health: {{ http: {{ path: / }}, interval: 100ms }} }} }}\n",
        origin.address()
    ))
}

/// Whether the other end has closed it. It is not used otherwise.
fn is_closed(connection: &mut Connection) -> bool {
    connection.set_patience(Duration::from_millis(1)).expect("a setting");
    connection.read_to_end().is_ok()
}

/// SL-05: however long each of them may stay silent.
#[test]
fn sl_05_a_newcomer_is_not_the_first_to_make_room() {
    for shards in [1, 4] {
        let origin = Origin::start(after(Duration::ZERO, "ok"));
        let isobar = limited(&origin, shards, "connections: 40");
        let mut idle: Vec<Connection> = (0..30).map(|_| isobar.open("web")).collect();
        for connection in &mut idle {
            assert_eq!(connection.get("/").expect("served").status, 200);
        }
        std::thread::sleep(Duration::from_millis(500));
        let mut fresh: Vec<Connection> = (0..10).map(|_| isobar.open("web")).collect();
        let active = || isobar.metrics().sum("isobar_connections_active", &[]);
        let until = Instant::now() + Duration::from_secs(5);
        while active() < 40.0 {
            assert!(Instant::now() < until, "all are in");
        }
        let mut crowd: Vec<Connection> = (0..10).map(|_| isobar.open("web")).collect();
        for connection in &mut crowd {
            assert_eq!(connection.get("/").expect("there is room").status, 200);
        }
        for connection in &mut fresh {
            assert_eq!(connection.get("/").expect("it has just come").status, 200);
        }
        let closed = idle.iter_mut().filter_map(|one| is_closed(one).then_some(())).count();
        assert!(closed >= 10, "{closed} of those that were idle made room");
    }
}

/// 128 descriptors, 107 of which clients would have that say nothing.
#[test]
fn sl_11_idle_clients_leave_descriptors_to_others() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = Isobar::spawn(
        &format!(
            "shards: 2\nmetrics: {{ bind: \"127.0.0.1:0\" }}\n\
             listeners: {{ web: {{ bind: \"127.0.0.1:0\", pool: app }} }}\n\
             pools: {{ app: {{ workers: [\"{}\"], health: {{ http: {{ path: / }}, interval: 100ms }} }} }}\n",
            origin.address()
        ),
        |command| {
            // The limit is the shell's to set: whoever is started by it inherits it.
            let shell = "ulimit -n 128 && exec \"$0\" \"$@\"";
            let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
            let dir = command.get_current_dir().map(ToOwned::to_owned).expect("a directory");
            let mut limited = Command::new("sh");
            limited.arg("-c").arg(shell).arg(binary()).args(arguments).current_dir(dir);
            *command = limited;
            command.env("NO_COLOR", "1").stderr(std::process::Stdio::piped())
        },
    );
    isobar.wait_until_ready();
    let said = "limit on open files (128)";
    assert!(isobar.wait_to_hear(said, Duration::from_secs(5)), "{}", isobar.stderr());
    let idle: Vec<Connection> = (0..107).map(|_| isobar.open("web")).collect();
    let began = Instant::now();
    for _ in 0..5 {
        let mut next = isobar.open("web");
        next.set_patience(Duration::from_secs(5)).expect("a setting");
        assert_eq!(next.get("/").expect("served").status, 200);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(isobar.admin("GET", "/ready", "").status, 200);
    assert_eq!(isobar.open("metrics").get("/live").expect("answers").status, 200);
    let health = isobar.pool("app");
    assert_eq!(health["workers"][0]["health"], "up", "{health}");
    assert!(isobar.stderr().contains("run short"), "{}", isobar.stderr());
    drop(idle);
}

/// Peers that do not finish their request keep neither health checks nor operators waiting.
#[test]
fn half_a_request_delays_nobody() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = limited(&origin, 1, "connections: 40");
    let ask = |what: &str, open: &dyn Fn() -> Connection| {
        for _ in 0..5 {
            let began = Instant::now();
            assert_eq!(open().get("/live").expect("answers").status, 200);
            let took = began.elapsed();
            assert!(took < Duration::from_millis(500), "{what}: {took:?}");
        }
    };
    let metrics = isobar.address("metrics");
    let half = b"GET /live HT";
    let _silent: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut peer = TcpStream::connect(metrics).expect("connects");
            peer.write_all(half).expect("sends");
            peer
        })
        .collect();
    ask("metrics", &|| isobar.open("metrics"));
    let admin = isobar.file("admin.sock");
    let half_a_body = b"POST /v1/reload HTTP/1.1\r\nHost: localhost\r\n\
        Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{";
    for half in [&half[..], half_a_body] {
        let _silent: Vec<UnixStream> = (0..100)
            .map(|_| {
                let mut peer = UnixStream::connect(&admin).expect("connects");
                peer.write_all(half).expect("sends");
                peer
            })
            .collect();
        ask("admin", &|| Connection::open_unix(&admin).expect("connects"));
    }
}

/// A head has a second.
#[test]
fn a_slow_head_has_a_second() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let isobar = limited(&origin, 1, "connections: 40");
    let mut slow = TcpStream::connect(isobar.address("metrics")).expect("connects");
    slow.write_all(b"GET /live HT").expect("sends");
    slow.set_read_timeout(Some(Duration::from_secs(10))).expect("a setting");
    let began = Instant::now();
    let _ = slow.read_to_end(&mut Vec::new());
    let took = began.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
}

/// Its parent has shut the socket down: accepting will fail for ever.
#[test]
fn a_socket_that_is_broken_for_good_costs_no_time() {
    let socket = Inherited::listen();
    let isobar = Isobar::start(&format!(
        "listeners: {{ web: {{ bind: \"{}\", pool: app }} }}\n\
         pools: {{ app: {{ workers: [\"127.0.0.1:1\"] }} }}\n",
        socket.bind()
    ));
    socket.shut_down();
    let said = "cannot be accepted";
    assert!(isobar.wait_to_hear(said, Duration::from_secs(5)), "{}", isobar.stderr());
    let cpu = || isobar.metrics().sum("process_cpu_seconds_total", &[]);
    let before = cpu();
    std::thread::sleep(Duration::from_secs(1));
    let used = cpu() - before;
    assert!(used < 0.5, "{used} s in one");
}
