//! Asks a worker that is about to serve what its first clients would have asked: one request after
//! the other, over connections of its own. A round that fails is tried again, after a pause that
//! doubles; what the pool makes of failures is its state's business, and that state ends this.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::mailbox::{Observation, Seen};
use crate::probe::ProbeError;
use crate::probe::http::{self, Stay};
use crate::probe::visit::Visit;
use crate::settings::WarmUp;
use crate::target::Target;

const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Between two looks for a free slot: a probe, or what is left of earlier requests, may hold it.
const LOOK: Duration = Duration::from_millis(20);

pub(crate) async fn run(target: Arc<Target>, warm_up: WarmUp) {
    let mut pause = FIRST_PAUSE;
    loop {
        let result = attempt(&target, &warm_up).await;
        let done = result.is_ok();
        if let Err(cause) = &result {
            let (pool, worker) = (&target.shared.name, target.name());
            tracing::warn!(pool, worker, "warm-up failed: {cause}; again in {pause:?}");
        }
        target.shared.mailbox.send(Observation::now(&target, Seen::WarmedUp(result))).await;
        if done {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn attempt(target: &Arc<Target>, warm_up: &WarmUp) -> Result<(), String> {
    for _ in 0..warm_up.count {
        for path in &warm_up.requests {
            request(target, warm_up, path).await.map_err(|error| format!("{path}: {error}"))?;
        }
    }
    Ok(())
}

async fn request(target: &Arc<Target>, warm_up: &WarmUp, path: &str) -> Result<(), ProbeError> {
    let entering = async {
        loop {
            match Visit::begin(target).await {
                Some(visit) => return visit,
                None => sleep(LOOK).await,
            }
        }
    };
    let limit = warm_up.timeout;
    let visit = timeout(limit, entering).await.map_err(|_| ProbeError::Timeout)?;
    let (host, path) = (warm_up.host.clone(), path.to_owned());
    let (dial, _) = target.dial();
    let asking = async move {
        let status =
            http::get(&dial, host.as_deref(), &path, "isobar-warm-up", Stay::ToTheEnd).await?;
        if (200..400).contains(&status) { Ok(()) } else { Err(ProbeError::Status(status)) }
    };
    visit.wait(target, Box::pin(asking), limit).await.0
}
