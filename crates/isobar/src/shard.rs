//! The data plane's threads: `shard-0` and on, each with a runtime of its own.
//!
//! A shard ends only when it is told to stop. If one ends earlier (a bug), its connections are lost and
//! its listeners accept nothing, so the main thread gets a message and ends the process.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use isobar_proxy::{ProxyContext, ShardInbox, serve_shard};
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::mpsc;

/// One message per shard that has ended; closed when all have.
pub(crate) type Ended = mpsc::Receiver<usize>;

pub(crate) struct Shards {
    threads: Vec<JoinHandle<()>>,
    pub(crate) ended: Ended,
}

pub(crate) fn spawn(context: &Arc<ProxyContext>, inboxes: Vec<ShardInbox>) -> io::Result<Shards> {
    let (tell, ended) = mpsc::channel(inboxes.len().max(1));
    let mut threads = Vec::new();
    for (index, inbox) in inboxes.into_iter().enumerate() {
        let context = context.clone();
        let notice = Notice { index, tell: tell.clone() };
        let thread = thread::Builder::new().name(format!("shard-{index}"));
        threads.push(thread.spawn(move || {
            let _notice = notice;
            let mut runtime = Builder::new_current_thread();
            match runtime.enable_all().build_local(LocalOptions::default()) {
                Ok(runtime) => runtime.block_on(serve_shard(context, inbox)),
                Err(error) => tracing::error!(%error, "a shard has no runtime"),
            }
        })?);
    }
    Ok(Shards { threads, ended })
}

impl Shards {
    /// After they were told to stop.
    pub(crate) async fn join(mut self) {
        while self.ended.recv().await.is_some() {}
        for thread in self.threads {
            // A panic has been logged by the hook.
            let _ = thread.join();
        }
    }
}

/// Tells on drop, so that a panic tells as well.
struct Notice {
    index: usize,
    tell: mpsc::Sender<usize>,
}

impl Drop for Notice {
    fn drop(&mut self) {
        // Room for every shard: never full.
        let _ = self.tell.try_send(self.index);
    }
}
