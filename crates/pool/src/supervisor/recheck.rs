//! Looks after a worker that refused a connection and that no probe looks after: connects, with a
//! pause that doubles, and says whether it could.
//! The supervisor ends it: only there is it known whether a refusal came after the success.

use std::sync::Arc;
use std::time::Duration;

use tower::ServiceExt;

use crate::connect::connector;
use crate::mailbox::{Observation, Seen};
use crate::pace::Pace;
use crate::target::Target;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

pub(super) async fn run(target: Arc<Target>, timeout: Duration, pace: Pace) {
    let mut quick = pace.quick();
    let mut pause = FIRST;
    loop {
        let sooner = quick.as_mut().and_then(|quick| quick.pause(LONGEST));
        match sooner {
            Some(sooner) => tokio::time::sleep(sooner).await,
            None => {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST);
            }
        }
        let seen = match connector(timeout).oneshot(target.dial().0).await {
            Ok(_) => Seen::Reachable,
            Err(_) => Seen::StillAway,
        };
        target.shared.mailbox.send(Observation::now(&target, seen)).await;
    }
}
