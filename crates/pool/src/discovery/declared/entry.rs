//! One entry of a list of workers, as whoever reads the list fills it in: plain values. What several
//! of them come to is not known here.

use std::num::NonZeroU32;
use std::sync::Arc;

use isobar_tls::Client;

use crate::address::Address;
use crate::discovery::dns::HostName;

#[derive(Clone, Debug, PartialEq)]
pub struct Declared {
    pub at: At,
    pub weight: Option<NonZeroU32>,
    pub limits: OwnLimits,
    pub tier: u8,
    /// For the host or address of the entry; `None`: nothing is encrypted on the way there.
    pub tls: Option<Arc<Client>>,
}

/// What an entry says of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnLimits {
    /// Nothing: what the pool says of such workers.
    OfPool,
    Own(Limits),
}

/// What a worker may hold at once; `None` = no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub slots: Option<NonZeroU32>,
    /// `None`: tunnels take slots.
    pub tunnels: Option<NonZeroU32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    Address {
        name: String,
        address: Address,
    },
    /// Each address it resolves to is a worker, named `ip:port`.
    Host {
        host: HostName,
        port: u16,
    },
}
