//! Looks after a worker that refused a connection and that no probe looks after: connects, with a
//! pause that doubles, and says whether it could.
//! The supervisor ends it: only there is it known whether a refusal came after the success.

use std::sync::Arc;
use std::time::Duration;

use tower::ServiceExt;

use crate::connect::Connector;
use crate::mailbox::{Observation, Seen};
use crate::target::Target;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(1);

pub(super) async fn run(target: Arc<Target>, timeout: Duration) {
    let mut pause = FIRST;
    loop {
        tokio::time::sleep(pause).await;
        let seen = match Connector::new(timeout).oneshot(target.address().clone()).await {
            Ok(_) => Seen::Reachable,
            Err(_) => Seen::StillAway,
        };
        target.shared.mailbox.send(Observation::now(&target, seen)).await;
        pause = (pause * 2).min(LONGEST);
    }
}
