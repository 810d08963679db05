//! Work that goes on when the caller that began it is gone.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::join_all;

use super::EngineShared;
use crate::backend::Token;
use crate::key::WireKey;
use crate::runtime::{BoxFuture, Runtime};
use crate::stats::{Counter, Stats};

/// Runs a future in the caller's own task and, if that is cancelled after the first poll,
/// in the background.
///
/// For what must not stay half done: a fill that was sent, an invalidation.
pub(crate) fn finish_even_if_dropped<T: Send + 'static>(
    runtime: &Arc<dyn Runtime>,
    future: impl Future<Output = T> + Send + 'static,
) -> impl Future<Output = T> + Send {
    let runtime = Arc::clone(runtime);
    Finishing { runtime, future: Some(Box::pin(future)), begun: false }
}

struct Finishing<T: Send + 'static> {
    runtime: Arc<dyn Runtime>,
    /// `None` once it is finished.
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

/// How long to wait before a backend in trouble is told again.
const FIRST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Gives leases up in the background, all at once.
///
/// A backend that is in trouble is told again, until the leases have run out by themselves:
/// a token is in use once, so that a release that comes late, or twice, harms nobody.
pub(crate) fn release(
    shared: &Arc<EngineShared>,
    stats: &Arc<Stats>,
    leases: Vec<(WireKey, Token)>,
) {
    let (backend, runtime) = (Arc::clone(&shared.backend), Arc::clone(&shared.runtime));
    let (lease, stats) = (shared.lease, Arc::clone(stats));
    shared.runtime.spawn(Box::pin(async move {
        let until = runtime.now() + lease;
        let (mut left, mut pause) = (leases, FIRST_PAUSE);
        for tries in 0.. {
            let releases = left.iter().map(|(key, token)| backend.release(key, *token));
            let mut released = join_all(releases).await.into_iter();
            left.retain(|_| {
                let trouble = released.next().and_then(Result::err);
                if trouble.is_some() && tries == 0 {
                    stats.count(Counter::Error);
                }
                trouble.is_some_and(|error| error.is_temporary())
            });
            if left.is_empty() || runtime.now() >= until {
                return;
            }
            // Not all of them at once when the backend comes back.
            runtime.sleep(pause.mul_f64(1.0 + (runtime.random() % 1000) as f64 / 1000.0)).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    }));
}

/// Leases that may have been granted, to nobody's use. Dropped, they are given back: others
/// would wait for the whole of them.
pub(crate) struct UnusedLeases<'a> {
    shared: &'a Arc<EngineShared>,
    stats: &'a Arc<Stats>,
    leases: Vec<(WireKey, Token)>,
}

impl<'a> UnusedLeases<'a> {
    /// Looks after leases that are about to be asked for. Until the answer comes, nobody
    /// knows whether they were granted.
    pub(crate) fn asked_for(
        shared: &'a Arc<EngineShared>,
        stats: &'a Arc<Stats>,
        leases: Vec<(WireKey, Token)>,
    ) -> Self {
        Self { shared, stats, leases }
    }

    /// Keeps those that are still of no use; somebody else looks after the others.
    pub(crate) fn retain(&mut self, mut is_unused: impl FnMut(Token) -> bool) {
        self.leases.retain(|(_, token)| is_unused(*token));
    }
}

impl Drop for UnusedLeases<'_> {
    fn drop(&mut self) {
        if !self.leases.is_empty() {
            release(self.shared, self.stats, std::mem::take(&mut self.leases));
        }
    }
}
