//! Renewal of leases while a load or a write runs.

use std::future::{Future, pending, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use futures_util::future::join_all;

use super::Engine;
use crate::backend::{BATCH, Token};
use crate::context::CacheContext;
use crate::key::WireKey;
use crate::runtime::BoxFuture;
use crate::stats::Counter;

/// Runs a future in the caller's task, and renews leases every third of their time meanwhile.
pub(crate) fn renewing<F: Future>(
    engine: &Arc<Engine>,
    cache: &Arc<CacheContext>,
    leases: impl Fn() -> Vec<(WireKey, Token)>,
    mut work: Pin<&mut F>,
) -> impl Future<Output = F::Output> {
    let mut renewal: Option<BoxFuture<'static, ()>> = None;
    poll_fn(move |context| {
        if let Poll::Ready(output) = work.as_mut().poll(context) {
            return Poll::Ready(output);
        }
        // Only work that has to wait needs a timer.
        let renewal = renewal.get_or_insert_with(|| {
            Box::pin(renew(Arc::clone(engine), Arc::clone(cache), leases()))
        });
        let _never_ready = renewal.as_mut().poll(context);
        Poll::Pending
    })
}

/// Renews leases every third of their time, until all of them are lost. Never completes.
pub(crate) async fn renew(
    engine: Arc<Engine>,
    cache: Arc<CacheContext>,
    mut leases: Vec<(WireKey, Token)>,
) {
    let Engine { gate, runtime, lease, .. } = &*engine;
    while !leases.is_empty() {
        runtime.sleep(*lease / 3).await;
        // Boxed, so that the pauses in between, which are long, take little memory.
        let renewing = Box::pin(async {
            let mut kept = Vec::with_capacity(leases.len());
            for batch in leases.chunks(BATCH) {
                let renewal = |(key, token): &(WireKey, Token)| {
                    let (key, token) = (key.clone(), *token);
                    let cache = &cache;
                    async move { gate.renew(cache, &key, token, *lease).await }
                };
                kept.extend(join_all(batch.iter().map(renewal)).await);
            }
            kept
        });
        let mut kept = renewing.await.into_iter();
        leases.retain(|_| match kept.next() {
            // A lost lease stays lost: the fill will be refused.
            Some(Ok(held)) => held,
            Some(Err(_)) | None => {
                cache.stats.count(Counter::Error);
                true
            }
        });
    }
    pending().await
}
