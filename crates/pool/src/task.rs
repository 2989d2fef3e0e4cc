//! A task that ends with its owner. What it does is unknown here.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

pub(crate) struct Task(JoinHandle<()>);

impl Task {
    pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(tokio::spawn(future))
    }

    /// For who is not on that runtime.
    pub(crate) fn spawn_on(
        runtime: &Handle,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> Task {
        Task(runtime.spawn(future))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}
