//! Every file of `configs/` starts for real and answers: a copy whose ports are free ones, before the
//! workers that it is for (gunicorn, uvicorn, node) or the kit's origins.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use isobar_tests::apps::{App, Kind, Node, Python};
use isobar_tests::http::{Connection, Response};
use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Next, Origin, after, websocket_with};
use isobar_tests::scratch::Scratch;
use isobar_tests::tls::{Authority, Client, Wanted};

/// A file of `configs/`, and what starts it and asks.
type Scenario = (&'static str, fn(Copy));

/// ann:secret
const USERS: &str = "ann:$2b$04$dmMkFdCgXjPBhFqX5a3qbuhaCKFWgshYTegaOup2PuMswv.gefC2W\n";

const SCENARIOS: &[Scenario] = &[
    ("api", api),
    ("canary", canary),
    ("gunicorn", gunicorn),
    ("node", node),
    ("routes", routes),
    ("sidecar", sidecar),
    ("tcp", tcp),
    ("tls", tls),
    ("uvicorn", uvicorn),
    ("websocket", websocket),
];

#[test]
fn every_file_starts_and_answers() {
    let scenarios: BTreeMap<&str, fn(Copy)> = SCENARIOS.iter().copied().collect();
    let mut files = 0;
    for entry in std::fs::read_dir(configs()).expect("configs/") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
        let scenario = scenarios.get(&*name);
        let scenario = scenario.unwrap_or_else(|| panic!("nothing starts configs/{name}.yaml"));
        let started = Instant::now();
        scenario(Copy::of(&path));
        println!("configs/{name}.yaml: started and answered, {:.1?}", started.elapsed());
        files += 1;
    }
    assert_eq!(files, scenarios.len(), "a scenario without its file");
}

