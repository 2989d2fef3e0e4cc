//! The limit on open files, and whether the configuration fits into it.

use isobar_config::Config;
use isobar_proxy::Descriptors;
use rustix::process::{Resource, getrlimit, setrlimit};

/// A proxy needs two descriptors per request under way; shells hand out 1024.
pub(crate) fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::debug!(%error, "the limit on open files stays as it is");
    }
}

/// What to say about a configuration that lets in more clients than can be served.
pub(crate) fn advice(config: &Config) -> Option<String> {
    let limit = getrlimit(Resource::Nofile).current?;
    too_many(config, limit, Descriptors::of_this_process().clients())
}

fn too_many(config: &Config, limit: u64, clients: u64) -> Option<String> {
    let limits = config.listeners.values().map(|listener| listener.limits.connections as u64);
    let wanted = limits.fold(0, u64::saturating_add);
    (wanted > clients).then(|| {
        format!(
            "the listeners' `limits.connections` allow {wanted} connections together, but the \
             limit on open files ({limit}) is enough for {clients} that are being served: raise \
             it (`ulimit -n`, LimitNOFILE), or lower `limits.connections`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry;

    #[test]
    fn more_connections_than_descriptors_are_pointed_out() {
        let text = "
listeners:
  a: { bind: \"127.0.0.1:0\", pool: app, limits: { connections: 300 } }
  b: { bind: \"127.0.0.1:0\", pool: app, limits: { connections: 200 } }
  c: { bind: \"127.0.0.1:0\", pool: app, limits: { connections: off } }
pools: { app: { workers: [127.0.0.1:1] } }
";
        let config = isobar_config::load_str(text, &registry::registry());
        let config = config.map(|loaded| loaded.config).unwrap();
        assert_eq!(too_many(&config, 1156, 500), None);
        let said = too_many(&config, 1024, 448).unwrap();
        assert!(said.contains("allow 500 connections") && said.contains("(1024)"), "{said}");
    }
}
