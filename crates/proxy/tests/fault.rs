//! LC-08: a fault in one request's task costs that request and its connection, nothing else: it is
//! counted and logged, its slot comes free, the shard serves on.

mod kit;

use std::sync::Arc;

use isobar_proxy::access_log::{AccessLog, Flushed, Format, Sink};
use isobar_proxy::filter::{Chain, Filter, RequestCx, ResponseCx, Step};
use isobar_proxy::metrics::{ListenerMetrics, RouteMetrics};
use isobar_proxy::route::{PathRules, Routes};
use isobar_proxy::{ProxyContext, RouteTable, serve_shard};
use kit::{BOUND, ask, connect, listen};

/// Fails as a fault in our own code would.
struct Faulty;

impl Filter for Faulty {
    fn request(&self, cx: &mut RequestCx<'_>) -> Step {
        assert_ne!(cx.head().path_and_query(), b"/before", "on purpose");
        Step::Next
    }

    fn response(&self, cx: &mut ResponseCx<'_>) {
        assert_ne!(cx.request().path_and_query(), b"/behind", "on purpose");
    }
}

#[test]
fn lc_08_a_fault_costs_its_own_request_and_no_other() {
    let log = std::env::temp_dir().join(format!("isobar-fault-{}.log", std::process::id()));
    let lines = kit::runtime().block_on(async {
        let access_log = AccessLog::start(Format::Json, Sink::File(log.clone())).expect("a log");
        let (context, inboxes) = ProxyContext::new(1, access_log.clone());
        let (listener, route) = (Arc::new(ListenerMetrics::new(1)), Arc::new(RouteMetrics::new(1)));
        let filters = Chain::new(vec![Arc::new(Faulty)], Arc::clone(&route));
        let routes = Routes::build(
            vec![kit::route(filters, Arc::clone(&route)).await],
            PathRules::default(),
        );
        let plan = Arc::new(kit::plan(routes, Arc::clone(&listener)));
        context.publish(RouteTable { version: 1, listeners: vec![Some(plan)] });
        let address = listen(&context, 0);
        for inbox in inboxes {
            tokio::task::spawn_local(serve_shard(Arc::clone(&context), inbox));
        }
        let mut steady = connect(address).await;
        assert!(ask(&mut steady, "/").await.is_ok_and(|answer| answer.starts_with("HTTP/1.1 200")));
        for path in ["/before", "/behind"] {
            let lost = ask(&mut connect(address).await, path).await;
            let error = lost.expect_err("no answer, and no clean end that could pass for one");
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{path}");
            // The one slot is free again, and a connection that was there before still is.
            let answer = ask(&mut steady, "/").await.expect("served on");
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        }
        assert_eq!(route.codes().collect::<Vec<_>>(), [("200", 3), ("500", 2)]);
        drop(steady);
        let left = async {
            while listener.connections() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(BOUND, left).await.expect("every connection is counted out");
        assert_eq!(access_log.flush(BOUND), Flushed::Whole);
        std::fs::read_to_string(&log).expect("the log")
    });
    std::fs::remove_file(&log).expect("it is ours");
    assert_eq!(lines.matches("\"reason\":\"internal\"").count(), 2, "{lines}");
}
