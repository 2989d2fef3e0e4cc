//! TLS to workers: a real nginx behind it, whom we believe, who we are, and what is made of a worker that
//! is not who it should be.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use isobar_tests::http::Connection;
use isobar_tests::isobar::Isobar;
use isobar_tests::scratch::Scratch;
use isobar_tests::sockets::free_address;
use isobar_tests::tls::{Authority, Pair, Wanted, serve};
use isobar_tests::wait;

const WITHIN: Duration = Duration::from_secs(10);

/// nginx, which says over which of its connections a request came.
struct Nginx {
    child: Child,
    address: SocketAddr,
    _files: Scratch,
}

impl Nginx {
    fn start(pair: &Pair, more: &str) -> Nginx {
        let (files, address) = (Scratch::new(), free_address());
        let folder = files.path().display();
        let config = format!(
            "daemon off;\nworker_processes 1;\npid {folder}/pid;\nerror_log {folder}/error.log;\n\
             events {{ }}\nhttp {{\n access_log off;\n client_body_temp_path {folder}/b;\n \
             proxy_temp_path {folder}/p;\n fastcgi_temp_path {folder}/f;\n uwsgi_temp_path {folder}/u;\n \
             scgi_temp_path {folder}/s;\n server {{\n  listen {address} ssl;\n  ssl_certificate {};\n  \
             ssl_certificate_key {};\n  {more}\n  location / {{\n   add_header X-Connection $connection;\n   \
             add_header X-Resumed $ssl_session_reused;\n   add_header X-Client $ssl_client_s_dn;\n   \
             return 200 \"$ssl_protocol $ssl_server_name\";\n  }}\n }}\n}}\n",
            pair.cert.display(),
            pair.key.display()
        );
        let path = files.file("nginx.conf");
        std::fs::write(&path, config).expect("writes");
        let child = Command::new("/usr/sbin/nginx")
            .arg("-p")
            .arg(files.path())
            .arg("-c")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let nginx = Nginx { child: child.expect("nginx"), address, _files: files };
        wait::until(|| Connection::open(address).ok());
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

fn config(worker: SocketAddr, tls: &str, more: &str) -> String {
    format!(
        "listeners:\n  web: {{ bind: 127.0.0.1:0, pool: app }}\n\
         pools:\n  app: {{ workers: [\"{worker}\"], tls: {tls}{more} }}\n"
    )
}

#[test]
fn a_worker_is_believed_who_is_who_it_should_be() {
    let (files, authority) = (Scratch::new(), Authority::new("root"));
    let root = authority.write(&files.file("root.pem")).display().to_string();
    let stranger =
        Authority::new("stranger").write(&files.file("stranger.pem")).display().to_string();
    let wanted = Wanted { names: &["app.test", "127.0.0.1"], ..Wanted::default() };
    let nginx = Nginx::start(&authority.issue(files.path(), "app", &wanted), "");
    for (tls, status, words) in [
        (format!("{{ ca: {root} }}"), 200, ""),
        (format!("{{ ca: {root}, server_name: app.test }}"), 200, ""),
        (format!("{{ ca: {root}, server_name: other.test }}"), 502, "not valid for name"),
        (format!("{{ ca: {stranger} }}"), 502, "UnknownIssuer"),
        ("{ verify: off }".to_owned(), 200, "workers may be anybody"),
    ] {
        let isobar = Isobar::start(&config(nginx.address, &tls, ""));
        let answer = isobar.open("web").get("/").expect("an answer");
        assert_eq!(answer.status, status, "{tls}: {}", isobar.stderr());
        if status == 502 {
            assert_eq!(answer.header("x-isobar-reason"), Some("worker_tls"));
        }
        assert!(isobar.wait_to_hear(words, WITHIN), "{tls}: {}", isobar.stderr());
    }
}

/// With slots and without, a worker that sends tickets keeps its connections; a new one takes up the
/// session of before.
#[test]
fn connections_and_sessions_are_used_again() {
    let (files, authority) = (Scratch::new(), Authority::new("root"));
    let root = authority.write(&files.file("root.pem")).display().to_string();
    let wanted = Wanted { names: &["127.0.0.1"], ..Wanted::default() };
    let pair = authority.issue(files.path(), "app", &wanted);
    for protocols in ["TLSv1.2", "TLSv1.3"] {
        let nginx =
            Nginx::start(&pair, &format!("ssl_protocols {protocols}; keepalive_requests 5;"));
        for more in ["", ", slots: 1"] {
            let tls = format!("{{ ca: {root} }}");
            let isobar = Isobar::start(&config(nginx.address, &tls, more));
            let mut client = isobar.open("web");
            let mut connections = Vec::new();
            let mut resumed = Vec::new();
            for _ in 0..15 {
                let answer = client.get("/").expect("an answer");
                assert_eq!((answer.status, answer.text().trim()), (200, protocols));
                connections.push(answer.header("x-connection").expect("a number").to_owned());
                resumed.push(answer.header("x-resumed") == Some("r"));
                // What comes behind the answer has come before the next request.
                std::thread::sleep(Duration::from_millis(20));
            }
            connections.dedup();
            assert_eq!(connections.len(), 3, "{protocols}{more}: {connections:?}");
            assert!(resumed[14] && !resumed[0], "{protocols}{more}: {resumed:?}");
        }
    }
}

#[test]
fn a_worker_that_asks_who_we_are_is_told() {
    let (files, authority) = (Scratch::new(), Authority::new("root"));
    let root = authority.write(&files.file("root.pem")).display().to_string();
    let wanted = Wanted { names: &["127.0.0.1"], ..Wanted::default() };
    let pair = authority.issue(files.path(), "app", &wanted);
    let ours = Wanted { names: &["isobar"], client: true, ..Wanted::default() };
    let ours = authority.issue(files.path(), "ours", &ours);
    let nginx =
        Nginx::start(&pair, &format!("ssl_client_certificate {root}; ssl_verify_client on;"));
    let client =
        format!("client: {{ cert: {}, key: {} }}", ours.cert.display(), ours.key.display());
    let health = ", health: { http: { path: / }, interval: 100ms }";
    let isobar =
        Isobar::start(&config(nginx.address, &format!("{{ ca: {root}, {client} }}"), health));
    let answer = isobar.open("web").get("/").expect("an answer");
    assert_eq!((answer.status, answer.header("x-client")), (200, Some("CN=ours")));
    assert_eq!(isobar.worker_health("app", &nginx.address.to_string()), "up");
    // nginx says 400 to who does not show one.
    let isobar =
        Isobar::spawn(&config(nginx.address, &format!("{{ ca: {root} }}"), health), |command| {
            command
        });
    let down = || isobar.worker_health("app", &nginx.address.to_string()).starts_with("down");
    isobar.wait_until_ready();
    wait::until(|| down().then_some(()));
}

/// A reload with another `tls` opens new connections, and the old ones are not used again.
#[test]
fn another_way_to_a_worker_is_taken_at_once() {
    let (files, authority) = (Scratch::new(), Authority::new("root"));
    let root = authority.write(&files.file("root.pem")).display().to_string();
    let wanted = Wanted { names: &["127.0.0.1"], ..Wanted::default() };
    let nginx = Nginx::start(&authority.issue(files.path(), "app", &wanted), "");
    let stranger =
        Authority::new("stranger").write(&files.file("stranger.pem")).display().to_string();
    for more in ["", ", slots: 2"] {
        let good = config(nginx.address, &format!("{{ ca: {root} }}"), more);
        let isobar = Isobar::start(&good);
        let mut client = isobar.open("web");
        assert_eq!(client.get("/").expect("an answer").status, 200);
        isobar.rewrite(&config(nginx.address, &format!("{{ ca: {stranger} }}"), more));
        assert_eq!(isobar.admin("POST", "/v1/reload", "{}").status, 200);
        // It is known to be down at once, or a moment later.
        let refused = client.get("/").expect("an answer").status;
        assert!(matches!(refused, 502 | 503), "{more}: {refused}");
        isobar.rewrite(&good);
        assert_eq!(isobar.admin("POST", "/v1/reload", "{}").status, 200);
        wait::until(|| (client.get("/").expect("an answer").status == 200).then_some(()));
    }
}

/// TL-10: an answer that ends with the connection is whole only if TLS says so.
#[test]
fn tl_10_a_body_that_ends_without_a_word_is_cut_off() {
    let (files, authority) = (Scratch::new(), Authority::new("root"));
    let root = authority.write(&files.file("root.pem")).display().to_string();
    let wanted = Wanted { names: &["127.0.0.1"], ..Wanted::default() };
    let pair = authority.issue(files.path(), "app", &wanted);
    for says_so in [true, false] {
        let worker = until_close(&pair, says_so);
        let isobar = Isobar::start(&config(worker, &format!("{{ ca: {root} }}"), ", slots: 1"));
        let answer = isobar.open("web").get("/");
        let whole = answer.as_ref().is_ok_and(|answer| answer.text() == "hello");
        assert_eq!(whole, says_so, "{answer:?}");
    }
}

/// A worker whose answers end with their connections.
fn until_close(pair: &Pair, says_so: bool) -> SocketAddr {
    serve(pair, move |stream| {
        let mut request = [0; 4096];
        if stream.read(&mut request).is_ok_and(|read| read > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
            if says_so {
                stream.conn.send_close_notify();
            }
            let _ = stream.flush();
        }
    })
}
