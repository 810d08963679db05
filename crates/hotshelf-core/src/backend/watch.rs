//! Waiting for changes of keys.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use futures_channel::oneshot;

use crate::key::WireKey;
use crate::sync::Mutex;

/// The waiters for changes of keys.
///
/// A backend that is notified of changes keeps one and reports the changes to it.
#[derive(Clone, Default)]
pub struct Watchers(Arc<Shared>);

#[derive(Default)]
struct Shared {
    keys: Mutex<Keys>,
    /// The number of watched keys. While it is zero, a change takes no lock.
    count: AtomicUsize,
}

/// Ordered by key, so that a simulation always wakes them in the same order.
type Keys = BTreeMap<WireKey, Vec<oneshot::Sender<()>>>;

/// A future that completes when a key's entry or lease may have changed.
///
/// It may complete spuriously, and completes when the backend can no longer report changes.
/// Dropping it ends the wait.
pub struct Watch {
    changed: oneshot::Receiver<()>,
    shared: Arc<Shared>,
    key: WireKey,
}

impl Watchers {
    /// Waits for changes of a key from now on.
    #[must_use]
    pub fn watch(&self, key: &WireKey) -> Watch {
        let (sender, changed) = oneshot::channel();
        let mut keys = self.0.keys.lock();
        keys.entry(key.clone()).or_default().push(sender);
        self.0.count.store(keys.len(), Ordering::SeqCst);
        drop(keys);
        Watch { changed, shared: Arc::clone(&self.0), key: key.clone() }
    }

    /// Wakes the waiters of a key.
    pub fn changed(&self, key: &WireKey) {
        if self.is_empty() {
            return;
        }
        let mut keys = self.0.keys.lock();
        let waiting = keys.remove(key);
        self.0.count.store(keys.len(), Ordering::SeqCst);
        drop(keys);
        wake(waiting);
    }

    /// Wakes all waiters: the backend can no longer report changes.
    pub fn wake_all(&self) {
        let mut keys = self.0.keys.lock();
        let all = std::mem::take(&mut *keys);
        self.0.count.store(0, Ordering::SeqCst);
        drop(keys);
        wake(all.into_values());
    }

    /// Returns `true` if there are no waiters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.count.load(Ordering::SeqCst) == 0
    }
}

/// Wakes waiters, after the lock was released.
fn wake(waiting: impl IntoIterator<Item = Vec<oneshot::Sender<()>>>) {
    for sender in waiting.into_iter().flatten() {
        // The waiter may have been dropped.
        let _ = sender.send(());
    }
}

impl Future for Watch {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.changed).poll(context).map(drop)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.changed.close();
        let mut keys = self.shared.keys.lock();
        if let Some(waiting) = keys.get_mut(&self.key) {
            waiting.retain(|sender| !sender.is_canceled());
            if waiting.is_empty() {
                keys.remove(&self.key);
                self.shared.count.store(keys.len(), Ordering::SeqCst);
            }
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watchers").field("keys", &self.0.count).finish()
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Watch").field("key", &self.key).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn change_wakes_all_waiters_of_key() {
        let watchers = Watchers::default();
        let (first, second) = (watchers.watch(&"a".into()), watchers.watch(&"a".into()));
        let mut other = watchers.watch(&"b".into());
        watchers.changed(&"a".into());
        assert_eq!(first.now_or_never(), Some(()));
        assert_eq!(second.now_or_never(), Some(()));
        assert_eq!((&mut other).now_or_never(), None);
        watchers.wake_all();
        assert_eq!(other.now_or_never(), Some(()));
        assert!(watchers.is_empty());
    }

    #[test]
    fn dropped_waiters_are_removed() {
        let watchers = Watchers::default();
        let (first, second) = (watchers.watch(&"a".into()), watchers.watch(&"a".into()));
        drop(first);
        assert!(!watchers.is_empty());
        watchers.changed(&"a".into());
        drop(second);
        assert!(watchers.is_empty());
    }
}
