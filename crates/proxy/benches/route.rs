//! Nanoseconds per look-up of a route, parsing of the head left out:
//! `cargo bench -p isobar-proxy --bench route`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use isobar_http1::{Limits, RequestHead};
use isobar_proxy::metrics::RouteMetrics;
use isobar_proxy::route::{
    Action, Answer, Match, PathMatch, PathPattern, PathRules, Reply, Respond, RetryPolicy,
    RouteQuery, RouteSpec, Routes, Value,
};
use regex::bytes::RegexBuilder;

const ROUTES: usize = 10_000;
const HOSTS: usize = 100;
const BATCH: usize = 100;
const BATCHES: usize = 5_000;

fn main() {
    println!("ns per look-up over batches of {BATCH}, requests spread over all routes");
    println!("{:<44} {:>8} {:>8}", "table", "median", "p99");
    let prefix = |at: usize| Some(PathMatch::Prefix(format!("/v{at}/users")));
    let host = |at: usize| Some(format!("h{}.example.com", at % HOSTS));
    let plain = |at: usize| Match { host: host(at), path: prefix(at), ..Match::default() };
    measure("1 route", 1, |_| Match::default());
    measure("10,000 prefixes on 100 hosts", ROUTES, plain);
    measure("10,000 prefixes of one host", ROUTES, |at| Match { host: None, ..plain(at) });
    measure("10,000 exact paths on 100 hosts", ROUTES, |at| Match {
        path: Some(PathMatch::Exact(format!("/v{at}/users/7"))),
        ..plain(at)
    });
    measure("10,000 expressions on 100 hosts", ROUTES, |at| Match {
        path: Some(expression(&format!("/v{at}/users/[0-9]+"))),
        ..plain(at)
    });
    measure("10,000 with method, header, query and cookie", ROUTES, |at| Match {
        methods: vec!["GET".into()],
        headers: vec![("x-team".into(), Value::Exact("blue".into()))],
        query: vec![("tab".into(), Value::Exact("new".into()))],
        cookies: vec![("beta".into(), Value::Present)],
        ..plain(at)
    });
}

fn expression(text: &str) -> PathMatch {
    let regex = RegexBuilder::new(&format!("^(?:{text})$")).unicode(false).build();
    PathMatch::Regex(PathPattern::new(text, regex.expect("an expression")))
}

fn measure(what: &str, count: usize, one: impl Fn(usize) -> Match) {
    let spec = |at| RouteSpec {
        name: format!("route {at}"),
        matches: vec![one(at)],
        filters: None,
        action: Action::Answer(Box::new(Answer {
            reply: Reply::Respond(Respond {
                status: 204,
                headers: Box::default(),
                body: Vec::new(),
            }),
            metrics: Arc::new(RouteMetrics::new(1)),
        })),
        retry: RetryPolicy::never(),
        ambiguous: None,
    };
    let routes = Routes::build((0..count).map(spec).collect(), PathRules::default());
    // In no order that a cache could learn.
    let mut rng = fastrand::Rng::with_seed(1);
    let heads: Vec<RequestHead> = (0..1_000).map(|_| head(rng.usize(..count))).collect();
    let mut took: Vec<f64> = (0..BATCHES)
        .map(|batch| {
            let started = Instant::now();
            for at in 0..BATCH {
                let head = &heads[(batch * BATCH + at) % heads.len()];
                let query = RouteQuery { target: head.path_and_query(), client: None, head };
                assert!(black_box(routes.find(black_box(&query))).is_some(), "{what}");
            }
            started.elapsed().as_secs_f64() * 1e9 / BATCH as f64
        })
        .collect();
    took.sort_by(f64::total_cmp);
    let (median, p99) = (took[BATCHES / 2], took[BATCHES * 99 / 100]);
    println!("{what:<44} {median:>8.0} {p99:>8.0}");
}

fn head(at: usize) -> RequestHead {
    let text = format!(
        "GET /v{at}/users/7?tab=new HTTP/1.1\r\nHost: h{}.example.com:8080\r\n\
         User-Agent: bench\r\nAccept: */*\r\nX-Team: blue\r\nCookie: a=b; beta=1\r\n\r\n",
        at % HOSTS
    );
    let mut head = RequestHead::new();
    let limits = Limits { head_bytes: 8192, headers: 100, uri: 8192 };
    head.parse(text.as_bytes(), &limits).expect("a head");
    head
}
