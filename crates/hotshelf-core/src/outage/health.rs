//! Records which operations of a backend fail, and logs it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::context::CacheContext;
use crate::error::{Error, ErrorKind};
use crate::observe::{EventKind, Events, Failures};
use crate::runtime::{Moment, Runtime};
use crate::sync::Mutex;

/// The state of each kind of operation: working, or failing.
///
/// Logs one line per change of state, never one per call. A failing operation counts as
/// working after it has succeeded and not failed for [`QUIET`], so that a backend that fails
/// now and then is logged once.
pub(crate) struct Health {
    runtime: Arc<dyn Runtime>,
    events: Arc<Events>,
    operations: [OperationHealth; OperationKind::ALL.len()],
    /// The number of failures so far, by operation and kind of error.
    counts: Mutex<BTreeMap<(&'static str, ErrorKind), u64>>,
}

/// The kinds of operations that may fail while others work, for example because of an ACL or a
/// lack of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OperationKind {
    Read,
    Acquire,
    Capture,
    Store,
    Take,
    Renew,
    Release,
    Invalidate,
}

/// How long an operation must not have failed to count as working again.
const QUIET: Duration = Duration::from_secs(5);

#[derive(Default)]
struct OperationHealth {
    /// The runtime's clock at the last failure, in milliseconds plus one; 0 while the
    /// operation works.
    last_failure: AtomicU64,
    failures: AtomicU64,
}

impl OperationKind {
    pub(crate) const ALL: [Self; 8] = [
        Self::Read,
        Self::Acquire,
        Self::Capture,
        Self::Store,
        Self::Take,
        Self::Renew,
        Self::Release,
        Self::Invalidate,
    ];

    /// Returns the name in metrics.
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Acquire => "acquire",
            Self::Capture => "capture",
            Self::Store => "store",
            Self::Take => "take",
            Self::Renew => "renew",
            Self::Release => "release",
            Self::Invalidate => "invalidate",
        }
    }

    /// Returns the failing action, and what hotshelf does meanwhile.
    fn consequence(self) -> (&'static str, &'static str) {
        match self {
            Self::Read => ("reading from", "reads are misses and loaders run"),
            Self::Acquire => ("acquiring leases in", "loaders run and nothing is stored"),
            Self::Capture => ("reading tags in", "values with tags are not stored"),
            Self::Store => ("storing in", "loaded values are not stored"),
            Self::Take => ("writing to", "inserts are not stored, written keys are invalidated"),
            Self::Renew => ("renewing leases in", "slow loads may not be stored"),
            Self::Release => {
                ("releasing leases in", "waiting callers wait until the leases expire")
            }
            Self::Invalidate => ("invalidating in", "outdated entries may still be served"),
        }
    }
}

impl Health {
    pub(crate) fn new(runtime: Arc<dyn Runtime>, events: Arc<Events>) -> Self {
        let operations = std::array::from_fn(|_| OperationHealth::default());
        Self { runtime, events, operations, counts: Mutex::default() }
    }

    /// Returns what has failed so far, and whether anything has failed in the last five seconds.
    pub(crate) fn failures(&self) -> (Vec<Failures>, bool) {
        let counts = self.counts.lock();
        let failures = counts.iter().map(|(&(operation, error), &count)| Failures {
            operation,
            error: error.name(),
            count,
        });
        // Not whether one is known to work again, which only its next call would tell.
        let now = self.millis();
        let fails = |health: &OperationHealth| {
            let last_failure = health.last_failure.load(Ordering::Relaxed).checked_sub(1);
            last_failure.is_some_and(|it| u128::from(now.saturating_sub(it)) < QUIET.as_millis())
        };
        (failures.collect(), self.operations.iter().any(fails))
    }

    /// Records the outcome of an operation.
    #[inline]
    pub(crate) fn note(
        &self,
        cache: Option<&CacheContext>,
        operation: OperationKind,
        error: Option<&Error>,
    ) {
        let health = &self.operations[operation as usize];
        match error {
            None if health.last_failure.load(Ordering::Relaxed) == 0 => {}
            None => self.succeeded(operation, health),
            Some(error) if is_backend_failure(error.kind()) => {
                self.failed(cache, operation, health, error);
            }
            Some(_) => {}
        }
    }

    #[cold]
    fn failed(
        &self,
        cache: Option<&CacheContext>,
        operation: OperationKind,
        health: &OperationHealth,
        error: &Error,
    ) {
        health.failures.fetch_add(1, Ordering::Relaxed);
        *self.counts.lock().entry((operation.name(), error.kind())).or_default() += 1;
        if health.last_failure.swap(self.millis() + 1, Ordering::Relaxed) != 0 {
            return;
        }
        let (action, consequence) = operation.consequence();
        let (operation_name, text) = (operation.name(), error.to_string());
        self.events.add(EventKind::BackendFails { operation: operation_name, error: text });
        let error = error.with_causes();
        // The first cache with the failure; others are affected too.
        let cache = cache.map(|cache| format!(" {:?}", cache.namespace.name()));
        let cache = cache.unwrap_or_default();
        if operation == OperationKind::Invalidate {
            tracing::error!("{action} the cache{cache} failed ({error}); {consequence}");
        } else {
            tracing::warn!("{action} the cache{cache} failed ({error}); {consequence}");
        }
    }

    #[cold]
    fn succeeded(&self, operation: OperationKind, health: &OperationHealth) {
        let now = self.millis();
        let works = |last_failure: u64| {
            let quiet = Duration::from_millis(now.saturating_sub(last_failure.checked_sub(1)?));
            (quiet >= QUIET).then_some(0)
        };
        // Of several concurrent successes, one logs.
        let update = health.last_failure.fetch_update(Ordering::Relaxed, Ordering::Relaxed, works);
        if update.is_ok() {
            let failures = health.failures.swap(0, Ordering::Relaxed);
            let (action, _) = operation.consequence();
            self.events.add(EventKind::BackendWorks { operation: operation.name(), failures });
            tracing::info!("{action} the cache works again after {failures} failures");
        }
    }

    fn millis(&self) -> u64 {
        let elapsed = self.runtime.now() - Moment::default();
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX - 1)
    }
}

/// Returns `true` if an error is a failure of the backend, not of one value, one key or the
/// application.
fn is_backend_failure(kind: ErrorKind) -> bool {
    use ErrorKind::{Closed, Configuration, Decode, Encode, Key, TooLarge, WrongType};

    !matches!(kind, Closed | Configuration | Decode | Encode | Key | TooLarge | WrongType)
}
