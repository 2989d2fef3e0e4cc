//! What it takes to open a stream to a worker, but for a time limit.

use std::sync::Arc;

use isobar_tls::Client;

use crate::address::Address;

#[derive(Clone, Debug, PartialEq)]
pub struct Dial {
    pub address: Address,
    /// `None`: nothing is encrypted.
    pub tls: Option<Arc<Client>>,
}

impl From<Address> for Dial {
    fn from(address: Address) -> Dial {
        Dial { address, tls: None }
    }
}
