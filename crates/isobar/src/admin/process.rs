//! What the running process is, for whoever asks: `/v1/process`. A command goes by it to know whether
//! it speaks to the process that its user means.

use std::collections::BTreeMap;

use isobar_config::model::ListenerKind;
use serde_json::{Value, json};

use super::Door;
use crate::control::{Control, Phase, Source};

pub(crate) fn about(control: &Control) -> Value {
    let file = match &control.source {
        Source::File(path) => {
            let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
            Some(whole.display().to_string())
        }
        Source::Flags => None,
    };
    let doors = |metrics: bool| {
        let of_kind = control.doors.iter().filter(|(door, _)| (*door == Door::Metrics) == metrics);
        of_kind.map(|(_, address)| address.clone()).collect::<Vec<_>>()
    };
    let live = control.lock();
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "state": match control.phase() {
            Phase::Starting => "starting",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        },
        "uptime_seconds": control.started.elapsed().as_secs_f64(),
        "file": file,
        "config_version": live.version(),
        "shards": control.context.shard_connections().len(),
        "admin": doors(false),
        "metrics": doors(true),
        "listeners": listeners(&live),
    })
}

fn listeners(live: &crate::plan::Live) -> Vec<Value> {
    let mut addresses: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, address) in live.places() {
        addresses.entry(name).or_default().push(address);
    }
    let listener = |(name, addresses): (&str, Vec<&str>)| {
        let protocol = match live.config().listeners.get(name).map(|listener| &listener.kind) {
            Some(ListenerKind::Http { .. }) => "http",
            Some(ListenerKind::Tcp { .. } | ListenerKind::Passthrough(_)) => "tcp",
            None => "",
        };
        let connections = live.handles().listeners.get(name).map(|counts| counts.connections());
        json!({
            "name": name,
            "protocol": protocol,
            "addresses": addresses,
            "connections": connections.unwrap_or_default(),
        })
    };
    addresses.into_iter().map(listener).collect()
}
