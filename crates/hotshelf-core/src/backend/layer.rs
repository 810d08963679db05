//! Backends that wrap another backend and change some of its operations.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{
    Acquire, Acquired, Answer, Backend, Fill, KeyScan, LocalEntries, Operation, Pause, Result,
    Retrail, ServerInfo, Stored, TagVersion, Take, Taken, Token, Watch,
};
use crate::key::{Pattern, WireKey};
use crate::near::{NearTier, TrackedRead};
use crate::runtime::BoxFuture;
use crate::ttl::{Remaining, Ttl};

/// A backend that wraps another backend. Every `Layer` is a [`Backend`].
///
/// Each method of [`Backend`] has a counterpart here, prefixed with `on_`, which forwards to
/// the inner backend by default. Override the ones that change. Behaviour that is the same for
/// all operations, such as delays, failures or counters, belongs in [`around`](Self::around).
///
/// The names differ so that both traits can be in scope: callers use the methods of
/// [`Backend`], and only layers see those with `on_`.
///
/// A layer adds one allocation to each operation, and nothing else unless `around` is
/// overridden.
///
/// ```
/// use std::ops::Deref;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// # use hotshelf_core as hotshelf;
/// use hotshelf::backend::{Answer, Layer, Operation, Result};
/// use hotshelf::{Backend, BoxFuture};
///
/// /// Counts the operations on a backend.
/// #[derive(Debug)]
/// struct Counted<B> {
///     backend: B,
///     count: AtomicU64,
/// }
///
/// impl<B: Backend> Layer for Counted<B> {
///     type Inner = B;
///
///     fn inner(&self) -> Result<impl Deref<Target = B> + Send> {
///         Ok(&self.backend)
///     }
///
///     fn around<'a, A: Answer + 'a>(
///         &'a self,
///         _: Operation<'a>,
///         run: BoxFuture<'a, A>,
///     ) -> BoxFuture<'a, A> {
///         self.count.fetch_add(1, Ordering::Relaxed);
///         run
///     }
/// }
/// ```
pub trait Layer: fmt::Debug + Send + Sync + 'static {
    /// The type of the inner backend.
    type Inner: Backend + ?Sized;

    /// Returns the inner backend, which may differ for each operation. Called when an
    /// operation is first polled.
    ///
    /// # Errors
    /// The operation fails with the returned error, as does each of its items.
    fn inner(&self) -> Result<impl Deref<Target = Self::Inner> + Send>;

    /// Wraps every operation except for [`on_watch`](Self::on_watch), which doesn't wait.
    ///
    /// `run` is the operation. It hasn't begun, unless an overridden method does its work
    /// before it is polled. Drop `run` to skip the operation, and return [`Answer::failure`]
    /// to fail it. Returns `run` unchanged by default.
    fn around<'a, A: Answer + 'a>(
        &'a self,
        operation: Operation<'a>,
        run: BoxFuture<'a, A>,
    ) -> BoxFuture<'a, A> {
        let _unused = operation;
        run
    }

    /// Implements [`Backend::name`]. Returns `unavailable` without an inner backend.
    fn on_name(&self) -> &'static str {
        self.inner().map_or("unavailable", |inner| inner.name())
    }

    /// Implements [`Backend::longest_read`]. Returns `None` by default, since
    /// [`around`](Self::around) may delay reads.
    fn on_longest_read(&self) -> Option<Duration> {
        None
    }

    /// Implements [`Backend::local`]. Returns `None` by default, so that every read passes
    /// [`on_read`](Self::on_read).
    fn on_local(&self) -> Option<&dyn LocalEntries> {
        None
    }

    /// Implements [`Backend::read`].
    fn on_read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        Box::pin(async move { self.inner()?.read(keys).await })
    }

    /// Implements [`Backend::report_to`]. Returns `false` by default, without a near tier, so
    /// that every read passes [`on_read`](Self::on_read).
    fn on_report_to(&self, near: &Arc<NearTier>) -> bool {
        let _unheard = near;
        false
    }

    /// Implements [`Backend::read_tracked`], for a layer that overrides
    /// [`on_report_to`](Self::on_report_to).
    fn on_read_tracked<'a>(
        &'a self,
        keys: &'a [WireKey],
    ) -> BoxFuture<'a, Result<Vec<TrackedRead>>> {
        Box::pin(async move { self.inner()?.read_tracked(keys).await })
    }

    /// Implements [`Backend::acquire`].
    fn on_acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        Box::pin(async move { self.inner()?.acquire(acquire).await })
    }

    /// Implements [`Backend::acquire_many`].
    fn on_acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>> {
        Box::pin(async move {
            match self.inner() {
                Ok(inner) => inner.acquire_many(acquires).await,
                Err(error) => Answer::failure(Operation::AcquireMany(acquires), error),
            }
        })
    }

    /// Implements [`Backend::take`].
    fn on_take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        Box::pin(async move {
            match self.inner() {
                Ok(inner) => inner.take(takes).await,
                Err(error) => Answer::failure(Operation::Take(takes), error),
            }
        })
    }

    /// Implements [`Backend::store`].
    fn on_store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        Box::pin(async move {
            match self.inner() {
                Ok(inner) => inner.store(fills).await,
                Err(error) => Answer::failure(Operation::Store(fills), error),
            }
        })
    }

    /// Implements [`Backend::release`].
    fn on_release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.inner()?.release(key, token).await })
    }

    /// Implements [`Backend::fail`].
    fn on_fail<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        pause: Pause,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.inner()?.fail(key, token, pause).await })
    }

    /// Implements [`Backend::renew`].
    fn on_renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.inner()?.renew(key, token, lease).await })
    }

    /// Implements [`Backend::capture`].
    fn on_capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        Box::pin(async move { self.inner()?.capture(tags, keep).await })
    }

    /// Implements [`Backend::capture_with_age`].
    fn on_capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        Box::pin(async move { self.inner()?.capture_with_age(tags, keep).await })
    }

    /// Implements [`Backend::retrail`].
    fn on_retrail<'a>(
        &'a self,
        key: &'a WireKey,
        trailers: Retrail,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move { self.inner()?.retrail(key, trailers).await })
    }

    /// Implements [`Backend::hold`].
    fn on_hold<'a>(&'a self, keys: &'a [WireKey], hold: Duration) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { self.inner()?.hold(keys, hold).await })
    }

    /// Implements [`Backend::clock`]. It is unknown without an inner backend.
    fn on_clock(&self, key: &WireKey) -> Option<u64> {
        self.inner().ok()?.clock(key)
    }

    /// Implements [`Backend::invalidate`].
    fn on_invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { self.inner()?.invalidate(keys).await })
    }

    /// Implements [`Backend::invalidate_tags`].
    fn on_invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { self.inner()?.invalidate_tags(tags).await })
    }

    /// Implements [`Backend::invalidate_matching`].
    fn on_invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move { self.inner()?.invalidate_matching(pattern).await })
    }

    /// Implements [`Backend::remaining`].
    fn on_remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        Box::pin(async move { self.inner()?.remaining(key).await })
    }

    /// Implements [`Backend::watch`]. Without an inner backend the engine polls.
    fn on_watch(&self, key: &WireKey) -> Option<Watch> {
        self.inner().ok()?.watch(key)
    }

    /// Implements [`Backend::scan`].
    fn on_scan(&self, pattern: &Pattern) -> Option<Box<dyn KeyScan>> {
        self.inner().ok()?.scan(pattern)
    }

    /// Implements [`Backend::ping`].
    fn on_ping(&self) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move { self.inner()?.ping().await })
    }

    /// Implements [`Backend::info`].
    fn on_info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        Box::pin(async move { self.inner()?.info().await })
    }

    /// Implements [`Backend::close`]. Without an inner backend it does nothing.
    fn on_close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Ok(inner) = self.inner() {
                inner.close().await;
            }
        })
    }
}

