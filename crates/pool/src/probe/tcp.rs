//! The worker is up if it accepts a connection.

use futures_core::future::BoxFuture;

use super::{Probe, ProbeError};
use crate::connect;
use crate::target::Target;

pub struct Tcp;

impl Probe for Tcp {
    fn probe<'a>(&'a self, target: &'a Target) -> BoxFuture<'a, Result<(), ProbeError>> {
        Box::pin(async {
            connect::open(target.address()).await?;
            Ok(())
        })
    }

    fn describe(&self) -> String {
        "tcp".to_owned()
    }
}
