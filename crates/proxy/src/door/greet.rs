//! Which protocol an accepted connection speaks, and who serves it.

use std::sync::Arc;

use super::socket::{Accepted, Terms};
use crate::{
    context::ProxyContext,
    downstream::{http1, peer::Peer, standing::Place, wire::Wire},
    table::Serve,
    tcp,
};

/// Serves an accepted socket on the calling shard.
pub(crate) fn serve(context: &Arc<ProxyContext>, shard: usize, accepted: Accepted) {
    let place = Place::take(context, shard, accepted.terms.listener);
    let (stream, ip, Terms { listener, plan, admission }) = match accepted.into_stream() {
        Ok(parts) => parts,
        Err(error) => return tracing::debug!(%error, "an accepted socket could not be registered"),
    };
    let place = place.admitted(admission, Arc::clone(&plan.metrics));
    match &plan.serve {
        Serve::Http(_) => {
            if !context.serves_http(listener) {
                place.served_last_by(plan);
            }
            let peer = Peer::new(listener, ip, place);
            let wire = Wire::new(stream, http1::FIRST_BYTE);
            tokio::task::spawn_local(http1::serve(peer, wire));
        }
        Serve::Tcp(pool) => {
            let (context, pool) = (Arc::clone(context), Arc::clone(pool));
            tokio::task::spawn_local(async move {
                let _place = place;
                tcp::serve_tcp(&context, &plan, &pool, stream, ip).await;
            });
        }
    }
}
