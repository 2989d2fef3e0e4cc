//! Tells the service manager the state of the process: the protocol of `sd_notify(3)`, which systemd
//! uses with `Type=notify`. Without `$NOTIFY_SOCKET` all of this does nothing.
//!
//! A thread of its own sends the messages, because the service manager may be busy or stopped, and the
//! control plane must not wait for it. A message that cannot be sent in time is dropped.

use std::sync::OnceLock;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread;

use sd_notify::NotifyState;
use tokio::time::interval;

/// What may wait to be told.
const WAITING: usize = 16;

type State = Vec<NotifyState<'static>>;

pub(crate) fn ready() {
    tell(vec![NotifyState::Ready]);
}

pub(crate) fn stopping() {
    tell(vec![NotifyState::Stopping]);
}

/// Until `reloaded`, however it ends.
pub(crate) fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(vec![NotifyState::Reloading, now]),
        Err(error) => untold(&error),
    }
}

pub(crate) fn reloaded() {
    tell(vec![NotifyState::Ready]);
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
        tell(vec![NotifyState::Watchdog]);
    }
}

fn tell(state: State) {
    static TELLER: OnceLock<Option<SyncSender<State>>> = OnceLock::new();
    if let Some(teller) = TELLER.get_or_init(teller)
        && let Err(TrySendError::Full(_)) = teller.try_send(state)
    {
        tracing::debug!("$NOTIFY_SOCKET: the service manager does not read; a message is dropped");
    }
}

fn teller() -> Option<SyncSender<State>> {
    std::env::var_os("NOTIFY_SOCKET")?;
    let (tell, told) = sync_channel::<State>(WAITING);
    let run = move || {
        for state in told {
            if let Err(error) = sd_notify::notify(&state) {
                untold(&error);
            }
        }
    };
    match thread::Builder::new().name(String::from("notify")).spawn(run) {
        Ok(_) => Some(tell),
        Err(error) => {
            untold(&error);
            None
        }
    }
}

fn untold(error: &std::io::Error) {
    tracing::warn!(%error, "$NOTIFY_SOCKET: the service manager cannot be reached");
}
