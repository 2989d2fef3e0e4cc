//! How many connections a listener has open, over all its addresses and shards, and whether one more
//! may come in.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use crate::forwarded::client_network;

/// Counts a listener's open connections. It lives as long as the listener keeps its name.
#[derive(Default)]
pub struct Connections {
    open: AtomicUsize,
    room: Notify,
    /// By client; used only where `per_client` is set.
    clients: Mutex<HashMap<IpAddr, usize>>,
}

impl Connections {
    pub(crate) fn is_full(&self, limit: usize) -> bool {
        limit != 0 && self.open.load(Ordering::Acquire) >= limit
    }

    pub(crate) async fn room(&self, limit: usize) {
        while self.is_full(limit) {
            let room = self.room.notified();
            if self.is_full(limit) {
                room.await;
            }
        }
    }

    /// `None`: this client has as many open as one may have.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: Option<IpAddr>,
        per_client: usize,
    ) -> Option<Admission> {
        let counted = client.filter(|_| per_client != 0).map(client_network);
        if counted.is_some_and(|client| !self.count(client, per_client)) {
            return None;
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        Some(Admission { connections: Arc::clone(self), counted })
    }

    fn count(&self, client: IpAddr, per_client: usize) -> bool {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let open = clients.entry(client).or_default();
        let admitted = *open < per_client;
        *open += usize::from(admitted);
        admitted
    }
}

/// One connection's place among those its listener admits; given back on drop.
pub(crate) struct Admission {
    connections: Arc<Connections>,
    counted: Option<IpAddr>,
}

impl Admission {
    /// Counts it as this client's, who was not known when it came in. False: the client has as many open
    /// as one may have.
    pub(crate) fn count(&mut self, client: Option<IpAddr>, per_client: usize) -> bool {
        let counted = client.filter(|_| per_client != 0).map(client_network);
        let Some(client) = counted.filter(|_| self.counted.is_none()) else { return true };
        let admitted = self.connections.count(client, per_client);
        if admitted {
            self.counted = Some(client);
        }
        admitted
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(client) = self.counted {
            let mut clients =
                self.connections.clients.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(open) = clients.get_mut(&client) {
                *open -= 1;
                if *open == 0 {
                    clients.remove(&client);
                }
            }
        }
        self.connections.open.fetch_sub(1, Ordering::AcqRel);
        self.connections.room.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().expect("an address"))
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_a_64_of_ipv6() {
        let connections = Arc::new(Connections::default());
        let _one = connections.admit(ip("2001:db8::1"), 2).expect("the first");
        let two = connections.admit(ip("2001:db8::2"), 2).expect("the second");
        assert!(connections.admit(ip("2001:db8::ffff:3"), 2).is_none());
        assert!(connections.admit(ip("2001:db8:0:1::1"), 2).is_some());
        drop(two);
        assert!(connections.admit(ip("2001:db8::4"), 2).is_some());
        let _three = connections.admit(ip("192.0.2.1"), 1).expect("another client");
        assert!(connections.admit(ip("192.0.2.1"), 1).is_none());
        assert!(connections.admit(ip("192.0.2.2"), 1).is_some());
        assert!(connections.admit(None, 1).is_some(), "a unix socket's clients are not told apart");
    }
}
