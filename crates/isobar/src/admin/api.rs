//! What the admin API answers. Reads take a copy of what is true now; changes go through the pool
//! or the reload task, like everybody else's.

use std::num::NonZeroU32;
use std::sync::Arc;

use hyper::StatusCode;
use isobar_balance::state::AdminState;
use isobar_pool::{Pool, WorkerChange};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::problem::{Answer, Problem, answer, json_answer};
use super::{Door, bounds, page, path, process, view};
use crate::control::{Control, Phase};
use crate::metrics;
use crate::overview::Overview;
use crate::reload::Outcome;

pub(crate) async fn get(control: &Arc<Control>, door: Door, path: &str) -> Result<Answer, Problem> {
    let segments = path::segments(path).ok_or_else(|| missing(path))?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match (segments.as_slice(), door) {
        (["live"], _) => Ok(text(StatusCode::OK, "live")),
        (["ready"], _) => Ok(match control.phase() {
            Phase::Ready => text(StatusCode::OK, "ready"),
            Phase::Starting => text(StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Phase::Draining => text(StatusCode::SERVICE_UNAVAILABLE, "draining"),
        }),
        (["metrics"], _) => scrape(control).await,
        (_, Door::Metrics) => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "the metrics listener has /live, /ready and /metrics only; the rest is at the `admin` \
             address",
        )),
        ([""], _) => {
            let process = process::about(control);
            let pools = blocking(control, |control| Ok(view::pools(control))).await?;
            Ok(page::answer(&Overview::of(&process, &pools)))
        }
        (["v1", "process"], _) => Ok(json_answer(&process::about(control))),
        (["v1", "pools"], _) => {
            let pools = blocking(control, |control| Ok(view::pools(control))).await?;
            Ok(json_answer(&json!({ "pools": pools })))
        }
        (["v1", "pools", name], _) => Ok(json_answer(&one(control, find(control, name)?).await?)),
        (["v1", "requests", _], _) => {
            let detail = "what became of one request: not built yet; see the access log";
            Err(Problem::new(StatusCode::NOT_IMPLEMENTED, detail))
        }
        (["v1", "config"], _) => Ok(json_answer(&view::config(control.lock().config()))),
        _ => Err(missing(path)),
    }
}

pub(crate) async fn post(
    control: &Arc<Control>,
    path: &str,
    body: &[u8],
) -> Result<Answer, Problem> {
    let segments = path::segments(path).ok_or_else(|| missing(path))?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    match segments.as_slice() {
        ["v1", "reload"] => {
            let Nothing {} = parse(body)?;
            reload(control).await
        }
        ["v1", "shutdown"] => {
            let Nothing {} = parse(body)?;
            // Full: it has been asked for already.
            let _ = control.shutdown.try_send(());
            let body = json!({ "state": "draining" }).to_string();
            Ok(answer(StatusCode::ACCEPTED, "application/json", body))
        }
        ["v1", "pools", pool] => {
            let pool = find(control, pool)?;
            let ChangeAll { state } = parse(body)?;
            if let Some(state) = state {
                pool.set_every_worker(state.into());
            }
            Ok(json_answer(&one(control, pool).await?))
        }
        ["v1", "pools", pool, "workers", worker] => {
            change(control, find(control, pool)?, worker, parse(body)?).await
        }
        _ => Err(missing(path)),
    }
}

/// A body that may be left out, and says nothing.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// What may be changed of a worker; null goes back to the file's value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    state: Option<State>,
    #[serde(default, deserialize_with = "given")]
    weight: Option<Option<Bounded<{ bounds::WEIGHT }>>>,
    #[serde(default, deserialize_with = "given")]
    slots: Option<Option<Bounded<{ bounds::SLOTS }>>>,
    #[serde(default, deserialize_with = "given")]
    tunnels: Option<Option<Bounded<{ bounds::SLOTS }>>>,
}

/// What may be changed of all workers of a pool at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChangeAll {
    state: Option<State>,
}

/// From 1 to `MOST`, as in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bounded<const MOST: u32>(NonZeroU32);

impl<'de, const MOST: u32> Deserialize<'de> for Bounded<MOST> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let given = Value::deserialize(deserializer)?;
        let number = given.as_u64().and_then(|n| u32::try_from(n).ok()).filter(|n| *n <= MOST);
        number.and_then(NonZeroU32::new).map(Bounded).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{given}: expected a whole number from 1 to {MOST}, or null for the file's; to give \
                 a worker no requests: \"state\": \"drain\""
            ))
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
#[derive(Clone, Copy)]
enum State {
    Up,
    Drain,
    Maintenance,
}

