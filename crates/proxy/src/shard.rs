//! A shard: one thread, one runtime, its own connections.
//!
//! A listening socket belongs to one shard, which hands raw accepted sockets to the shard with the
//! fewest connections; nothing else crosses between shards.

use std::{collections::HashMap, sync::Arc};

use tokio::{
    sync::oneshot,
    task::{JoinError, JoinSet},
};

use crate::{
    context::{self, Command, ProxyContext, ShardInbox},
    door::{greet, listener::accept},
    downstream::standing,
    table::{ListenerId, ListenerPlan},
};

/// A listener that nobody accepts at any more is worse than none: its clients wait in the back-log. So
/// a panic in there is the shard's own.
fn watch(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Runs one shard until it is told to stop. Call it once on each data-plane thread, inside a
/// current-thread `LocalRuntime`.
pub async fn serve_shard(context: Arc<ProxyContext>, mut inbox: ShardInbox) {
    isobar_balance::shard::enter(inbox.index);
    let shard = inbox.index;
    let tidy = tokio::task::spawn_local(crate::scratch::tidy());
    let mut accepting: HashMap<ListenerId, oneshot::Sender<Arc<ListenerPlan>>> = HashMap::new();
    let mut acceptors = JoinSet::new();
    loop {
        let command = tokio::select! {
            biased;
            command = inbox.commands.recv() => command,
            Some(accepted) = inbox.accepted.recv() => {
                greet::serve(&context, shard, accepted);
                continue;
            }
            Some(ended) = acceptors.join_next() => {
                watch(ended);
                continue;
            }
        };
        let Some(command) = command else { break };
        // What came before it is here before it: it is asked to leave like all the others.
        while let Ok(accepted) = inbox.accepted.try_recv() {
            greet::serve(&context, shard, accepted);
        }
        match command {
            Command::Listen(id, socket) => {
                let (stop, stopped) = oneshot::channel();
                accepting.insert(id, stop);
                let context = Arc::clone(&context);
                acceptors.spawn_local(async move {
                    let each = |accepted| {
                        if let Some(ours) = context.dispatch(shard, accepted) {
                            greet::serve(&context, shard, ours);
                        }
                    };
                    accept(&context, id, socket, stopped, each).await;
                });
            }
            Command::Unlisten(id, plan) => {
                standing::ask_to_leave_of(id, &plan);
                if let Some(stop) = accepting.remove(&id) {
                    let _ = stop.send(plan);
                }
            }
            Command::Switch(id, plan) => standing::ask_to_leave_of(id, &plan),
            // Who serves nobody lets go of the old one as well.
            Command::Renew => context.with_table(|_| ()),
            Command::SearchIdle(search) => {
                if let Some(since) = standing::longest_idle(&context, search.connections.as_ref()) {
                    search.offer(since, shard);
                }
                context.searched(&search);
            }
            Command::Evict(connections) => standing::evict_idle(&context, connections.as_ref()),
            Command::Drain => {
                // Dropping the senders is the signal.
                accepting.clear();
                standing::ask_to_leave();
            }
            Command::Stop => break,
        }
    }
    tidy.abort();
    context::forget_table();
}
