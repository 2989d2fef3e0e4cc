//! The workers that the configuration names: one set, at once, then nothing more.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;

use super::{Discovery, DiscoveryError};
use crate::settings::WorkerSpec;

pub struct Fixed(Vec<WorkerSpec>);

impl Fixed {
    pub fn new(workers: Vec<WorkerSpec>) -> Fixed {
        Fixed(workers)
    }
}

impl Discovery for Fixed {
    fn watch(&self) -> BoxStream<'static, Result<Vec<WorkerSpec>, DiscoveryError>> {
        Box::pin(Once(Some(self.0.clone())))
    }
}

struct Once(Option<Vec<WorkerSpec>>);

impl Stream for Once {
    type Item = Result<Vec<WorkerSpec>, DiscoveryError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}
