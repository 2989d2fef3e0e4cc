//! The worker is up if it accepts a connection.

use futures_core::future::BoxFuture;

use super::{Probe, ProbeError};
use crate::connect;
use crate::dial::Dial;

pub struct Tcp;

impl Probe for Tcp {
    fn probe<'a>(&'a self, dial: &'a Dial) -> BoxFuture<'a, Result<(), ProbeError>> {
        Box::pin(async move {
            connect::open(dial).await?;
            Ok(())
        })
    }

    fn describe(&self) -> String {
        "tcp".to_owned()
    }
}
