//! A pool's affinity, and the secret that signs its cookies.

use std::time::Duration;

use super::on;
use crate::leaf::{CookieName, Dur};
use crate::model::{Affinity, OnLost, Secret};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Concealed, Cx, Field, Spanned, Switch};
use crate::source::{self, ReadError};

const COOKIE: &str = "isobar";
/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

pub(super) fn convert(field: Field<Switch<raw::Affinity>>, cx: &mut Cx<'_>) -> Option<Affinity> {
    let raw = on(field)?;
    let wait = match raw.wait.value() {
        None => Duration::from_secs(1),
        Some(switch) => switch.on().map_or(Duration::ZERO, |Dur(wait)| wait),
    };
    Some(Affinity {
        cookie: raw.cookie.value().map_or_else(|| COOKIE.to_owned(), |CookieName(name)| name),
        wait,
        on_lost: raw.on_lost.or(OnLost::Rebalance),
        secret: raw.secret.given().and_then(|from| secret(from, cx)),
    })
}

/// What is in it is never part of a message.
fn secret(
    Spanned { value: Concealed(raw), span }: Spanned<Concealed<raw::SecretFrom>>,
    cx: &mut Cx<'_>,
) -> Option<Secret> {
    let (text, at) = match (raw.file, raw.env) {
        (Field::Given(file), Field::Absent) => match read(&file.value.text) {
            Ok(text) => (text, file.span),
            Err(error) => {
                let message = format!("cannot read the secret in {}: {error}", file.value.shown);
                cx.report(Draft::error(file.span, message).expected("a file that can be read"));
                return None;
            }
        },
        (Field::Absent, Field::Given(env)) => match (cx.env)(&env.value.text) {
            Some(text) => (text, env.span),
            None => {
                let message = format!("the variable {} is not set", env.value.shown);
                cx.report(Draft::error(env.span, message).expected("one that holds the secret"));
                return None;
            }
        },
        (Field::Broken, _) | (_, Field::Broken) => return None,
        (Field::Absent, Field::Absent) if raw.refused.any() => return None,
        _ => {
            cx.report(
                Draft::error(span, "found no one place of the secret")
                    .expected("`{ file: /path }` or `{ env: NAME }`"),
            );
            return None;
        }
    };
    let line = text.lines().next().unwrap_or_default();
    if line.len() < SHORTEST {
        cx.report(
            Draft::error(at, format!("found a secret of {} bytes", line.len()))
                .expected(format!("at least {SHORTEST} on its first line"))
                .hint("`openssl rand -hex 32` makes a good one".to_owned()),
        );
        return None;
    }
    Some(Secret(line.as_bytes().to_vec()))
}

fn read(path: &str) -> Result<String, String> {
    let opened = source::open(path.as_ref());
    let read = opened.and_then(|opened| source::read(opened, &mut source::MAX_FILE.clone()));
    read.map_err(|error| match error {
        ReadError::Io(error) => error.to_string(),
        ReadError::NotAFile(what) => format!("it is {what}"),
        ReadError::TooBig | ReadError::TooMuch => "it is too big".to_owned(),
        ReadError::NotUtf8 { .. } => "it is no text".to_owned(),
    })
}
