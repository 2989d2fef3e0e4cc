//! A new configuration for the running process: all of it, or nothing changes.
//!
//! One task does it; who asks while it runs is answered by the one run that follows, however many
//! they are. Everything that can fail (reading, binding) comes before the first change. Waiting
//! for the first probes of new pools is part of it, so that no request meets a pool that knows
//! none of its workers yet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use isobar_config::model::Bind;
use isobar_config::{Config, Loaded};
use isobar_pool::Pool;
use tokio::time::{Instant, sleep, timeout_at};

use crate::control::{Control, Source};
use crate::{descriptors, notify, registry};

mod requests;

pub(crate) use requests::{Outcome, Queue, Requests, Tally, channel};

/// How long new pools may take to hear of their workers.
const FIRST_PROBES: Duration = Duration::from_secs(2);
/// How often removed pools are looked at.
const RETIRE: Duration = Duration::from_secs(1);

/// The one task that reloads.
pub(crate) async fn run(control: Arc<Control>, Queue(mut queue): Queue) {
    while let Some(first) = queue.recv().await {
        let mut waiting = vec![first];
        while let Ok(another) = queue.try_recv() {
            waiting.push(another);
        }
        notify::reloading();
        let outcome = Arc::new(once(&control).await);
        if !control.is_draining() {
            notify::reloaded();
        }
        control.tally.note(&outcome);
        for answer in waiting {
            // Who asked by a signal does not wait for the answer.
            let _ = answer.send(outcome.clone());
        }
    }
}

async fn once(control: &Arc<Control>) -> Outcome {
    if control.is_draining() {
        return refused(String::from("this process is shutting down"));
    }
    let Source::File(path) = &control.source else {
        return refused(String::from("this process was started without a configuration file"));
    };
    let path = path.clone();
    let read = move || isobar_config::load(&path, &registry::registry());
    let Loaded { config, warnings } = match tokio::task::spawn_blocking(read).await {
        Ok(Ok(loaded)) => loaded,
        Ok(Err(problems)) => return refused(problems.to_string()),
        Err(error) => return refused(format!("reading the configuration failed: {error}")),
    };
    let mut said = lines(&warnings.to_string());
    let config = keep_what_cannot_change(control.lock().config(), config, &mut said);
    // What was said already is not said with every reload.
    let known = descriptors::advice(control.lock().config());
    let advice = descriptors::advice(&config).filter(|advice| known.as_ref() != Some(advice));
    said.extend(advice.map(|advice| format!("warning: {advice}")));
    let summary = config.summary().to_string();
    match apply(control, config).await {
        Ok(version) => Outcome::Done { version, summary, warnings: said },
        Err(diagnostics) => refused(diagnostics),
    }
}

/// Also how the first configuration becomes live.
pub(crate) async fn apply(control: &Arc<Control>, config: Config) -> Result<u64, String> {
    let staged = control.lock().stage(&config).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    })?;
    let started = control.lock().settle(&config, &staged);
    first_verdicts(&started).await;
    control.level.set(config.log.level);
    let (opened, version, retiring) = {
        let mut live = control.lock();
        let opened = live.commit(config, staged, &control.context);
        (opened, live.version(), live.is_retiring())
    };
    for socket in opened {
        tracing::info!("listening on {socket}");
    }
    if retiring {
        tokio::spawn(retire(control.clone()));
    }
    Ok(version)
}

/// Until every worker of these pools has had its first verdict, within reason.
async fn first_verdicts(pools: &[Arc<Pool>]) {
    let deadline = Instant::now() + FIRST_PROBES;
    for pool in pools {
        if timeout_at(deadline, pool.ready()).await.is_err() {
            tracing::warn!(
                pool = pool.name(),
                "some workers are not ready: no answer to the first probe, or still warming up"
            );
        }
    }
}

/// Closes removed pools, each when nobody uses it any more: tunnels live on.
async fn retire(control: Arc<Control>) {
    loop {
        sleep(RETIRE).await;
        let ended = control.lock().retired();
        for pool in ended {
            pool.close().await;
        }
        if !control.lock().is_retiring() {
            return;
        }
    }
}

