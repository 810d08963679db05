//! Work that continues after its caller is gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::join_all;

use super::Engine;
use crate::backend::Token;
use crate::backoff::Backoff;
use crate::context::CacheContext;
use crate::key::WireKey;
use crate::runtime::{BoxFuture, Runtime};
use crate::stats::Counter;

/// Runs a future in the caller's task and, if that is cancelled after the first poll, in the
/// background.
///
/// For operations that must not remain incomplete: a fill that was sent, an invalidation.
pub(crate) fn finish_even_if_dropped<T: Send + 'static>(
    runtime: &Arc<dyn Runtime>,
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let runtime = Arc::clone(runtime);
    Finishing { runtime, future: Some(Box::pin(future)), begun: false }
}

struct Finishing<T: Send + 'static> {
    runtime: Arc<dyn Runtime>,
    /// `None` after completion.
    future: Option<BoxFuture<'static, T>>,
    begun: bool,
}

impl<T: Send + 'static> Future for Finishing<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        self.begun = true;
        let Some(future) = &mut self.future else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_ready() {
            self.future = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for Finishing<T> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take().filter(|_| self.begun) {
            self.runtime.spawn(Box::pin(async move {
                future.await;
            }));
        }
    }
}

/// The pauses between attempts to release leases on a failing backend. Their jitter keeps
/// processes from retrying at the same moment when it comes back.
const RELEASING: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(2));

/// Releases leases in the background, all at once.
///
/// If the backend fails, the release is repeated until the leases have expired. A token is
/// used once, so that a late or repeated release does no harm.
pub(crate) fn release(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    leases: Vec<(WireKey, Token)>,
) {
    let (engine, cache) = (Arc::clone(engine), Arc::clone(cache));
    let runtime = Arc::clone(&engine.runtime);
    runtime.spawn(Box::pin(async move {
        let Engine { gate, runtime, lease, .. } = &*engine;
        let until = runtime.now() + *lease;
        let (mut left, mut backoff) = (leases, RELEASING);
        for tries in 0.. {
            let releases = left.iter().map(|(key, token)| gate.release(&cache, key, *token));
            let mut released = join_all(releases).await.into_iter();
            left.retain(|_| {
                let failed = released.next().and_then(Result::err);
                if failed.is_some() && tries == 0 {
                    cache.stats.count(Counter::Error);
                }
                failed.is_some_and(|error| error.is_temporary())
            });
            if left.is_empty() || runtime.now() >= until {
                return;
            }
            runtime.sleep(backoff.next(runtime.random())).await;
        }
    }));
}

/// Leases that may have been granted and are not needed. They are released on drop, so that
/// other callers need not wait until they expire.
pub(crate) struct UnusedLeases<'a> {
    engine: &'a Arc<Engine>,
    cache: &'a Arc<CacheContext>,
    leases: Vec<(WireKey, Token)>,
}

impl<'a> UnusedLeases<'a> {
    /// Guards leases that are about to be requested. Until the answer comes, it is unknown
    /// whether they were granted.
    pub(crate) fn asked_for(
        engine: &'a Arc<Engine>,
        cache: &'a Arc<CacheContext>,
        leases: Vec<(WireKey, Token)>,
    ) -> Self {
        Self { engine, cache, leases }
    }

    /// Keeps the leases that are still not needed; the caller manages the others.
    pub(crate) fn retain(&mut self, mut is_unused: impl FnMut(Token) -> bool) {
        self.leases.retain(|(_, token)| is_unused(*token));
    }
}

impl Drop for UnusedLeases<'_> {
    fn drop(&mut self) {
        if !self.leases.is_empty() {
            release(self.engine, self.cache, std::mem::take(&mut self.leases));
        }
    }
}
