use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use isobar_balance::outlier::Thresholds;
use isobar_balance::{Failure, Outcome};
use isobar_pool::{Dial, Life, Outlier, Pool, PoolSettings, Probe, ProbeError};

use crate::kit::*;

const SERVED: Outcome = Outcome::Served { status: 200 };
const FAILED: Outcome = Outcome::Failed(Failure::Reset);

fn ejecting(outlier: Outlier) -> PoolSettings {
    PoolSettings { life: Life { outlier: Some(outlier), ..Life::default() }, ..settings() }
}

fn outlier(failures: u32, failure_rate: u16) -> Outlier {
    Outlier {
        thresholds: Thresholds { failures, ..Thresholds::default() },
        failure_rate,
        window: Duration::from_secs(10),
        min_requests: 20,
        base_ejection: Duration::from_secs(10),
        longest_ejection: Duration::from_secs(300),
        max_ejected: 500,
    }
}

/// Ends leases of "a" this way, and those of others well.
fn end(pool: &std::sync::Arc<Pool>, count: usize, outcome: Outcome) {
    let mut left = count;
    while left > 0 {
        let lease = ready(pool);
        let ours = lease.target().name() == "a";
        left -= usize::from(ours);
        lease.finish(if ours { outcome } else { SERVED });
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_of_failures_ejects_for_a_while() {
    let workers = vec![worker("a", nowhere(), 0), worker("b", nowhere(), 0)];
    let pool = Pool::start("p", ejecting(outlier(5, 0)), workers, 1);
    end(&pool, 4, FAILED);
    end(&pool, 9, Outcome::ClientGone);
    pass(0.01).await;
    assert_eq!(status(&pool, "a").health.label(), "up", "clients that leave prove nothing");
    end(&pool, 1, FAILED);
    pass(0.01).await;
    let worker = status(&pool, "a");
    assert_eq!(worker.health.label(), "ejected");
    let ejection = worker.ejection.expect("one");
    assert_eq!((ejection.cause.as_str(), ejection.count), ("5 failures in a row", 1));
    assert_eq!(pool.figures().ejections, 1);
    assert!((0..4).all(|_| ready(&pool).target().name() == "b"));
    pass(9.9).await;
    assert_eq!(status(&pool, "a").health.label(), "ejected");
    pass(0.2).await;
    assert_eq!(status(&pool, "a").health.label(), "up");
    // What it did before is forgotten.
    end(&pool, 4, FAILED);
    pass(2.0).await;
    assert_eq!((status(&pool, "a").health.label(), pool.figures().ejections), ("up", 1));
}

#[tokio::test(start_paused = true)]
async fn a_rate_of_failures_ejects_without_a_run() {
    let workers = vec![worker("a", nowhere(), 0), worker("b", nowhere(), 0)];
    let pool = Pool::start("p", ejecting(outlier(0, 400)), workers, 1);
    pass(1.5).await;
    for _ in 0..9 {
        end(&pool, 1, FAILED);
        end(&pool, 1, SERVED);
    }
    pass(1.5).await;
    assert_eq!(status(&pool, "a").health.label(), "up", "eighteen requests are not twenty");
    end(&pool, 1, FAILED);
    end(&pool, 1, SERVED);
    pass(1.5).await;
    let ejection = status(&pool, "a").ejection.expect("ejected");
    assert_eq!(ejection.cause, "50% of requests failed");
}

/// The ceiling is reached; when the one that is out returns, the other's run is still to be seen.
#[tokio::test(start_paused = true)]
async fn who_could_not_be_ejected_is_ejected_when_it_can_be() {
    let workers = vec![worker("a", nowhere(), 0), worker("b", nowhere(), 0)];
    let pool = Pool::start("p", ejecting(outlier(5, 0)), workers, 1);
    end(&pool, 5, FAILED);
    pass(0.01).await;
    (0..6).for_each(|_| ready(&pool).finish(FAILED));
    pass(5.0).await;
    assert_eq!(status(&pool, "b").health.label(), "up", "the last one stays");
    pass(7.0).await;
    let health = |name| status(&pool, name).health.label();
    assert_eq!((health("a"), health("b")), ("up", "ejected"));
}

#[tokio::test(start_paused = true)]
async fn a_full_worker_that_answers_nothing_is_asked_beside_its_slots() {
    let script = Script::new(&[true]);
    let pool = Pool::start("p", probed(script.clone()), vec![worker("a", nowhere(), 1)], 1);
    pool.ready().await;
    let lease = ready(&pool);
    let sent = script.sent();
    script.then(&[false]);
    pass(58.0).await;
    assert_eq!((script.sent(), status(&pool, "a").health.label()), (sent, "up"));
    pass(12.0).await;
    assert_eq!(status(&pool, "a").health.label(), "down");
    assert_eq!(in_flight(&pool), 1, "no slot was taken for it");
    lease.finish(SERVED);
    script.then(&[true]);
    pass(5.0).await;
    assert_eq!(status(&pool, "a").health.label(), "up");
}

/// Never answered.
struct Silent;

impl Probe for Silent {
    fn probe<'a>(&'a self, _: &'a Dial) -> BoxFuture<'a, Result<(), ProbeError>> {
        Box::pin(std::future::pending())
    }

    fn describe(&self) -> String {
        "silent".to_owned()
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_nobody_waits_for_any_more_keeps_its_slot() {
    let workers = vec![worker("a", nowhere(), 1)];
    let pool = Pool::start("p", probed(Arc::new(Silent)), workers.clone(), 1);
    for _ in 0..100 {
        pass(0.05).await;
        if in_flight(&pool) == 1 {
            break;
        }
    }
    assert_eq!(in_flight(&pool), 1);
    pool.reconfigure(settings(), workers);
    pass(5.0).await;
    assert_eq!(in_flight(&pool), 1, "the worker still computes");
    pass(30.0).await;
    assert_eq!(in_flight(&pool), 0);
}

/// A worker of many slots that answers now and then is alive, whoever waits for long.
#[tokio::test(start_paused = true)]
async fn an_answer_now_and_then_is_a_sign_of_life() {
    let script = Script::new(&[true]);
    let pool = Pool::start("p", probed(script.clone()), vec![worker("a", nowhere(), 2)], 1);
    pool.ready().await;
    let _slow = ready(&pool);
    let mut quick = ready(&pool);
    let sent = script.sent();
    script.then(&[false]);
    for _ in 0..5 {
        pass(50.0).await;
        quick.finish(SERVED);
        quick = ready(&pool);
    }
    assert_eq!((script.sent(), status(&pool, "a").health.label()), (sent, "up"));
}
