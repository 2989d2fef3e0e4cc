//! Commands that change the running process: `reload`, and one worker's state, weight or slots.

use super::Told;
use super::client::Reach;
use super::output::{complain, say};
use crate::admin::path;

/// Prints what the running process itself says about the new configuration.
pub(crate) fn reload(reach: &Reach) -> Result<(), Told> {
    let answer = reach.post("/v1/reload", &serde_json::json!({}))?.accepted()?;
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        complain(warning.as_str().unwrap_or_default());
    }
    say(&format_args!("reloaded: {}", answer["summary"].as_str().unwrap_or("ok")));
    Ok(())
}

pub(crate) fn worker(
    reach: &Reach,
    pool: &str,
    worker: &str,
    wanted: &serde_json::Value,
) -> Result<(), Told> {
    let answer = reach.post(&path::worker(pool, worker), wanted)?.accepted()?;
    let state = answer["health"].as_str().unwrap_or("ok");
    say(&format_args!("{pool} {worker}: {state}"));
    Ok(())
}
