//! The worker is up if it accepts a connection.

use futures_core::future::BoxFuture;

use super::{Probe, ProbeError};
use crate::address::Address;
use crate::connect;

pub struct Tcp;

impl Probe for Tcp {
    fn probe<'a>(&'a self, address: &'a Address) -> BoxFuture<'a, Result<(), ProbeError>> {
        Box::pin(async move {
            connect::open(address).await?;
            Ok(())
        })
    }

    fn describe(&self) -> String {
        "tcp".to_owned()
    }
}
