//! A reload of a large configuration takes no time to speak of, whatever of it is new.

use std::time::{Duration, Instant};

use isobar_tests::isobar::Isobar;
use isobar_tests::origin::{Origin, after};

const ROUTES: usize = 1_000;
const POOLS: usize = 200;
const AT_MOST: Duration = Duration::from_millis(300);
/// How often each is timed: the machine may have something else to do.
const TIMES: usize = 5;

#[test]
fn a_thousand_routes_and_two_hundred_pools_reload_within_300_ms() {
    let origin = Origin::start(after(Duration::ZERO, "ok"));
    let file = |step: usize, health: &str| {
        let mut text = String::from("listeners:\n  web:\n    bind: 127.0.0.1:0\n    routes:\n");
        for at in 0..ROUTES {
            let (host, pool) = (at % 50, at % POOLS);
            text += &format!(
                "      - {{ name: r{at}, match: {{ host: h{host}.example, path_prefix: /v{at}-{step} }}, pool: p{pool}-{health} }}\n"
            );
        }
        text += "pools:\n";
        for at in 0..POOLS {
            let probe = match health {
                // All at once are more than an origin's back-log has room for; who finds none asks again
                // after a second.
                "probed" => "health: { http: { path: /ok }, interval: 5s, timeout: 3s }, ",
                _ => "",
            };
            text +=
                &format!("  p{at}-{health}: {{ {probe}workers: [\"{}\"] }}\n", origin.address());
        }
        text
    };
    let isobar = Isobar::start(&file(0, "plain"));
    let mut step = 0;
    let mut timed = |health: &str| {
        step += 1;
        isobar.rewrite(&file(step, health));
        let began = Instant::now();
        let done = isobar.command(&["reload"]);
        let took = began.elapsed();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        // What was published is what the file says.
        let mut connection = isobar.open("web");
        let request = format!("GET /v7-{step}/x HTTP/1.1\r\nHost: h7.example\r\n\r\n");
        connection.send(request.as_bytes()).expect("sends");
        assert_eq!(connection.response_to("GET").expect("an answer").status, 200);
        took
    };
    let best = |times: Vec<Duration>| times.into_iter().min().expect("some");
    let routes = best((0..TIMES).map(|_| timed("plain")).collect());
    // Every pool is new, and each is to hear of its worker first; then all of them go.
    let new_pools = best((0..TIMES).map(|_| timed("probed").max(timed("plain"))).collect());
    println!(
        "`isobar reload` of {ROUTES} routes and {POOLS} pools: {routes:?} when every route changed, \
         {new_pools:?} when every pool is new too"
    );
    assert!(routes <= AT_MOST, "{routes:?}");
    assert!(new_pools <= AT_MOST, "{new_pools:?}");
}
