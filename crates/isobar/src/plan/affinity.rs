//! A pool's affinity, from the configuration's form to the pool crate's; and the key of pools without a
//! configured secret.

use std::sync::OnceLock;

use isobar_config::model;
use isobar_pool::{Affinity, AffinityKey, OnLost, Secure};
use rustix::rand::GetRandomFlags;

pub(super) fn affinity(affinity: &model::Affinity) -> Result<Affinity, String> {
    let key = match &affinity.secret {
        Some(model::Secret(bytes)) => AffinityKey::new(bytes.as_slice()),
        None => own_key()?,
    };
    Ok(Affinity {
        cookie: affinity.cookie.as_str().into(),
        attributes: attributes(affinity).into(),
        secure: match affinity.secure {
            model::SecureCookie::Auto => Secure::Auto,
            model::SecureCookie::On => Secure::On,
            model::SecureCookie::Off => Secure::Off,
        },
        wait: affinity.wait,
        on_lost: match affinity.on_lost {
            model::OnLost::Rebalance => OnLost::Rebalance,
            model::OnLost::Fail => OnLost::Fail,
        },
        key,
    })
}

/// But for `Secure`, which may depend on how the client came.
fn attributes(affinity: &model::Affinity) -> String {
    let mut text = format!("; Path={}", affinity.path);
    if let Some(domain) = &affinity.domain {
        text += &format!("; Domain={domain}");
    }
    if !affinity.max_age.is_zero() {
        // Browsers know whole seconds; zero would delete it.
        text += &format!("; Max-Age={}", affinity.max_age.as_secs().max(1));
    }
    text + match affinity.same_site {
        model::SameSite::Lax => "; HttpOnly; SameSite=Lax",
        model::SameSite::Strict => "; HttpOnly; SameSite=Strict",
        model::SameSite::None => "; HttpOnly; SameSite=None",
    }
}

/// Drawn once, so that cookies outlive every reload; and no other process knows it.
fn own_key() -> Result<AffinityKey, String> {
    static KEY: OnceLock<AffinityKey> = OnceLock::new();
    if let Some(key) = KEY.get() {
        return Ok(key.clone());
    }
    let mut bytes = [0; 32];
    // So few are given at once or not at all (getrandom(2)).
    match rustix::rand::getrandom(&mut bytes[..], GetRandomFlags::empty()) {
        Ok(32) => Ok(KEY.get_or_init(|| AffinityKey::new(&bytes[..])).clone()),
        Ok(_) => Err(String::from("the system gave too few random bytes")),
        Err(error) => Err(format!("the system gave no random bytes: {error}")),
    }
}
