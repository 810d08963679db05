//! The loader of all libraries, and the database it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::watch;

/// A database of one value, the version of its data, and a loader that waits on demand.
///
/// A load reads first and then waits until [`finish`](Self::finish), so that its value may be
/// outdated by then. Clones share their state.
#[derive(Clone, Debug)]
pub(crate) struct Loader {
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    version: AtomicU64,
    begun: watch::Sender<u64>,
    finish: watch::Sender<bool>,
}

impl Loader {
    /// Creates a database at version 1, whose loads wait.
    pub(crate) fn new() -> Self {
        let (version, begun, finish) =
            (AtomicU64::new(1), watch::Sender::new(0), watch::Sender::new(false));
        Self { state: Arc::new(State { version, begun, finish }) }
    }

    /// Loads the value. The libraries call this on a miss.
    pub(crate) async fn load(&self) -> u64 {
        let version = self.state.version.load(SeqCst);
        self.state.begun.send_modify(|begun| *begun += 1);
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.state.finish.subscribe().wait_for(|&finish| finish).await;
        version
    }

    /// Waits until a load has read the data.
    pub(crate) async fn begun(&self) {
        let _ = self.state.begun.subscribe().wait_for(|&begun| begun > 0).await;
    }

    /// Returns the number of loads so far.
    pub(crate) fn loads(&self) -> u64 {
        *self.state.begun.borrow()
    }

    /// Changes the data, and returns its new version.
    pub(crate) fn change(&self) -> u64 {
        self.state.version.fetch_add(1, SeqCst) + 1
    }

    /// Lets all waiting loads end, and later ones end immediately.
    pub(crate) fn finish(&self) {
        self.state.finish.send_replace(true);
    }
}
