//! What the control plane's tasks share: where the configuration came from, how far the process is in
//! its life, what is in force now. It starts and decides nothing; who does is `app`'s.

use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use isobar_pool::Pool;
use isobar_proxy::ProxyContext;
use isobar_proxy::access_log::AccessLog;
use tokio::sync::{mpsc, watch};

use crate::admin::Door;
use crate::logging::Level;
use crate::metrics::recent::Recent;
use crate::notify;
use crate::plan::Live;
use crate::plan::routes::Handles;
use crate::reload::{Requests, Tally};

/// Where the configuration came from.
pub(crate) enum Source {
    File(PathBuf),
    Flags,
}

/// How far the process is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Starting,
    Ready,
    Draining,
}

/// What every task of the control plane may use.
pub(crate) struct Control {
    pub(crate) source: Source,
    pub(crate) context: Arc<ProxyContext>,
    pub(crate) access_log: AccessLog,
    pub(crate) level: Level,
    pub(crate) reloads: Requests,
    pub(crate) tally: Tally,
    pub(crate) shutdown: mpsc::Sender<()>,
    pub(crate) panics: Arc<AtomicU64>,
    pub(crate) recent: Recent,
    pub(crate) started: Instant,
    /// Where the admin API and the metrics listener are.
    pub(crate) doors: Vec<(Door, String)>,
    /// Changed by `enter`.
    pub(crate) phase: watch::Sender<Phase>,
    /// Reached by `lock`. Written by one task at a time (start, then reload); never held across an await.
    pub(crate) live: Mutex<Live>,
}

impl Control {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The pools and counters that serve now; the lock is held for two copies of pointers.
    pub(crate) fn serving(&self) -> (Vec<Arc<Pool>>, Handles) {
        let live = self.lock();
        (live.pools().values().cloned().collect(), live.handles().clone())
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
        match phase {
            Phase::Starting => {}
            Phase::Ready => notify::ready(),
            Phase::Draining => notify::stopping(),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.phase() == Phase::Draining
    }
}
