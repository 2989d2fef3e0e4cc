//! Pools whose workers are looked for: origins behind one name, and the workers that were found.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::isobar::Isobar;
use crate::origin::{Origin, Request, Visit, after, websocket};

/// Addresses of one name share a port, so origins of one port listen on addresses of their own.
pub fn origins(count: u8) -> (u16, Vec<Origin>) {
    let answer = |request: &Request, visit: &mut Visit| match request.header("upgrade") {
        Some(_) => websocket(request, visit),
        None => after(Duration::from_millis(2), "ok")(request, visit),
    };
    for _ in 0..50 {
        let Ok(first) = Origin::start_at(SocketAddr::new(ip(2), 0), answer) else { continue };
        let port = first.address().port();
        let more = (3..2 + count).map(|n| Origin::start_at(SocketAddr::new(ip(n), port), answer));
        if let Ok(more) = more.collect::<Result<Vec<_>, _>>() {
            return (port, std::iter::once(first).chain(more).collect());
        }
    }
    panic!("no port that is free on 127.0.0.2 and on");
}

pub fn ip(last: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(127, 0, 0, last))
}

pub fn ips(lasts: &[u8]) -> Vec<IpAddr> {
    lasts.iter().map(|last| ip(*last)).collect()
}

pub fn config(shards: usize, top: &str, pools: &[(&str, String)]) -> String {
    let routes: Vec<String> = pools
        .iter()
        .map(|(name, _)| format!("      - {{ match: {{ path_prefix: /{name} }}, pool: {name} }}\n"))
        .collect();
    let pools: Vec<String> =
        pools.iter().map(|(name, pool)| format!("  {name}: {pool}\n")).collect();
    format!(
        "shards: {shards}\n{top}\nlisteners:\n  web:\n    bind: 127.0.0.1:0\n    routes:\n{}pools:\n{}",
        routes.concat(),
        pools.concat()
    )
}

/// The names of a pool's workers, in the pool's order.
pub fn workers(isobar: &Isobar, pool: &str) -> Vec<String> {
    let status = isobar.pool(pool);
    let workers = status["workers"].as_array().cloned().unwrap_or_default();
    workers.iter().filter_map(|worker| worker["name"].as_str().map(str::to_owned)).collect()
}

#[track_caller]
pub fn wait_for_workers(isobar: &Isobar, pool: &str, wanted: &[String], patience: Duration) {
    let until = Instant::now() + patience;
    loop {
        let found = workers(isobar, pool);
        if found == wanted {
            return;
        }
        assert!(Instant::now() < until, "{pool}: {found:?} instead of {wanted:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
pub fn wait_until(what: &str, patience: Duration, holds: impl Fn() -> bool) {
    let until = Instant::now() + patience;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn named(port: u16, lasts: &[u8]) -> Vec<String> {
    lasts.iter().map(|last| SocketAddr::new(ip(*last), port).to_string()).collect()
}
