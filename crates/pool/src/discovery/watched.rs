//! Something that is looked at again and again: one task per thing, whoever and however many want
//! to know. It lives while anybody does. Knows nothing about what is looked at.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, Weak};

use futures_util::FutureExt;
use tokio::sync::{Notify, watch};

use crate::lock::lock;
use crate::task::Task;

/// What looking has brought so far. A failed look never takes away what an earlier one found.
#[derive(Debug)]
pub(crate) struct Known<T> {
    pub(crate) good: Option<Arc<T>>,
    /// Why the last look failed.
    pub(crate) problem: Option<Arc<str>>,
    pub(crate) failures: u64,
}

impl<T> Known<T> {
    /// At least one look has ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.good.is_some() || self.failures > 0
    }
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Known { good: self.good.clone(), problem: self.problem.clone(), failures: self.failures }
    }
}

/// Where the task that looks says what it saw.
pub(crate) struct Reporter<T> {
    known: watch::Sender<Known<T>>,
    again: Arc<Notify>,
}

impl<T: PartialEq> Reporter<T> {
    /// Both may be given: a part was found, another failed.
    pub(crate) fn report(&self, found: Option<T>, problem: Option<String>) {
        self.known.send_if_modified(|known| {
            let mut news = problem.is_some() || known.problem.is_some();
            known.failures += u64::from(problem.is_some());
            known.problem = problem.map(Arc::from);
            if let Some(found) = found.filter(|found| known.good.as_deref() != Some(found)) {
                known.good = Some(Arc::new(found));
                news = true;
            }
            news
        });
    }

    pub(crate) fn forget_doubts(&self) {
        let _ = self.again.notified().now_or_never();
    }

    /// Until somebody has reason to believe that what was said is no longer so.
    pub(crate) async fn doubted(&self) {
        self.again.notified().await;
    }
}

pub(crate) struct Watched<T> {
    known: watch::Receiver<Known<T>>,
    again: Arc<Notify>,
    _task: Task,
}

impl<T> Watched<T> {
    pub(crate) fn known(&self) -> Known<T> {
        self.known.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Known<T>> {
        self.known.clone()
    }

    pub(crate) fn look_again(&self) {
        self.again.notify_one();
    }
}

/// The things that are being looked at.
pub(crate) struct Registry<K, T>(Mutex<HashMap<K, Weak<Watched<T>>>>);

impl<K, T> Default for Registry<K, T> {
    fn default() -> Self {
        Registry(Mutex::new(HashMap::new()))
    }
}

impl<K: Clone + Eq + Hash, T: Send + Sync + 'static> Registry<K, T> {
    /// Joins who watches this already, or starts to look.
    pub(crate) fn watch<F>(&self, key: K, look: impl FnOnce(K, Reporter<T>) -> F) -> Arc<Watched<T>>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut all = lock(&self.0);
        if let Some(watched) = all.get(&key).and_then(Weak::upgrade) {
            return watched;
        }
        all.retain(|_, watched| watched.strong_count() > 0);
        let nothing = Known { good: None, problem: None, failures: 0 };
        let (sender, known) = watch::channel(nothing);
        let again = Arc::new(Notify::new());
        let reporter = Reporter { known: sender, again: again.clone() };
        let task = Task::spawn(look(key.clone(), reporter));
        let watched = Arc::new(Watched { known, again, _task: task });
        all.insert(key, Arc::downgrade(&watched));
        watched
    }

    pub(crate) fn look_again(&self) {
        lock(&self.0).values().filter_map(Weak::upgrade).for_each(|watched| watched.look_again());
    }
}
