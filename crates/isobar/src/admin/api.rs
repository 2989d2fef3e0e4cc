//! What the admin API answers. Reads take a copy of what is true now; changes go through the pool
//! or the reload task, like everybody else's.

use std::num::NonZeroU32;
use std::sync::Arc;

use hyper::StatusCode;
use isobar_balance::state::AdminState;
use isobar_pool::{Pool, PoolStatus, WorkerChange};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::problem::{Answer, Problem, answer, json_answer};
use super::{Door, page, path, view};
use crate::app::{Control, Phase};
use crate::metrics;
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
        (_, Door::Metrics) => Err(missing(path)),
        ([""], _) => Ok(page::answer(&statuses(control))),
        (["v1", "pools"], _) => Ok(json_answer(&view::pools(&statuses(control)))),
        (["v1", "pools", pool], _) => Ok(json_answer(&view::pool(&find(control, pool)?.status()))),
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
        ["v1", "pools", pool, "workers", worker] => {
            change(&find(control, pool)?, worker, parse(body)?).await
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
    weight: Option<Option<NonZeroU32>>,
    #[serde(default, deserialize_with = "given")]
    slots: Option<Option<NonZeroU32>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Up,
    Drain,
    Maintenance,
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

async fn change(pool: &Arc<Pool>, worker: &str, wanted: Change) -> Result<Answer, Problem> {
    let change = WorkerChange {
        state: wanted.state.map(|state| match state {
            State::Up => AdminState::Up,
            State::Drain => AdminState::Drain,
            State::Maintenance => AdminState::Maintenance,
        }),
        weight: wanted.weight,
        slots: wanted.slots,
    };
    let unknown =
        |error: isobar_pool::UnknownWorker| Problem::new(StatusCode::NOT_FOUND, error.to_string());
    pool.set_worker(worker, change).await.map_err(unknown)?;
    let status = pool.status();
    let now = status.workers.iter().find(|status| status.name == worker);
    Ok(json_answer(&now.map_or_else(|| json!({}), view::worker)))
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
    let control = control.clone();
    let failed = |error: &dyn std::fmt::Display| {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    };
    let page = tokio::task::spawn_blocking(move || metrics::encode(&control)).await;
    let page = page.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    Ok(answer(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page))
}

fn statuses(control: &Control) -> Vec<PoolStatus> {
    let pools: Vec<Arc<Pool>> = control.lock().pools().values().cloned().collect();
    pools.iter().map(|pool| pool.status()).collect()
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
        assert_eq!(change.slots, Some(NonZeroU32::new(2)));
        assert!(change.state.is_none());
        assert!(parse::<Change>(br#"{"slots":2}"#).unwrap().weight.is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        for body in [&br#"{"slots":0}"#[..], br#"{"state":"off"}"#, br#"{"wieght":1}"#, b"[", b"1"]
        {
            assert_eq!(parse::<Change>(body).err().map(|p| p.status.as_u16()), Some(400));
        }
        assert!(parse::<Nothing>(b" ").is_ok());
    }
}
