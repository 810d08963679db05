//! The tokio runtimes that a store was used on.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_channel::oneshot;
use hotshelf_core::runtime::RuntimeId;
use hotshelf_core::sync::Mutex;
use tokio::runtime::Handle;

/// The runtimes that were met, and whether each is still running.
#[derive(Default)]
pub(super) struct Runtimes(Mutex<Met>);

#[derive(Default)]
struct Met {
    known: Vec<Known>,
    /// Those of whose end is known: a runtime's identifier is never used again.
    ended: HashSet<RuntimeId>,
}

struct Known {
    id: RuntimeId,
    handle: Handle,
    running: Arc<AtomicBool>,
    /// Dropped with the store, it ends the task that watches the runtime.
    _watch: oneshot::Sender<()>,
}

/// Dropped by the runtime's end, with the task that owns it.
struct Sentinel(Arc<AtomicBool>);

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl Runtimes {
    /// Remembers a runtime, and begins to watch for its end.
    pub(super) fn meet(&self, handle: &Handle) {
        let id = id(handle);
        let mut met = self.0.lock();
        let Met { known, ended } = &mut *met;
        if known.iter().any(|known| known.id == id) {
            return;
        }
        let running = Arc::new(AtomicBool::new(true));
        let gone: Vec<_> = known.extract_if(.., |known| !known.is_running()).collect();
        ended.extend(gone.iter().map(|known| known.id));
        let (watch, store_ended) = oneshot::channel();
        let (handle, kept) = (handle.clone(), Arc::clone(&running));
        known.push(Known { id, handle: handle.clone(), running: kept, _watch: watch });
        drop(met);
        drop(gone);
        let sentinel = Sentinel(running);
        handle.spawn(async move {
            let _: Result<(), oneshot::Canceled> = store_ended.await;
            drop(sentinel);
        });
    }

    /// Returns `false` if a runtime was met and has ended.
    pub(super) fn is_running(&self, id: RuntimeId) -> bool {
        let met = self.0.lock();
        let known = met.known.iter().find(|known| known.id == id);
        known.map_or_else(|| !met.ended.contains(&id), Known::is_running)
    }

    /// Returns a running runtime.
    pub(super) fn any(&self) -> Option<Handle> {
        self.other_than(None)
    }

    /// Returns a running runtime other than this one.
    pub(super) fn other_than(&self, id: Option<RuntimeId>) -> Option<Handle> {
        let met = self.0.lock();
        let other = met.known.iter().rev().find(|known| Some(known.id) != id && known.is_running());
        other.map(|known| known.handle.clone())
    }
}

impl Known {
    fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }
}

/// Returns the identifier of a runtime.
pub(super) fn id(handle: &Handle) -> RuntimeId {
    let mut number = Number(0);
    handle.id().hash(&mut number);
    RuntimeId::new(number.0)
}

/// Reads the number that an opaque identifier consists of.
struct Number(u64);

impl Hasher for Number {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = self.0.lock();
        let all = met.known.iter().map(|known| (known.id, known.is_running()));
        formatter.debug_map().entries(all).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn ended_store_leaves_no_task() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let runtimes = Runtimes::default();
        runtimes.meet(runtime.handle());
        assert_eq!(runtime.metrics().num_alive_tasks(), 1);
        drop(runtimes);
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(runtime.metrics().num_alive_tasks(), 0);
    }

    #[test]
    fn ended_runtimes_are_not_used() {
        let runtimes = Runtimes::default();
        let [first, second] = [(); 2].map(|()| Builder::new_current_thread().build().unwrap());
        let [one, two] = [&first, &second].map(|runtime| id(runtime.handle()));
        assert_ne!(one, two);
        runtimes.meet(first.handle());
        runtimes.meet(first.handle());
        runtimes.meet(second.handle());
        assert_eq!(runtimes.other_than(Some(two)).map(|handle| id(&handle)), Some(one));

        drop(first);
        assert!(!runtimes.is_running(one) && runtimes.is_running(two));
        assert!(runtimes.other_than(Some(two)).is_none());
        assert_eq!(runtimes.any().map(|handle| id(&handle)), Some(two));
        runtimes.meet(Builder::new_current_thread().build().unwrap().handle());
        assert!(!runtimes.is_running(one), "known after it was forgotten");
    }
}
