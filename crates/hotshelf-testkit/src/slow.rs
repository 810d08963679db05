//! A backend behind a network whose delays come from a seed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hotshelf_core::backend::{
    Acquire, Acquired, Fill, Result, Stored, TagVersion, Take, Taken, Token,
};
use hotshelf_core::{Backend, BoxFuture, Pattern, Remaining, Runtime, ServerInfo, Ttl, WireKey};

/// Executes each operation of another backend after one random delay and answers after
/// another, so that operations that were begun together are executed in any order.
pub struct Slow<B> {
    backend: B,
    runtime: Arc<dyn Runtime>,
    longest: Duration,
}

impl<B: Backend> Slow<B> {
    /// Delays each request and each answer by at most `longest`: most of them by little,
    /// some by so much that others overtake them.
    pub fn new(backend: B, runtime: Arc<dyn Runtime>, longest: Duration) -> Self {
        Self { backend, runtime, longest }
    }

    async fn delay(&self) {
        let share = self.runtime.random() as f64 / u64::MAX as f64;
        self.runtime.sleep(self.longest.mul_f64(share.powi(6))).await;
    }

    fn slowly<'a, T: Send + 'a>(&'a self, operation: BoxFuture<'a, T>) -> BoxFuture<'a, T> {
        Box::pin(async move {
            self.delay().await;
            let answer = operation.await;
            self.delay().await;
            answer
        })
    }
}

impl<B: fmt::Debug> fmt::Debug for Slow<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Slow").field(&self.backend).finish()
    }
}

impl<B: Backend> Backend for Slow<B> {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn read<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<Vec<Option<Bytes>>>> {
        self.slowly(Box::pin(async move { self.backend.read(keys).await }))
    }

    fn acquire<'a>(&'a self, acquire: Acquire<'a>) -> BoxFuture<'a, Result<Acquired>> {
        self.slowly(Box::pin(async move { self.backend.acquire(acquire).await }))
    }

    fn take<'a>(&'a self, takes: &'a [Take]) -> BoxFuture<'a, Vec<Result<Taken>>> {
        self.slowly(Box::pin(async move { self.backend.take(takes).await }))
    }

    fn store<'a>(&'a self, fills: &'a [Fill]) -> BoxFuture<'a, Vec<Result<Stored>>> {
        self.slowly(Box::pin(async move { self.backend.store(fills).await }))
    }

    fn release<'a>(&'a self, key: &'a WireKey, token: Token) -> BoxFuture<'a, Result<()>> {
        self.slowly(Box::pin(async move { self.backend.release(key, token).await }))
    }

    fn renew<'a>(
        &'a self,
        key: &'a WireKey,
        token: Token,
        lease: Duration,
    ) -> BoxFuture<'a, Result<bool>> {
        self.slowly(Box::pin(async move { self.backend.renew(key, token, lease).await }))
    }

    fn capture<'a>(
        &'a self,
        tags: &'a [WireKey],
        keep: Ttl,
    ) -> BoxFuture<'a, Result<Vec<TagVersion>>> {
        self.slowly(Box::pin(async move { self.backend.capture(tags, keep).await }))
    }

    fn invalidate<'a>(&'a self, keys: &'a [WireKey]) -> BoxFuture<'a, Result<u64>> {
        self.slowly(Box::pin(async move { self.backend.invalidate(keys).await }))
    }

    fn invalidate_tags<'a>(&'a self, tags: &'a [WireKey]) -> BoxFuture<'a, Result<()>> {
        self.slowly(Box::pin(async move { self.backend.invalidate_tags(tags).await }))
    }

    fn invalidate_matching<'a>(&'a self, pattern: &'a Pattern) -> BoxFuture<'a, Result<u64>> {
        self.slowly(Box::pin(async move { self.backend.invalidate_matching(pattern).await }))
    }

    fn remaining<'a>(&'a self, key: &'a WireKey) -> BoxFuture<'a, Result<Remaining>> {
        self.slowly(Box::pin(async move { self.backend.remaining(key).await }))
    }

    fn ping(&self) -> BoxFuture<'_, Result<()>> {
        self.slowly(self.backend.ping())
    }

    fn info(&self) -> BoxFuture<'_, Result<ServerInfo>> {
        self.slowly(self.backend.info())
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.slowly(self.backend.close())
    }
}
