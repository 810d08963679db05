//! The gate: the only path from a cache to its backend.
//!
//! Every operation passes through it, so that
//!
//! - local state of the process ([`LocalState`]) is notified of every change that the process
//!   makes: the open flights, and the near tier, which sits in front of [`Gate::read`]. The
//!   outage queue will sit behind the invalidations;
//! - what was begun and is not finished ([`Duties`]) is known to every call: an entry that is
//!   about to be removed is a miss;
//! - the outcome of every operation is recorded, so that a failing backend is logged once
//!   ([`Health`]).

mod duty;
mod local_state;
mod reading;
mod removing;
mod settling;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::backend::{
    Acquire, Acquired, Backend, Fill, Pause, Result, Retrail, ServerInfo, Stored, TagVersion, Take,
    Taken, Token, Watch,
};
use crate::context::CacheContext;
use crate::error::{Error, ErrorKind};
use crate::key::WireKey;
use crate::near::{NearOptions, NearTier};
use crate::observe::{Events, Failures, Invalidations, MemoryUse};
use crate::outage::{Health, OperationKind};
use crate::runtime::Runtime;
use crate::stats::Counter;
use crate::ttl::Ttl;
use duty::Duties;
pub(crate) use duty::{Duty, DutyKind, Removal};
pub(crate) use local_state::{Change, LocalState};
use removing::InvalidationCounts;

/// The path to a backend.
pub(crate) struct Gate {
    backend: Arc<dyn Backend>,
    local: Vec<Arc<dyn LocalState>>,
    near: Option<Arc<NearTier>>,
    /// Whether the backend reports changes to the near tier.
    is_told: bool,
    pub(crate) duties: Duties,
    runtime: Arc<dyn Runtime>,
    health: Health,
    events: Arc<Events>,
    invalidations: InvalidationCounts,
}

impl Gate {
    pub(crate) fn new(
        backend: Arc<dyn Backend>,
        runtime: Arc<dyn Runtime>,
        mut local: Vec<Arc<dyn LocalState>>,
        near: Option<NearOptions>,
    ) -> Self {
        let events = Arc::new(Events::new(Arc::clone(&runtime)));
        let health = Health::new(Arc::clone(&runtime), Arc::clone(&events));
        let (duties, invalidations) = (Duties::default(), InvalidationCounts::default());
        let near = near.map(|options| Arc::new(NearTier::new(options, Arc::clone(&runtime))));
        // What is in memory needs none.
        let near = near.filter(|_| backend.local().is_none());
        let is_told = near.as_ref().is_some_and(|near| backend.report_to(near));
        let (wanted, near) =
            (near.is_some(), near.filter(|near| is_told || near.options().without_reports));
        if wanted && near.is_none() {
            tracing::warn!(
                "no near tier: a layer, or the option `tracking`, keeps it from hearing of changes; \
                 `NearOptions::without_reports` keeps entries for `max_staleness` all the same"
            );
        }
        local.extend(near.iter().map(|near| Arc::clone(near) as Arc<dyn LocalState>));
        Self { backend, local, near, is_told, duties, runtime, health, events, invalidations }
    }

    /// Returns the near tier, if there is one.
    pub(crate) fn near(&self) -> Option<&Arc<NearTier>> {
        self.near.as_ref()
    }

    /// Returns the events of the store.
    pub(crate) fn events(&self) -> &Arc<Events> {
        &self.events
    }

    /// Returns what has failed so far, and whether anything fails now.
    pub(crate) fn failures(&self) -> (Vec<Failures>, bool) {
        self.health.failures()
    }

    /// Returns the number of invalidations so far.
    pub(crate) fn invalidations(&self) -> Invalidations {
        self.invalidations.read()
    }

    /// Returns how much memory the backend's entries take, if they are in this process.
    pub(crate) fn memory_use(&self) -> Option<MemoryUse> {
        self.backend.local()?.memory_use()
    }