fn api(mut copy: Copy) {
    let origins = ["api 1", "api 2"].map(says);
    copy.workers(["127.0.0.1:8001", "127.0.0.1:8002"], addresses(&origins));
    let users = copy.scratch.file("api.users");
    std::fs::write(&users, USERS).expect("writes");
    copy.replace("${API_USERS:-api.users}", users.to_str().expect("UTF-8"));
    // The burst is the file's; what comes back while the test counts it would not be exact.
    copy.replace("rate: 100/s", "rate: 1/h");
    let isobar = copy.start();
    let mut client = isobar.open("web");
    // ann:secret and ann:wrong
    let mut ask = |credentials: &str| {
        let head = "GET /v1/documents/1 HTTP/1.1\r\nHost: a\r\n";
        client.send(format!("{head}{credentials}\r\n").as_bytes()).expect("sends");
        client.response_to("GET").expect("answers")
    };
    let ann = "Authorization: Basic YW5uOnNlY3JldA==\r\n";
    for stranger in ["", "Authorization: Basic YW5uOndyb25n\r\n"] {
        let answer = ask(stranger);
        assert_eq!((answer.status, answer.header("x-isobar-reason")), (401, Some("denied")));
        let challenge = answer.header("www-authenticate");
        assert!(challenge.is_some_and(|it| it.contains("realm=\"documents\"")), "{challenge:?}");
    }
    for _ in 0..198 {
        let answer = ask(ann);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.text().starts_with("api"), "{answer:?}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
    let answer = ask(ann);
    assert_eq!((answer.status, answer.header("x-isobar-reason")), (429, Some("rate_limited")));
    assert!(answer.header("retry-after").is_some());
    // The other routes ask for other things.
    assert!(get(&mut client, "/internal").text().starts_with("api"));
    let moved = client.get("/v0/x").expect("answers");
    assert_eq!((moved.status, moved.header("location")), (308, Some("/v1/documents")));
    assert_eq!(client.get("/elsewhere").expect("answers").status, 404);
    // With the file's own rate.
    copy.replace("rate: 1/h", "rate: 100/s");
    let isobar = copy.start();
    let mut client = isobar.open("web");
    let head = "POST /v1/documents HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n";
    client.send(format!("{head}{ann}\r\n").as_bytes()).expect("sends");
    assert_eq!(client.response_to("POST").expect("answers").status, 413);
}

fn canary(mut copy: Copy) {
    let origins = ["stable 1", "stable 2", "canary"].map(says);
    copy.workers(["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8011"], addresses(&origins));
    let isobar = copy.start();
    let mut client = isobar.open("web");
    let new = (0..200).filter(|_| get(&mut client, "/").text() == "canary").count();
    assert_eq!(new, 10, "five of a hundred");
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Canary: always\r\n\r\n").expect("sends");
    assert_eq!(client.response_to("GET").expect("answers").text(), "canary");
}

fn gunicorn(mut copy: Copy) {
    let Some(python) = Python::find("configs/gunicorn.yaml") else { return };
    let apps = [(); 4].map(|()| App::start(&python, Kind::Gunicorn));
    let ports = ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8003", "127.0.0.1:8004"];
    copy.workers(ports, apps.iter().map(App::address));
    let isobar = copy.start();
    for id in 0..20 {
        let answer = get(&mut isobar.open("web"), &format!("/r/{id}?bytes=5"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "xxxxx"));
    }
    assert_eq!(apps.iter().map(|app| app.executed().len()).sum::<usize>(), 20);
}

fn node(mut copy: Copy) {
    let Some(node) = Node::find("configs/node.yaml") else { return };
    let apps = [(); 2].map(|()| App::node(&node));
    copy.workers(["127.0.0.1:8001", "127.0.0.1:8002"], apps.iter().map(App::address));
    let isobar = copy.start();
    let answers: Vec<Response> =
        (0..20).map(|_| get(&mut isobar.open("web"), "/hello?a=b")).collect();
    for app in &apps {
        let told = format!("node {} /hello?a=b", app.address().port());
        assert!(answers.iter().any(|answer| answer.text() == told), "{told}: {answers:?}");
    }
}

fn routes(mut copy: Copy) {
    let origins = ["app 1", "app 2", "big", "small", "spare"].map(says);
    let ports =
        ["127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8011", "127.0.0.1:8012", "127.0.0.1:8013"];
    copy.workers(ports, addresses(&origins));
    for name in ["beta-1", "beta-2"] {
        let socket = copy.scratch.file(&format!("{name}.sock"));
        says_at(UnixListener::bind(&socket).expect("binds"), "beta");
        copy.replace(&format!("/tmp/{name}.sock"), socket.to_str().expect("UTF-8"));
    }
    let isobar = copy.start();
    let ask = |head: &str| {
        let mut client = isobar.open("web");
        client.send(format!("{head}\r\n\r\n").as_bytes()).expect("sends");
        let answer = client.response_to("GET").expect("answers");
        assert_eq!(answer.status, 200, "{head}: {}", answer.text());
        answer.text()
    };
    let api = "GET /v1/things HTTP/1.1\r\nHost: api.example.com";
    let shares: Vec<String> = (0..8).map(|_| ask(api)).collect();
    assert_eq!(shares.iter().filter(|who| *who == "big").count(), 6, "{shares:?}");
    assert_eq!(ask("GET / HTTP/1.1\r\nHost: a\r\nX-Beta: 1"), "beta");
    assert!(ask("GET /v1/things HTTP/1.1\r\nHost: a").starts_with("app"));
}

fn sidecar(mut copy: Copy) {
    let origin = says("app");
    copy.workers(["127.0.0.1:8000"], [origin.address()]);
    copy.replace("${ISOBAR_DRAIN_DELAY:-5s}", "0s");
    let isobar = copy.start();
    assert_eq!(get(&mut isobar.open("web"), "/").text(), "app");
    let ready = get(&mut isobar.open("metrics"), "/ready");
    assert_eq!(ready.status, 200);
    let checked = isobar.command(&["healthcheck"]);
    assert!(checked.status.success(), "{checked:?}");
}

/// Bytes come back from the database that the connection leads to.
fn tcp(mut copy: Copy) {
    let databases = [(); 2].map(|()| echoes());
    copy.workers(["127.0.0.1:5433", "127.0.0.1:5434"], databases);
    let isobar = copy.start();
    let mut clients = [isobar.open("db"), isobar.open("db")];
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("select {n};").as_bytes()).expect("sends");
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.read_exactly(9).expect("answers"), format!("select {n};").as_bytes());
    }
}

