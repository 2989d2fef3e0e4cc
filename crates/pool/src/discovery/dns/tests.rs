use std::net::Ipv4Addr;
use std::sync::Mutex;

use tokio::time::sleep;

use super::*;

type Log = Arc<Mutex<Vec<Duration>>>;

/// Answers from a list, the last one for ever, and remembers when it was asked.
struct Script {
    answers: Mutex<Vec<Answer>>,
    asked: Log,
    start: Instant,
}

impl Script {
    fn new(answers: Vec<Answer>) -> (Script, Log) {
        let asked = Log::default();
        let (answers, start) = (Mutex::new(answers), Instant::now());
        (Script { answers, asked: asked.clone(), start }, asked)
    }
}

impl Resolver for Script {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Answer> {
        self.asked.lock().expect("log").push(self.start.elapsed());
        let mut answers = self.answers.lock().expect("answers");
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        Box::pin(async move {
            if answer == Answer::failed("hangs") {
                std::future::pending::<()>().await;
            }
            answer
        })
    }
}

fn v4(last: &[u8], ttl: u64) -> Family {
    let addresses = last.iter().map(|n| IpAddr::V4(Ipv4Addr::new(10, 0, 0, *n))).collect();
    Family::Found { addresses, ttl: Duration::from_secs(ttl) }
}

fn only(v4: Family) -> Answer {
    Answer { v4, v6: Family::Nothing("none") }
}

fn failed(why: &str) -> Family {
    Family::Failed(why.to_owned())
}

fn host(min: u64, max: u64) -> HostName {
    let (min, max) = (Duration::from_secs(min), Duration::from_secs(max));
    HostName { name: "app".to_owned(), min, max }
}

fn watch(answers: Vec<Answer>, host: HostName) -> (Names, Arc<Watched<Addresses>>, Log) {
    let (script, asked) = Script::new(answers);
    let names = Names::default();
    names.resolve_by(Box::new(script));
    let watched = names.watch(host);
    (names, watched, asked)
}

fn found(watched: &Watched<Addresses>) -> Vec<String> {
    let known = watched.known();
    known.good.iter().flat_map(|found| found.iter()).map(ToString::to_string).collect()
}

fn seconds_asked(asked: &Log) -> Vec<f64> {
    asked.lock().expect("log").iter().map(Duration::as_secs_f64).collect()
}

#[track_caller]
fn assert_pauses(asked: &Log, pauses: &[f64]) {
    let asked = seconds_asked(asked);
    for (i, pause) in pauses.iter().enumerate() {
        let was = asked[i + 1] - asked[i];
        assert!(was > pause * 0.89 && was < pause * 1.01, "pause {i}: {was} of {asked:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_believed_for_its_ttl_within_bounds() {
    let answers = vec![only(v4(&[1], 0)), only(v4(&[1], 5)), only(v4(&[1], i32::MAX as u64))];
    let (_names, watched, asked) = watch(answers, host(1, 30));
    sleep(Duration::from_secs(70)).await;
    assert_pauses(&asked, &[1.0, 5.0, 30.0]);
    assert_eq!(found(&watched), ["10.0.0.1"]);
}

#[tokio::test(start_paused = true)]
async fn no_kind_of_failure_takes_an_answer_away_and_pauses_grow() {
    let nothing = Answer { v4: Family::Nothing("none"), v6: Family::Nothing("none") };
    let answers = vec![
        only(v4(&[2, 1], 1)),
        nothing,
        Answer::failed("SERVFAIL"),
        Answer::failed("hangs"),
        only(v4(&[3], 1)),
    ];
    let (_names, watched, asked) = watch(answers, host(1, 30));
    sleep(Duration::from_secs_f64(1.5)).await;
    assert_eq!(watched.known().problem.as_deref(), Some("none"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(watched.known().problem.as_deref(), Some("SERVFAIL"));
    sleep(Duration::from_secs(7)).await;
    assert_eq!(watched.known().problem.as_deref(), Some("no answer in time"));
    assert_eq!(found(&watched), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(watched.known().failures, 3);
    sleep(Duration::from_secs(5)).await;
    // The hanging one took its five seconds.
    assert_pauses(&asked, &[1.0, 1.0, 2.0]);
    assert_eq!((found(&watched), watched.known().problem), (vec!["10.0.0.3".to_owned()], None));
}

#[tokio::test(start_paused = true)]
async fn a_family_that_fails_keeps_its_own_last_answer() {
    let v6 = |n: u16| Family::Found {
        addresses: vec![IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, n])],
        ttl: Duration::from_secs(1),
    };
    let answers = vec![
        Answer { v4: v4(&[1], 1), v6: failed("SERVFAIL") },
        Answer { v4: v4(&[1], 1), v6: v6(1) },
        Answer { v4: v4(&[2], 1), v6: failed("SERVFAIL") },
        Answer { v4: v4(&[2], 1), v6: Family::Nothing("none") },
    ];
    let (_names, watched, _) = watch(answers, host(1, 1));
    sleep(Duration::from_secs_f64(0.5)).await;
    assert_eq!(watched.known().problem, None, "it may never have had any");
    sleep(Duration::from_secs(1)).await;
    assert_eq!(found(&watched), ["10.0.0.1", "fd00::1"]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(found(&watched), ["10.0.0.2", "fd00::1"]);
    assert_eq!(watched.known().problem.as_deref(), Some("SERVFAIL"));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(found(&watched), ["10.0.0.2"]);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_looked_into_at_once_but_no_more_often_than_min() {
    let (_names, watched, asked) = watch(vec![only(v4(&[1], 600))], host(2, 30));
    sleep(Duration::from_secs(10)).await;
    watched.look_again();
    sleep(Duration::from_millis(1)).await;
    for _ in 0..100 {
        watched.look_again();
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(6)).await;
    let asked = seconds_asked(&asked);
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!((asked[1] - 10.0).abs() < 0.01 && (asked[2] - 12.0).abs() < 0.01, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_addresses_are_bounded_and_always_the_same() {
    let many = |step: u32| {
        let ips = (0..1000).map(|i| IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + (i * step) % 1000)));
        only(Family::Found { addresses: ips.collect(), ttl: Duration::from_secs(1) })
    };
    let (_names, watched, _) = watch(vec![many(1), many(7)], host(1, 1));
    sleep(Duration::from_secs_f64(0.5)).await;
    let first = watched.known().good;
    assert_eq!(first.as_ref().map(|found| found.len()), Some(MOST_ADDRESSES));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(watched.known().good, first);
}

#[tokio::test(start_paused = true)]
async fn one_task_serves_all_who_watch_and_ends_with_the_last() {
    let (names, watched, asked) = watch(vec![only(v4(&[1], 1))], host(1, 1));
    let again = names.watch(host(1, 1));
    assert!(Arc::ptr_eq(&watched, &again));
    sleep(Duration::from_secs_f64(0.5)).await;
    drop((watched, again));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(seconds_asked(&asked).len(), 1);
}
