//! The tokio runtimes that a store was used on.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hotshelf_core::runtime::RuntimeId;
use hotshelf_core::sync::Mutex;
use tokio::runtime::Handle;

/// The runtimes that were met, and whether each is still running.
#[derive(Default)]
pub(super) struct Runtimes(Mutex<Vec<Known>>);

struct Known {
    id: RuntimeId,
    handle: Handle,
    running: Arc<AtomicBool>,
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
        let mut known = self.0.lock();
        if known.iter().any(|known| known.id == id) {
            return;
        }
        let running = Arc::new(AtomicBool::new(true));
        let ended: Vec<_> = known.extract_if(.., |known| !known.is_running()).collect();
        known.push(Known { id, handle: handle.clone(), running: Arc::clone(&running) });
        drop(known);
        drop(ended);
        let sentinel = Sentinel(running);
        handle.spawn(async move {
            std::future::pending::<()>().await;
            drop(sentinel);
        });
    }

    /// Returns `false` if a runtime was met and has ended.
    pub(super) fn is_running(&self, id: RuntimeId) -> bool {
        self.0.lock().iter().find(|known| known.id == id).is_none_or(Known::is_running)
    }

    /// Returns a running runtime.
    pub(super) fn any(&self) -> Option<Handle> {
        self.other_than(None)
    }

    /// Returns a running runtime other than this one.
    pub(super) fn other_than(&self, id: Option<RuntimeId>) -> Option<Handle> {
        let known = self.0.lock();
        let other = known.iter().rev().find(|known| Some(known.id) != id && known.is_running());
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
        let known = self.0.lock();
        let all = known.iter().map(|known| (known.id, known.is_running()));
        formatter.debug_map().entries(all).finish()
    }
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Builder;

    use super::*;

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
    }
}