/// The redirect leads to where TLS is spoken, and the answer there says that it is to stay so.
fn tls(mut copy: Copy) {
    let origin = says("app");
    copy.workers(["127.0.0.1:8001"], [origin.address()]);
    let authority = Authority::new("root");
    let wanted = Wanted { names: &["localhost"], ..Wanted::default() };
    let pair = authority.issue(copy.scratch.path(), "site", &wanted);
    copy.replace("${SITE_CERT:-site.pem}", pair.cert.to_str().expect("UTF-8"));
    copy.replace("${SITE_KEY:-site.key}", pair.key.to_str().expect("UTF-8"));
    let isobar = copy.start();
    let mut plain = isobar.open("plain");
    let moved = plain.ask("GET /a?b HTTP/1.1\r\nHost: localhost:8080\r\n\r\n");
    assert_eq!(moved.header("location"), Some("https://localhost:8443/a?b"));
    let mut client = Client::of(&authority).open(isobar.address("web"), "localhost").expect("TLS");
    let answer = get(&mut client, "/a?b");
    assert_eq!(answer.text(), "app");
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"));
}

fn uvicorn(mut copy: Copy) {
    let Some(python) = Python::find("configs/uvicorn.yaml") else { return };
    let apps = [(); 2].map(|()| App::start(&python, Kind::Uvicorn(20)));
    copy.workers(["127.0.0.1:8001", "127.0.0.1:8002"], apps.iter().map(App::address));
    let isobar = copy.start();
    let address = isobar.address("web");
    let clients: Vec<_> = (0..60)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Connection::open(address).expect("connects");
                get(&mut client, "/r/1?ms=20").status
            })
        })
        .collect();
    // Three times what all slots take at once, and nobody is refused.
    let answers: Vec<u16> = clients.into_iter().map(|c| c.join().expect("ends")).collect();
    assert_eq!(answers, [200; 60]);
}

/// Every poll of a client and its tunnel meet the worker of its cookie, though all come from one
/// address; another client's is another worker, and one whose worker is gone gets a new one.
fn websocket(mut copy: Copy) {
    let mut chats: Vec<Option<Origin>> = ["0", "1"].map(|name| Some(chat(name))).into();
    copy.workers(["127.0.0.1:8001", "127.0.0.1:8002"], chats.iter().flatten().map(Origin::address));
    let isobar = copy.start();
    // Each time another connection, as browsers open one for the tunnel.
    let ask = |cookie: &str, upgrade: &str| {
        let mut client = isobar.open("web");
        let head = format!("GET /socket.io/ HTTP/1.1\r\nHost: a\r\n{cookie}{upgrade}\r\n");
        client.send(head.as_bytes()).expect("sends");
        let answer = client.response_to("GET").expect("answers");
        let worker = answer.header("x-worker").expect("a worker's answer").to_owned();
        (client, answer, worker)
    };
    let mut homes = Vec::new();
    for _ in 0..6 {
        let (_, answer, home) = ask("", "");
        let cookie = answer.header("set-cookie").expect("a new client is told");
        let cookie = cookie.split(';').next().expect("a value");
        assert!(cookie.starts_with("chat_worker="), "{cookie}");
        let cookie = format!("Cookie: {cookie}\r\n");
        for _ in 0..3 {
            let (_, answer, worker) = ask(&cookie, "");
            assert_eq!((answer.status, &worker), (200, &home), "a poll");
            assert_eq!(answer.header("set-cookie"), None, "told twice");
        }
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let (mut tunnel, answer, worker) = ask(&cookie, upgrade);
        assert_eq!((answer.status, &worker), (101, &home), "the tunnel");
        tunnel.send(b"hello").expect("sends");
        assert_eq!(tunnel.read_exactly(5).expect("hears"), b"hello");
        homes.push((home, cookie, tunnel));
    }
    // Open tunnels count: the clients are shared out evenly.
    let first = homes.iter().filter(|(home, ..)| home == "0").count();
    assert_eq!(first, 3, "of six clients");
    let (home, cookie, tunnel) = homes.pop().expect("six");
    drop((homes, tunnel));
    chats[usize::from(home == "1")] = None;
    let (_, answer, worker) = ask(&cookie, "");
    assert!(answer.status == 200 && worker != home, "{answer:?}");
    assert!(answer.header("set-cookie").is_some(), "not told of the new one");
}

