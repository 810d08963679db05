//! The loader that all libraries are given, and the database it reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::watch;

/// A database of one value, the version of its data, and a loader that is slow at will.
///
/// A load reads first and waits afterwards, until [`finish`](Self::finish): what it gives
/// may be outdated by then. Clones are the same loader.
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
    /// Makes a database at version 1, whose loads wait.
    pub(crate) fn new() -> Self {
        let (version, begun, finish) =
            (AtomicU64::new(1), watch::Sender::new(0), watch::Sender::new(false));
        Self { state: Arc::new(State { version, begun, finish }) }
    }

    /// Loads: the function that the libraries call on a miss.
    pub(crate) async fn load(&self) -> u64 {
        let version = self.state.version.load(SeqCst);
        self.state.begun.send_modify(|begun| *begun += 1);
        // The sender lives as long as `self`, so that there is no error.
        let _ = self.state.finish.subscribe().wait_for(|&finish| finish).await;
        version
    }

    /// Waits until a load has read the data.
    pub(crate) async fn begun(&self) {
        let _ = self.state.begun.subscribe().wait_for(|&begun| begun > 0).await;
    }

    /// Counts the loads so far.
    pub(crate) fn loads(&self) -> u64 {
        *self.state.begun.borrow()
    }

    /// Changes the data, and gives its new version.
    pub(crate) fn change(&self) -> u64 {
        self.state.version.fetch_add(1, SeqCst) + 1
    }

    /// Lets the loads end, those to come at once.
    pub(crate) fn finish(&self) {
        self.state.finish.send_replace(true);
    }
}
