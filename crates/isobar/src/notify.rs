//! Tells whoever started us how we are, if it asked to be told: the protocol of `sd_notify(3)`,
//! which systemd speaks with `Type=notify`. Without `$NOTIFY_SOCKET` all of this does nothing.

use std::io;

use sd_notify::NotifyState;
use tokio::time::interval;

use crate::app::Phase;

pub(crate) fn entered(phase: Phase) {
    match phase {
        Phase::Starting => {}
        Phase::Ready => tell(&[NotifyState::Ready]),
        Phase::Draining => tell(&[NotifyState::Stopping]),
    }
}

/// Until `reloaded`, however it ends.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => said(Err(error)),
    }
}

pub(crate) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// Sends signs of life as often as we were asked to; a control plane that hangs sends none.
pub(crate) async fn keep_alive() {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
    else {
        return;
    };
    let mut beat = interval(patience / 2);
    loop {
        beat.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(state: &[NotifyState<'_>]) {
    said(sd_notify::notify(state));
}

fn said(outcome: io::Result<()>) {
    if let Err(error) = outcome {
        tracing::warn!(%error, "$NOTIFY_SOCKET: whoever started us cannot be told");
    }
}
