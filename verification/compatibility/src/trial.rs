//! What works on a deployment.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use hotshelf::{Cache, Store};

use crate::deployment::Deployment;

pub(crate) const HEADER: &str = "\
| server or proxy | connects | stores | one load | invalidates | tags | reports changes | limitations |
| --- | --- | --- | --- | --- | --- | --- | --- |";

/// The number of callers of one cold key on each of two stores.
const CALLERS: usize = 20;

/// What works.
pub(crate) struct Trial {
    connects: bool,
    stores: bool,
    loads_once: bool,
    invalidates: bool,
    tags: bool,
    reports: bool,
    /// What `info` names, or why it can't be had.
    limitations: String,
}

impl Trial {
    /// Tries all.
    pub(crate) async fn of(deployment: &Deployment) -> Self {
        let [first, second] = [(); 2].map(|()| {
            let options = deployment.options.clone();
            // Other processes may occupy the cores.
            let timeout = Duration::from_secs(2);
            let options = options.connect_timeout(timeout).read_timeout(timeout);
            let store = Store::builder().redis(options.store_timeout(timeout)).build();
            store.unwrap_or_else(|error| panic!("{error}"))
        });
        let [one, other] = [&first, &second].map(|store| {
            let cache = store.cache::<u64>("trial").backend_budget(Duration::from_secs(2)).build();
            cache.unwrap_or_else(|error| panic!("{error}"))
        });
        let connects = first.ping().await.is_ok();
        let stores = one.insert(1_u64, 1).await && other.get(1_u64).await.as_deref() == Some(&1);
        let loads_once = loads_once(&one, &other).await;
        let invalidates =
            one.fallible().invalidate(1_u64).await.is_ok() && other.get(1_u64).await.is_none();
        let tags = follows_tags(&first, &one, &other).await;
        let (reports, limitations) = match first.info().await.server {
            Some(server) => {
                let is_of_changes = |text: &String| text.contains("key changes");
                let reports = !server.limitations.iter().any(is_of_changes);
                let others = server.limitations.into_iter().filter(|text| !is_of_changes(text));
                (reports, others.collect::<Vec<_>>().join("; "))
            }
            None => {
                let error = one.fallible().insert(1_u64, 1).await.err();
                (false, error.map(|error| error.to_string()).unwrap_or_default())
            }
        };
        Self { connects, stores, loads_once, invalidates, tags, reports, limitations }
    }

    /// Returns the row of the table.
    pub(crate) fn row(&self, name: &str) -> String {
        let works = [
            self.connects,
            self.stores,
            self.loads_once,
            self.invalidates,
            self.tags,
            self.reports,
        ];
        let cells = works.map(|works| if works { "yes" } else { "no" }).join(" | ");
        format!("| {name} | {cells} | {} |", self.limitations)
    }
}

/// Loads a cold key for many callers on two stores at once.
async fn loads_once(one: &Cache<u64>, other: &Cache<u64>) -> bool {
    let loads = AtomicU32::new(0);
    let calls = (0..2 * CALLERS).map(|caller| {
        let (cache, loads) = (if caller % 2 == 0 { one } else { other }, &loads);
        cache.get_or_insert_with("cold", async || {
            loads.fetch_add(1, Ordering::Relaxed);
            pause().await;
            7
        })
    });
    join_all(calls).await.iter().all(|value| **value == 7) && loads.load(Ordering::Relaxed) == 1
}

#[expect(clippy::disallowed_methods, reason = "real servers run in real time")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Invalidates a tag on one store, and reads the entry on the other.
async fn follows_tags(store: &Store, one: &Cache<u64>, other: &Cache<u64>) -> bool {
    let stored = one.entry("tagged").tags(["a tag"]).insert(1).await;
    let found = other.entry("tagged").tags(["a tag"]).get().await.is_some();
    let invalidated = store.invalidate_tag("a tag").await.is_ok();
    stored && found && invalidated && other.entry("tagged").tags(["a tag"]).get().await.is_none()
}
