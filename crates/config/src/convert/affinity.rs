//! A pool's affinity, and the secret that signs its cookies.

use std::time::Duration;

use crate::leaf::{CookieName, CookiePath, Dur, HostName};
use crate::model::{Affinity, OnLost, SameSite, Secret, SecureCookie};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Concealed, Cx, Field, Spanned, Switch};

/// Each pool has a cookie of its own: two that serve one host would else move each other's clients.
/// What a pool's name may hold, a cookie's may, too.
const COOKIE: &str = "isobar_";
/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

pub(super) fn convert(
    pool: &str,
    field: Field<Switch<raw::Affinity>>,
    cx: &mut Cx<'_>,
) -> Option<Affinity> {
    let raw = field.on()?;
    let wait = match raw.wait.value() {
        None => Duration::from_secs(1),
        Some(switch) => switch.on().map_or(Duration::ZERO, |Dur(wait)| wait),
    };
    let secure = raw.secure.or(SecureCookie::Auto);
    let same_site = match raw.same_site.given() {
        Some(given) if given.value == SameSite::None && secure != SecureCookie::On => {
            let draft = Draft::error(given.span, "found `same_site: none` without `secure: on`");
            let hint = "browsers drop such a cookie where it is not `Secure`".to_owned();
            cx.report(draft.expected("both, or `lax` or `strict`").hint(hint));
            return None;
        }
        given => given.map_or(SameSite::Lax, |given| given.value),
    };
    let own = || format!("{COOKIE}{pool}");
    Some(Affinity {
        cookie: raw.cookie.value().map_or_else(own, |CookieName(name)| name),
        same_site,
        secure,
        max_age: raw.max_age.on().map_or(Duration::ZERO, |Dur(age)| age),
        domain: raw.domain.value().map(|HostName(domain)| domain),
        path: raw.path.value().map_or_else(|| String::from("/"), |CookiePath(path)| path),
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
