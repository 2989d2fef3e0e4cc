//! The real proxy inside the demo's process: its own control thread and shards, on a configuration
//! made in memory. What `run` has beside this (admin API, access log, reload) nobody would see here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use isobar_config::Config;
use isobar_pool::Pool;
use isobar_proxy::ProxyContext;
use isobar_proxy::access_log::AccessLog;
use tokio::sync::oneshot;

use crate::plan::Live;
use crate::{app, registry, shard};

pub(super) struct Front {
    pub(super) pools: BTreeMap<String, Arc<Pool>>,
    /// By listener.
    pub(super) addresses: BTreeMap<String, SocketAddr>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

type Started = (BTreeMap<String, Arc<Pool>>, BTreeMap<String, SocketAddr>);

impl Front {
    /// On the first of these configurations whose addresses are free.
    pub(super) fn start(wanted: Vec<String>) -> Result<Front, String> {
        let (tell, told) = mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new().name(String::from("control"));
        let thread = thread.spawn(move || control(&wanted, &tell, stopped));
        let thread = thread.map_err(|error| format!("no thread: {error}"))?;
        let started = told.recv().map_err(|_| String::from("the control plane has died"))?;
        let (pools, addresses) = started?;
        Ok(Front { pools, addresses, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn control(
    wanted: &[String],
    tell: &mpsc::SyncSender<Result<Started, String>>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = match runtime {
        Ok(runtime) => runtime.block_on(serve(wanted, tell, stopped)),
        Err(error) => Err(format!("no runtime: {error}")),
    };
    if let Err(error) = served {
        // Nobody listens any more once it was told of a good start.
        let _ = tell.send(Err(error));
    }
}

async fn serve(
    wanted: &[String],
    tell: &mpsc::SyncSender<Result<Started, String>>,
    stopped: oneshot::Receiver<()>,
) -> Result<(), String> {
    let configs = wanted.iter().map(|text| read(text)).collect::<Result<Vec<_>, _>>()?;
    let first = configs.first().ok_or("no configuration")?;
    let count = app::shard_count(first.shards);
    isobar_balance::shard::enter(count);
    let mut live = Live::new(first.clone(), count + 1);
    let mut refused = String::new();
    let staged = configs.into_iter().find_map(|config| match live.stage(&config) {
        Ok(staged) => Some((config, staged)),
        Err(problems) => {
            refused = problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
            None
        }
    });
    let (config, staged) = staged.ok_or(refused)?;
    let (context, inboxes) = ProxyContext::new(count, AccessLog::off());
    let shards = shard::spawn(&context, inboxes).map_err(|error| format!("no thread: {error}"))?;
    for pool in live.settle(&config, &staged) {
        pool.ready().await;
    }
    let opened = live.commit(config, staged, &context);
    let started = (live.pools().clone(), opened.iter().filter_map(|said| address(said)).collect());
    let _ = tell.send(Ok(started));

    let _ = stopped.await;
    for pool in live.pools().values() {
        pool.close().await;
    }
    context.stop();
    shards.join().await;
    Ok(())
}

fn read(text: &str) -> Result<Config, String> {
    let loaded = isobar_config::load_str(text, &registry::registry());
    loaded.map(|loaded| loaded.config).map_err(|problems| problems.to_string())
}

/// From "ADDRESS (NAME)".
fn address(said: &str) -> Option<(String, SocketAddr)> {
    let (address, name) = said.strip_suffix(')')?.split_once(" (")?;
    Some((name.to_owned(), address.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn text(address: SocketAddr) -> String {
        format!(
            "shards: 1\nlisteners: {{ web: {{ bind: \"{address}\", pool: app }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1] }} }}\n"
        )
    }

    #[test]
    fn the_first_free_address_is_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = taken.local_addr().map(|addr| (taken, addr)).unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let front = Front::start(vec![text(taken.1), text(any)]).unwrap();
        assert_ne!(front.addresses["web"].port(), taken.1.port());
        assert!(front.pools.contains_key("app"));
        let refused = Front::start(vec![text(taken.1)]).err().unwrap();
        assert!(refused.contains(&taken.1.to_string()), "{refused}");
    }
}