impl From<State> for AdminState {
    fn from(state: State) -> AdminState {
        match state {
            State::Up => AdminState::Up,
            State::Drain => AdminState::Drain,
            State::Maintenance => AdminState::Maintenance,
        }
    }
}

/// Tells null from absent.
fn given<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    T::deserialize(deserializer).map(Some)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, error.to_string()))
}

async fn change(
    control: &Arc<Control>,
    pool: Arc<Pool>,
    worker: &str,
    wanted: Change,
) -> Result<Answer, Problem> {
    let change = WorkerChange {
        state: wanted.state.map(AdminState::from),
        weight: wanted.weight.map(|weight| weight.map(|Bounded(n)| n)),
        slots: wanted.slots.map(|slots| slots.map(|Bounded(n)| n)),
        tunnels: wanted.tunnels.map(|tunnels| tunnels.map(|Bounded(n)| n)),
    };
    let unknown =
        |error: isobar_pool::UnknownWorker| Problem::new(StatusCode::NOT_FOUND, error.to_string());
    pool.set_worker(worker, change).await.map_err(unknown)?;
    let worker = worker.to_owned();
    let now = blocking(control, move |_| {
        let status = pool.status();
        let now = status.workers.iter().find(|status| status.name == worker);
        Ok(now.map_or_else(|| json!({}), view::worker))
    });
    Ok(json_answer(&now.await?))
}

/// One pool, with its last minute.
async fn one(control: &Arc<Control>, pool: Arc<Pool>) -> Result<Value, Problem> {
    blocking(control, move |control| Ok(view::one_pool(control, &pool))).await
}

async fn reload(control: &Arc<Control>) -> Result<Answer, Problem> {
    let busy = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many reloads are waiting");
    let outcome = control.reloads.ask().ok_or_else(busy)?.await.map_err(|_| busy())?;
    match &*outcome {
        Outcome::Done { version, summary, warnings } => Ok(json_answer(&json!({
            "result": "reloaded", "version": version, "summary": summary, "warnings": warnings,
        }))),
        Outcome::Refused { diagnostics } => {
            let detail = "the new configuration was refused; nothing has changed";
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                .with_diagnostics(diagnostics))
        }
    }
}

/// Encoded off the control thread: a pool of 10,000 workers must not delay a probe.
async fn scrape(control: &Arc<Control>) -> Result<Answer, Problem> {
    let page =
        blocking(control, |control| metrics::encode(control).map_err(|error| failed(&error)));
    Ok(answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.await?))
}

async fn blocking<T: Send + 'static>(
    control: &Arc<Control>,
    work: impl FnOnce(&Control) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let control = control.clone();
    let done = tokio::task::spawn_blocking(move || work(&control)).await;
    done.unwrap_or_else(|error| Err(failed(&error)))
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

fn find(control: &Control, pool: &str) -> Result<Arc<Pool>, Problem> {
    let found = control.lock().pools().get(pool).cloned();
    found.ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, format!("there is no pool {pool}")))
}

fn missing(path: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, format!("nothing at {path}"))
}

fn text(status: StatusCode, word: &'static str) -> Answer {
    answer(status, "text/plain; charset=utf-8", format!("{word}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_goes_back_to_the_file_and_absence_leaves_alone() {
        let change: Change = parse(br#"{"weight":null,"slots":2}"#).unwrap();
        assert_eq!(change.weight, Some(None));
        assert_eq!(change.slots, Some(NonZeroU32::new(2).map(Bounded)));
        assert!(change.state.is_none());
        assert!(parse::<Change>(br#"{"slots":2}"#).unwrap().weight.is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        for body in [&br#"{"slots":0}"#[..], br#"{"state":"off"}"#, br#"{"wieght":1}"#, b"[", b"1"]
        {
            assert_eq!(parse::<Change>(body).err().map(|p| p.status.as_u16()), Some(400));
        }
        // What the file may not say either: a sequence of turns as long as this would fill memory.
        for body in [&br#"{"weight":10001}"#[..], br#"{"slots":1000001}"#, br#"{"slots":"2"}"#] {
            let said = parse::<Change>(body).err().map(|problem| problem.to_string()).unwrap();
            assert!(said.contains("a whole number from 1 to 10"), "{said}");
        }
        assert!(parse::<ChangeAll>(br#"{"weight":2}"#).is_err());
        assert!(parse::<Nothing>(b" ").is_ok());
    }
}
