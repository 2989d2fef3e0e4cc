//! A pool's affinity as the pool crate wants to be told about it, and the key of who was given none.

use std::sync::OnceLock;

use isobar_config::model;
use isobar_pool::{Affinity, AffinityKey, OnLost};
use rustix::rand::GetRandomFlags;

pub(super) fn affinity(affinity: &model::Affinity) -> Result<Affinity, String> {
    let key = match &affinity.secret {
        Some(model::Secret(bytes)) => AffinityKey::new(bytes.as_slice()),
        None => own_key()?,
    };
    Ok(Affinity {
        cookie: affinity.cookie.as_str().into(),
        wait: affinity.wait,
        on_lost: match affinity.on_lost {
            model::OnLost::Rebalance => OnLost::Rebalance,
            model::OnLost::Fail => OnLost::Fail,
        },
        key,
    })
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
