//! Notification of processes about changes, like client-side tracking.

use std::time::Duration;

use hotshelf_core::backend::Watchers;
use hotshelf_core::sync::Mutex;
use hotshelf_core::{Runtime, WireKey};

use super::network::Network;
use super::runtime::SimRuntime;

/// The processes that are notified of changes.
#[derive(Default)]
pub(super) struct Listeners(Mutex<Vec<Listener>>);

struct Listener {
    watchers: Watchers,
    longest_delay: Duration,
    /// Lost notifications per thousand.
    lost: u64,
}

impl Listeners {
    pub(super) fn add(&self, watchers: Watchers, network: Network) {
        let (longest_delay, lost) = (network.longest_delay, network.failing);
        let listener = Listener { watchers, longest_delay, lost };
        self.0.lock().push(listener);
    }

    /// Notifies all listeners that a key, or every key, may have changed. Notifications are
    /// delayed, and may be lost.
    pub(super) fn notify(&self, runtime: &SimRuntime, key: Option<&WireKey>) {
        for listener in self.0.lock().iter() {
            if listener.watchers.is_empty() || runtime.below(1000) < listener.lost {
                continue;
            }
            let arrival = runtime.sleep(runtime.mostly_far_below(listener.longest_delay));
            let (watchers, key) = (listener.watchers.clone(), key.cloned());
            runtime.spawn(Box::pin(async move {
                arrival.await;
                match key {
                    Some(key) => watchers.changed(&key),
                    None => watchers.wake_all(),
                }
            }));
        }
    }
}
