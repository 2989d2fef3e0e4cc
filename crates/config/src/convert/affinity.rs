//! A pool's affinity, and the secret that signs its cookies.

use std::time::Duration;

use super::on;
use crate::leaf::{CookieName, Dur};
use crate::model::{Affinity, OnLost, Secret};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Concealed, Cx, Field, Spanned, Switch};

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

/// Its first line.
fn secret(from: Spanned<Concealed<raw::Secret>>, cx: &mut Cx<'_>) -> Option<Secret> {
    let form = format!("at least {SHORTEST} bytes on its first line");
    let (text, at) = super::secret::text(from, &form, cx)?;
    let line = text.lines().next().unwrap_or_default();
    if line.len() < SHORTEST {
        let draft = Draft::error(at, format!("found a secret of {} bytes", line.len()));
        let hint = "`openssl rand -hex 32` makes a good one".to_owned();
        cx.report(draft.expected(form).hint(hint));
        return None;
    }
    Some(Secret(line.as_bytes().to_vec()))
}