/// Threads, the control plane's own sockets and the logs' destinations are as they were at the
/// start; a reload that asks for others says so and does the rest.
fn keep_what_cannot_change(now: &Config, wanted: Config, warnings: &mut Vec<String>) -> Config {
    let mut differs = |what: &str, same: bool| {
        if !same {
            warnings.push(format!("warning: `{what}` changed: takes effect after a restart"));
        }
    };
    differs("shards", now.shards == wanted.shards);
    differs("admin", now.admin == wanted.admin);
    differs("metrics", now.metrics == wanted.metrics);
    differs("log.format", now.log.format == wanted.log.format);
    differs("access_log", now.access_log == wanted.access_log);
    warnings.extend(other_modes(now, &wanted));
    let mut config = wanted;
    config.shards = now.shards;
    config.admin = now.admin.clone();
    config.metrics = now.metrics;
    config.log.format = now.log.format;
    config.access_log = now.access_log.clone();
    config
}

/// A socket that stays has the mode it was bound with.
fn other_modes(now: &Config, wanted: &Config) -> Vec<String> {
    let bound: BTreeMap<_, _> = sockets(now).collect();
    let other = |(path, mode): &(&PathBuf, u32)| bound.get(path).is_some_and(|old| old != mode);
    let say = |(path, _): (&PathBuf, u32)| {
        let path = path.display();
        format!("warning: `mode` of unix:{path} changed: takes effect after a restart")
    };
    sockets(wanted).filter(other).map(say).collect()
}

fn sockets(config: &Config) -> impl Iterator<Item = (&PathBuf, u32)> {
    let binds = config.listeners.values().flat_map(|listener| &listener.binds);
    binds.filter_map(|bind| match bind {
        Bind::Unix { path, mode } => Some((path, *mode)),
        _ => None,
    })
}

fn refused(diagnostics: String) -> Outcome {
    Outcome::Refused { diagnostics }
}

fn lines(text: &str) -> Vec<String> {
    match text.trim_end() {
        "" => Vec::new(),
        text => vec![text.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        isobar_config::load_str(text, &registry::registry()).map(|loaded| loaded.config).unwrap()
    }

    const REST: &str = "
listeners: { web: { bind: 127.0.0.1:0, pool: app } }
pools: { app: { workers: [127.0.0.1:1] } }
";

    #[test]
    fn what_needs_a_restart_is_kept_and_said() {
        let now = config(&format!("shards: 1{REST}"));
        let wanted = config(&format!("shards: 2\ngrace_period: 5s{REST}"));
        let mut said = Vec::new();
        let kept = keep_what_cannot_change(&now, wanted, &mut said);
        assert_eq!(kept.shards, now.shards);
        assert_eq!(kept.grace_period, Duration::from_secs(5));
        assert_eq!(said, ["warning: `shards` changed: takes effect after a restart"]);
    }

    #[test]
    fn another_mode_of_a_socket_that_stays_is_said() {
        let with = |binds: &str| {
            config(&REST.replace("bind: 127.0.0.1:0", &format!("bind: [{binds}], mode: \"0600\"")))
        };
        let now = config(&REST.replace("127.0.0.1:0", "\"unix:/run/a\""));
        let mut said = Vec::new();
        keep_what_cannot_change(&now, with("\"unix:/run/a\", \"unix:/run/b\""), &mut said);
        assert_eq!(said, ["warning: `mode` of unix:/run/a changed: takes effect after a restart"]);
    }

    /// The table below `## Reload` of docs/reference.md.
    #[test]
    fn the_reference_names_what_needs_a_restart() {
        let other = "shards: 1\nadmin: off\nmetrics: { bind: 127.0.0.1:0 }\n\
                     log: { format: json }\naccess_log: { path: stderr }";
        let mut said = Vec::new();
        keep_what_cannot_change(&config(REST), config(&format!("{other}{REST}")), &mut said);
        let said: Vec<&str> = said.iter().filter_map(|line| line.split('`').nth(1)).collect();
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference.md");
        let text = std::fs::read_to_string(path).unwrap();
        let section = text.split("\n## Reload\n").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let named: Vec<&str> = rows.filter_map(|row| row.split('`').next()).collect();
        assert_eq!(named, said, "documented, said");
    }

    #[test]
    fn nothing_to_say_about_the_same_configuration() {
        let mut said = Vec::new();
        keep_what_cannot_change(&config(REST), config(REST), &mut said);
        assert!(said.is_empty());
    }
}