impl<L: Layer> Backend for L {
    fn name(&self) -> &'static str {
        self.on_name()
    }

    fn longest_read(&self) -> Option<Duration> {
        self.on_longest_read()
    }

    fn local(&self) -> Option<&dyn LocalEntries> {
        self.on_local()
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        self.around(Operation::Read(keys), self.on_read(keys))
    }

    fn report_to(&self, near: &Arc<NearTier>) -> bool {
        self.on_report_to(near)
    }

    fn read_tracked<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<TrackedRead>>> {
        self.around(Operation::Read(keys), self.on_read_tracked(keys))
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        self.around(Operation::Acquire(acquire.key), self.on_acquire(acquire))
    }

    fn acquire_many<'a>(
        &'a self,
        acquires: &'a [Acquire<'a>],
    ) -> BoxFuture<'a, Vec<Result<Acquired>>> {
        self.around(Operation::AcquireMany(acquires), self.on_acquire_many(acquires))
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        self.around(Operation::Take(takes), self.on_take(takes))
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        self.around(Operation::Store(fills), self.on_store(fills))
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        self.around(Operation::Release(key), self.on_release(key, token))
    }

    fn fail<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        pause: Pause,
    ) -> BoxFuture<'a, Result<()>> {
        self.around(Operation::Fail(key), self.on_fail(key, token, pause))
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        self.around(Operation::Renew(key), self.on_renew(key, token, lease))
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        self.around(Operation::Capture(tags), self.on_capture(tags, keep))
    }

    fn capture_with_age<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<(TagVersion, Duration)>>> {
        self.around(Operation::CaptureWithAge(tags), self.on_capture_with_age(tags, keep))
    }

    fn retrail<'a>(&'a self, key: &'a WireKey, trailers: Retrail) -> BoxFuture<'a, Result<bool>> {
        self.around(Operation::Retrail(key), self.on_retrail(key, trailers))
    }

    fn hold<'a>(&'a self, keys: &'a [WireKey], hold: Duration) -> BoxFuture<'a, Result<u64>> {
        self.around(Operation::Hold(keys), self.on_hold(keys, hold))
    }

    fn clock(&self, key: &WireKey) -> Option<u64> {
        self.on_clock(key)
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        self.around(Operation::Invalidate(keys), self.on_invalidate(keys))
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        self.around(Operation::InvalidateTags(tags), self.on_invalidate_tags(tags))
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        self.around(Operation::InvalidateMatching(pattern), self.on_invalidate_matching(pattern))
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        self.around(Operation::Remaining(key), self.on_remaining(key))
    }

    fn watch(&self, key: &WireKey) -> Option<Watch> {
        self.on_watch(key)
    }

    fn scan(&self, pattern: &Pattern) -> Option<Box<dyn KeyScan>> {
        self.on_scan(pattern)
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.around(Operation::Ping, self.on_ping())
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        self.around(Operation::Info, self.on_info())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.around(Operation::Close, self.on_close())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::backend::Seen;
    use crate::backend::recorder::Recorder;
    use crate::error::{Error, ErrorKind};

    /// Forwards to a recorder, or fails in one of the two ways in which a layer can fail.
    #[derive(Debug, Default)]
    struct Recorded {
        inner: Option<Arc<Recorder>>,
        fails: bool,
        around: Recorder,
    }

    impl Layer for Recorded {
        type Inner = Recorder;

        fn inner(&self) -> Result<impl Deref<Target = Recorder> + Send> {
            self.inner.clone().ok_or_else(|| Error::new(ErrorKind::Closed, "no inner backend"))
        }

        fn around<'a, A: Answer + 'a>(
            &'a self,
            operation: Operation<'a>,
            run: BoxFuture<'a, A>,
        ) -> BoxFuture<'a, A> {
            self.around.push(operation.name());
            if !self.fails {
                return run;
            }
            let error = Error::new(ErrorKind::Unavailable, "the layer fails");
            Box::pin(std::future::ready(A::failure(operation, error)))
        }
    }

    /// The operations with a future, in the order in which [`call_all`] calls them.
    const OPERATIONS: [&str; 19] = [
        "read",
        "acquire",
        "acquire_many",
        "take",
        "store",
        "release",
        "fail",
        "renew",
        "capture",
        "capture_with_age",
        "retrail",
        "invalidate",
        "hold",
        "invalidate_tags",
        "invalidate_matching",
        "remaining",
        "ping",
        "info",
        "close",
    ];

    /// Calls every operation, batches with two items, and returns the errors: one for each
    /// operation except for `close`, and one more for each batch.
    async fn call_all(backend: &dyn Backend) -> Vec<ErrorKind> {
        let keys = ["a", "b"].map(WireKey::from);
        let (key, token, lease) = (&keys[0], Token([0; 16]), Duration::from_secs(5));
        let acquire = Acquire {
            key,
            token,
            lease,
            seen: Seen::Nothing,
            skip_foreign: false,
            replace_failure: false,
        };
        let takes = keys.clone().map(|key| Take { key, token, lease });
        let fill = |key| Fill {
            key,
            token,
            value: Bytes::new(),
            decoded_size: 0,
            ttl: Ttl::MAX,
            hold: None,
            kept: None,
        };
        let fills = keys.clone().map(fill);
        let acquires = keys.each_ref().map(|key| Acquire { key, ..acquire.clone() });
        let trailers = Retrail { seen: Bytes::new(), trailer: Bytes::new() };
        let mut results: Vec<Result<()>> =
            vec![backend.read(&keys).await.map(drop), backend.acquire(acquire).await.map(drop)];
        let acquired = backend.acquire_many(&acquires).await;
        results.extend(acquired.into_iter().map(|answer| answer.map(drop)));
        results.extend(backend.take(&takes).await.into_iter().map(|answer| answer.map(drop)));
        results.extend(backend.store(&fills).await.into_iter().map(|answer| answer.map(drop)));
        results.extend([
            backend.release(key, token).await,
            backend.fail(key, token, Pause::default()).await,
            backend.renew(key, token, lease).await.map(drop),
            backend.capture(&keys, Ttl::MAX).await.map(drop),
            backend.capture_with_age(&keys, Ttl::MAX).await.map(drop),
            backend.retrail(key, trailers).await.map(drop),
            backend.invalidate(&keys).await.map(drop),
            backend.hold(&keys, lease).await.map(drop),
            backend.invalidate_tags(&keys).await,
            backend.invalidate_matching(&Pattern::new("*")).await.map(drop),
            backend.remaining(key).await.map(drop),
            backend.ping().await,
            backend.info().await.map(drop),
        ]);
        backend.close().await;
        results.into_iter().filter_map(Result::err).map(|error| error.kind()).collect()
    }

    #[test]
    fn every_operation_reaches_inner_backend() {
        let recorder = Arc::new(Recorder::default());
        let layer = Recorded { inner: Some(Arc::clone(&recorder)), ..Recorded::default() };
        assert_eq!(call_all(&layer).now_or_never(), Some(vec![]));
        assert_eq!(recorder.recorded(), OPERATIONS);
        assert_eq!(layer.around.recorded(), OPERATIONS);
        assert!(layer.watch(&"k".into()).is_some());
        assert_eq!(recorder.recorded().last(), Some(&"watch"));
        assert_eq!(layer.clock(&"k".into()), Some(0));
        assert_eq!(layer.name(), "recorder");
    }

    #[test]
    fn missing_inner_backend_fails_each_item() {
        let layer = Recorded::default();
        assert_eq!(call_all(&layer).now_or_never(), Some(vec![ErrorKind::Closed; 21]));
        assert!(layer.watch(&"k".into()).is_none());
        assert_eq!(layer.name(), "unavailable");
    }

    #[test]
    fn around_can_fail_each_item() {
        let recorder = Arc::new(Recorder::default());
        let inner = Some(Arc::clone(&recorder));
        let layer = Recorded { inner, fails: true, ..Recorded::default() };
        assert_eq!(call_all(&layer).now_or_never(), Some(vec![ErrorKind::Unavailable; 21]));
        assert_eq!(recorder.recorded(), [""; 0]);
    }
}