/// A chat server of sorts: it says who it is, and in a tunnel what it hears.
fn chat(name: &'static str) -> Origin {
    Origin::start(move |request, visit| match request.header("upgrade") {
        Some(_) => websocket_with(&format!("X-Worker: {name}\r\n"), request, visit),
        None => {
            let head = format!("HTTP/1.1 200 OK\r\nX-Worker: {name}\r\nContent-Length: 0\r\n\r\n");
            visit.write(head.as_bytes()).map_or(Next::Close, |()| Next::Keep)
        }
    })
}

/// The file, about to be started elsewhere.
struct Copy {
    text: String,
    scratch: Scratch,
}

impl Copy {
    /// Listeners get any port; the admin socket is the kit's, which adds it where a file names none:
    /// the default would meet that of another test.
    fn of(path: &Path) -> Copy {
        let text = std::fs::read_to_string(path).expect("a file");
        let names_its_own = text.lines().any(|line| line.starts_with("admin:"));
        assert!(!names_its_own, "`isobar reload` finds the default socket only: {text}");
        let mut copy = Copy { text, scratch: Scratch::new() };
        let mut bound = copy.text.clone();
        for (at, _) in copy.text.match_indices("bind: 127.0.0.1:") {
            let from = at + "bind: 127.0.0.1:".len();
            let port: String = copy.text[from..].chars().take_while(char::is_ascii_digit).collect();
            bound = bound.replace(&format!("bind: 127.0.0.1:{port}"), "bind: 127.0.0.1:0");
        }
        copy.text = bound;
        copy
    }

    fn replace(&mut self, from: &str, to: &str) {
        assert!(self.text.contains(from), "no {from} in\n{}", self.text);
        self.text = self.text.replace(from, to);
    }

    /// The addresses that the file names, and where these workers are instead.
    fn workers<const N: usize>(
        &mut self,
        named: [&str; N],
        real: impl IntoIterator<Item = SocketAddr>,
    ) {
        for (name, address) in named.into_iter().zip(real) {
            // In the comments too: they stay true.
            self.replace(name, &format!("HERE:{}", address.port()));
        }
        let left = self.text.lines().find(|line| {
            line.split("127.0.0.1:")
                .skip(1)
                .any(|rest| rest.starts_with(|c: char| ('1'..='9').contains(&c)))
        });
        assert_eq!(left, None, "an address of the file that nobody stands for");
        self.text = self.text.replace("HERE:", "127.0.0.1:");
    }

    fn start(&self) -> Isobar {
        Isobar::start(&self.text)
    }
}

fn get(client: &mut Connection, path: &str) -> Response {
    let answer = client.get(path).expect("answers");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

fn says(word: &str) -> Origin {
    Origin::start(after(Duration::ZERO, word))
}

fn addresses(origins: &[Origin]) -> Vec<SocketAddr> {
    origins.iter().map(Origin::address).collect()
}

/// An HTTP worker at a socket file, for as long as the test runs.
fn says_at(listener: UnixListener, word: &'static str) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut head = Vec::new();
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() {
                    head.push(byte[0]);
                    if head.ends_with(b"\r\n\r\n") {
                        let length = word.len();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{word}");
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                        head.clear();
                    }
                }
            });
        }
    });
}

/// A database of sorts: it says what it hears.
fn echoes() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut other = stream.try_clone().expect("clones");
                let _ = std::io::copy(&mut stream, &mut other);
            });
        }
    });
    address
}

fn configs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}
