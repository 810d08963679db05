//! Loads in the background.

use std::any::TypeId;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use hotshelf_core::cache::{
    Begun, ByteCache, CallOptions, EntryKey, LoadTicket, Loaded, Refresh, RefreshMode, Waited,
};

use super::context::LoadContext;
use super::load::{LoadResult, ended};
use super::{Cache, CacheValue, present};
use crate::load_error::LoadError;

impl<T: CacheValue> Cache<T> {
    /// Reads, and loads with a loader that borrows nothing: in the background where there is a
    /// value to return meanwhile.
    pub(super) async fn load_apart<F, Fut, E>(
        &self,
        key: EntryKey,
        options: CallOptions,
        load: F,
    ) -> LoadResult<T, E>
    where
        F: FnOnce(LoadContext<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Option<Arc<T>>, E>> + Send + 'static,
        E: Send + Sync + 'static,
    {
        let options = options.refresh(RefreshMode::Background);
        match self.bytes.load(Ok(key), options, TypeId::of::<E>()).await {
            Loaded::Refresh(value, refresh) => {
                self.bytes.runtime().spawn(Box::pin(carry_out(refresh, load)));
                Ok(present(value))
            }
            loaded => match ended(loaded) {
                Err(ticket) => Box::pin(lead(self.bytes.clone(), ticket, load)).await,
                Ok(ended) => ended,
            },
        }
    }
}

async fn carry_out<T, F, Fut, E>(refresh: Box<Refresh>, load: F)
where
    T: CacheValue,
    F: FnOnce(LoadContext<T>) -> Fut + Send,
    Fut: Future<Output = Result<Option<Arc<T>>, E>> + Send,
    E: Send + Sync + 'static,
{
    if let Begun::Lead(ticket) = refresh.begin().await {
        // Its failure was counted.
        drop(run(ticket, load).await);
    }
}

/// Runs a load in the caller's task. When the caller stops waiting, it goes on in the background.
async fn lead<T, F, Fut, E>(cache: ByteCache, ticket: Box<LoadTicket>, load: F) -> LoadResult<T, E>
where
    T: CacheValue,
    F: FnOnce(LoadContext<T>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Option<Arc<T>>, E>> + Send + 'static,
    E: Send + Sync + 'static,
{
    let timeouts = ticket.timeouts();
    let running: Pin<Box<dyn Future<Output = LoadResult<T, E>> + Send>> =
        Box::pin(run(ticket, load));
    let (waited, unfinished) = timeouts.wait(running).await;
    if let Some(unfinished) = unfinished {
        cache.runtime().spawn(Box::pin(async move { drop(unfinished.await) }));
    }
    match waited {
        Waited::Done(result) => result,
        Waited::Stale(value) => Ok(present(value)),
        Waited::TimedOut => Err(LoadError::TimedOut),
    }
}

async fn run<T, F, Fut, E>(ticket: Box<LoadTicket>, load: F) -> LoadResult<T, E>
where
    T: CacheValue,
    F: FnOnce(LoadContext<T>) -> Fut + Send,
    Fut: Future<Output = Result<Option<Arc<T>>, E>> + Send,
    E: Send + Sync + 'static,
{
    let context = LoadContext::new(&ticket);
    let loaded = ticket.run(load(context.clone())).await;
    context.complete(ticket, loaded).await
}
