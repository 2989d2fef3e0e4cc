use super::*;
use isobar_balance::Health;
use isobar_pool::Address;

fn worker(name: &str, served: u64, failed: u64, busy: u64) -> WorkerStatus {
    WorkerStatus {
        name: name.to_owned(),
        address: Address::Unix("/a".into()),
        health: Health::Up,
        since: Instant::now(),
        tier: 0,
        weight: None,
        file_weight: None,
        slots: None,
        file_slots: None,
        tunnel_slots: None,
        file_tunnel_slots: None,
        slots_taken: 0,
        tunnels: 0,
        admin: Default::default(),
        in_flight: 0,
        abandoned: 0,
        requests: vec![("served", served), ("client_gone", 1), ("reset_before_head", failed)],
        busy: Duration::from_millis(busy),
        last_probe: None,
        connections_open: 0,
        idle_time: None,
        share: 100,
        ejection: None,
        failed_warm_ups: None,
    }
}

fn pool(name: &str, workers: Vec<WorkerStatus>) -> Now {
    let status = PoolStatus {
        name: name.to_owned(),
        version: 1,
        strategy: "least_connections",
        queue_depth: 0,
        retries_denied: 0,
        panic: false,
        discovery: Vec::new(),
        discovery_failures: 0,
        workers,
    };
    let figures = PoolFigures {
        queue_depth: 0,
        queue_wait: HistogramValues::default(),
        queue_drops: vec![("queue_full", 3), ("client_gone", 0)],
        handover: HistogramValues::default(),
        response: HistogramValues::default(),
        retries: 0,
        ejections: 0,
        idle_while_waiting: Duration::ZERO,
    };
    Now { status, figures }
}

/// A minute goes by in which nothing changes.
fn a_minute_of(recent: &Recent, pools: &[Now]) {
    for _ in 0..SAMPLES {
        recent.note(pools, &Handles::default());
    }
}

#[test]
fn what_was_served_before_the_first_look_counts() {
    let recent = Recent::begin();
    let now = [pool("app", vec![worker("a", 7, 0, 0)])];
    assert_eq!(recent.minutes(&now, &Handles::default())["app"].requests, 8);
    assert_eq!(recent.minutes(&now, &Handles::default())["app"].requests, 8);
}

#[test]
fn the_last_minute_is_what_came_since_the_oldest_sample() {
    let recent = Recent::begin();
    let none = Handles::default();
    a_minute_of(&recent, &[pool("app", vec![worker("a", 100, 0, 1000)])]);
    let now = [pool("app", vec![worker("a", 110, 2, 1240), worker("new", 5, 0, 50)])];
    let minutes = recent.minutes(&now, &none);
    let app = &minutes["app"];
    assert_eq!((app.requests, app.errors, app.p50), (12 + 6, 2, None));
    assert_eq!(app.workers["a"].mean, Some(Duration::from_millis(20)));
    assert_eq!((app.workers["new"].requests, app.workers["new"].errors), (6, 0));
    // Back with the same name, counting from the beginning.
    let again = recent.minutes(&[pool("app", vec![worker("a", 3, 0, 0)])], &none);
    assert_eq!(again["app"].workers["a"].requests, 4);
}

#[test]
fn a_minute_of_samples_is_kept_and_a_pool_that_came_later_has_its_own_span() {
    let recent = Recent::begin();
    let none = Handles::default();
    for round in 0..40 {
        recent.note(&[pool("app", vec![worker("a", round, 0, 0)])], &none);
    }
    let now = [pool("app", vec![worker("a", 40, 0, 0)]), pool("late", vec![worker("b", 7, 0, 0)])];
    let minutes = recent.minutes(&now, &none);
    assert_eq!(minutes["app"].requests, SAMPLES as u64);
    assert_eq!(minutes["late"].requests, 8);
    assert_eq!(minutes["late"].dropped, BTreeMap::from([("queue_full", 3)]));
    assert!(minutes["app"].dropped.is_empty());
    assert!(minutes["late"].span <= minutes["app"].span);
}

#[test]
fn answers_of_a_route_that_is_gone_stay_counted() {
    let recent = Recent::begin();
    let key = |route: &str| (String::from("web"), route.to_owned(), String::from("app"));
    let handles = |routes: &[&str]| {
        let mut handles = Handles::default();
        for route in routes {
            handles.routes.insert(key(route), Arc::new(RouteMetrics::new(1)));
        }
        handles
    };
    let app = [pool("app", vec![worker("a", 0, 0, 0)])];
    let both = handles(&["one", "two"]);
    recent.note(&app, &both);
    both.routes[&key("one")].observe(503, Duration::from_millis(3));
    both.routes[&key("two")].observe(200, Duration::from_millis(3));
    assert_eq!(recent.minutes(&app, &both)["app"].requests, 2);
    let mut rest = both.clone();
    rest.routes.remove(&key("one"));
    let minutes = recent.minutes(&app, &rest);
    let app = &minutes["app"];
    assert_eq!((app.requests, app.errors), (2, 1));
    assert_eq!(app.codes, BTreeMap::from([("503", 1)]));
    assert!(app.p99.is_some());
}

#[test]
fn fairness_is_of_the_whole_window() {
    let recent = Recent::begin();
    let none = Handles::default();
    a_minute_of(&recent, &[pool("app", vec![worker("a", 0, 0, 500), worker("b", 0, 0, 0)])]);
    recent.note(&[pool("app", vec![worker("a", 0, 0, 600), worker("b", 0, 0, 100)])], &none);
    assert!((recent.fairness()["app"] - 1.0).abs() < 1e-9);
}
