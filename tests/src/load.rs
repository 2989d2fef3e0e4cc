//! Load. Open loop: requests leave at instants decided beforehand, whatever the answers do, so a
//! slow answer cannot hide the wait of those behind it. Closed loop: so many clients, each asking
//! again as soon as it was answered.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use crate::clock;
use crate::http::{Connection, Response};

/// One request of a load; instants are monotonic seconds.
#[derive(Clone, Debug)]
pub struct Shot {
    pub id: usize,
    pub scheduled: f64,
    pub sent: f64,
    pub first_byte: f64,
    pub ended: f64,
    pub result: Result<u16, String>,
    pub length: usize,
}

/// What to send as request `id`: method, path, body.
pub type Ask = (&'static str, String, Vec<u8>);

/// Instants of a Poisson process, from 0.
pub fn poisson(rate: f64, seconds: f64, seed: u64) -> Vec<f64> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut now = 0.0;
    let next = || {
        now += -(1.0 - rng.f64()).ln() / rate;
        (now < seconds).then_some(now)
    };
    std::iter::from_fn(next).collect()
}

/// Sends request i at `arrivals[i]` after the start, over kept connections, one per thread.
pub fn open_loop(
    target: SocketAddr,
    arrivals: &[f64],
    threads: usize,
    ask: impl Fn(usize) -> Ask + Sync,
) -> Vec<Shot> {
    let (send, receive) = mpsc::channel::<(usize, f64)>();
    let receive = Mutex::new(receive);
    let shots = Mutex::new(Vec::with_capacity(arrivals.len()));
    let client = || {
        let mut connection = Connection::open(target).ok();
        loop {
            let next = receive.lock().expect("queue").recv();
            let Ok((id, scheduled)) = next else { return };
            let shot = shoot(&mut connection, target, id, scheduled, ask(id));
            shots.lock().expect("shots").push(shot);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let small = std::thread::Builder::new().stack_size(256 << 10);
            small.spawn_scoped(scope, client).expect("a thread");
        }
        // Every client is connected before the first arrival.
        let start = clock::monotonic() + 0.2;
        for (id, offset) in arrivals.iter().enumerate() {
            clock::sleep_until(start + offset);
            send.send((id, start + offset)).expect("a client is there");
        }
        drop(send);
    });
    sorted(shots)
}

/// `clients` threads share `total` requests.
pub fn closed_loop(
    target: SocketAddr,
    clients: usize,
    total: usize,
    ask: impl Fn(usize) -> Ask + Sync,
) -> Vec<Shot> {
    let next = AtomicUsize::new(0);
    let shots = Mutex::new(Vec::with_capacity(total));
    let client = || {
        let mut connection = Connection::open(target).ok();
        let mut mine = Vec::new();
        loop {
            let id = next.fetch_add(1, Ordering::Relaxed);
            if id >= total {
                break;
            }
            mine.push(shoot(&mut connection, target, id, clock::monotonic(), ask(id)));
        }
        shots.lock().expect("shots").append(&mut mine);
    };
    std::thread::scope(|scope| {
        for _ in 0..clients {
            let small = std::thread::Builder::new().stack_size(256 << 10);
            small.spawn_scoped(scope, client).expect("a thread");
        }
    });
    sorted(shots)
}

/// The shots that did not end in this status, said in words.
pub fn failures(shots: &[Shot], expected: u16) -> Vec<String> {
    let bad = shots.iter().filter(|shot| shot.result != Ok(expected));
    bad.map(|shot| format!("request {}: {:?}", shot.id, shot.result)).collect()
}

pub fn get(path: impl Into<String>) -> Ask {
    ("GET", path.into(), Vec::new())
}

fn shoot(
    connection: &mut Option<Connection>,
    target: SocketAddr,
    id: usize,
    scheduled: f64,
    (method, path, body): Ask,
) -> Shot {
    let sent = clock::monotonic();
    let answer = exchange(connection, target, method, &path, &body);
    let ended = clock::monotonic();
    let closing = |response: &Response| response.header("connection") == Some("close");
    if answer.as_ref().map_or(true, closing) {
        *connection = None;
    }
    let first_byte = answer.as_ref().map_or(f64::NAN, |response| response.first_byte);
    let length = answer.as_ref().map_or(0, |response| response.body.len());
    let result = answer.map(|response| response.status).map_err(|error| error.to_string());
    Shot { id, scheduled, sent, first_byte, ended, result, length }
}

fn exchange(
    connection: &mut Option<Connection>,
    target: SocketAddr,
    method: &str,
    path: &str,
    body: &[u8],
) -> io::Result<Response> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(target)?),
    };
    open.request(method, path, body)
}

fn sorted(shots: Mutex<Vec<Shot>>) -> Vec<Shot> {
    let mut shots = shots.into_inner().expect("shots");
    shots.sort_by_key(|shot| shot.id);
    shots
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Origin, after};
    use std::sync::{Arc, Barrier};
    use std::time::Duration;

    #[test]
    fn poisson_has_its_rate_and_its_seed() {
        let arrivals = poisson(100.0, 100.0, 3);
        assert!((9_600..10_400).contains(&arrivals.len()), "{}", arrivals.len());
        assert_eq!(arrivals, poisson(100.0, 100.0, 3));
        assert!(arrivals.is_sorted());
    }

    #[test]
    fn a_closed_loop_asks_for_everything_once() {
        let origin = Origin::start(after(Duration::ZERO, "hello"));
        let shots = closed_loop(origin.address(), 4, 50, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        assert_eq!(shots.len(), 50);
        assert!(shots.iter().all(|shot| shot.length == 5));
        let mut targets: Vec<_> = origin.log().iter().map(|r| r.request.target.clone()).collect();
        targets.sort();
        targets.dedup();
        assert_eq!(targets.len(), 50);
    }

    #[test]
    fn an_open_loop_does_not_wait_for_answers() {
        // Nobody is answered before all eight have asked: whoever waits for an answer waits forever.
        let asked = Arc::new(Barrier::new(8));
        let answer = after(Duration::ZERO, "");
        let origin = Origin::start(move |request, visit| {
            asked.wait();
            answer(request, visit)
        });
        let arrivals: Vec<f64> = (0..8).map(|i| f64::from(i) * 0.001).collect();
        let shots = open_loop(origin.address(), &arrivals, 8, |id| get(format!("/{id}")));
        assert_eq!(failures(&shots, 200), [""; 0]);
        assert_eq!(origin.most_at_once(), 8);
    }
}