    /// Returns the kind of backend.
    pub(crate) fn name(&self) -> &'static str {
        self.backend.name()
    }

    /// Returns how long a read takes at most, if that is known.
    pub(crate) fn longest_read(&self) -> Option<Duration> {
        self.backend.longest_read()
    }

    pub(crate) async fn acquire(
        &self,
        cache: &CacheContext,
        acquire: Acquire<'_>,
    ) -> Result<Acquired> {
        if self.duties.is_closing() {
            return Err(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        self.settle(std::slice::from_ref(acquire.key)).await?;
        self.noted(Some(cache), OperationKind::Acquire, self.backend.acquire(acquire).await)
    }

    /// Requests many leases at once, and returns one answer for each.
    pub(crate) async fn acquire_many(
        &self,
        cache: &CacheContext,
        acquires: &[Acquire<'_>],
    ) -> Vec<Result<Acquired>> {
        let failed = |error: Error| acquires.iter().map(|_| Err(error.clone())).collect();
        if self.duties.is_closing() {
            return failed(Error::new(ErrorKind::Closed, "the store was closed"));
        }
        let keys: Vec<WireKey> = acquires.iter().map(|acquire| acquire.key.clone()).collect();
        if let Err(error) = self.settle(&keys).await {
            return failed(error);
        }
        let acquired = self.backend.acquire_many(acquires).await;
        self.each_noted(cache, OperationKind::Acquire, acquired)
    }

    pub(crate) async fn capture(
        &self,
        cache: &CacheContext,
        tags: &[WireKey],
        keep: Ttl,
    ) -> Result<Vec<TagVersion>> {
        self.settle(tags).await?;
        self.noted(Some(cache), OperationKind::Capture, self.backend.capture(tags, keep).await)
    }

    /// Captures the versions of tags, and returns how long each has been the tag's version.
    pub(crate) async fn capture_with_age(
        &self,
        cache: &CacheContext,
        tags: &[WireKey],
        keep: Ttl,
    ) -> Result<Vec<(TagVersion, Duration)>> {
        self.settle(tags).await?;
        let captured = self.backend.capture_with_age(tags, keep).await;
        self.noted(Some(cache), OperationKind::Capture, captured)
    }

    /// Ends a failed load, and keeps others from repeating it for a while.
    pub(crate) async fn fail(
        &self,
        cache: &CacheContext,
        key: &WireKey,
        token: Token,
        pause: Pause,
    ) -> Result<()> {
        let failed = self.backend.fail(key, token, pause).await;
        self.noted(Some(cache), OperationKind::Release, failed)
    }

    /// Replaces the trailer of an entry, if it still has the one that was seen.
    pub(crate) async fn retrail(
        &self,
        cache: &CacheContext,
        key: &WireKey,
        trailers: Retrail,
    ) -> Result<bool> {
        let keys = std::slice::from_ref(key);
        let replacing = async {
            let replaced = self.backend.retrail(key, trailers).await;
            self.noted(Some(cache), OperationKind::Store, replaced)
        };
        self.changing(&Change::Written(keys), replacing).await
    }

    pub(crate) async fn store(&self, cache: &CacheContext, fills: &[Fill]) -> Vec<Result<Stored>> {
        let stored = self.each_noted(cache, OperationKind::Store, self.backend.store(fills).await);
        let succeeded = stored.iter().filter(|answer| matches!(answer, Ok(Stored::Stored))).count();
        cache.stats.add(Counter::Stored, succeeded as u64);
        if let Some(near) = &self.near {
            // The caller's next read finds what it has stored, if it was a reload.
            fills.iter().for_each(|fill| near.changed(&fill.key));
        }
        stored
    }

    /// Stores the values of an insert or a write guard.
    pub(crate) async fn store_written(
        &self,
        cache: &CacheContext,
        fills: &[Fill],
    ) -> Vec<Result<Stored>> {
        let keys: Vec<WireKey> = fills.iter().map(|fill| fill.key.clone()).collect();
        self.changing(&Change::Written(&keys), self.store(cache, fills)).await
    }

    /// Records that a call stopped waiting for an operation, and returns the error.
    pub(crate) fn timed_out(&self, cache: &CacheContext, operation: OperationKind) -> Error {
        let error = Error::new(ErrorKind::Timeout, "no answer within the call's `backend_budget`");
        self.health.note(Some(cache), operation, Some(&error));
        error
    }

    pub(crate) async fn renew(
        &self,
        cache: &CacheContext,
        key: &WireKey,
        token: Token,
        lease: Duration,
    ) -> Result<bool> {
        self.noted(Some(cache), OperationKind::Renew, self.backend.renew(key, token, lease).await)
    }

    pub(crate) async fn release(
        &self,
        cache: Option<&CacheContext>,
        key: &WireKey,
        token: Token,
    ) -> Result<()> {
        self.noted(cache, OperationKind::Release, self.backend.release(key, token).await)
    }

    /// Returns `None` if the backend cannot report changes.
    pub(crate) fn watch(&self, key: &WireKey) -> Option<Watch> {
        self.backend.watch(key)
    }

    pub(crate) async fn take(&self, cache: &CacheContext, takes: &[Take]) -> Vec<Result<Taken>> {
        if self.duties.is_closing() {
            let closed = || Err(Error::new(ErrorKind::Closed, "the store was closed"));
            return takes.iter().map(|_| closed()).collect();
        }
        let keys: Vec<WireKey> = takes.iter().map(|take| take.key.clone()).collect();
        let taking =
            async { self.each_noted(cache, OperationKind::Take, self.backend.take(takes).await) };
        self.changing(&Change::Written(&keys), taking).await
    }

    pub(crate) async fn ping(&self) -> Result<()> {
        self.backend.ping().await
    }

    pub(crate) async fn info(&self) -> Result<ServerInfo> {
        self.backend.info().await
    }

    pub(crate) async fn close(&self) {
        self.near.iter().for_each(|near| near.flush());
        self.backend.close().await;
        // What was read meanwhile.
        self.near.iter().for_each(|near| near.flush());
    }

    /// Discards what this process keeps of tags that others have changed.
    pub(crate) fn forget_tags(&self, tags: &[WireKey]) {
        self.local.iter().for_each(|local| local.forget(&Change::Tags(tags)));
    }

    /// Executes a change; local state is discarded before and after it.
    async fn changing<T>(&self, change: &Change<'_>, operation: impl Future<Output = T>) -> T {
        self.local.iter().for_each(|local| local.forget(change));
        let answer = operation.await;
        self.local.iter().for_each(|local| local.forget(change));
        answer
    }

    #[inline]
    fn noted<T>(
        &self,
        cache: Option<&CacheContext>,
        operation: OperationKind,
        answer: Result<T>,
    ) -> Result<T> {
        self.health.note(cache, operation, answer.as_ref().err());
        answer
    }

    fn each_noted<T>(
        &self,
        cache: &CacheContext,
        operation: OperationKind,
        answers: Vec<Result<T>>,
    ) -> Vec<Result<T>> {
        for answer in &answers {
            self.health.note(Some(cache), operation, answer.as_ref().err());
        }
        answers
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::FutureExt;

    use super::*;
    use crate::backend::Seen;
    use crate::backend::recorder::Recorder;
    use crate::key::Pattern;
    use crate::runtime::Moment;
    use crate::runtime::fixed::FixedRuntime;

    /// Records what it discards, among the operations of the backend.
    struct Local(Arc<Recorder>);

    impl LocalState for Local {
        fn forget(&self, change: &Change<'_>) {
            self.0.push(match change {
                Change::Keys(keys) if keys.len() == 1 => "forget a key",
                Change::Tags(tags) if tags.len() == 1 => "forget a tag",
                Change::Matching(pattern) if pattern.as_str() == "a*" => "forget a pattern",
                Change::Written(keys) if keys.len() == 1 => "forget a written key",
                _ => "forget something else",
            });
        }
    }

    fn recorded<T>(operation: impl AsyncFnOnce(&Gate, &CacheContext) -> T) -> Vec<&'static str> {
        let recorder = Arc::new(Recorder::default());
        let local: Arc<dyn LocalState> = Arc::new(Local(Arc::clone(&recorder)));
        let backend = Arc::clone(&recorder) as Arc<dyn Backend>;
        let cache = CacheContext::for_tests();
        let gate = Gate::new(backend, Arc::new(FixedRuntime(0)), vec![local], None);
        operation(&gate, &cache).now_or_never().expect("the recorder answers at once");
        recorder.recorded()
    }

    #[test]
    fn local_state_is_discarded_twice() {
        let keys = [WireKey::from("k")];
        let remove = |removal: Removal| {
            recorded(async move |gate, cache| gate.remove(Some(cache), &removal).await)
        };
        let removed = remove(Removal::Keys(keys.to_vec()));
        assert_eq!(removed, ["forget a key", "invalidate", "forget a key"]);

        let removed = remove(Removal::Tags(keys.to_vec()));
        assert_eq!(removed, ["forget a tag", "invalidate_tags", "forget a tag"]);

        let removed = remove(Removal::Matching(Pattern::new("a*")));
        assert_eq!(removed, ["forget a pattern", "invalidate_matching", "forget a pattern"]);

        let token = Token::random(&FixedRuntime(0));
        let takes = [Take { key: "k".into(), token, lease: Duration::from_secs(1) }];
        let taken = recorded(async |gate, cache| gate.take(cache, &takes).await);
        assert_eq!(taken, ["forget a written key", "take", "forget a written key"]);

        let fills = [Fill {
            key: "k".into(),
            token,
            value: Bytes::new(),
            decoded_size: 0,
            ttl: Ttl::MIN,
            hold: None,
            kept: None,
        }];
        let stored = recorded(async |gate, cache| gate.store_written(cache, &fills).await);
        assert_eq!(stored, ["forget a written key", "store", "forget a written key"]);
    }

    /// What concerns a key is done before its lease is requested, and the rest stays to be done.
    #[test]
    fn removals_that_were_begun_are_done_first() {
        let [own, other] = ["k", "other"].map(WireKey::from);
        let begin = |gate: &Gate, removal: Removal| {
            let lasts = Duration::from_secs(5);
            gate.duties.add(None, DutyKind::Remove(removal), Moment::default(), lasts);
        };
        let token = Token::random(&FixedRuntime(0));
        let lease = Duration::from_secs(1);
        for matching in [false, true] {
            let (own, other) = (own.clone(), other.clone());
            let acquired = recorded(async move |gate, cache| {
                begin(
                    gate,
                    match matching {
                        false => Removal::Keys(vec![own.clone(), other.clone()]),
                        true => Removal::Matching(Pattern::new("*")),
                    },
                );
                assert_eq!(gate.duties.removing(&[own.clone(), other.clone()]), [true, true]);
                let seen = Seen::Nothing;
                let acquire = Acquire {
                    key: &own,
                    token,
                    lease,
                    seen,
                    skip_foreign: false,
                    replace_failure: false,
                };
                gate.acquire(cache, acquire).await.unwrap();
                assert_eq!(gate.duties.removing(&[own, other]), [false, true]);
            });
            assert_eq!(acquired, ["forget a key", "invalidate", "forget a key", "acquire"]);
        }
        let captured = recorded(async move |gate, cache| {
            begin(gate, Removal::Tags(vec![own.clone()]));
            gate.capture(cache, &[own], Ttl::MIN).await
        });
        assert_eq!(captured, ["forget a tag", "invalidate_tags", "forget a tag", "capture"]);
    }

    #[test]
    fn reads_change_nothing_locally() {
        let keys = [WireKey::from("k")];
        assert_eq!(recorded(async |gate, cache| gate.read(cache, &keys).await), ["read"]);
        assert_eq!(
            recorded(async |gate, cache| gate.remaining(cache, &keys[0]).await),
            ["remaining"]
        );
    }
}
